"""Neck, shoulders and clothes, in figure coordinates: the head's, but not tilted with it."""

import numpy as np

from brush import band, curve, join, linear, offset, resample, section
from face import SKIN, SKIN_DEEP, SKIN_LINE, SKIN_SHADE

WHITE, SHADE, LINE = "#fdf4ea", "#c9bfdc", "#4d3f6e"
COLLAR, COLLAR_SHADE, COLLAR_LINE = "#2f8f98", "#206a80", "#123a54"
RIBBON, RIBBON_SHADE, RIBBON_LIGHT, RIBBON_LINE = "#f2705f", "#c2475a", "#ffa183", "#6e2340"

NECK = join(
    curve((-40, 86), (-38, 140), (-44, 178), (-80, 204)),
    [(0, 290), (80, 204)],
    curve((80, 204), (50, 178), (42, 140), (42, 86)),
)
BODY = join(
    curve((-62, 186), (-110, 204), (-150, 226), (-176, 268), (-190, 340), (-196, 440)),
    curve((206, 440), (200, 340), (184, 268), (158, 226), (116, 204), (66, 186)),
    curve((66, 186), (34, 236), (2, 282), (-30, 236), (-62, 186)),
)


def body(canvas):
    neck(canvas)
    dress(canvas)
    collar(canvas)
    scarf = canvas.layer()
    ribbon(scarf)
    canvas.cast(scarf, -5, 12, "#4b3a80", 0.32)
    canvas.put(scarf)


def neck(canvas):
    canvas.fill(NECK, SKIN)
    with canvas.clipped(NECK):
        under_chin = join(curve((-60, 80), (60, 80)), curve((60, 118), (40, 150), (6, 168), (-26, 164), (-60, 150)))
        canvas.fill(under_chin, SKIN_SHADE)
        canvas.fill(join(curve((-60, 80), (-30, 130), (-30, 176), (-50, 210)), [(-120, 210)]), SKIN_SHADE)
        canvas.ink(curve((8, 222), (18, 210), (44, 204), (66, 206)), 2.0, SKIN_DEEP, ends=(0.2, 0))
        canvas.ink(curve((-6, 222), (-16, 210), (-40, 204), (-60, 206)), 2.0, SKIN_DEEP, ends=(0.2, 0))
    canvas.ink(curve((-40, 100), (-38, 140), (-45, 180), (-70, 198)), 2.4, SKIN_LINE, ends=(0.3, 0.3))
    canvas.ink(curve((42, 100), (42, 140), (50, 180), (76, 198)), 2.4, SKIN_LINE, ends=(0.3, 0.3))


def dress(canvas):
    canvas.fill(BODY, linear((-200, 300), (210, 300), (0, "#e9def0"), (0.45, WHITE), (1, "#ffeed9")))
    with canvas.clipped(BODY):
        # Shade on the left, under the collar, under the bust and along the sleeves.
        canvas.fill(join(curve((-220, 230), (-150, 250), (-138, 300), (-146, 360), (-138, 440)), [(-240, 440)]), SHADE)
        canvas.fill(
            join(curve((-70, 440), (-60, 390), (-96, 352), (-118, 330)), curve((-118, 340), (-104, 390), (-100, 440))),
            SHADE,
        )
        canvas.fill(
            join(
                curve((-96, 356), (-50, 388), (0, 392), (52, 386), (98, 350)),
                curve((98, 350), (58, 402), (40, 440)),
                [(-50, 440)],
            ),
            SHADE,
            0.85,
        )
        canvas.fill(join(curve((140, 300), (134, 350), (142, 440)), curve((160, 440), (148, 360), (140, 300))), SHADE)
        canvas.fill(
            join(curve((150, 236), (172, 280), (176, 340)), curve((164, 320), (158, 270), (150, 236))), SHADE, 0.7
        )
    # Arm holes, sleeves' folds, bust folds.
    canvas.ink(curve((-132, 262), (-142, 310), (-138, 370), (-130, 440)), 2.6, LINE, ends=(0, 0.4))
    canvas.ink(curve((142, 262), (150, 310), (146, 370), (140, 440)), 2.6, LINE, ends=(0, 0.4))
    for points in [
        [(-170, 262), (-164, 296), (-168, 340)], [(-150, 250), (-150, 270)], [(174, 262), (170, 300), (174, 340)],
        [(-96, 350), (-84, 366), (-64, 378)], [(98, 346), (86, 364), (66, 376)], [(-20, 400), (-24, 424), (-22, 440)],
        [(30, 396), (36, 420), (36, 440)], [(-60, 410), (-66, 440)], [(70, 404), (80, 440)],
    ]:  # fmt: skip
        canvas.ink(curve(*points), 2.0, LINE, 0.8, ends=(0.2, 0))
    canvas.ink(section(resample(BODY, 600), 0.0, 0.30), 3.2, LINE, ends=(0.4, 0.6))
    canvas.ink(curve((206, 440), (200, 340), (184, 268), (158, 226), (116, 204), (66, 186)), 3.2, LINE, ends=(0.6, 0.4))


LEFT_COLLAR = join(
    curve((-38, 168), (-86, 186), (-132, 214), (-150, 246)),
    curve((-150, 246), (-100, 276), (-44, 300), (-2, 306)),
    curve((-2, 300), (-26, 258), (-46, 214), (-38, 168)),
)
RIGHT_COLLAR = join(
    curve((43, 168), (92, 186), (138, 212), (160, 246)),
    curve((160, 246), (110, 278), (52, 300), (6, 306)),
    curve((6, 300), (34, 258), (50, 214), (43, 168)),
)


def collar(canvas):
    """A sailor collar in teal with two white stripes."""
    canvas.fill(LEFT_COLLAR + (3, 9), SHADE)
    canvas.fill(RIGHT_COLLAR + (-2, 9), SHADE)
    for shape, stripe, shade_side in [
        (LEFT_COLLAR, curve((-136, 246), (-94, 266), (-46, 284), (-8, 290)), True),
        (RIGHT_COLLAR, curve((146, 246), (104, 268), (54, 285), (12, 290)), False),
    ]:
        canvas.fill(shape, COLLAR_SHADE if shade_side else COLLAR)
        with canvas.clipped(shape):
            if shade_side:
                canvas.fill(
                    join(curve((-150, 250), (-112, 222), (-72, 220), (-40, 260), (-10, 306)), [(-90, 330)]), COLLAR
                )
            else:
                canvas.fill(join(curve((30, 160), (66, 196), (70, 240), (40, 306)), [(0, 306)]), COLLAR_SHADE)
            canvas.ink(stripe, 3.4, "#f7efe6", ends=(1, 1))
            canvas.ink(stripe + (0, -7), 1.8, "#f7efe6", ends=(1, 1))
        canvas.ink(join(shape, shape[:1]), 2.6, COLLAR_LINE, ends=(0.6, 0.6))


def ribbon(canvas):
    """A scarf tied below the collar; its tails fly with the wind."""
    tail(canvas, [(6, 304), (40, 340), (96, 352), (150, 336), (214, 350)], 40, 1)
    tail(canvas, [(2, 306), (18, 352), (52, 388), (104, 398), (160, 384)], 44, 2)
    for side in (-1, 1):
        loop = curve(
            (0, 296),
            (side * 28, 268),
            (side * 62, 268),
            (side * 66, 300),
            (side * 46, 326),
            (side * 18, 312),
            (0, 304),
            closed=True,
        )
        loop = loop + (4, 0)
        canvas.fill(loop, RIBBON)
        with canvas.clipped(loop):
            canvas.fill(
                curve(
                    (4, 304),
                    (4 + side * 24, 304),
                    (4 + side * 66, 306),
                    (4 + side * 50, 334),
                    (4 + side * 10, 322),
                    closed=True,
                ),
                RIBBON_SHADE,
            )
            canvas.fill(
                curve(
                    (4 + side * 34, 276), (4 + side * 52, 272), (4 + side * 58, 284), (4 + side * 44, 288), closed=True
                ),
                RIBBON_LIGHT,
            )
        canvas.ink(join(loop, loop[:1]), 2.6, RIBBON_LINE, ends=(0.5, 0.5))
        canvas.ink(
            curve((4 + side * 10, 298), (4 + side * 26, 292), (4 + side * 40, 292)), 2.0, RIBBON_LINE, ends=(0.8, 0)
        )
        canvas.ink(
            curve((4 + side * 10, 304), (4 + side * 24, 308), (4 + side * 34, 312)), 1.8, RIBBON_LINE, ends=(0.8, 0)
        )
    knot = curve((-10, 290), (4, 286), (18, 290), (20, 304), (14, 316), (-4, 316), (-12, 304), closed=True)
    canvas.fill(knot, linear((-12, 0), (20, 0), (0, RIBBON_SHADE), (0.5, RIBBON), (1, RIBBON_LIGHT)))
    canvas.ink(join(knot, knot[:1]), 2.6, RIBBON_LINE, ends=(0.6, 0.6))


def tail(canvas, points, width, seed):
    """One end of the scarf: narrow at the knot, wide and slit at the end."""
    spine = resample(curve(*points), 60)
    t = np.linspace(0, 1, 60)
    half = 0.5 * width * (0.28 + 0.72 * np.sin(np.clip(t * 1.3, 0, 1) * np.pi / 2))
    left, right = offset(spine, half), offset(spine, -half)
    notch = spine[-1] - 0.32 * width * (spine[-1] - spine[-4]) / np.linalg.norm(spine[-1] - spine[-4])
    shape = join(left, [notch], right[::-1])
    canvas.fill(shape, RIBBON)
    with canvas.clipped(shape):
        canvas.fill(band(spine, -half * (0.15 + 0.35 * np.sin(t * 7 + seed)), -half * 1.2), RIBBON_SHADE)
        canvas.fill(band(spine, half * 0.9, half * (0.55 + 0.2 * np.sin(t * 6 + seed))), RIBBON_LIGHT)
    canvas.ink(offset(spine, half * 0.2)[2:40], 1.8, RIBBON_LINE, 0.8, ends=(0.8, 0), swell=0.1)
    canvas.ink(join(left, [notch], right[::-1]), 2.6, RIBBON_LINE, ends=(0.5, 0.5))
