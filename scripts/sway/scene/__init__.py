"""A procedural generator of anime-like illustrations with exact label maps.

Nothing is taken from any picture: everything is drawn from random numbers, so one seed gives one picture.
"""

import math
from dataclasses import dataclass

import numpy
from PIL import Image

from .. import labels
from . import finish as finishes
from . import hair
from .background import draw_background, draw_lettering
from .figure import Breeze, Figure, Style
from .geometry import between, chance, either_side
from .meadow import draw_leaves_in_front, draw_meadow, draw_petals
from .outdoors import draw_outdoors

# Drawn only for testing: what the encoder does on these says how far it generalises.
WITHHELD_FINISH = "sketch"
WITHHELD_HAIR = "twin tails"

MOST_HEADS = 3
OVERSAMPLING = 2


@dataclass
class Sample:
    """One illustration.

    `picture` is uint8 [s, s, 3]; `labels` uint8 [s, s] of the classes in labels.py; `heads` float32 [3, 6]: for each
    head centre x, centre y, radius (fractions of the side), left eye open, right eye open (as seen in the picture; 1
    where an aperture is visible), present.
    """

    picture: numpy.ndarray
    labels: numpy.ndarray
    heads: numpy.ndarray


SETTINGS = ("plain", "windy")


def generate(seed, size=192, withheld="never", figures=None, setting="plain"):
    """The illustration of a seed.

    `withheld` says whether the withheld finish and hair type are drawn: "never", or "always" (at least one of the
    two). `figures` fixes the number of figures (0 to 3). `setting` is "plain", backgrounds and hair of all kinds, or
    "windy": outdoors, long hair streaming in the wind, meadows, and the polish of a key visual.
    """
    if setting not in SETTINGS:
        raise ValueError(f"setting is {setting!r}; it must be one of {SETTINGS}")
    random = numpy.random.default_rng(seed)
    finish_kinds, hair_kinds = _kinds(random, withheld)
    if setting == "windy":
        return _windy(random, size, finish_kinds, hair_kinds, figures)
    canvas = draw_background(random, size * OVERSAMPLING)
    style = Style.draw_from(random)
    count = int(random.choice(MOST_HEADS + 1, p=[0.08, 0.77, 0.10, 0.05])) if figures is None else figures
    if chance(random, 0.12):
        draw_lettering(random, canvas, random.integers(1, 5))
    drawn = [_draw_figure(random, canvas, index, count, style, hair_kinds) for index in range(count)]
    if chance(random, 0.06):
        draw_lettering(random, canvas, 2)
    values, label_map = _reduced(random, canvas, size)
    return _sample(random, finishes.finish(random, values, finish_kinds), label_map, drawn)


def _windy(random, size, finish_kinds, hair_kinds, figures):
    canvas, light = draw_outdoors(random, size * OVERSAMPLING)
    style = Style.draw_from(random)
    if chance(random, 0.6):
        style.line_width = between(random, 0.006, 0.022)
    count = int(random.choice(MOST_HEADS + 1, p=[0.06, 0.87, 0.05, 0.02])) if figures is None else figures
    breeze = Breeze(side=either_side(random), night=sum(light) < 330)
    drawn = []
    for index in range(count):
        if count > 1:
            place = (index + 0.5) / count + random.normal(0, 0.05), between(random, 0.06, 0.15)
        else:
            radius = math.exp(between(random, math.log(0.08), math.log(0.3)))
            place = 0.5 - breeze.side * between(random, -0.1, 0.3), radius
        drawn.append(_draw_figure(random, canvas, index, count, style, hair_kinds, breeze, place))
    if chance(random, 0.35):
        draw_meadow(random, canvas, between(random, 0.75, 1.0), labels.BACKGROUND)
    if chance(random, 0.1):
        draw_leaves_in_front(random, canvas)
    if chance(random, 0.3):
        draw_petals(random, canvas)
    values, label_map = _reduced(random, canvas, size)
    if chance(random, 0.7):
        picture = finishes.polish(random, values, light)
    else:
        picture = finishes.finish(random, values, finish_kinds)
    return _sample(random, picture, label_map, drawn)


def _reduced(random, canvas, size):
    """The picture, float32 [s, s, 3] in 0..1, and the label map, uint8 [s, s], of a canvas."""
    smooth = Image.BOX if chance(random, 0.7) else Image.BICUBIC
    values = numpy.asarray(canvas.picture.resize((size, size), smooth)).astype(numpy.float32) / 255
    return values, numpy.asarray(canvas.labels.resize((size, size), Image.NEAREST))


def _sample(random, picture, label_map, drawn):
    heads = _heads(drawn, label_map)
    if chance(random, 0.5):
        picture, label_map, heads = _mirrored(picture, label_map, heads)
    return Sample(numpy.ascontiguousarray(picture), numpy.ascontiguousarray(label_map), heads)


def _kinds(random, withheld):
    finish_kinds = [kind for kind in finishes.KINDS if kind != WITHHELD_FINISH]
    hair_kinds = [kind for kind in hair.KINDS if kind != WITHHELD_HAIR]
    if withheld == "never":
        return finish_kinds, hair_kinds
    if withheld != "always":
        raise ValueError(f'withheld is {withheld!r}; it must be "never" or "always"')
    if chance(random, 0.5):
        return [WITHHELD_FINISH], hair_kinds
    return finish_kinds, [WITHHELD_HAIR]


def _draw_figure(random, canvas, index, count, style, hair_kinds, breeze=None, place=None):
    """Draw one figure, at a random place or at `place` (x and radius); returns what `_heads` needs."""
    if place is not None:
        x, radius = place
    elif count > 1:
        radius = between(random, 0.06, 0.16)
        x = (index + 0.5) / count + random.normal(0, 0.05)
    else:
        radius = (
            math.exp(between(random, math.log(0.07), math.log(0.34)))
            if chance(random, 0.85)
            else between(random, 0.3, 0.5)
        )
        x = 0.5 + random.normal(0, 0.1)
    middle = 0.33 - (0 if radius > 0.12 else 0.05) + max(0, radius - 0.28)
    y = float(numpy.clip(random.normal(middle, 0.08), radius * 0.7, 0.75))
    figure = Figure(canvas, random, (x, y), radius, style, hair_kinds, breeze)
    return (x, y, radius), figure.draw(), figure.face.eyes.width * radius


def _heads(drawn, label_map):
    """The record of each head; an eye counts as open where its label is visible around its centre."""
    size = len(label_map)
    heads = numpy.zeros((MOST_HEADS, 6), numpy.float32)
    for row, ((x, y, radius), open_eyes, reach) in zip(heads, drawn):
        row[:] = (x, y, radius, 0, 0, 1)
        for column, centre in zip((3, 4), open_eyes):
            if centre is None:
                continue
            left, top = numpy.maximum(((centre - reach) * size).astype(int), 0)
            right, bottom = numpy.maximum(((centre + reach) * size).astype(int) + 1, 0)
            visible = numpy.count_nonzero(label_map[top:bottom, left:right] == labels.EYE)
            row[column] = float(visible >= 3)
    return heads


def _mirrored(picture, label_map, heads):
    heads = heads[:, [0, 1, 2, 4, 3, 5]]
    heads[:, 0] = numpy.where(heads[:, 5] > 0, 1 - heads[:, 0], 0)
    return picture[:, ::-1], label_map[:, ::-1], heads
