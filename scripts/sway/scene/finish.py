"""Finishes: what happens to the whole picture after the drawing, from watercolour to JPEG."""

import io

import numpy
from PIL import Image, ImageFilter

from .background import fractal_noise
from .geometry import between, chance, from_hsv, random_colour

KINDS = {
    "none": 0.36,
    "watercolour": 0.14,
    "screentone": 0.10,
    "painterly": 0.12,
    "light": 0.08,
    "glow": 0.06,
    "sketch": 0.05,
    "tint": 0.09,
}


def to_bytes(values):
    """float [h, w, 3] in 0..1 as an RGB picture."""
    return Image.fromarray((values.clip(0, 1) * 255).astype(numpy.uint8))


def finish(random, values, kinds):
    """Apply one finish of `kinds` (names from `KINDS`), then tone, noise, blur and compression.

    `values` is float32 [s, s, 3] in 0..1; returns uint8 [s, s, 3].
    """
    weights = numpy.array([KINDS[kind] for kind in kinds])
    kind = str(random.choice(list(kinds), p=weights / weights.sum()))
    if kind != "none":
        values = FINISHES[kind](random, values)
    if chance(random, 0.25):
        _specks(random, values)
    values = (values - 0.5) * between(random, 0.75, 1.25) + 0.5 + between(random, -0.08, 0.1)
    values = numpy.clip(values, 0, 1) ** between(random, 0.8, 1.25)
    if chance(random, 0.4):
        values = values + random.normal(0, between(random, 0.005, 0.04), values.shape)
    picture = to_bytes(values)
    if chance(random, 0.4):
        picture = picture.filter(ImageFilter.GaussianBlur(between(random, 0.2, 0.9)))
    if chance(random, 0.3):
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=int(between(random, 25, 90)))
        picture = Image.open(stream).convert("RGB")
    return numpy.asarray(picture)


def polish(random, values, light):
    """The finish of a key visual: bloom, warm light and cool shadow, a darker rim of the picture.

    `values` is float32 [s, s, 3] in 0..1 and `light` an RGB colour; returns uint8 [s, s, 3].
    """
    size = len(values)
    blurred = to_bytes(values).filter(ImageFilter.BoxBlur(size * between(random, 0.01, 0.06)))
    bloom = numpy.asarray(blurred).astype(numpy.float32) / 255
    values = 1 - (1 - values.clip(0, 1)) * (1 - bloom**3 * between(random, 0, 0.5))
    grey = values.mean(2, keepdims=True)
    warm = numpy.array(light, numpy.float32) / 255
    cool = numpy.array(from_hsv(between(random, 0.5, 0.8), between(random, 0.2, 0.6), 1), numpy.float32) / 255
    tone = cool + (warm - cool) * grey
    values = values * (1 + (tone / tone.mean(2, keepdims=True) - 1) * between(random, 0, 0.6))
    down, across = numpy.mgrid[0:size, 0:size].astype(numpy.float32) / size
    glow = numpy.exp(-numpy.hypot(across - random.random(), down - random.random()) / between(random, 0.1, 0.6))
    values = values + glow[..., None] * warm * between(random, 0, 0.35) * (1 - values)
    values = values * (1 - between(random, 0, 0.5) * ((across - 0.5) ** 2 + (down - 0.5) ** 2))[..., None]
    if chance(random, 0.3):
        values = values + random.normal(0, between(random, 0.003, 0.015), values.shape)
    picture = to_bytes(values)
    if chance(random, 0.3):
        picture = picture.filter(ImageFilter.GaussianBlur(between(random, 0.2, 0.7)))
    return numpy.asarray(picture)


def _watercolour(random, values):
    blot = fractal_noise(random, len(values), 4, 5)[..., None]
    values = values * (1 - between(random, 0.1, 0.35) * blot) + between(random, 0.05, 0.35) * blot
    return 1 - (1 - values) * between(random, 0.6, 1)


def _screentone(random, values):
    grey = values @ numpy.array([0.3, 0.59, 0.11], numpy.float32)
    levels = random.integers(2, 6)
    if chance(random, 0.5):
        y, x = numpy.mgrid[0 : len(grey), 0 : len(grey)]
        pitch = between(random, 0.6, 1.6)
        dots = 0.5 + 0.5 * numpy.sin((x + y) * pitch) * numpy.sin((x - y) * pitch)
        toned = numpy.clip(grey + (dots - 0.5) * between(random, 0.2, 0.8), 0, 1)
        grey = numpy.where((grey > 0.25) & (grey < 0.8), toned, numpy.round(grey * levels) / levels)
    else:
        grey = numpy.clip((grey - 0.5) * between(random, 1, 2) + 0.5 + between(random, 0, 0.15), 0, 1)
    paper = numpy.array([1, between(random, 0.9, 1), between(random, 0.8, 1)], numpy.float32)
    return grey[..., None] * paper


def _painterly(random, values):
    picture = (
        to_bytes(values).filter(ImageFilter.MedianFilter(3)).filter(ImageFilter.GaussianBlur(between(random, 0.2, 1)))
    )
    grain = fractal_noise(random, len(values), 20, 3)[..., None] - 0.5
    return numpy.asarray(picture).astype(numpy.float32) / 255 + grain * between(random, 0.02, 0.18)


def _light(random, values):
    y, x = numpy.mgrid[0 : len(values), 0 : len(values)] / len(values)
    slope = between(random, -1, 1) * x + between(random, -1, 1) * y + random.random()
    colour = numpy.array(random_colour(random, (0, 0.5), (1, 1))) / 255
    shadow = 1 - 0.5 * numpy.clip(slope, 0, 1)[..., None] * between(random, 0.2, 1)
    return values * shadow + 0.4 * random.random() * numpy.clip(1 - slope, 0, 1)[..., None] * colour


def _glow(random, values):
    blurred = to_bytes(values).filter(ImageFilter.BoxBlur(len(values) * between(random, 0.01, 0.05)))
    bloom = numpy.asarray(blurred).astype(numpy.float32) / 255 * between(random, 0.2, 0.7)
    return 1 - (1 - values.clip(0, 1)) * (1 - bloom)


def _sketch(random, values):
    edges = to_bytes(values).convert("L").filter(ImageFilter.FIND_EDGES)
    edges = numpy.asarray(edges).astype(numpy.float32) / 255
    edges = numpy.clip(edges * between(random, 1, 2.5), 0, 1)[..., None]
    pencil = numpy.array(random_colour(random, (0.2, 1), (0.2, 0.8))) / 255
    return (1 - edges) * (1 - (1 - values) * between(random, 0, 0.35)) + edges * pencil


def _tint(random, values):
    return values * (numpy.array(from_hsv(random.random(), between(random, 0.1, 0.5), between(random, 0.5, 1))) / 255)


def _specks(random, values):
    """Petals, snow, sparks and lens discs over everything."""
    size = len(values)
    largest = size * between(random, 0.01, 0.05)
    colour, opacity, same = random.random(3), between(random, 0.3, 1), chance(random, 0.7)
    stretch, turn, soft = between(random, 0.3, 1), between(random, 0, 3.14), between(random, 0.5, 6)
    for _ in range(random.integers(2, 30)):
        x, y = random.random(2) * size
        reach = between(random, 0.8, largest)
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        area = values[top : int(y + reach) + 2, left : int(x + reach) + 2]
        down, across = numpy.mgrid[top : top + area.shape[0], left : left + area.shape[1]]
        down, across, angle = down - y, across - x, turn + (0 if same else random.random() * 3)
        along = across * numpy.cos(angle) + down * numpy.sin(angle)
        aside = (down * numpy.cos(angle) - across * numpy.sin(angle)) / stretch
        cover = numpy.clip((1 - numpy.hypot(along, aside) / reach) * soft, 0, 1)[..., None] * opacity
        area[:] = area * (1 - cover) + cover * (colour if same else random.random(3))


FINISHES = {
    "watercolour": _watercolour,
    "screentone": _screentone,
    "painterly": _painterly,
    "light": _light,
    "glow": _glow,
    "sketch": _sketch,
    "tint": _tint,
}
