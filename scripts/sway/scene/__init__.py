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
from .figure import Figure, Style
from .geometry import between, chance

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


def generate(seed, size=192, withheld="never", figures=None):
    """The illustration of a seed.

    `withheld` says whether the withheld finish and hair type are drawn: "never", or "always" (at least one of the
    two). `figures` fixes the number of figures (0 to 3).
    """
    random = numpy.random.default_rng(seed)
    finish_kinds, hair_kinds = _kinds(random, withheld)
    canvas = draw_background(random, size * OVERSAMPLING)
    style = Style.draw_from(random)
    count = int(random.choice(MOST_HEADS + 1, p=[0.08, 0.77, 0.10, 0.05])) if figures is None else figures
    if chance(random, 0.12):
        draw_lettering(random, canvas, random.integers(1, 5))
    drawn = [_draw_figure(random, canvas, index, count, style, hair_kinds) for index in range(count)]
    if chance(random, 0.06):
        draw_lettering(random, canvas, 2)
    smooth = Image.BOX if chance(random, 0.7) else Image.BICUBIC
    values = numpy.asarray(canvas.picture.resize((size, size), smooth)).astype(numpy.float32) / 255
    label_map = numpy.asarray(canvas.labels.resize((size, size), Image.NEAREST))
    picture = finishes.finish(random, values, finish_kinds)
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


def _draw_figure(random, canvas, index, count, style, hair_kinds):
    if count > 1:
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
    figure = Figure(canvas, random, (x, y), radius, style, hair_kinds)
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
