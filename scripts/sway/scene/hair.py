"""Hair: the mass behind the head, tails, the cap, bangs and side locks, all built of tapered locks."""

import math

import numpy

from ..labels import HAIR
from .geometry import between, bezier, blend, chance, closed_spline, either_side, ribbon

# How often each hair type is drawn, and the range of the length of its back, in head units.
KINDS = {
    "short": (0.20, (0.5, 1.0)),
    "bob": (0.20, (1.0, 1.7)),
    "long": (0.22, (1.8, 3.5)),
    "very long": (0.14, (3.0, 6.0)),
    "twin tails": (0.10, (0.6, 1.2)),
    "pony tail": (0.07, (0.6, 1.1)),
    "bald": (0.01, (0.0, 0.0)),
    "up": (0.06, (0.3, 0.8)),
}
BANGS = {"split": 0.4, "straight": 0.25, "swept": 0.2, "sparse": 0.15}


class Hair:
    """The hair of one figure, of one of `kinds` (names from `KINDS`)."""

    def __init__(self, figure, kinds):
        self.figure = figure
        random = figure.random
        weights = numpy.array([KINDS[kind][0] for kind in kinds])
        self.kind = str(random.choice(list(kinds), p=weights / weights.sum()))
        self.length = between(random, *KINDS[self.kind][1])
        self.width = between(random, 1.08, 1.3)
        self.volume = between(random, 0.05, 0.3)
        self.waves = between(random, 0.1, 0.5) if chance(random, 0.25) else 0.0
        self.gust = random.normal(0, 0.35 if chance(random, 0.5) else 0.1)

    def _tone(self, most):
        """The hair colour with up to `most` (0..1) of its shade."""
        figure = self.figure
        return blend(figure.hair_colour, figure.hair_shade, figure.random.random() * most)

    def _crown(self):
        """The upper outline of the hair, left to right, in head units."""
        width, volume = self.width, self.volume
        right = [
            (0.34 * width, -1.12 - volume * 0.9),
            (0.66 * width, -0.97 - volume * 0.6),
            (0.93 * width, -0.58),
        ]
        left = [(-x, y) for x, y in reversed(right)]
        return [*left, (0, -1.16 - volume), *right]

    def lock(self, frame, root, tip, width, bend, colour, taper=1.0, bulge=0.6, detail=True):
        """One lock from `root` to `tip` (head units); `frame` is the figure's in_head or in_body."""
        figure, canvas, random = self.figure, self.figure.canvas, self.figure.random
        root, tip = numpy.asarray(root, float), numpy.asarray(tip, float)
        along = tip - root
        aside = numpy.array([-along[1], along[0]]) * bend
        centre = bezier(
            root, root + along * 0.33 + aside, root + along * 0.7 + aside * between(random, -0.6, 1.2), tip, 10
        )
        position = numpy.linspace(0, 1, 10)
        if self.waves > 0:
            phase, turns = between(random, 0, 6.28), between(random, 4, 9)
            normal = numpy.array([-along[1], along[0]]) / (numpy.linalg.norm(along) + 1e-6)
            wave = numpy.sin(position * turns + phase) - numpy.sin(phase)
            centre = centre + normal * (self.waves * width * wave * position)[:, None]
        profile = (1 - position ** (1.3 * taper + 0.4)) * (bulge + position * (1 - bulge) * 2)
        half_width = width * numpy.clip(profile, 0.02, None)
        end = figure.hair_end if chance(random, 0.8) else None
        figure.part(frame(ribbon(centre, half_width)), colour, HAIR, line_of=figure.hair_shade, colour_end=end)
        if not detail:
            return
        if figure.shaded:
            inner = centre + numpy.array([between(random, -0.3, 0.3) * width, 0])
            shade = blend(colour, figure.hair_shade, between(random, 0.3, 1))
            canvas.polygon(frame(ribbon(inner, half_width * between(random, 0.2, 0.5))), shade)
        if figure.line_width > 0:
            for _ in range(random.integers(0, 3)):
                strand = centre + numpy.stack([half_width * between(random, -0.6, 0.6), half_width * 0], 1)
                thin = numpy.linspace(0.35, 0.1, 10) * figure.line_width
                canvas.stroke(frame(strand), thin, figure.line_colour(figure.hair_shade))

    def draw_back(self):
        """The mass behind the head and body, with its locks and tails."""
        if self.kind == "bald":
            return
        figure, random = self.figure, self.figure.random
        length, gust = self.length, self.gust
        width = self.width + self.volume * 0.5
        frame = figure.in_body if length > 1.3 else figure.in_head
        count = random.integers(3, 8)
        hem = []
        for index in range(count):
            x = width * (1.15 if length > 1.5 else 1.0) * (1 - 2 * (index + 0.5) / count) + gust * length * 0.3
            hem.append((x + width / count, length * between(random, 0.6, 0.85)))
            hem.append((x, length * between(random, 0.85, 1.1)))
        top = [(-width, -0.2), *self._crown(), (width, -0.2)]
        outline = closed_spline(numpy.concatenate([figure.in_head(top), frame(hem)]), 5)
        colour = blend(figure.hair_colour, figure.hair_shade, between(random, 0.2, 0.9))
        figure.part(outline, colour, HAIR, line_of=figure.hair_shade)
        if figure.shaded:
            for _ in range(random.integers(2, 9)):
                x = between(random, -width, width)
                end = (x + gust * length * 0.3, length * 1.1)
                fold = bezier((x * 0.5, -0.5), (x, 0.3), (x * 1.1 + gust * 0.2, length * 0.6), end)
                shape = frame(ribbon(fold, numpy.full(12, between(random, 0.02, 0.1))))
                figure.canvas.shade(outline, shape, figure.hair_shade, between(random, 0.3, 0.8))
        for _ in range(random.integers(2, 14) if length > 0.9 else random.integers(0, 8)):
            x = between(random, -width, width)
            root = (x * 0.8, -0.2 + between(random, -0.4, 0.3))
            tip = (x * between(random, 0.8, 1.35) + gust * length * 0.4, length * between(random, 0.7, 1.25))
            self.lock(frame, root, tip, between(random, 0.06, 0.28), between(random, -0.15, 0.15), self._tone(0.7))
        if self.kind in ("twin tails", "pony tail"):
            self._draw_tails((-1, 1) if self.kind == "twin tails" else (either_side(random),))

    def _draw_tails(self, sides):
        figure, random = self.figure, self.figure.random
        length = between(random, 1.2, 4.0)
        frame = figure.in_body if length > 2 else figure.in_head
        for side in sides:
            x, y = side * self.width * between(random, 0.75, 1.05), -between(random, -0.1, 0.9)
            for _ in range(random.integers(3, 9)):
                reach = side * between(random, 0, 1.2) + self.gust * length * 0.5 + between(random, -0.3, 0.3)
                tip = (x + reach, y + length * between(random, 0.7, 1.1))
                bend = side * between(random, -0.1, 0.25)
                self.lock(frame, (x, y), tip, between(random, 0.12, 0.35), bend, self._tone(0.5))

    def draw_from_behind(self):
        """The back of the head, all hair: a head without a face."""
        figure, random = self.figure, self.figure.random
        low = between(random, 0.5, 1.1)
        outline = [(-self.width, -0.2), *self._crown(), (self.width, -0.2), (0.8, low), (0, low + 0.1), (-0.8, low)]
        figure.part(closed_spline(figure.in_head(outline), 5), figure.hair_colour, HAIR, line_of=figure.hair_shade)
        for _ in range(random.integers(4, 14)):
            x = between(random, -0.8, 0.8)
            tip = (x * between(random, 1, 1.3), low * between(random, 0.7, 1.3))
            width = between(random, 0.08, 0.3)
            self.lock(figure.in_head, (x * 0.3, -0.9 - self.volume * 0.5), tip, width, x * 0.15, self._tone(0.6))

    def draw_front(self):
        """The cap over the forehead, bangs, side locks and stray hairs."""
        if self.kind == "bald":
            return
        figure, canvas, random = self.figure, self.figure.canvas, self.figure.random
        part = between(random, -0.6, 0.6)
        self._draw_cap()
        self._draw_bangs(part)
        for side in (-1, 1):
            for _ in range(random.integers(0, 3)):
                low = between(random, 0.2, 1.6) if self.kind != "short" else between(random, 0.1, 0.7)
                root = (side * self.width * between(random, 0.75, 0.92), -0.5 + between(random, -0.2, 0.2))
                tip = (side * self.width * between(random, 0.7, 1.1) + self.gust * 0.2, low)
                bend = side * between(random, -0.1, 0.15)
                self.lock(figure.in_head, root, tip, between(random, 0.07, 0.22), bend, self._tone(0.4))
        for _ in range(random.integers(0, 4) if chance(random, 0.5) else 0):
            root = (math.sin(between(random, -1.2, 1.2)) * 0.8, -1.0 - self.volume * 0.7)
            tip = (root[0] + between(random, -0.7, 0.7), root[1] - between(random, 0.05, 0.5))
            width, bend = between(random, 0.03, 0.12), between(random, -0.3, 0.3)
            self.lock(figure.in_head, root, tip, width, bend, figure.hair_colour, detail=False)
        if figure.line_width > 0:
            for _ in range(random.integers(0, 10)):
                x = between(random, -1, 1)
                start = (part * 0.3, -1.0 - self.volume)
                strand = bezier(start, (x * 0.5, -0.95 - self.volume * 0.6), (x * 0.85, -0.7), (x, -0.35))
                thin = numpy.full(12, figure.line_width * 0.25)
                canvas.stroke(figure.in_head(strand), thin, figure.line_colour(figure.hair_shade))

    def _draw_cap(self):
        figure, random = self.figure, self.figure.random
        side = self.width * 0.98
        inner = [(0.8, -0.25), (0.55, -0.5 - between(random, 0, 0.2)), (0, -0.55 - between(random, 0, 0.25))]
        inner += [(-0.55, -0.5 - between(random, 0, 0.2)), (-0.8, -0.25)]
        points = [(-side, between(random, -0.2, 0.5)), *self._crown(), (side, between(random, -0.2, 0.5)), *inner]
        outline = closed_spline(figure.in_head(points), 5)
        figure.part(outline, figure.hair_colour, HAIR, line_of=figure.hair_shade)
        if figure.shaded and chance(random, 0.6):
            height = between(random, -0.85, -0.55)
            upper = [(t * 0.95, height + 0.25 * t * t + between(random, -0.06, 0)) for t in numpy.linspace(-1, 1, 15)]
            lower = [(x, y + between(random, 0.03, 0.16)) for x, y in reversed(upper)]
            figure.canvas.shade(outline, figure.in_head(upper + lower), figure.hair_light, between(random, 0.4, 1))

    def _draw_bangs(self, part):
        figure, random = self.figure, self.figure.random
        count = random.integers(3, 12)
        length = between(random, 0.1, 0.8)
        kind = random.choice(list(BANGS), p=list(BANGS.values()))
        for index in random.permutation(count):
            place = -1 + 2 * (index + 0.5) / count
            if kind == "sparse" and abs(place - part) < 0.5:
                continue
            root = (part * 0.5 + place * 0.55, -0.95 - self.volume * 0.5 + 0.25 * abs(place))
            if kind == "split":
                x = place * 0.95 + numpy.sign(place - part * 0.5) * 0.12
                reach = (0.35 + 0.6 * abs(place - part * 0.4)) * between(random, 0.75, 1.15)
            elif kind == "straight":
                x, reach = place * 0.92, 0.62 * between(random, 0.9, 1.1)
            elif kind == "swept":
                x, reach = place * 0.95 + numpy.sign(part) * 0.3, 0.7 * between(random, 0.7, 1.2)
            else:
                x, reach = place, between(random, 0.5, 1.1)
            tip = (x + between(random, -0.08, 0.08), -0.35 + length * reach)
            width = between(random, 0.7, 1.5) * 1.1 / count + 0.04
            bend = between(random, -0.12, 0.12) * numpy.sign(place + 1e-3)
            taper, bulge = between(random, 0.6, 2.2), between(random, 0.3, 0.8)
            self.lock(figure.in_head, root, tip, width, bend, self._tone(0.35), taper, bulge)
