"""Outdoor backgrounds: sky, sun, clouds, sea, hills, towers, poles and branches; every label is background."""

import numpy
from PIL import Image, ImageFilter

from .canvas import Canvas
from .geometry import WHITE, between, bezier, blend, chance, from_hsv, scale
from .meadow import draw_meadow

HOURS = {"day": 0.35, "sunset": 0.35, "dusk": 0.18, "night": 0.12}


def draw_outdoors(random, size):
    """A canvas with an outdoor background, and the colour of its light: (canvas, RGB)."""
    hour = str(random.choice(list(HOURS), p=list(HOURS.values())))
    stops = _sky_stops(random, hour)
    canvas = Canvas(size)
    light = blend(stops[-1], WHITE, 0.4)
    horizon = between(random, 0.35, 0.9)
    canvas.replace(_sky(random, size, stops, horizon, light))
    if hour in ("dusk", "night") or chance(random, 0.15):
        for _ in range(random.integers(10, 70)):
            _dot(canvas, random.random(), random.random() * horizon, between(random, 0.0008, 0.003), WHITE)
    for _ in range(random.integers(0, 5)):
        _streak(random, canvas, horizon, light)
    for _ in range(random.integers(0, 4)):
        _cumulus(random, canvas, horizon, stops)
    ground = random.random()
    if ground < 0.45:
        _sea(random, canvas, horizon, stops, light)
    if ground > 0.3:
        _hills(random, canvas, horizon, stops)
    for draw, probability in ((_tower, 0.3), (_poles, 0.2), (_skyline, 0.12), (_branches, 0.3), (_birds, 0.2)):
        if chance(random, probability):
            draw(random, canvas, horizon)
    if chance(random, 0.55):
        draw_meadow(random, canvas, between(random, 0.6, 0.95), None)
    if chance(random, 0.25):
        canvas.replace(canvas.picture.filter(ImageFilter.BoxBlur(size * between(random, 0.001, 0.01))))
    return canvas, light


def _sky_stops(random, hour):
    """Colours from the zenith to the horizon."""
    if hour == "day":
        top = from_hsv(between(random, 0.5, 0.65), between(random, 0.3, 0.85), between(random, 0.6, 1))
        return [top, blend(top, WHITE, between(random, 0.3, 0.9))]
    if hour == "night":
        top = from_hsv(between(random, 0.5, 0.8), between(random, 0.2, 0.9), between(random, 0.0, 0.2))
        return [top, scale(blend(top, (60, 70, 140), 0.4), between(random, 0.6, 2))]
    dim = between(random, 0.5, 1) if hour == "dusk" else 1.0
    top = from_hsv(between(random, 0.5, 0.8), between(random, 0.3, 0.7), between(random, 0.3, 0.8) * dim)
    middle = from_hsv(between(random, -0.15, 0.5), between(random, 0.15, 0.6), between(random, 0.6, 1) * dim)
    return [top, middle, from_hsv(between(random, -0.05, 0.14), between(random, 0.3, 0.75), dim)]


def _sky(random, size, stops, horizon, light):
    y = numpy.clip(numpy.linspace(0, 1, size) / max(horizon, 0.3), 0, 1)
    places = numpy.linspace(0, 1, len(stops))
    column = numpy.stack([numpy.interp(y, places, [stop[channel] for stop in stops]) for channel in range(3)], 1)
    values = numpy.repeat(column[:, None], size, 1).astype(numpy.float32)
    if chance(random, 0.55):
        down, across = numpy.mgrid[0:size, 0:size].astype(numpy.float32) / size
        distance = numpy.hypot(across - random.random(), down - between(random, 0.05, horizon))
        reach = between(random, 0.05, 0.5)
        amount = numpy.exp(-distance / reach) * between(random, 0.4, 1)
        amount = numpy.maximum(amount, numpy.clip((between(random, 0.01, 0.08) - distance) * size, 0, 1))
        values += (numpy.array(light, numpy.float32) - values) * numpy.clip(amount, 0, 1)[..., None]
    return Image.fromarray(values.clip(0, 255).astype(numpy.uint8))


def _dot(canvas, x, y, reach, colour):
    x, y, reach = x * canvas.size, y * canvas.size, reach * canvas.size
    canvas.pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)


def _streak(random, canvas, horizon, light):
    x, y = random.random(), random.random() * horizon
    reach, half = between(random, 0.05, 0.4), between(random, 0.003, 0.02)
    corners = [(x - reach, y), (x, y - half), (x + reach, y + between(random, -0.02, 0.02)), (x, y + half)]
    canvas.shade(None, corners, blend(light, WHITE, random.random()), between(random, 0.2, 0.7), canvas.size * half)


def _cumulus(random, canvas, horizon, stops):
    """A heap of round puffs, lit from above."""
    x, foot = random.random(), min(1.0, horizon + between(random, -0.25, 0.05))
    width, tall = between(random, 0.08, 0.35), between(random, 0.05, 0.35)
    lit = blend(stops[-1], WHITE, between(random, 0.2, 0.95))
    dim = blend(lit, stops[0], between(random, 0.1, 0.6))
    for _ in range(random.integers(6, 32)):
        place = random.normal(0, 0.5)
        high = tall * random.random() * max(0.0, 1 - place * place)
        reach = between(random, 0.02, 0.08) * (1.2 - 0.5 * high / tall)
        tone = blend(dim, lit, between(random, 0.4, 1))
        canvas.ellipse((x + place * width, foot - high), reach, reach, tone, colour_end=blend(tone, dim, 0.8))


def _sea(random, canvas, horizon, stops, light):
    near = blend(stops[0], stops[-1], between(random, 0.1, 0.6))
    far = blend(stops[-1], near, between(random, 0, 0.8))
    canvas.polygon([(0, horizon), (1, horizon), (1, 1.01), (0, 1.01)], far, colour_end=near)
    middle, spread = random.random(), between(random, 0.03, 0.2)
    for _ in range(random.integers(0, 120)):
        depth = random.random() ** 1.5
        y = horizon + (1 - horizon) * depth
        x = middle + random.normal(0, spread) if chance(random, 0.7) else random.random()
        reach, tone = between(random, 0.003, 0.025) * (0.4 + depth), light if chance(random, 0.75) else scale(near, 0.7)
        half = reach * 0.12 + 0.0008
        corners = numpy.array([(x - reach, y), (x, y - half), (x + reach, y), (x, y + half)]) * canvas.size
        canvas.pen.polygon(corners.ravel().tolist(), fill=tone)


def _hills(random, canvas, horizon, stops):
    tint = from_hsv(between(random, 0.2, 0.75), between(random, 0.1, 0.6), between(random, 0.15, 0.8))
    for ridge in range(random.integers(1, 4)):
        x = numpy.linspace(-0.05, 1.05, 24)
        bumps = between(random, 0.01, 0.1) * numpy.sin(x * between(random, 2, 9) + between(random, 0, 6))
        y = horizon + 0.06 * ridge + bumps + numpy.cumsum(random.normal(0, 0.004, 24))
        tone = blend(tint, stops[-1], max(0.0, 0.5 - 0.25 * ridge))
        ridge_line = numpy.concatenate([numpy.stack([x, y], 1), [(1.1, 1.1), (-0.1, 1.1)]])
        canvas.polygon(ridge_line, tone, colour_end=scale(tone, between(random, 0.6, 1.1)))


def _tower(random, canvas, horizon):
    """A lighthouse, tower or chimney."""
    x, foot, tall = random.random(), horizon + between(random, -0.02, 0.08), between(random, 0.08, 0.6)
    low, high = tall * between(random, 0.05, 0.15), tall * between(random, 0.03, 0.1)
    body = from_hsv(random.random(), between(random, 0, 0.5), between(random, 0.2, 1))
    band = from_hsv(between(random, -0.05, 0.6), between(random, 0.2, 0.9), between(random, 0.2, 0.9))
    corners = [(x - low, foot), (x + low, foot), (x + high, foot - tall), (x - high, foot - tall)]
    canvas.polygon(corners, body, colour_end=scale(body, 0.7), axis=(1, 0))
    for place in numpy.arange(0.15, 0.9, between(random, 0.2, 0.5)):
        wide = low + (high - low) * place
        y = foot - tall * place
        canvas.polygon([(x - wide, y), (x + wide, y), (x + wide, y - tall * 0.1), (x - wide, y - tall * 0.1)], band)
    top = foot - tall
    canvas.polygon([(x - high * 1.3, top), (x + high * 1.3, top), (x, top - high * between(random, 1, 3))], band)


def _poles(random, canvas, horizon):
    """Poles, a fence or masts, with wires between them."""
    colour = from_hsv(random.random(), between(random, 0, 0.4), between(random, 0.05, 0.8))
    count, first = int(random.integers(1, 9)), between(random, -0.1, 0.6)
    step, top = between(random, 0.05, 0.3), between(random, 0, horizon)
    for index in range(count):
        x = first + index * step
        half = between(random, 0.002, 0.012)
        canvas.polygon([(x - half, top), (x + half, top), (x + half, 1.05), (x - half, 1.05)], colour)
    for _ in range(random.integers(0, 5)):
        y, sag = top + between(random, 0, 0.1), between(random, 0, 0.1)
        wire = bezier((-0.05, y), (0.3, y + sag), (0.7, y + sag), (1.05, y + between(random, -0.2, 0.2)))
        canvas.stroke(wire, numpy.full(12, between(random, 0.0008, 0.003)), colour)


def _skyline(random, canvas, horizon):
    colour = from_hsv(between(random, 0.5, 0.9), between(random, 0, 0.4), between(random, 0.1, 0.8))
    x = -0.05
    while x < 1.05:
        wide, tall = between(random, 0.02, 0.12), between(random, 0.02, 0.4)
        shade = scale(colour, between(random, 0.7, 1.3))
        canvas.polygon([(x, horizon - tall), (x + wide, horizon - tall), (x + wide, 1.05), (x, 1.05)], shade)
        for _ in range(random.integers(0, 8)):
            _dot(canvas, x + wide * random.random(), horizon - tall * random.random(), 0.003, (255, 230, 150))
        x += wide * between(random, 0.9, 1.6)


def _branches(random, canvas, horizon):
    """Thin branches, some with leaves: tapered and curved as strands of hair are, but no hair."""
    wood = from_hsv(between(random, 0, 0.12), between(random, 0.1, 0.6), between(random, 0.05, 0.6))
    hue, value = random.random(), between(random, 0.2, 1)
    for _ in range(random.integers(1, 10)):
        start = numpy.array((random.random(), between(random, -0.1, 0.3) if chance(random, 0.6) else horizon + 0.1))
        end = start + random.normal(0, 0.25, 2)
        limb = bezier(start, start + random.normal(0, 0.1, 2), end + random.normal(0, 0.1, 2), end)
        canvas.stroke(limb, numpy.linspace(between(random, 0.003, 0.015), 0.0008, 12), wood)
        for _ in range(random.integers(0, 25) if chance(random, 0.5) else 0):
            place = limb[random.integers(len(limb))] + random.normal(0, 0.015, 2)
            reach = between(random, 0.004, 0.02)
            tone = from_hsv(hue, between(random, 0.2, 0.8), value * between(random, 0.7, 1.2))
            canvas.ellipse(place, reach, reach * between(random, 0.4, 1), tone, turn=between(random, 0, 3))


def _birds(random, canvas, horizon):
    for _ in range(random.integers(1, 8)):
        x, y, reach = random.random(), random.random() * horizon, between(random, 0.005, 0.03)
        wing = numpy.array([(-1, -0.3), (-0.5, -0.5), (0, 0), (0.5, -0.5), (1, -0.3)]) * reach + (x, y)
        canvas.stroke(wing, numpy.array([0.0005, 0.002, 0.001, 0.002, 0.0005]), (60, 60, 80))
