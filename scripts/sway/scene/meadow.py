"""Meadows: grass blades, flowers and leaves, beside the figure and in front of it."""

import numpy

from ..labels import BACKGROUND
from .geometry import WHITE, between, blend, chance, from_hsv, scale


def draw_flower(random, canvas, centre, reach, label, colour=None):
    """A round flower seen from any side; `label` None leaves the labels alone."""
    if colour is None:
        hue = between(random, -0.15, 0.2) if chance(random, 0.7) else random.random()
        colour = from_hsv(hue, between(random, 0, 0.7), between(random, 0.7, 1))
    count = int(random.integers(5, 14))
    angle = numpy.linspace(0, 2 * numpy.pi, count * 8, endpoint=False)
    depth = between(random, 0.1, 0.3)
    length = reach * (1 - depth + depth * numpy.cos(angle * count + between(random, 0, 6)))
    squash = between(random, 0.45, 1.0)
    petals = numpy.stack([numpy.cos(angle) * length, numpy.sin(angle) * length * squash], 1) + centre
    line = scale(colour, 0.55) if chance(random, 0.4) else None
    canvas.polygon(petals, colour, label, line=line, line_width=0.002)
    if chance(random, 0.5):
        for turn in numpy.arange(count) * 2 * numpy.pi / count:
            tip = centre + numpy.array((numpy.cos(turn), numpy.sin(turn) * squash)) * reach * 0.8
            canvas.stroke([centre, tip], [0.001, 0.001], scale(colour, 0.8))
    middle = from_hsv(between(random, 0.05, 0.17), 0.8, between(random, 0.5, 1))
    canvas.ellipse(centre, reach * 0.3, reach * 0.3 * squash, middle, label)


def draw_meadow(random, canvas, top, label):
    """Grass from `top` (a fraction of the side) to the bottom, with flowers; `label` is written where it covers.

    In front of a figure `label` is the background's, behind figures None.
    """
    hue = between(random, 0.17, 0.5) if chance(random, 0.8) else random.random()
    saturation, value = between(random, 0.2, 0.8), between(random, 0.12, 0.75)
    dark = from_hsv(hue, saturation, value)
    bright = from_hsv(hue + between(random, -0.12, 0.05), saturation * 0.8, value * between(random, 1.2, 2.0))
    height, lean = between(random, 0.04, 0.16), random.normal(0, 0.5)
    if label is None:
        x = numpy.linspace(-0.05, 1.05, 12)
        y = top + height * 0.4 + random.normal(0, 0.006, 12) + between(random, -0.05, 0.05) * x
        ground = numpy.concatenate([numpy.stack([x, y], 1), [(1.1, 1.1), (-0.1, 1.1)]])
        canvas.polygon(ground, blend(dark, bright, 0.3), label, colour_end=scale(dark, between(random, 0.4, 0.9)))
    rows = int(random.integers(3, 8))
    flowers = int(random.integers(1, 7)) if chance(random, 0.75) else 0
    for row in range(rows):
        depth = row / rows
        ground = top + height * 0.6 + (1.05 - top) * depth
        size = height * (0.6 + 0.8 * depth)
        for _ in range(random.integers(15, 60)):
            tone = blend(dark, bright, random.random() * (1 - 0.5 * depth))
            _draw_blade(random, canvas, ground, size, lean, tone, label)
        for _ in range(flowers):
            place = (random.random(), ground - size * between(random, -0.6, 0.7))
            reach = size * between(random, 0.08, 0.26)
            if chance(random, 0.4):
                canvas.stroke([place, (place[0], place[1] + size)], [0.002, 0.003], dark, label)
            draw_flower(random, canvas, numpy.array(place), reach, label)
    if chance(random, 0.3):
        for _ in range(random.integers(1, 8)):
            _draw_unfocused(random, canvas, between(random, top, 1.02), label)


def _draw_blade(random, canvas, ground, size, lean, colour, label):
    x, foot = random.uniform(-0.05, 1.05), ground + random.uniform(0, 0.5) * size
    tall, half = size * random.uniform(0.5, 1.3), random.uniform(0.0012, 0.005)
    bend = (lean + random.normal(0, 0.35)) * tall
    side, scale_of = canvas.size, canvas.size * half
    middle = ((x + bend * 0.3) * side, (foot - tall * 0.6) * side)
    corners = [x * side - scale_of, foot * side, middle[0] - scale_of * 0.7, middle[1]]
    corners += [(x + bend) * side, (foot - tall) * side, middle[0] + scale_of * 0.7, middle[1]]
    corners += [x * side + scale_of, foot * side]
    canvas.pen.polygon(corners, fill=colour)
    if label is not None:
        canvas.label_pen.polygon(corners, fill=label)


def _draw_unfocused(random, canvas, y, label):
    """A blossom so near that it is only a soft disc."""
    reach = between(random, 0.015, 0.06)
    colour = from_hsv(between(random, -0.1, 0.15), between(random, 0, 0.6), between(random, 0.7, 1))
    angle = numpy.linspace(0, 2 * numpy.pi, 16, endpoint=False)
    disc = numpy.stack([numpy.cos(angle), numpy.sin(angle) * between(random, 0.6, 1)], 1) * reach
    disc = disc + (random.random(), y)
    canvas.shade(None, disc, colour, between(random, 0.6, 1), reach * canvas.size * between(random, 0.2, 0.5))
    if label is not None:
        canvas.label_pen.polygon(canvas.pixels(disc).ravel().tolist(), fill=label)


def draw_leaves_in_front(random, canvas):
    """Leaves and a branch that reach into the picture from an edge, in front of everything."""
    hue, value = between(random, 0.1, 0.45), between(random, 0.15, 0.8)
    from_left, y = chance(random, 0.5), between(random, -0.05, 0.9)
    reach = between(random, 0.08, 0.35)
    end = numpy.array((reach if from_left else 1 - reach, y + between(random, -0.15, 0.15)))
    start = numpy.array((-0.05 if from_left else 1.05, y))
    wood = from_hsv(between(random, 0.02, 0.1), 0.5, between(random, 0.1, 0.5))
    canvas.stroke(numpy.linspace(start, end, 6), numpy.linspace(0.01, 0.002, 6), wood, BACKGROUND)
    for _ in range(random.integers(3, 18)):
        place = start + (end - start) * random.random() + random.normal(0, 0.03, 2)
        size = between(random, 0.012, 0.05)
        if chance(random, 0.3):
            draw_flower(random, canvas, place, size * 0.7, BACKGROUND)
            continue
        leaf_hue, saturation = hue + between(random, -0.04, 0.04), between(random, 0.3, 0.8)
        tone = from_hsv(leaf_hue, saturation, value * between(random, 0.7, 1.3))
        canvas.ellipse(place, size, size * between(random, 0.25, 0.6), tone, BACKGROUND, turn=between(random, 0, 3.1))


def draw_petals(random, canvas):
    """Petals or leaves in the air; so small that the labels below stay true."""
    colour = blend(from_hsv(random.random(), between(random, 0.1, 0.7), 1), WHITE, between(random, 0, 0.4))
    for _ in range(random.integers(3, 30)):
        size = between(random, 0.003, 0.011)
        canvas.ellipse(random.random(2), size, size * between(random, 0.3, 0.8), colour, turn=between(random, 0, 3.1))
