"""What is worn on the head: animal ears, ribbons, flowers and hats."""

import math

import numpy

from ..labels import ACCESSORY
from .geometry import between, blend, chance, closed_spline, either_side, from_hsv, random_colour, scale


def draw_animal_ears(figure):
    """Two pointed ears on top of the head."""
    random, volume = figure.random, figure.hair.volume
    colour = figure.hair_colour if chance(random, 0.7) else from_hsv(random.random(), 0.5, 0.8)
    for side in (-1, 1):
        x = side * between(random, 0.5, 0.8)
        tip = (x + side * between(random, 0, 0.35), -1.5 - volume - between(random, 0, 0.5))
        outline = figure.in_head([(x - 0.3, -0.85), tip, (x + 0.35, -0.75)])
        figure.part(outline, colour, ACCESSORY, line_of=figure.hair_shade)
        inside = figure.in_head([(x - 0.15, -0.9), (x + side * 0.12, -1.3 - volume), (x + 0.18, -0.85)])
        figure.canvas.polygon(inside, blend(colour, (255, 200, 210), 0.6), ACCESSORY)


def draw_hair_ornament(figure):
    """A ribbon or a flower in the hair."""
    random, radius = figure.random, figure.radius
    reach = between(random, 0.12, 0.4)
    centre = figure.in_head([(either_side(random) * between(random, 0.5, 0.95), -between(random, 0.3, 1.0))])[0]
    colour = random_colour(random, (0.3, 1), (0.4, 1))
    line_of = scale(colour, 0.6)
    if chance(random, 0.5):
        for side in (-1, 1):
            loop = numpy.array([(0, 0), (side * reach, -reach * 0.7), (side * reach, reach * 0.7)])
            figure.part(loop * radius + centre, colour, ACCESSORY, line_of=line_of)
    else:
        for angle in numpy.arange(5) * 2 * math.pi / 5:
            petal = centre + numpy.array([math.cos(angle), math.sin(angle)]) * reach * 0.5 * radius
            line = figure.line_colour(line_of)
            size = reach * 0.35 * radius
            figure.canvas.ellipse(petal, size, size, colour, ACCESSORY, line=line, line_width=figure.line_width)
    size = reach * 0.25 * radius
    figure.canvas.ellipse(centre, size, size, blend(colour, (255, 255, 0), 0.5), ACCESSORY)


def draw_hat(figure):
    """A round hat, sometimes with a brim."""
    random, volume = figure.random, figure.hair.volume
    colour = random_colour(random, (0, 0.8), (0.1, 0.9))
    line_of = scale(colour, 0.6)
    low = -between(random, 0.45, 0.75)
    points = [(-1.3, low), (-1.0, -1.2 - volume), (0, -1.6 - volume), (1.0, -1.2 - volume), (1.3, low), (0, low - 0.25)]
    figure.part(closed_spline(figure.in_head(points), 5), colour, ACCESSORY, line_of=line_of)
    if chance(random, 0.4):
        reach, drop = between(random, 1.4, 2.2), between(random, 0.05, 0.25)
        brim = [(-reach, low + drop), (0, low - 0.3), (reach, low + drop), (0, low + between(random, -0.05, 0.15))]
        figure.part(closed_spline(figure.in_head(brim), 5), scale(colour, 0.85), ACCESSORY, line_of=line_of)


def draw_headphones(figure):
    """A band over the head with two cups."""
    random, radius = figure.random, figure.radius
    colour = random_colour(random, (0, 0.9), (0.1, 1))
    reach, height = figure.hair.width * 1.02, 1.12 + figure.hair.volume
    angle = numpy.linspace(-math.pi, 0, 16)
    band = numpy.stack([reach * numpy.cos(angle), height * numpy.sin(angle)], 1)
    figure.canvas.stroke(figure.in_head(band), numpy.full(16, between(random, 0.04, 0.1) * radius), colour, ACCESSORY)
    for side in (-1, 1):
        cup = figure.in_head([(side * reach, 0.05)])[0]
        line = figure.line_colour(colour)
        options = {"turn": figure.roll, "line": line, "line_width": figure.line_width}
        figure.canvas.ellipse(cup, 0.2 * radius, 0.34 * radius, scale(colour, 0.8), ACCESSORY, **options)
