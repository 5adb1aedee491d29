"""Head and face, in head coordinates: the origin lies between the eyes, x to the right, y down, 1 unit = 1 pixel.

The head is turned a little to the viewer's right: the far (right) half is narrower, nose and mouth are off its middle.
"""

import numpy as np

from brush import curve, ellipse, join, linear, resample, rgba, section

SKIN, SKIN_SHADE, SKIN_DEEP = "#fde3d3", "#e9b5b0", "#cf8f9d"
SKIN_LINE, LASH = "#8a4a5c", "#2a1f45"

FACE = curve(
    (-101, -44), (-104, 2), (-99, 44), (-80, 82), (-44, 112), (-8, 127), (10, 128),
    (38, 114), (70, 82), (89, 44), (96, 2), (94, -44), (78, -104), (0, -136), (-78, -104), closed=True,
)  # fmt: skip
JAW = curve(
    (-104, -6), (-100, 42), (-80, 82), (-44, 112), (-8, 127), (10, 128), (38, 114), (70, 82), (89, 44), (96, -2)
)


def face(canvas, hair):
    """Skin, the shadow that `hair` (a canvas) throws on it, and the features."""
    skin = canvas.layer()
    skin.fill(FACE, SKIN)
    with skin.onto() as shade:
        # The side turned away from the sun.
        side = join(
            curve((-112, -70), (-112, 60), (-60, 122), (6, 140)),
            curve((-6, 122), (-52, 100), (-82, 62), (-92, 20), (-90, -70)),
        )
        shade.fill(side, SKIN_SHADE, 0.75)
        with shade.soft(10) as warm:
            warm.fill(ellipse(-62, 47, 27, 15, 6), "#f58f90", 0.50)
            warm.fill(ellipse(68, 46, 22, 14, -6), "#f58f90", 0.50)
            warm.fill(ellipse(4, 104, 34, 12), "#f7b39d", 0.25)
        shade.wash(linear((-20, 0), (110, 20), (0, rgba("#ffd9b0", 0)), (1, rgba("#ffcf9c", 0.45))))
    skin.cast(hair, -3, 12, SKIN_SHADE, 1.0)
    with skin.onto() as shade:
        for x, slant in [(-70, 5), (-61, 5), (-52, 5), (64, 4), (72, 4)]:
            shade.ink(curve((x + slant, 40), (x, 49), (x - 2, 53)), 1.7, "#e0757f", 0.55)
    canvas.put(skin)
    canvas.ink(JAW, 3.0, SKIN_LINE, ends=(0.3, 0.3), swell=0.55)
    nose(canvas)
    mouth(canvas)


def nose(canvas):
    canvas.fill(join(curve((9, 50), (13, 56), (8, 61)), curve((3, 60), (8, 57))), SKIN_DEEP, 0.75)
    canvas.ink(curve((9, 49), (13.5, 55.5), (8, 60.5)), 1.7, SKIN_LINE, ends=(0.1, 0.4))
    canvas.fill(ellipse(5, 48, 1.6, 3.0, -12), "#fffaf2", 0.95)


def mouth(canvas):
    """A small, just opened smile."""
    upper = curve((-9, 81), (-1, 84.5), (7, 84.8), (15, 84.3), (23, 80))
    lower = curve((23, 80), (16, 88.5), (8, 91.5), (-2, 88.5), (-9, 81))
    canvas.fill(join(upper, lower), linear((0, 80), (0, 92), (0, "#8f3a52"), (1, "#d7656c")))
    with canvas.clipped(join(upper, lower)):
        canvas.fill(ellipse(8, 94, 10, 6), "#f08d87")
    canvas.ink(upper, 2.0, "#7a3550", ends=(0.6, 0.6))
    canvas.ink(curve((-11.5, 79), (-9, 81.3), (-6, 82.8)), 1.5, "#7a3550", ends=(0.2, 0.6))
    canvas.ink(curve((25.5, 77.6), (23, 80.2), (19.5, 82.2)), 1.5, "#7a3550", ends=(0.2, 0.6))
    canvas.ink(section(lower, 0.25, 0.8), 1.2, "#a34a58", ends=(0, 0))
    canvas.ink(curve((2, 98), (8.5, 99.5), (14, 98)), 1.8, SKIN_DEEP, 0.6, ends=(0, 0))


# ---------------------------------------------------------------------------------------------------------------- eyes

# In eye coordinates: the origin is the middle of the eye, x towards its outer corner, half a width is 34.
UPPER_LID = curve((-33, 10), (-29, -5), (-18, -18), (-1, -25), (16, -23), (29, -12), (37, 3))
LOWER_LID = curve((37, 3), (32, 15), (19, 24), (3, 26.5), (-13, 25), (-25, 19), (-33, 10))
CREASE = curve((-21, -30), (-7, -39), (11, -40), (26, -33), (36, -21))


def eyes(canvas):
    with canvas.placed(-50, 4, 0, (-1.0, 1.0)):
        eye(canvas, mirrored=True)
    with canvas.placed(53, 4, 0, (0.91, 1.0)):
        eye(canvas, mirrored=False)


def eye(canvas, mirrored):
    opening = join(UPPER_LID, LOWER_LID)
    across = -1.0 if mirrored else 1.0  # the lamp stays on the same side of both eyes
    canvas.fill(opening, linear((0, -30), (0, 30), (0, "#c9c6e0"), (0.35, "#f3eef5"), (1, "#ffffff")))
    with canvas.clipped(opening):
        iris(canvas, 0.4 - 1.8 * across, across)
        # The shadow of the lid and its lashes.
        lid = resample(UPPER_LID, 60)
        canvas.fill(join(lid, (lid + (0, 11))[::-1]), "#4a3f78", 0.42)
    # The lower edge: warm skin, a fine line at the outer half.
    canvas.ink(section(resample(LOWER_LID, 60), 0.02, 0.62), 2.2, LASH, 0.85, ends=(0.5, 0), swell=0.15)
    canvas.ink(section(resample(LOWER_LID, 60), 0.5, 0.97), 1.1, SKIN_LINE, 0.7, ends=(0, 0.3))
    lashes(canvas)
    canvas.ink(CREASE, 2.0, SKIN_LINE, 0.9, ends=(0, 0.2), swell=0.6)


def iris(canvas, x, across):
    """Deep indigo above, sea green below, with the sunset's glow in the lower half."""
    y = 0.5
    with canvas.clipped(ellipse(x, y, 23.5, 28)):
        canvas.wash(
            linear(
                (0, y - 27),
                (0, y + 27),
                (0, "#1d1c4e"),
                (0.34, "#245a86"),
                (0.62, "#2fa3a8"),
                (0.86, "#8fe6c8"),
                (1, "#d8fbdc"),
            )
        )
        for k in range(34):  # fibres
            angle = k / 34 * 2 * np.pi
            inner, outer = 11 + 2 * (k % 2), 19 + 2 * (k % 3)
            fibre = np.array(
                [(x + r * 0.8 * np.cos(angle), y + 2 + r * np.sin(angle)) for r in np.linspace(inner, outer + 3, 6)]
            )
            canvas.ink(fibre, 1.3, "#e6fff0" if np.sin(angle) > 0.1 else "#8fb6e0", 0.30, ends=(1, 0))
        with canvas.soft(2.0) as glow:
            glow.fill(ellipse(x, y + 17, 14, 8), "#e9ffd9", 0.85)
            glow.fill(ellipse(x + 7 * across, y + 13, 7, 6), "#ffd9a8", 0.65)
        canvas.fill(ellipse(x, y - 1, 10.4, 13.2), linear((0, y - 14), (0, y + 12), (0, "#100e33"), (1, "#1d3a6a")))
        with canvas.soft(2.0) as top:
            top.fill(ellipse(x, y - 24, 26, 15), "#15123c", 0.8)
    canvas.ink(
        np.vstack([ellipse(x, y, 22.8, 27.6)[30:], ellipse(x, y, 22.8, 27.6)[:32]]), 2.8, "#191742", ends=(0.4, 0.4)
    )
    canvas.fill(ellipse(x + 8.5 * across, y - 10.5, 6.4, 7.6, 14 * across), "#ffffff")
    canvas.fill(ellipse(x - 9.5 * across, y + 12, 3.6, 4.4, 14 * across), "#ffffff", 0.95)
    canvas.fill(ellipse(x + 13 * across, y + 1.5, 1.8, 2.2), "#ffffff", 0.9)
    canvas.fill(ellipse(x - 8.5 * across, y - 9, 4.6, 3.2, -20 * across), "#9fc6f0", 0.55)


def lashes(canvas):
    """The thick upper lash, its wing, and two single hairs above the outer corner."""
    lid = resample(UPPER_LID, 80)
    t = np.linspace(0, 1, 80)
    thickness = np.interp(t, [0, 0.08, 0.3, 0.6, 0.85, 1], [1.0, 2.6, 5.6, 7.8, 9.4, 8.0])
    upper = lid + np.stack([0.25 * thickness * t, -thickness], axis=1)
    wing = curve((37, 3), (41, 1), (48, -7))
    back = curve((48, -7), (42, -7), (39, -6))
    canvas.fill(join(lid, wing, back, upper[::-1]), LASH)
    canvas.ink(lid, 2.0, LASH, ends=(0.8, 0.8))
    for root, tip, width in [((23, -25), (36, -31), 4.6), ((31, -16), (45, -20), 5.2), ((34, 10), (41, 13), 2.6)]:
        middle = ((root[0] + tip[0]) / 2 + 1.5, (root[1] + tip[1]) / 2 + 1.5)
        canvas.ink(curve(root, middle, tip), width, LASH, ends=(1, 0), swell=0.05)
    # A warm sheen where the lash is thickest.
    canvas.ink(section(resample(upper, 80), 0.40, 0.8) + (0, 2.6), 1.5, "#7c4f7e", 0.8, ends=(0, 0))


def brows(canvas):
    left = curve((-85, -45), (-70, -55), (-50, -60), (-25, -56))
    right = curve((29, -57), (51, -61), (71, -56), (84, -46))
    for brow, swell in [(left, 0.7), (right, 0.3)]:
        canvas.ink(brow, 4.6, "#3b2d5c", 0.9, ends=(0.1, 0.4) if swell > 0.5 else (0.4, 0.1), swell=swell)
