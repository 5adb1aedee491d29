"""The evening behind the figure: sky, clouds, headland, sea, meadow; and the flowers in front of her."""

import cairo
import numpy as np

import brush
from brush import curve, ellipse, join, linear, mix, radial, rgba

WIDTH, HEIGHT = 1280, 720
HORIZON = 470
SUN = (968, 438)


def sky(canvas):
    """Teal above, cream and peach towards the sun, a few early stars."""
    canvas.wash(
        linear(
            (0, 0),
            (0, HORIZON),
            (0.0, "#3f7f9f"),
            (0.22, "#69a9b2"),
            (0.48, "#b5d3bd"),
            (0.68, "#f7dcb0"),
            (0.86, "#ffb98e"),
            (1.0, "#f8907f"),
        )
    )
    canvas.wash(radial(SUN, 620, (0, rgba("#fff0c0", 0.85)), (0.25, rgba("#ffd79a", 0.5)), (1, rgba("#ffb080", 0))))
    canvas.wash(radial((0, 60), 620, (0, rgba("#2f5c8c", 0.55)), (1, rgba("#2f5c8c", 0))))
    random = np.random.default_rng(7)
    for _ in range(46):
        x, y = random.uniform(0, WIDTH), 200 * random.uniform(0, 1) ** 1.6
        size = random.uniform(0.5, 1.5)
        canvas.fill(ellipse(x, y, size, size), "#fdf6e0", 0.75 * (1 - y / 260))
    for x, y, size in [(148, 66, 7), (1130, 52, 6), (842, 96, 4.5)]:
        sparkle(canvas, x, y, size, "#fffbe6")


def sparkle(canvas, x, y, size, colour):
    """A four-pointed star."""
    angle = np.arange(8) * np.pi / 4
    radius = np.where(np.arange(8) % 2 == 0, size, size * 0.16)
    canvas.fill(np.stack([x + radius * np.sin(angle), y - radius * np.cos(angle)], axis=1), colour)


def sun(canvas):
    with canvas.soft(16) as glow:
        glow.fill(ellipse(*SUN, 66, 66), "#fff3cc", 0.9)
    canvas.fill(ellipse(*SUN, 37, 37), "#fffbe8")


def cloud(canvas, puffs, base, tones):
    """A heap of round puffs `(x, y, radius)` on a flat `base`, far ones first; `tones` are shade, middle and light."""
    shade, middle, light = tones
    heap = canvas.layer()
    for x, y, r in puffs:
        toward = 1.0 if x < SUN[0] else -1.0
        lit = linear(
            (x + toward * r * 0.45, y - r * 0.8),
            (x - toward * r * 0.35, y + r * 0.85),
            (0, light), (0.38, mix(light, middle, 0.3)), (0.62, middle), (1, shade),
        )  # fmt: skip
        heap.fill(ellipse(x, y, r, r * 0.92), lit)
    # The base dissolves into the haze above the horizon.
    with heap.onto() as haze:
        haze.wash(linear((0, base - 120), (0, base), (0, rgba(middle, 0)), (1, rgba("#f9b596", 1))))
    heap.context.set_operator(cairo.OPERATOR_DEST_IN)
    heap.wash(linear((0, base - 26), (0, base + 2), (0, rgba("#000000", 1)), (1, rgba("#000000", 0))))
    heap.blur(1.1)
    canvas.put(heap)


def heap_of(random, x, base, width, height, count=26):
    """Puffs for one cumulus, high in the middle and low at both ends; the upper ones are further away."""
    puffs = []
    for _ in range(count):
        u = random.uniform(-1, 1)
        level = random.uniform(0, 1)
        top = height * (1 - abs(u) ** 1.6) * (0.12 + 0.88 * level)
        r = random.uniform(0.10, 0.19) * height * (1.25 - 0.6 * abs(u)) * (1.1 - 0.35 * level) + 7
        puffs.append((x + u * width / 2, base - top + r * 0.5, r))
    return sorted(puffs, key=lambda puff: puff[1])


def clouds(canvas):
    random = np.random.default_rng(21)
    with canvas.soft(3.5, alpha=0.75) as streaks:
        for x, y, length, thick in [
            (930, 108, 520, 9), (1100, 140, 380, 7), (760, 168, 300, 5), (250, 118, 360, 6), (1040, 210, 420, 6),
            (90, 180, 300, 6), (1180, 262, 300, 5),
        ]:  # fmt: skip
            spine = curve(
                (x - length / 2, y + 10), (x - length / 6, y), (x + length / 5, y - 4), (x + length / 2, y - 16)
            )
            streaks.ink(spine, thick, "#ffe6cf", 0.8, ends=(0, 0))
            streaks.ink(spine + (30, 7), thick * 0.7, "#ffd2bd", 0.7, ends=(0, 0))
    far = ("#e6a5a0", "#f6c3a8", "#ffe0b8")
    near = ("#a99ac2", "#dcb5bd", "#ffe4cb")
    cloud(canvas, heap_of(random, 600, HORIZON - 4, 460, 90), HORIZON, far)
    cloud(canvas, heap_of(random, 1230, HORIZON - 8, 340, 130, 30), HORIZON, far)
    cloud(canvas, heap_of(random, 110, HORIZON - 20, 560, 290, 90), HORIZON - 2, near)
    cloud(canvas, heap_of(random, 330, HORIZON - 14, 460, 130, 56), HORIZON - 2, near)


def gulls(canvas):
    for x, y, span, tilt in [(1088, 232, 15, -8), (1126, 212, 11, 6), (1152, 246, 9, -4), (824, 128, 9, 4)]:
        with canvas.placed(x, y, tilt):
            for side in (-1, 1):
                wing = curve((0, 0), (side * span * 0.45, -span * 0.34), (side * span, -span * 0.10))
                canvas.ink(wing, span * 0.17, "#5d5a86", 0.85, ends=(0.8, 0), swell=0.35)


def headland(canvas):
    """Two far capes at the left, the nearer one with a lighthouse."""
    far = curve((-20, 440), (60, 428), (150, 434), (240, 452), (330, 462), (420, HORIZON + 2))
    canvas.fill(
        join(far, [(420, HORIZON + 3), (-20, HORIZON + 3)]), linear((0, 425), (0, 472), (0, "#8f86ad"), (1, "#d7a3a3"))
    )
    near = curve((-20, 418), (30, 410), (86, 420), (130, 438), (190, 450), (236, 466), (268, HORIZON + 6))
    canvas.fill(
        join(near, [(268, HORIZON + 8), (-20, HORIZON + 8)]), linear((0, 405), (0, 476), (0, "#5d5f8f"), (1, "#a88399"))
    )
    tower = np.array([(62, 414), (65, 372), (75, 372), (78, 416)])
    canvas.fill(tower, linear((62, 0), (78, 0), (0, "#8d84a8"), (0.6, "#e9cfc0"), (1, "#ffe6c8")))
    canvas.fill(np.array([(63.5, 394), (64.2, 386), (75.8, 386), (76.5, 394)]), "#c9706f", 0.9)
    canvas.fill(np.array([(63, 372), (63, 369), (77, 369), (77, 372)]), "#5d5f8f")
    canvas.fill(np.array([(66, 369), (66, 361), (74, 361), (74, 369)]), "#fff1c4")
    canvas.fill(np.array([(64, 361), (70, 354), (76, 361)]), "#5d5f8f")
    with canvas.soft(7) as lamp:
        lamp.fill(ellipse(70, 365, 12, 9), "#ffeeb4", 0.8)


def sea(canvas):
    with canvas.clipped(np.array([(0, HORIZON), (WIDTH, HORIZON), (WIDTH, HEIGHT), (0, HEIGHT)])):
        canvas.wash(
            linear(
                (0, HORIZON),
                (0, HEIGHT),
                (0, "#f3a48c"),
                (0.10, "#d79a9c"),
                (0.30, "#8f8fae"),
                (0.6, "#4f7d9c"),
                (1, "#2f5a80"),
            )  # fmt: skip
        )
        random = np.random.default_rng(3)
        # Swell: dark and light strokes that grow and spread towards the viewer.
        for _ in range(330):
            depth = random.uniform(0, 1) ** 1.4
            y = HORIZON + 3 + depth * 220
            length = 22 + 120 * depth * random.uniform(0.4, 1)
            x = random.uniform(-40, WIDTH + 40)
            wave = curve(
                (x, y), (x + length * 0.3, y - 1.6 * depth), (x + length * 0.7, y + 1.2 * depth), (x + length, y)
            )
            tone = random.choice(["#3c6a92", "#f6c0a4", "#7c8fb4"], p=[0.5, 0.28, 0.22])
            canvas.ink(wave, 0.8 + 2.4 * depth, tone, 0.34, ends=(0, 0))
        # The sun's road on the water.
        with canvas.soft(16) as road:
            spread = join(
                curve((SUN[0] - 34, HORIZON), (SUN[0] - 46, 560), (SUN[0] - 120, 720)),
                curve((SUN[0] + 120, 720), (SUN[0] + 46, 560), (SUN[0] + 34, HORIZON)),
            )
            road.fill(spread, linear((0, HORIZON), (0, 690), (0, rgba("#fff0c6", 0.8)), (1, rgba("#ffb98e", 0.0))))
        for _ in range(190):
            depth = random.uniform(0, 1) ** 1.3
            y = HORIZON + 2 + depth * 190
            x = SUN[0] + random.normal() * (26 + 62 * depth)
            length = 8 + 46 * depth * random.uniform(0.5, 1.2)
            glint = curve((x - length / 2, y), (x, y + 0.6), (x + length / 2, y - 0.4))
            canvas.ink(glint, 1.2 + 2.8 * depth, "#fff4d2", 0.85 * (1 - 0.5 * depth), ends=(0, 0))
        canvas.wash(linear((0, HORIZON - 2), (0, HORIZON + 12), (0, rgba("#ffe9c6", 0.8)), (1, rgba("#ffe9c6", 0))))


def blade(canvas, random, x, base, height, colour, lean):
    """One leaf of grass, bent by the wind."""
    bend = lean * height * random.uniform(0.5, 1.1)
    spine = curve(
        (x, base),
        (x + bend * 0.15, base - height * 0.45),
        (x + bend * 0.5, base - height * 0.8),
        (x + bend, base - height),
    )
    canvas.ink(spine, random.uniform(2.4, 4.6), colour, ends=(1, 0), swell=0.1)


def meadow(canvas):
    """The slope she stands on: dark below, its edge lit by the sun, grass leaning with the wind."""
    random = np.random.default_rng(11)
    edge = curve((-20, 588), (140, 596), (330, 626), (620, 652), (900, 640), (1120, 610), (1300, 578))
    canvas.fill(join(edge, [(1300, 740), (-20, 740)]), linear((0, 580), (0, 720), (0, "#54808a"), (1, "#234a66")))
    for row, (low, tones) in enumerate(
        [
            (6, ["#7da393", "#a9b893", "#5e8c8d"]),
            (34, ["#4d7f86", "#6f9a90", "#3d6c7c"]),
            (78, ["#2f5d74", "#3d7080", "#274f69"]),
        ]
    ):
        for x in np.linspace(-30, WIDTH + 10, 250):
            x += random.uniform(-4, 4)
            top = np.interp(x, edge[:, 0], edge[:, 1])
            lit = np.exp(-(((x - SUN[0]) / 230) ** 2))
            colour = mix(str(random.choice(tones)), "#ffdca6", 0.5 * lit * (1 - row / 3))
            blade(canvas, random, x, top + low + random.uniform(0, 14), random.uniform(22, 50) + 8 * row, colour, 0.62)
    for x, y, size in [
        (60, 628, 9), (128, 604, 7), (206, 640, 10), (270, 622, 7), (842, 648, 8), (905, 626, 9), (1000, 640, 7),
        (1075, 606, 9), (1140, 634, 11), (1218, 590, 8), (1256, 632, 10), (960, 664, 10), (300, 640, 11),
        (258, 668, 16), (176, 664, 13), (770, 676, 13), (824, 690, 17), (898, 684, 12), (1020, 676, 14), (742, 702, 14),
    ]:  # fmt: skip
        cosmos(canvas, random, x, y, size, "#f7b7c4" if (x // 10) % 2 else "#fdf0e6")


def cosmos(canvas, random, x, y, size, colour):
    """A flower on its stalk, seen from the side and above."""
    stalk = curve((x - size * 1.1, y + size * 7), (x - size * 0.5, y + size * 3), (x, y))
    canvas.ink(stalk, 0.24 * size, "#3f7a78", ends=(1, 0.6))
    cosmos_head(canvas, random.uniform(0, 60), x, y, size, colour, flat=0.66)


def cosmos_head(canvas, turn, x, y, size, colour, flat=0.9):
    """Eight notched petals around a yellow heart; `flat` is its height against its width."""
    flower = canvas.layer()
    edge = mix(colour, "#9a4674", 0.75)
    half = [(0, 0), (0.30, -0.45), (0.36, -0.92), (0.20, -1.08)]
    with flower.placed(x, y, 14, (size, size * flat)):
        for k in (0, 2, 4, 6, 1, 3, 5, 7):
            with flower.placed(0, 0, turn + 45 * k):
                petal = join(curve(*half), curve((0, -0.98), *[(-u, v) for u, v in half[::-1]]))
                flower.fill(petal, linear((0, 0), (0, -1), (0, mix(colour, "#c0668c", 0.7)), (0.75, colour)))
                flower.ink(petal, 0.05, edge, 0.7, ends=(0.3, 0.3))
                flower.ink(curve((0, -0.25), (0.02, -0.8)), 0.05, edge, 0.5, ends=(0.3, 0))
        flower.fill(ellipse(0, 0, 0.27, 0.27), "#ffd27a")
        flower.fill(ellipse(-0.04, 0.08, 0.17, 0.14), "#e79a55")
    flower.rim(brush.Rim(size * 0.07, -size * 0.03, "#fff0d0", 0.7))
    canvas.put(flower)


def foreground(canvas):
    """Grass and flowers close to the viewer, out of focus."""
    random = np.random.default_rng(5)
    with canvas.soft(3.2) as near:
        for x in np.concatenate([np.linspace(-60, 262, 56), np.linspace(820, 1300, 76)]):
            colour = str(random.choice(["#1f4560", "#2b5a6c", "#3a6f78", "#234a66"]))
            height = random.uniform(60, 130) * (0.55 + abs(x - 600) / 900)
            blade(near, random, x, 742, height, colour, 0.5)
        for x, y, size, colour in [
            (46, 650, 27, "#f9bcc6"), (134, 690, 22, "#fff1e6"), (232, 704, 17, "#f6a8b8"),
            (1214, 652, 29, "#fbc2c8"), (1118, 690, 22, "#fff1e6"), (1030, 704, 17, "#f7b0bc"),
        ]:  # fmt: skip
            cosmos(near, random, x, y, size, colour)


def haze(canvas):
    """The sun's glow in the air in front of everything."""
    with canvas.together(operator=cairo.OPERATOR_SCREEN):
        canvas.wash(radial(SUN, 400, (0, rgba("#ffb070", 0.55)), (0.3, rgba("#ff9a68", 0.22)), (1, rgba("#ff9060", 0))))


def petals(canvas):
    """Petals that the wind carries past."""
    for x, y, size, turn in [
        (236, 250, 9, 30), (318, 402, 7, -40), (690, 96, 7, 15), (1010, 160, 8, -25), (1150, 330, 9, 40),
        (1090, 452, 6, 10), (160, 520, 8, 60), (880, 545, 9, -15), (1206, 196, 6, 70), (92, 322, 6, 10),
        (760, 590, 7, 35),
    ]:  # fmt: skip
        with canvas.placed(x, y, turn):
            shape = curve(
                (-size, 0), (-size * 0.2, -size * 0.55), (size, -size * 0.1), (size * 0.1, size * 0.45), closed=True
            )
            canvas.fill(shape, linear((-size, 0), (size, 0), (0, "#f08ea6"), (1, "#ffe3dc")), 0.95)
