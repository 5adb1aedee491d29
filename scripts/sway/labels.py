"""The label classes of the sway encoder: what each value of a label map means.

A label map is uint8, one value of `NAMES`'s positions for each pixel.
"""

import numpy

BACKGROUND = 0
HAIR = 1
FACE = 2  # the skin of the head, ears included
SKIN = 3  # neck, arms, hands, legs
CLOTH = 4
EYE = 5  # the aperture: sclera and iris
MOUTH = 6
BROW = 7
LASH = 8  # the upper lash line, its wing, and the line of a closed eye
ACCESSORY = 9  # hats, animal ears, ribbons and flowers in the hair

NAMES = ("background", "hair", "face", "skin", "cloth", "eye", "mouth", "brow", "lash", "accessory")
COUNT = len(NAMES)

# One display colour for each class: uint8 [10, 3], RGB.
PALETTE = numpy.array(
    [
        (30, 30, 30),
        (230, 60, 60),
        (255, 210, 170),
        (240, 150, 90),
        (70, 120, 220),
        (0, 255, 0),
        (255, 0, 255),
        (255, 255, 0),
        (255, 255, 255),
        (0, 255, 255),
    ],
    dtype=numpy.uint8,
)
