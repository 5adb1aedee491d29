"""Backgrounds: plain, patterned, scenery and rooms, with things that only look like hair or eyes."""

import math

import numpy
from PIL import Image, ImageFilter

from .canvas import Canvas
from .geometry import WHITE, between, bezier, blend, chance, from_hsv, random_colour, scale

KINDS = {
    "white": 0.16,
    "flat": 0.10,
    "gradient": 0.13,
    "shapes": 0.10,
    "landscape": 0.14,
    "room": 0.09,
    "pattern": 0.08,
    "noise": 0.07,
    "rays": 0.05,
    "forest": 0.08,
}


def smooth_noise(random, size, cells):
    """Values in about 0..1 that vary smoothly over `cells` cells: float32 [size, size]."""
    coarse = random.random((cells, cells)).astype(numpy.float32)
    return numpy.asarray(Image.fromarray(coarse).resize((size, size), Image.BICUBIC))


def fractal_noise(random, size, cells=3, octaves=4):
    """Smooth noise at several scales, stretched to 0..1: float32 [size, size]."""
    total = numpy.zeros((size, size), numpy.float32)
    weight = 1.0
    for _ in range(octaves):
        total += weight * smooth_noise(random, size, min(cells, size))
        weight *= 0.55
        cells *= 2
    total -= total.min()
    return total / (total.max() + 1e-6)


def draw_background(random, size):
    """A canvas with a background of a random kind; every label is background."""
    kind = random.choice(list(KINDS), p=list(KINDS.values()))
    hue = random.random()
    first = from_hsv(hue, between(random, 0, 0.7), between(random, 0.3, 1))
    second = from_hsv(hue + between(random, -0.2, 0.2), between(random, 0, 0.7), between(random, 0.3, 1))
    canvas = Canvas(size)
    if kind == "white":
        grey = int(between(random, 235, 255))
        canvas.fill((grey, grey, int(min(255, grey + between(random, -8, 4)))))
    elif kind in ("flat", "rays"):
        canvas.fill(first)
    elif kind == "noise":
        amount = fractal_noise(random, size, random.integers(2, 8), 5)[..., None]
        values = numpy.array(first) * amount + numpy.array(second) * (1 - amount)
        canvas.replace(Image.fromarray(values.astype(numpy.uint8)))
    else:
        _gradient(random, canvas, first, second)
    if kind == "rays":
        _rays(random, canvas, first, second)
    elif kind in ("shapes", "pattern"):
        _shapes(random, canvas, hue)
    elif kind == "landscape":
        _landscape(random, canvas)
    elif kind == "forest":
        _forest(random, canvas)
    elif kind == "room":
        _room(random, canvas, hue)
    if kind != "white" and chance(random, 0.2):
        draw_bars(random, canvas)
    if chance(random, 0.4):
        canvas.replace(canvas.picture.filter(ImageFilter.BoxBlur(size * between(random, 0.002, 0.03))))
    if chance(random, 0.1):
        for _ in range(random.integers(1, 6)):
            draw_eye_like(random, canvas, random.random(2), between(random, 0.008, 0.07))
    return canvas


def draw_bars(random, canvas):
    """Straight bars, poles and window frames: what stands beside hair and must not move with it."""
    colour = random_colour(random, (0, 0.7), (0.05, 0.9))
    lean = random.normal(0, 0.03) if chance(random, 0.8) else random.normal(0, 0.4)
    for _ in range(random.integers(1, 7)):
        x = random.random()
        half = between(random, 0.003, 0.03)
        shade = scale(colour, between(random, 0.6, 1.3))
        top, bottom = (-0.1, 1.1) if chance(random, 0.7) else (between(random, -0.1, 0.5), between(random, 0.6, 1.1))
        corners = [(x - half - lean, top), (x + half - lean, top), (x + half + lean, bottom), (x - half + lean, bottom)]
        canvas.polygon(corners, shade, colour_end=scale(shade, 0.6) if chance(random, 0.4) else None, axis=(1, 0))


def draw_eye_like(random, canvas, centre, radius, label=None):
    """A jewel, button, lamp or target: rings and a highlight, as an eye has, that is no eye."""
    dark = random_colour(random, (0, 0.9), (0, 0.5))
    bright = random_colour(random, (0.1, 1), (0.4, 1))
    squash = between(random, 0.5, 1.2)
    if chance(random, 0.3):
        canvas.ellipse(
            centre,
            radius * between(random, 1.1, 1.8),
            radius * squash * 1.05,
            WHITE,
            label,
            line=dark,
            line_width=0.003,
        )
    canvas.ellipse(centre, radius, radius * squash, dark, label)
    canvas.ellipse(centre, radius * 0.82, radius * squash * 0.84, bright, label)
    if chance(random, 0.5):
        canvas.ellipse(centre, radius * 0.4, radius * squash * 0.4, scale(dark, 0.6), label)
    if chance(random, 0.7):
        canvas.ellipse(numpy.asarray(centre) - radius * 0.3, radius * 0.25, radius * 0.2, WHITE, label)


def draw_lettering(random, canvas, count):
    """Columns of strokes that look like writing."""
    for _ in range(count):
        x, top = random.random(2)
        colour = tuple(random.integers(0, 255, 3).tolist())
        for row in range(random.integers(1, 8)):
            reach = between(random, 0.005, 0.03)
            y = top + row * reach * 2.4
            for _ in range(random.integers(1, 4)):
                points = numpy.array([x, y]) + random.normal(0, reach, (4, 2))
                canvas.stroke(points, numpy.full(4, between(random, 0.0015, 0.005)), colour)


def _gradient(random, canvas, first, second):
    size = canvas.size
    amount = numpy.linspace(0, 1, size)
    amount = amount[:, None, None] if chance(random, 0.7) else amount[None, :, None]
    values = numpy.array(first) * (1 - amount) + numpy.array(second) * amount
    canvas.replace(Image.fromarray(numpy.broadcast_to(values, (size, size, 3)).astype(numpy.uint8)))


def _rays(random, canvas, first, second):
    centre_x, centre_y = random.random(2)
    for _ in range(random.integers(10, 60)):
        angle, half = between(random, 0, 6.28), between(random, 0.005, 0.05)
        corners = [(centre_x, centre_y)]
        corners += [(centre_x + 2 * math.cos(a), centre_y + 2 * math.sin(a)) for a in (angle - half, angle + half)]
        canvas.polygon(corners, blend(first, second, random.random()))


def _shapes(random, canvas, hue):
    shape = random.choice(["disc", "square", "star", "curl"])
    colours = [
        from_hsv(hue + between(random, -0.3, 0.3), between(random, 0, 0.8), between(random, 0.4, 1)) for _ in range(4)
    ]
    for _ in range(random.integers(5, 40)):
        x, y = random.random(2)
        reach = between(random, 0.01, 0.15)
        colour = colours[random.integers(4)]
        if shape == "disc":
            canvas.ellipse((x, y), reach, reach, colour)
        elif shape == "square":
            canvas.polygon(
                [(x - reach, y - reach), (x + reach, y - reach), (x + reach, y + reach), (x - reach, y + reach)], colour
            )
        elif shape == "star":
            angle = numpy.arange(10) * numpy.pi / 5 + random.random()
            length = numpy.where(numpy.arange(10) % 2, reach * 0.45, reach)
            canvas.polygon(numpy.stack([x + length * numpy.cos(angle), y + length * numpy.sin(angle)], 1), colour)
        else:
            controls = numpy.array((x, y)) + random.normal(0, reach, (3, 2))
            canvas.stroke(bezier((x, y), *controls), numpy.full(12, between(random, 0.002, 0.02)), colour)


def _landscape(random, canvas):
    sky = from_hsv(between(random, 0.5, 0.68), between(random, 0.1, 0.7), between(random, 0.5, 1))
    if chance(random, 0.5):
        canvas.polygon([(0, 0), (1, 0), (1, 1), (0, 1)], sky, colour_end=blend(sky, WHITE, between(random, 0.3, 0.9)))
    for _ in range(random.integers(0, 7)):
        x, y = random.random(), between(random, 0, 0.5)
        for _ in range(6):
            centre = (x + between(random, -0.1, 0.1), y + between(random, -0.03, 0.03))
            canvas.ellipse(
                centre,
                between(random, 0.02, 0.09),
                between(random, 0.01, 0.05),
                blend(sky, WHITE, between(random, 0.6, 1)),
            )
    horizon = between(random, 0.35, 0.8)
    for ridge in range(random.integers(1, 5)):
        x = numpy.linspace(-0.05, 1.05, 16)
        y = horizon + ridge * 0.1 + numpy.cumsum(random.normal(0, 0.02, 16))
        colour = from_hsv(between(random, 0.2, 0.6), between(random, 0.1, 0.7), between(random, 0.2, 0.9))
        canvas.polygon(numpy.concatenate([numpy.stack([x, y], 1), [(1.1, 1.1), (-0.1, 1.1)]]), colour)
        if chance(random, 0.35):
            for _ in range(random.integers(1, 5)):
                _tree(random, canvas, random.random(), horizon + ridge * 0.1 + 0.05)
        if chance(random, 0.5):
            _grass(random, canvas, horizon + ridge * 0.1, colour)


def _tree(random, canvas, x, foot):
    height = between(random, 0.08, 0.45)
    trunk = from_hsv(between(random, 0.03, 0.1), between(random, 0.2, 0.6), between(random, 0.1, 0.5))
    crown = from_hsv(between(random, 0.15, 0.45), between(random, 0.2, 0.8), between(random, 0.2, 0.8))
    canvas.stroke([(x, foot), (x, foot - height)], [height * 0.06, height * 0.04], trunk)
    for _ in range(random.integers(4, 12)):
        centre = (x + random.normal(0, height * 0.22), foot - height + random.normal(0, height * 0.2))
        radius = height * between(random, 0.1, 0.3)
        canvas.ellipse(centre, radius, radius * between(random, 0.6, 1), scale(crown, between(random, 0.7, 1.3)))


def _grass(random, canvas, ground, colour):
    for _ in range(random.integers(10, 60)):
        x, y = random.random(), ground + between(random, 0, 0.1)
        tip = (x + between(random, -0.04, 0.04), y - between(random, 0.02, 0.1))
        blade = bezier((x, y), (x, y - 0.02), (x + between(random, -0.02, 0.02), y - 0.04), tip, 6)
        canvas.stroke(blade, numpy.linspace(0.004, 0.0005, 6), scale(colour, between(random, 0.7, 1.3)))


def _forest(random, canvas):
    for _ in range(random.integers(20, 100)):
        reach = between(random, 0.01, 0.12)
        colour = from_hsv(between(random, 0.15, 0.5), between(random, 0.2, 0.8), between(random, 0.1, 0.8))
        canvas.ellipse(random.random(2), reach, reach * between(random, 0.4, 1), colour, turn=between(random, 0, 3))
    for _ in range(random.integers(0, 4)):
        x = random.random()
        trunk = bezier(
            (x, 1), (x + between(random, -0.05, 0.05), 0.7), (x, 0.4), (x + between(random, -0.1, 0.1), -0.1)
        )
        canvas.stroke(
            trunk, numpy.full(12, between(random, 0.005, 0.05)), from_hsv(0.08, 0.5, between(random, 0.1, 0.5))
        )


def _room(random, canvas, hue):
    for _ in range(random.integers(3, 14)):
        x, y = random.random(2)
        width, height = between(random, 0.02, 0.4), between(random, 0.02, 0.5)
        colour = from_hsv(hue + between(random, -0.2, 0.2), between(random, 0, 0.6), between(random, 0.2, 1))
        line = (40, 35, 40) if chance(random, 0.5) else None
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        canvas.polygon(corners, colour, line=line, line_width=between(random, 0.002, 0.008))
    if chance(random, 0.3):
        x = random.random()
        curtain = random_colour(random, (0, 0.7), (0.2, 1))
        for fold in range(random.integers(3, 9)):
            left = x + fold * 0.03
            corners = [
                (left, -0.1),
                (left + 0.03, -0.1),
                (left + 0.03 + random.normal(0, 0.02), 1.1),
                (left + random.normal(0, 0.02), 1.1),
            ]
            canvas.polygon(corners, scale(curtain, between(random, 0.6, 1.2)))
