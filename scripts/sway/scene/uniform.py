"""Sailor collars, bows and scarves whose ends flutter in the wind, drawn over a body."""

import numpy

from ..labels import ACCESSORY, CLOTH
from .background import draw_eye_like
from .geometry import WHITE, between, bezier, blend, chance, either_side, random_colour, scale
from .meadow import draw_flower


def draw_uniform(figure, side):
    """A collar, a bow and a scarf, each sometimes; `side` (-1 or 1) is where the wind blows."""
    random = figure.random
    if chance(random, 0.55):
        _draw_sailor_collar(figure)
    colour = random_colour(random, (0.3, 1), (0.3, 1))
    if chance(random, 0.45):
        _draw_flutter(figure, side, colour, wide=between(random, 0.1, 0.3))
        if chance(random, 0.4):
            _draw_neck_wrap(figure, colour)
    if chance(random, 0.5):
        _draw_bow(figure, colour)
    if chance(random, 0.15):
        place = figure.in_body([(between(random, -0.8, 0.8), figure.body.top + between(random, 0.4, 1.5))])[0]
        draw_eye_like(random, figure.canvas, place, between(random, 0.08, 0.22) * figure.radius, CLOTH)


def _draw_sailor_collar(figure):
    random, body = figure.random, figure.body
    colour = random_colour(random, (0.1, 0.9), (0.1, 0.9))
    stripe = WHITE if chance(random, 0.7) else random_colour(random)
    deep, drop = between(random, 0.9, 1.6), between(random, 0.5, 0.9)
    for side in (-1, 1):
        edge = [
            (side * body.neck * 1.0, body.top - 0.25),
            (side * body.shoulder * 0.85, body.top + 0.12),
            (side * body.shoulder * 0.9, body.top + drop),
            (side * 0.05, body.top + deep),
            (side * body.neck * 0.7, body.top + deep * 0.5),
        ]
        figure.part(figure.in_body(edge), colour, CLOTH, line_of=scale(colour, 0.6))
        for inset in (0.12, 0.2)[: random.integers(0, 3)]:
            corner = (side * (body.shoulder * 0.9 - inset), body.top + drop - inset)
            line = figure.in_body([(side * (body.shoulder * 0.85 - inset), body.top + 0.15), corner])
            figure.canvas.stroke(line, [0.02 * figure.radius] * 2, stripe)
            line = figure.in_body([corner, (side * 0.05, body.top + deep - inset * 1.4)])
            figure.canvas.stroke(line, [0.02 * figure.radius] * 2, stripe)


def _draw_bow(figure, colour):
    random, body = figure.random, figure.body
    reach, y = between(random, 0.3, 0.9), body.top + between(random, 0.5, 1.2)
    for side in (-1, 1):
        loop = [(0, y - 0.06), (side * reach * 0.7, y - reach * 0.5), (side * reach, y - reach * 0.3)]
        loop += [(side * reach, y + reach * 0.35), (side * reach * 0.6, y + reach * 0.4), (0, y + 0.08)]
        dark = scale(colour, 0.7)
        figure.part(figure.in_body(loop), colour, CLOTH, line_of=dark, colour_end=blend(colour, dark, random.random()))
        fold = bezier((0, y), (side * reach * 0.3, y), (side * reach * 0.5, y + 0.05), (side * reach * 0.7, y + 0.1))
        figure.canvas.stroke(figure.in_body(fold), numpy.linspace(0.03, 0.004, 12) * figure.radius, dark)
    knot = [(-0.14, y - 0.13), (0.14, y - 0.13), (0.16, y + 0.14), (-0.16, y + 0.14)]
    figure.part(figure.in_body(knot), colour, CLOTH, line_of=scale(colour, 0.6))


def _draw_neck_wrap(figure, colour):
    body = figure.body
    reach, top = body.neck * between(figure.random, 1.8, 3.0), body.top
    wrap = [(-reach, top - 0.15), (0, top - 0.05), (reach, top - 0.15), (reach * 1.05, top + 0.3), (0, top + 0.5)]
    wrap.append((-reach * 1.05, top + 0.3))
    figure.part(figure.in_body(wrap), colour, CLOTH, line_of=scale(colour, 0.6))


def _draw_flutter(figure, side, colour, wide):
    """Two ribbon ends that the wind lifts, notched at the end."""
    random, body = figure.random, figure.body
    start = numpy.array((between(random, -0.15, 0.15), body.top + between(random, 0.2, 1.1)))
    length, angle = between(random, 1.0, 4.5), between(random, -0.4, 1.2)
    for _ in range(random.integers(1, 3)):
        heading = angle + random.normal(0, 0.25)
        end = start + numpy.array((side * numpy.cos(heading), numpy.sin(heading))) * length * between(random, 0.6, 1.1)
        across = numpy.array((-numpy.sin(heading) * side, numpy.cos(heading)))
        wave = between(random, 0.1, 0.5) * either_side(random)
        first, second = (start + (end - start) * part for part in (0.33, 0.67))
        centre = bezier(start, first + across * (wave + 0.3), second - across * wave, end, 14)
        half = numpy.linspace(wide * 0.4, wide * between(random, 0.8, 1.8), 14)[:, None]
        along = numpy.gradient(centre, axis=0)
        normal = numpy.stack([-along[:, 1], along[:, 0]], 1)
        normal /= numpy.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
        notch = centre[-1] - (centre[-1] - centre[-2]) * between(random, 0, 2.5)
        outline = numpy.concatenate([centre + normal * half, notch[None], (centre - normal * half)[::-1]])
        figure.part(figure.in_body(outline), colour, CLOTH, line_of=scale(colour, 0.6), colour_end=scale(colour, 0.75))


def draw_hair_flowers(figure):
    """One to four flowers, or round pins, in the hair."""
    random = figure.random
    side = either_side(random)
    colour = blend(random_colour(random, (0.1, 0.8), (0.7, 1)), WHITE, random.random())
    for _ in range(random.integers(1, 5)):
        place = figure.in_head([(side * between(random, 0.45, 1.0), -between(random, 0.15, 1.05))])[0]
        reach = between(random, 0.08, 0.28) * figure.radius
        if chance(random, 0.12):
            draw_eye_like(random, figure.canvas, place, reach * 0.8, ACCESSORY)
        else:
            draw_flower(random, figure.canvas, place, reach, ACCESSORY, colour if chance(random, 0.6) else None)
