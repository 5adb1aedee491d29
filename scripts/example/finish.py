"""From the drawn canvas to the finished picture: bloom, colour grading, reduction to the final size."""

import numpy as np
from PIL import Image, ImageFilter


def finish(canvas):
    """The canvas as an 8-bit RGB image of its nominal size."""
    drawn = Image.fromarray(np.ascontiguousarray(canvas.pixels()[..., 2::-1]), "RGB").resize(
        canvas.size, Image.Resampling.BOX
    )
    colour = np.asarray(drawn, dtype=np.float32) / 255
    return Image.fromarray(np.rint(255 * grade(bloom(colour))).clip(0, 255).astype(np.uint8), "RGB")


def bloom(colour):
    """What is brighter than a threshold glows into its surroundings."""
    bright = colour * ((luminance(colour) - 0.72) / 0.28).clip(0, 1)
    glow = sum(weight * blurred(bright, radius) for radius, weight in [(5, 0.16), (18, 0.18), (52, 0.16)])
    return 1 - (1 - colour.clip(0, 1)) * (1 - glow)


def grade(colour):
    """A gentle contrast curve; shadows towards indigo, lights towards peach; darker corners."""
    tone = luminance(colour)
    colour = (
        colour + 0.030 * (1 - tone) ** 2 * np.array([0.1, -0.1, 1.0]) + 0.022 * tone**2 * np.array([1.0, 0.2, -0.7])
    )
    colour = colour.clip(0, 1)
    colour = colour + 0.10 * (colour * colour * (3 - 2 * colour) - colour)
    height, width = colour.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    corner = ((x * x + y * y) / 2).clip(0, 1)[..., None] ** 1.6
    return colour * (1 - 0.20 * corner)


def luminance(colour):
    return (colour @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32))[..., None]


def blurred(colour, radius):
    planes = [
        np.asarray(
            Image.fromarray((255 * colour[..., c]).clip(0, 255).astype(np.uint8)).filter(
                ImageFilter.GaussianBlur(radius)
            )
        )
        for c in range(3)
    ]
    return np.stack(planes, axis=-1).astype(np.float32) / 255
