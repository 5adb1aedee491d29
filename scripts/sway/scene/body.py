"""The body below the head: legs, arms, torso, neck, clothes and their ornaments."""

import numpy

from ..labels import CLOTH, SKIN
from .background import draw_eye_like
from .geometry import WHITE, between, bezier, blend, chance, closed_spline, random_colour, ribbon, scale


class Body:
    """The body of one figure, in head units below the head."""

    def __init__(self, figure):
        self.figure = figure
        random = figure.random
        self.cloth = (
            random_colour(random, (0, 0.8), (0.1, 1))
            if chance(random, 0.85)
            else scale(WHITE, between(random, 0.85, 1))
        )
        self.second_cloth = random_colour(random, (0, 0.9), (0.1, 1))
        self.cloth_shade = blend(scale(self.cloth, between(random, 0.6, 0.85)), (60, 50, 110), between(random, 0, 0.3))
        self.neck = between(random, 0.22, 0.36)
        self.shoulder = between(random, 1.0, 1.9) if chance(random, 0.85) else between(random, 0.65, 1.0)
        self.top = between(random, 1.22, 1.7)
        self.hip = between(random, 0.7, 1.2) * min(1.0, self.shoulder)
        self.lean = random.normal(0, 0.3)
        self.cut = between(random, -0.1, 1.0)
        self.arms = [self._arm(side) for side in (-1, 1)]
        self.bare_arms = chance(random, 0.4)
        self.arms_in_front = chance(random, 0.4)

    def _arm(self, side):
        random = self.figure.random
        shoulder = (side * self.shoulder * 0.92, self.top + 0.35)
        elbow = (side * (self.shoulder + between(random, -0.3, 0.6)), self.top + between(random, 1.3, 2))
        hand = (elbow[0] + between(random, -1.2, 0.6) * side, elbow[1] + between(random, -1.6, 1.6))
        return shoulder, elbow, hand

    def _limb(self, start, middle, end, width, colour, label):
        start, middle, end = (numpy.asarray(point, float) for point in (start, middle, end))
        centre = bezier(start, start * 0.4 + middle * 0.6, middle * 0.6 + end * 0.4, end, 12)
        outline = self.figure.in_body(ribbon(centre, numpy.linspace(width, width * 0.65, 12)))
        self.figure.part(outline, colour, label, line_of=scale(colour, 0.7))

    def _draw_arms(self):
        figure, random = self.figure, self.figure.random
        for arm in self.arms:
            colour, label = (figure.skin, SKIN) if self.bare_arms else (self.cloth, CLOTH)
            self._limb(*arm, between(random, 0.22, 0.4), colour, label)
            self._draw_hand(arm)

    def _draw_hand(self, arm):
        figure, random = self.figure, self.figure.random
        hand = numpy.asarray(arm[2], float)
        if chance(random, 0.5):
            direction = hand - numpy.asarray(arm[1], float)
            direction /= numpy.linalg.norm(direction) + 1e-6
            aside = numpy.array([-direction[1], direction[0]])
            for finger in range(4):
                spread = (finger - 1.5) * 0.09
                tip = hand + direction * between(random, 0.28, 0.42) + aside * spread * between(random, 1.0, 1.8)
                base = hand + aside * spread
                outline = figure.in_body(
                    ribbon(numpy.stack([base, (base + tip) / 2, tip]), numpy.array([0.06, 0.06, 0.04]))
                )
                figure.part(outline, figure.skin, SKIN, line_of=figure.skin_shade)
        line = figure.line_colour(figure.skin_shade)
        centre, radius = figure.in_body([hand])[0], figure.radius
        figure.canvas.ellipse(
            centre, 0.22 * radius, 0.2 * radius, figure.skin, SKIN, line=line, line_width=figure.line_width
        )

    def draw_front_arms(self):
        """The arms, when they are in front of everything."""
        if self.arms_in_front:
            self._draw_arms()

    def draw(self):
        """Everything but arms that are in front."""
        figure, random = self.figure, self.figure.random
        if chance(random, 0.1):
            self._draw_cape()
        if chance(random, 0.4):
            self._draw_legs()
        if not self.arms_in_front:
            self._draw_arms()
        torso = self._torso()
        outline = closed_spline(figure.in_body(torso), 5)
        figure.part(outline, figure.skin, SKIN, line_of=figure.skin_shade)
        if chance(random, 0.6):
            torso = [
                (x, max(y, self.top + self.cut * max(0, 1 - abs(x) / self.shoulder * between(random, 0.6, 1.2))))
                for x, y in torso
            ]
        colour_end = self.second_cloth if chance(random, 0.2) else None
        dress = closed_spline(figure.in_body(torso), 5)
        figure.part(dress, self.cloth, CLOTH, line_of=self.cloth_shade, colour_end=colour_end)
        if chance(random, 0.35):
            self._draw_skirt()
        if chance(random, 0.2):
            self._draw_stripes(dress)
        self._draw_folds(dress)
        self._draw_neck()
        self._draw_ornaments()

    def _torso(self):
        shoulder, top, hip, lean = self.shoulder, self.top, self.hip, self.lean
        right = [
            (self.neck * 1.3, top - 0.12),
            (shoulder * 0.6, top + 0.05),
            (shoulder, top + 0.3),
            (shoulder * 0.98, top + 1.1),
        ]
        left = [(-x, y) for x, y in right]
        low = [
            (-hip + lean * 0.6, top + 2.3),
            (-hip * 1.15 + lean, top + 3.6),
            (hip * 1.15 + lean, top + 3.6),
            (hip + lean * 0.6, top + 2.3),
        ]
        return [*left, *low, *reversed(right)]

    def _draw_cape(self):
        random = self.figure.random
        low = self.top + between(random, 2, 6)
        spread = self.shoulder * between(random, 1.1, 2.0)
        blown = random.normal(0, 1)
        points = [
            (-self.shoulder * 0.7, self.top),
            (-spread + blown, low),
            (blown, low - 0.3),
            (spread + blown, low),
            (self.shoulder * 0.7, self.top),
        ]
        outline = closed_spline(self.figure.in_body(points), 5)
        self.figure.part(outline, self.second_cloth, CLOTH, line_of=scale(self.second_cloth, 0.6))

    def _draw_skirt(self):
        figure, random = self.figure, self.figure.random
        waist, low = self.top + between(random, 1.8, 2.4), self.top + between(random, 3.2, 5.5)
        spread, folds = self.hip * between(random, 1.2, 2.2), int(random.integers(3, 8))
        hem = numpy.linspace(spread, -spread, 2 * folds + 1)
        drop = numpy.where(numpy.arange(2 * folds + 1) % 2, 0.0, between(random, 0.05, 0.3))
        points = [(-self.hip * 0.9 + self.lean * 0.5, waist), (self.hip * 0.9 + self.lean * 0.5, waist)]
        points += [(x + self.lean, low + y) for x, y in zip(hem, drop)]
        colour = self.cloth if chance(random, 0.5) else self.second_cloth
        figure.part(figure.in_body(points), colour, CLOTH, line_of=self.cloth_shade)
        for x in hem[1:-1:2]:
            fold = bezier(
                (x * 0.5 + self.lean * 0.5, waist),
                (x * 0.6 + self.lean, waist + 0.3),
                (x + self.lean, low - 0.4),
                (x + self.lean, low),
            )
            figure.canvas.stroke(
                figure.in_body(fold), numpy.full(12, between(random, 0.01, 0.05) * figure.radius), scale(colour, 0.7)
            )

    def _draw_stripes(self, dress):
        figure, random = self.figure, self.figure.random
        step, colour = between(random, 0.15, 0.5), random_colour(random, (0, 0.9), (0.1, 1))
        across = chance(random, 0.5)
        for place in numpy.arange(-2.0, 4.0, step):
            near, far = place, place + step * 0.4
            if across:
                points = [(-3, self.top + near), (3, self.top + near), (3, self.top + far), (-3, self.top + far)]
            else:
                points = [(near, self.top - 1), (far, self.top - 1), (far, self.top + 4), (near, self.top + 4)]
            figure.canvas.shade(dress, figure.in_body(points), colour, 0.9)

    def _draw_legs(self):
        random, top = self.figure.random, self.top
        colour, label = (self.second_cloth, CLOTH) if chance(random, 0.4) else (self.figure.skin, SKIN)
        for side in (-1, 1):
            x = side * self.hip * 0.5 + self.lean
            knee = (x + between(random, -0.4, 0.4), top + 5)
            foot = (x + between(random, -0.6, 0.6), top + 6.8)
            self._limb((x, top + 3.2), knee, foot, between(random, 0.25, 0.45), colour, label)

    def _draw_folds(self, outline):
        figure, random, top = self.figure, self.figure.random, self.top
        if figure.shaded:
            for _ in range(random.integers(1, 7)):
                x, y = between(random, -self.shoulder, self.shoulder), top + between(random, 0.2, 3)
                middle = (x + between(random, -0.5, 0.5), y + 0.8)
                end = (x + between(random, -0.8, 0.8), y + between(random, 0.6, 1.6))
                fold = bezier((x, y), (x + between(random, -0.3, 0.3), y + 0.3), middle, end)
                shape = figure.in_body(ribbon(fold, numpy.linspace(between(random, 0.02, 0.2), 0.01, 12)))
                figure.canvas.shade(outline, shape, self.cloth_shade, between(random, 0.3, 0.9))
        if figure.line_width > 0:
            for _ in range(random.integers(0, 9)):
                x, y = between(random, -self.shoulder, self.shoulder), top + between(random, 0, 3)
                middle = (x + between(random, -0.3, 0.3), y + 0.5)
                end = (x + between(random, -0.5, 0.5), y + between(random, 0.4, 1.2))
                fold = bezier((x, y), (x + between(random, -0.3, 0.3), y + 0.3), middle, end)
                thin = numpy.full(12, figure.line_width * 0.4)
                figure.canvas.stroke(figure.in_body(fold), thin, figure.line_colour(self.cloth_shade))

    def _draw_neck(self):
        figure, random, neck, top = self.figure, self.figure.random, self.neck, self.top
        right = [(neck, 0.5), (neck * 1.05, top - 0.1), (neck * 1.6, top + 0.3)]
        outline = figure.in_body([*right, *((-x, y) for x, y in reversed(right))])
        figure.part(outline, figure.skin, SKIN, line_of=figure.skin_shade, width=0.8)
        if chance(random, 0.08):
            scarf = [
                (-neck * 2.2, top - 0.05),
                (0, top - 0.35),
                (neck * 2.2, top - 0.05),
                (neck * 2.4, top + 0.35),
                (0, top + 0.5),
                (-neck * 2.4, top + 0.35),
            ]
            scarf = closed_spline(figure.in_body(scarf), 5)
            figure.part(scarf, self.second_cloth, CLOTH, line_of=scale(self.second_cloth, 0.6))
        elif figure.shaded:
            shadow = figure.in_body(
                [(-1, 0.4), (1, 0.4), (0.8, 1.05), (0, 1.3 + between(random, -0.1, 0.2)), (-0.8, 1.05)]
            )
            figure.canvas.shade(outline, shadow, figure.skin_shade, between(random, 0.5, 1))

    def _draw_ornaments(self):
        figure, random, neck, top = self.figure, self.figure.random, self.neck, self.top
        radius, line = figure.radius, figure.line_colour(self.cloth_shade)
        if chance(random, 0.6):
            for side in (-1, 1):
                edge = (side * between(random, 0.5, 1.1), top + between(random, 0.5, 1.0))
                points = [
                    (0, top + 0.55 + self.cut * 0.2),
                    (side * neck * 1.1, top - 0.2),
                    (side * neck * 2.2, top + 0.05),
                    edge,
                ]
                colour = self.second_cloth if chance(random, 0.7) else (245, 245, 245)
                figure.part(figure.in_body(points), colour, CLOTH, line_of=self.cloth_shade)
        if chance(random, 0.5):
            reach = between(random, 0.15, 0.5)
            for side in (-1, 1):
                points = [
                    (0, top + 0.5),
                    (side * reach, top + 0.5 - reach * 0.6),
                    (side * reach * 1.1, top + 0.5 + reach * 0.5),
                ]
                colour = random_colour(random, (0.4, 1), (0.3, 1))
                figure.part(figure.in_body(points), colour, CLOTH, line_of=self.cloth_shade)
            knot = figure.in_body([(0, top + 0.5)])[0]
            figure.canvas.ellipse(
                knot, 0.08 * radius, 0.08 * radius, self.second_cloth, CLOTH, line=line, line_width=figure.line_width
            )
        for _ in range(random.integers(0, 6)):
            place = figure.in_body([(between(random, -self.shoulder, self.shoulder), top + between(random, 0.3, 3))])[0]
            reach = between(random, 0.05, 0.35) * radius
            colour = random_colour(random, (0, 0.8), (0.2, 1))
            height = reach * between(random, 0.4, 1)
            figure.canvas.ellipse(place, reach, height, colour, CLOTH, line=line, line_width=figure.line_width)
        if chance(random, 0.15):
            for _ in range(random.integers(1, 4)):
                x = between(random, -0.5, 0.5) * self.shoulder
                place = figure.in_body([(x, top + between(random, 0.5, 2.5))])[0]
                draw_eye_like(random, figure.canvas, place, between(random, 0.08, 0.25) * radius, CLOTH)
