"""Colours and curves the illustration generator draws with.

Colours are RGB tuples of ints in 0..255. Points are float arrays [n, 2] of (x, y), y downwards.
"""

import colorsys

import numpy

WHITE = (255, 255, 255)


def between(random, low, high):
    """One float drawn uniformly from [low, high)."""
    return random.uniform(low, high)


def chance(random, probability):
    """True with the given probability."""
    return random.random() < probability


def either_side(random):
    """-1 or 1 with equal probability."""
    return 1 if random.random() < 0.5 else -1


def from_hsv(hue, saturation, value):
    """The colour of a hue (any number, taken modulo 1), a saturation and a value (clamped to 0..1)."""
    saturation = min(max(saturation, 0.0), 1.0)
    value = min(max(value, 0.0), 1.0)
    return tuple(int(channel * 255) for channel in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def random_colour(random, saturation=(0.0, 1.0), value=(0.0, 1.0)):
    """A colour of any hue, with saturation and value drawn from the given ranges."""
    return from_hsv(random.random(), between(random, *saturation), between(random, *value))


def blend(first, second, amount):
    """The colour `amount` of the way (0..1) from `first` to `second`."""
    return tuple(int(a * (1 - amount) + b * amount) for a, b in zip(first, second))


def scale(colour, factor):
    """The colour with every channel multiplied by `factor`, clamped to 0..255."""
    return tuple(int(min(255, max(0, channel * factor))) for channel in colour)


def closed_spline(points, steps=8):
    """A closed Catmull-Rom curve through `points` [n, 2]: float [n * steps, 2]."""
    points = numpy.asarray(points, float)
    before, after, beyond = (numpy.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = numpy.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (before, points, after, beyond))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, 2)


def bezier(start, first, second, end, count=12):
    """`count` points on the cubic Bezier curve of four control points: float [count, 2]."""
    t = numpy.linspace(0, 1, count)[:, None]
    start, first, second, end = (numpy.asarray(point, float) for point in (start, first, second, end))
    s = 1 - t
    return s**3 * start + 3 * s**2 * t * first + 3 * s * t**2 * second + t**3 * end


def ribbon(centre, half_width):
    """The outline of a stroke along `centre` [n, 2] with half widths [n]: float [2 n, 2]."""
    direction = numpy.gradient(centre, axis=0)
    normal = numpy.stack([-direction[:, 1], direction[:, 0]], 1)
    normal /= numpy.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    offset = normal * half_width[:, None]
    return numpy.concatenate([centre + offset, (centre - offset)[::-1]])


def rotation(angle):
    """The 2x2 matrix that turns row vectors by `angle` radians (clockwise as seen, y downwards)."""
    cosine, sine = numpy.cos(angle), numpy.sin(angle)
    return numpy.array([[cosine, sine], [-sine, cosine]])


def circle(count=28):
    """`count` points on the unit circle: float [count, 2]."""
    angle = numpy.linspace(0, 2 * numpy.pi, count, endpoint=False)
    return numpy.stack([numpy.cos(angle), numpy.sin(angle)], 1)
