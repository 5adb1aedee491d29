"""Her hair, in head coordinates (see `face.py`). The wind blows from the left to the right."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from brush import (
    band,
    curve,
    join,
    linear,
    mix,
    offset,
    radial,
    resample,
    rgba,
    section,
)

BASE, SHADE, DEEP, LIGHT, SHEEN = "#43418c", "#2f2c68", "#211d4d", "#6467b8", "#9aa3ea"
LINE, WARM = "#17133a", "#f2a58e"


@dataclass(frozen=True)
class Look:
    """How a lock is shaped and lit."""

    tones: tuple = (SHADE, BASE, LIGHT)
    root: float = 0.55  # width where it leaves the head, as a fraction of its full width
    belly: float = 0.35  # where along its length it is widest
    tip: float = 1.3  # how fast it thins towards its end
    tint: float = 0.0  # how much of the sunset its end takes on
    line: float = 2.4  # width of the outline
    lit: int = 1  # 1: the light comes from its left side (as it runs), -1: from its right
    sheen: Callable | None = None  # maps the spine to each point's distance from a line of light, see `ring`
    gloss: str | None = None  # the colour of that light, None: the sky's


def lock(canvas, spine, width, look=Look(), seed=0):
    """One lock: a tapered ribbon along `spine` (root first) in three tones, with strands and an outline."""
    random = np.random.default_rng(seed)
    spine = resample(spine, 90)
    t = np.linspace(0, 1, 90)
    swell = np.sin(np.clip(t / look.belly, 0, 1) * np.pi / 2)
    thin = np.cos(np.clip((t - look.belly) / (1 - look.belly), 0, 1) * np.pi / 2) ** look.tip
    half = 0.5 * width * np.where(t < look.belly, look.root + (1 - look.root) * swell, thin)
    shade, base, light = look.tones
    outline = band(spine, half, -half)
    end = mix(base, WARM, look.tint)
    canvas.fill(outline, linear(spine[0], spine[-1], (0, shade), (0.28, base), (0.7, base), (1, end)))
    with canvas.clipped(outline):
        ripple = 0.10 * np.sin(t * 9 + random.uniform(0, 6))
        dark = np.clip(0.30 + ripple, 0, 1) * np.sin(np.clip(t * 1.05, 0, 1) * np.pi) ** 0.5
        canvas.fill(band(spine, look.lit * half * (dark * 1.2 - 0.55), -look.lit * half * 1.2), shade, 0.85)
        edge = np.sin(np.clip((t - 0.06) / 0.8, 0, 1) * np.pi) ** 0.7
        canvas.fill(
            band(spine, look.lit * half * (0.78 - 0.03 * ripple), look.lit * half * (0.78 - 0.42 * edge)), light, 0.75
        )
        if look.sheen is not None:
            gleam(canvas, spine, half, look, random)
    for _ in range(max(2, int(width / 15))):
        at = random.uniform(-0.7, 0.75)
        start, stop = random.uniform(0.03, 0.3), random.uniform(0.6, 0.97)
        strand = section(offset(spine, half * at), start, stop)
        canvas.ink(strand, 1.3, LINE if at * look.lit < 0.25 else mix(base, LINE, 0.35), 0.5, ends=(0, 0))
    for side in (1, -1):
        contour = offset(spine, side * half)
        canvas.ink(
            section(contour, 0.04, 1.0),
            look.line * (1.0 if side * look.lit < 0 else 0.8),
            LINE,
            0.95,
            ends=(0.1, 0.15),
            swell=0.6,
        )


def ring(spine):
    """Signed distance, in radii, from the ellipse on which the sky gleams around the crown."""
    return np.hypot((spine[:, 0] + 2) / 112, (spine[:, 1] + 30) / 92) - 1


def gleam(canvas, spine, half, look, random):
    """A patch of light where a lock crosses the line of light: pointed streaks that run with the hair."""
    at = int(np.argmin(np.abs(look.sheen(spine))))
    colour, alpha = look.gloss, 0.5
    if colour is None:
        alpha = 0.8
        colour = mix(SHEEN, "#f6c3c6", np.clip((spine[at, 0] + 110) / 260, 0, 1))
    count = max(4, int(half[at] / 1.9))
    width = 2 * half[at] / count
    with canvas.together(alpha):
        for place in np.linspace(0.86, -0.62, count):
            above, below = random.uniform(2.5, 10), random.uniform(2, 8)
            first, last = int(max(at - above, 0)), int(min(at + below + 1, len(spine) - 1))
            streak = offset(spine, half * place)[first : last + 1]
            canvas.ink(streak, 1.4 * width, colour, ends=(0, 0))


def wisp(canvas, *points, width=2.6, colour=BASE):
    """A few hairs that fly apart from the rest."""
    canvas.ink(curve(*points), width + 1.2, LINE, ends=(0.5, 0), swell=0.3)
    canvas.ink(curve(*points), width, colour, ends=(0.5, 0), swell=0.3)


@dataclass(frozen=True)
class Bundle:
    """Locks that flow together; ranges are drawn from evenly."""

    count: int
    widths: tuple
    lengths: tuple  # fractions of the full length
    rows: tuple  # from which part between the boundaries: 0 upper, 1 lower
    look: Look
    seed: int


def stream(canvas, upper, lower, bundle):
    """The locks of `bundle` between two boundary spines, each a little different."""
    count, rows, seed = bundle.count, bundle.rows, bundle.seed
    random = np.random.default_rng(seed)
    upper, lower = resample(upper, 90), resample(lower, 90)
    order = random.permutation(count)
    for k in order:
        u = rows[0] + (rows[1] - rows[0]) * (k + random.uniform(0.2, 0.8)) / count
        length = random.uniform(*bundle.lengths)
        t = np.linspace(0, 1, 90)
        wave = random.uniform(8, 24) * np.sin(2 * np.pi * (1.1 * t - 0.35 * u) + random.uniform(-0.9, 0.9)) * t**1.3
        spine = (1 - u) * upper + u * lower
        spine = section(offset(spine, wave), 0, length)
        width = random.uniform(*bundle.widths) * (0.7 + 0.3 * length)
        look = replace(bundle.look, tint=0.25 + 0.4 * length * (1 - 0.6 * u))
        lock(canvas, spine, width, look, seed + int(k))


def billow(spine):
    """Distance from the line where the stream's first billow catches the sky's light."""
    return np.where(spine[:, 0] > 60, spine[:, 0] - 236 + 0.16 * spine[:, 1] - 18 * np.sin(spine[:, 1] / 26), 1e3)


def back(canvas):
    """The mass behind head and shoulders, streaming to the right."""
    mass = join(
        curve((-112, -60), (-126, 20), (-128, 120), (-112, 200), (-60, 270)),
        curve((-60, 270), (60, 260), (170, 250), (240, 180), (230, 60), (130, -60)),
    )
    canvas.fill(mass, linear((0, -80), (0, 300), (0, SHADE), (1, DEEP)))
    for number, (points, width) in enumerate(
        [
            ([(-92, 0), (-126, 110), (-118, 210), (-76, 282), (-4, 330)], 62),
            ([(-80, 30), (-110, 140), (-84, 236), (-22, 296), (60, 316)], 58),
            ([(-70, 60), (-84, 170), (-40, 250), (36, 290), (120, 300)], 50),
        ]
    ):
        lock(canvas, curve(*points), width, Look(tones=(DEEP, SHADE, BASE), tint=0.1), number)
    upper = curve((30, -120), (130, -96), (232, -30), (342, 2), (452, -14), (566, -84))
    lower = curve((-30, 60), (30, 190), (130, 282), (246, 318), (356, 300), (452, 244))
    flow = Look(tones=(DEEP, SHADE, BASE), root=0.8, belly=0.42, tip=1.0, sheen=billow, gloss="#4b4ca0")
    stream(canvas, upper, lower, Bundle(9, (74, 96), (0.78, 0.98), (0.0, 1.0), flow, seed=100))
    # Locks that the wind has parted from the rest.
    for number, (points, width) in enumerate(
        [
            ([(130, -80), (240, -32), (360, -28), (460, -66), (566, -136)], 24),
            ([(180, 0), (300, 40), (420, 34), (520, 24), (626, -26)], 22),
            ([(170, 40), (320, 88), (430, 84), (530, 82), (612, 62)], 20),
            ([(160, 120), (290, 166), (400, 160), (500, 152), (590, 118)], 24),
            ([(150, 190), (280, 250), (390, 250), (480, 232), (560, 190)], 20),
            ([(140, 230), (270, 300), (380, 312), (470, 306), (548, 282)], 22),
        ]
    ):
        lock(canvas, curve(*points), width, Look(root=0.7, belly=0.3, tip=1.5, tint=0.5), 60 + number)
    brighter = replace(flow, gloss="#5b5fb6")
    stream(canvas, upper, lower, Bundle(9, (40, 60), (0.70, 1.0), (0.05, 0.95), brighter, seed=200))
    brightest = replace(flow, tones=(SHADE, BASE, LIGHT), gloss="#8f95e0")
    stream(canvas, upper, lower, Bundle(7, (26, 44), (0.72, 0.96), (0.02, 0.85), brightest, seed=300))
    for points in [
        [(240, -26), (330, 4), (420, -16), (500, -62), (560, -66)],
        [(300, 46), (380, 62), (470, 30), (540, 36), (590, 18)],
        [(260, 170), (350, 206), (440, 172), (520, 178)],
        [(240, 300), (330, 330), (410, 312), (470, 318)],
    ]:
        wisp(canvas, *points, width=2.2, colour=SHADE)
    # Large shapes of value over the single locks: darkness at the nape, the sunset in the ends.
    with canvas.onto() as value:
        value.wash(
            radial((20, 120), 250, (0, rgba("#15113c", 0.8)), (0.55, rgba("#15113c", 0.42)), (1, rgba("#15113c", 0)))
        )
        value.wash(
            linear(
                (210, 40), (560, 10), (0, rgba("#ff7fa6", 0)), (0.6, rgba("#ff86a0", 0.34)), (1, rgba("#ffab84", 0.62))
            )
        )


CROWN = join(
    curve(
        (-120, 20),
        (-126, -40),
        (-116, -96),
        (-84, -142),
        (-34, -167),
        (14, -169),
        (64, -150),
        (102, -110),
        (120, -54),
        (116, 20),
    ),
    curve((116, 20), (98, -30), (62, -76), (0, -92), (-60, -76), (-100, -24), (-120, 20)),
)
PARTING = (-26, -158)


def front(canvas):
    """Crown, bangs and the locks beside the face."""
    side_locks(canvas)
    # The crown's own locks leave it on the windward side and join the stream behind.
    for number, (points, width) in enumerate(
        [
            ([(20, -160), (96, -140), (150, -70), (222, -24), (318, -26)], 54),
            ([(40, -150), (108, -104), (138, -20), (196, 46), (290, 66)], 56),
            ([(60, -130), (112, -70), (124, 20), (166, 104), (252, 140)], 54),
        ]
    ):
        lock(canvas, curve(*points), width, Look(root=0.5, tip=1.1, tint=0.35), 20 + number)
    canvas.fill(CROWN, linear((0, -165), (0, 20), (0, BASE), (0.5, BASE), (1, SHADE)))
    canvas.ink(section(resample(CROWN, 300), 0.02, 0.44), 3.2, LINE, ends=(0.2, 0.2))
    # Locks over the crown, from the parting outwards.
    for number, (points, width, lit) in enumerate(
        [
            ([PARTING, (-78, -140), (-114, -88), (-118, -20), (-112, 40)], 46, -1),
            ([(-20, -160), (56, -150), (106, -104), (118, -40), (112, 34)], 50, 1),
            ([(-24, -158), (-66, -128), (-96, -80), (-102, -20)], 44, -1),
            ([(-22, -160), (44, -138), (88, -96), (106, -30)], 46, 1),
        ]
    ):
        look = Look(root=0.4, belly=0.4, tip=0.9, line=2.2, lit=lit, sheen=ring)
        lock(canvas, curve(*points), width, look, 30 + number)
    # Bangs swept with the wind: the gap on the left shows the forehead.
    for number, (points, width, lit) in enumerate(
        [
            ([(-30, -158), (-72, -132), (-94, -90), (-98, -30)], 42, -1),
            ([(-22, -160), (34, -138), (80, -100), (106, -30)], 48, 1),
            ([(-30, -158), (-58, -128), (-74, -96), (-76, -54)], 38, -1),
            ([(-22, -160), (20, -136), (62, -104), (92, -46)], 50, 1),
            ([(-22, -160), (8, -134), (44, -98), (71, -50)], 46, 1),
            ([(-30, -158), (-46, -128), (-54, -98), (-44, -66)], 34, -1),
            ([(-26, -160), (-14, -130), (8, -92), (46, -60)], 52, 1),
            ([(-30, -158), (-36, -126), (-26, -84), (12, -38)], 48, 1),
        ]
    ):
        look = Look(root=0.35, belly=0.42, tip=0.85, line=2.2, lit=lit, sheen=ring)
        lock(canvas, curve(*points), width, look, 40 + number)
    for points in [
        [(-26, -160), (-8, -186), (30, -196), (70, -182)],
        [(-20, -160), (6, -178), (40, -180), (62, -168)],
        [(-70, -146), (-66, -164), (-46, -172)],
        [(104, -100), (140, -84), (176, -92), (206, -108)],
    ]:
        wisp(canvas, *points, width=2.6)


def side_locks(canvas):
    """Long locks in front of the ears; the wind carries their ends to the right."""
    for number, (points, width, lit) in enumerate(
        [
            ([(-108, -50), (-126, 30), (-129, 120), (-112, 210), (-70, 272), (-14, 302)], 46, -1),
            ([(-112, -40), (-118, 50), (-112, 136), (-82, 206), (-28, 250)], 36, -1),
            ([(-108, -30), (-112, 50), (-103, 124), (-72, 176), (-22, 200)], 24, -1),
            ([(108, -50), (116, 40), (134, 122), (190, 184), (284, 206)], 42, 1),
            ([(104, -36), (106, 44), (116, 112), (160, 176), (236, 214)], 34, 1),
            ([(100, -30), (102, 40), (108, 90), (130, 130), (176, 152)], 22, 1),
        ]
    ):
        look = Look(root=0.7, belly=0.3, tip=1.0, tint=0.12 if lit < 0 else 0.4, lit=lit)
        lock(canvas, curve(*points), width, look, 70 + number)
    wisp(canvas, (-100, 40), (-96, 110), (-60, 160), (-8, 176), width=2.0)
    wisp(canvas, (100, 50), (112, 110), (156, 150), (226, 148), width=2.0)
