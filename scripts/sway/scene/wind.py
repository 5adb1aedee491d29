"""Long hair streaming in the wind: overlapping tapered locks and thin strands whose tips stand apart."""

import numpy

from ..labels import HAIR
from .geometry import WHITE, between, bezier, blend, chance, either_side, from_hsv, ribbon

POINTS = 14  # on the centre line of a lock


class Streaming:
    """The part of one figure's hair that the wind carries, in head units; `side` is where it blows, -1 or 1."""

    def __init__(self, figure, side):
        self.figure, self.side = figure, side
        random = figure.random
        self.length = between(random, 2.0, 5.5)
        self.angle = between(random, -0.55, 0.75)  # of its middle, downwards
        self.fan = between(random, 0.12, 0.65)
        self.count = int(random.integers(5, 15))
        self.width = between(random, 0.14, 0.36)
        self.sag = between(random, -0.1, 0.35)
        self.curl = between(random, -0.5, 0.35)
        self.root_depth = between(random, 0.5, 1.1)
        self.tail = chance(random, 0.22)
        if self.tail:
            figure.hair.length = min(figure.hair.length, between(random, 0.6, 1.2))
            self.tie = (side * between(random, 0.2, 1.1), between(random, -1.15, 0.5))
            self.fan *= 0.7
        self.rim = from_hsv(between(random, 0.03, 0.16), between(random, 0.1, 0.6), 1) if chance(random, 0.4) else None
        light = from_hsv(between(random, -0.1, 0.2) if chance(random, 0.6) else random.random(), 0.4, 0.9)
        self.end = blend(figure.hair_colour, light, between(random, 0.15, 0.75) if chance(random, 0.7) else 0.0)
        heading = figure.in_head([(side * numpy.cos(self.angle), numpy.sin(self.angle)), (0, 0)])
        self.axis = tuple(heading[0] - heading[1])
        if chance(random, 0.55):
            figure.hair.length = min(figure.hair.length, between(random, 0.8, 2.2))

    def _centre_line(self, place, reach, root=None):
        """The centre line of a lock; `place` -1..1 is its place from the top to the bottom of the hair."""
        random, side = self.figure.random, self.side
        if root is None:
            if self.tail:
                root = numpy.asarray(self.tie) + random.normal(0, 0.06, 2)
            else:
                root = numpy.array((side * between(random, 0.0, 0.75), -0.65 + self.root_depth * (place + 1)))
                root[1] += between(random, -0.15, 0.15)
        angle = self.angle + self.fan * place
        heading = numpy.array((side * numpy.cos(angle), numpy.sin(angle)))
        length = self.length * reach
        start = angle + self.sag + between(random, 0, 0.25)
        end = angle + self.curl + random.normal(0, 0.12)
        tip = root + heading * length
        first = root + numpy.array((side * numpy.cos(start), numpy.sin(start))) * length * 0.36
        second = tip - numpy.array((side * numpy.cos(end), numpy.sin(end))) * length * 0.3
        return bezier(root, first, second, tip, POINTS)

    def _lock(self, centre, width, colour, outlined=True):
        figure, random = self.figure, self.figure.random
        position = numpy.linspace(0, 1, POINTS)
        profile = (0.7 + 0.9 * position) * (1 - position ** between(random, 0.9, 2.2))
        half_width = numpy.clip(width * profile, 0.012, None)
        outline = figure.in_head(ribbon(centre, half_width))
        options = {}
        if chance(random, 0.6):
            options = {"colour_end": blend(colour, self.end, between(random, 0.4, 1)), "axis": self.axis}
        if outlined:
            figure.part(outline, colour, HAIR, line_of=figure.hair_shade, width=between(random, 0.4, 1), **options)
        else:
            figure.canvas.polygon(outline, colour, HAIR, **options)
        return outline, half_width

    def _details(self, centre, outline, half_width):
        figure, canvas, random = self.figure, self.figure.canvas, self.figure.random
        if figure.shaded:
            for _ in range(random.integers(0, 3)):
                aside = half_width * between(random, -0.7, 0.7)
                band = ribbon(centre + numpy.stack([aside * 0, aside], 1), half_width * between(random, 0.15, 0.4))
                tone = figure.hair_shade if chance(random, 0.7) else figure.hair_light
                canvas.shade(outline, figure.in_head(band), tone, between(random, 0.2, 0.8))
            if chance(random, 0.3):
                first = int(random.integers(1, 6))
                part = slice(first, first + int(random.integers(3, 5)))
                taper = numpy.sin(numpy.linspace(0.3, 2.8, len(centre[part])))
                gleam = ribbon(centre[part], half_width[part] * taper * between(random, 0.3, 0.9))
                canvas.shade(outline, figure.in_head(gleam), figure.hair_light, between(random, 0.3, 0.9))
        if figure.line_width > 0:
            for _ in range(random.integers(0, 4)):
                aside = half_width * between(random, -0.8, 0.8)
                line = figure.in_head(centre + numpy.stack([aside * 0, aside], 1))
                thin = numpy.linspace(0.4, 0.1, POINTS) * figure.line_width
                canvas.stroke(line, thin, figure.line_colour(figure.hair_shade))
        if self.rim is not None and chance(random, 0.5):
            edge = centre - numpy.stack([half_width * 0, half_width * 0.9], 1)
            canvas.stroke(figure.in_head(edge), numpy.full(POINTS, 0.012 * figure.radius), self.rim)

    def _strand(self, place, reach, root=None):
        """One thin strand beside the locks; too thin a one to be seen is no hair in the labels."""
        figure, random = self.figure, self.figure.random
        centre = self._centre_line(place, reach, root)
        half = between(random, 0.008, 0.035) * figure.radius
        label = HAIR if half * figure.canvas.size > 0.5 else None
        colour = blend(figure.hair_colour, self.end if chance(random, 0.6) else figure.hair_shade, random.random())
        profile = 1 - numpy.linspace(0, 1, POINTS) ** 2
        figure.canvas.stroke(figure.in_head(centre), numpy.clip(half * profile, 0.0008, None), colour, label)

    def draw_back(self):
        """What streams behind the head and the body."""
        figure, random = self.figure, self.figure.random
        places = numpy.linspace(-1, 1, self.count) if self.count > 1 else numpy.zeros(1)
        longest = between(random, 0.0, 0.5) * either_side(random)  # longer at the top or at the bottom
        lines = [self._centre_line(place, between(random, 0.6, 1.05) * (1 + longest * place * 0.5)) for place in places]
        colour = blend(figure.hair_colour, figure.hair_shade, between(random, 0.1, 0.9))
        self._draw_mass(lines, colour)
        for _ in range(random.integers(0, 8)):
            self._strand(between(random, -1.2, 1.2), between(random, 0.5, 1.15))
        for index in random.permutation(len(lines)):
            tone = blend(figure.hair_colour, figure.hair_shade, random.random() * 0.8)
            outline, half_width = self._lock(lines[index], self.width * between(random, 0.6, 1.3), tone)
            self._details(lines[index], outline, half_width)
        for _ in range(random.integers(2, 12)):
            place, reach = between(random, -1, 1), between(random, 0.35, 1.1)
            centre = self._centre_line(place, reach)
            tone = blend(figure.hair_colour, figure.hair_shade, random.random() * 0.6)
            outline, half_width = self._lock(centre, self.width * between(random, 0.25, 0.8), tone, chance(random, 0.7))
            self._details(centre, outline, half_width)
        for _ in range(random.integers(0, 9)):
            self._strand(between(random, -1.3, 1.3), between(random, 0.5, 1.2))

    def _draw_mass(self, lines, colour):
        """The closed mass between the locks, with a notch between each two tips."""
        figure, random = self.figure, self.figure.random
        if len(lines) < 2:
            return
        edge = [lines[0][: POINTS // 2 + 1]]
        for upper, lower in zip(lines, lines[1:]):
            notch = int(between(random, 0.25, 0.7) * POINTS)
            tip = upper[min(POINTS - 1, notch + int(random.integers(2, 6)))]
            edge.append(numpy.stack([tip, (upper[notch] + lower[notch]) / 2]))
        edge.append(lines[-1][POINTS // 2 :: -1])
        outline = figure.in_head(numpy.concatenate(edge))
        end = blend(colour, self.end, between(random, 0.3, 1))
        figure.part(outline, colour, HAIR, line_of=figure.hair_shade, colour_end=end, axis=self.axis)

    def draw_front(self):
        """Locks from the temples, in front of the shoulders and of what streams behind."""
        figure, random, side = self.figure, self.figure.random, self.side
        if self.tail and chance(random, 0.6):
            return
        for _ in range(random.integers(0, 7)):
            place = between(random, -0.6, 1.3)
            root = (side * figure.hair.width * between(random, 0.55, 0.9), between(random, -0.7, 0.2))
            centre = self._centre_line(place, between(random, 0.2, 0.75), numpy.array(root))
            tone = blend(figure.hair_colour, figure.hair_shade, random.random() * 0.4)
            outline, half_width = self._lock(centre, self.width * between(random, 0.4, 1.0), tone)
            self._details(centre, outline, half_width)
        for _ in range(random.integers(0, 5)):
            crown = numpy.array((between(random, -0.8, 0.8), -0.9 - figure.hair.volume * between(random, 0.2, 1)))
            self._strand(between(random, -1.5, 0.5), between(random, 0.1, 0.45), crown)
        if figure.shaded and chance(random, 0.5):
            self._draw_gleams()

    def _draw_gleams(self):
        """A broken band of light over the bangs."""
        figure, random = self.figure, self.figure.random
        height = between(random, -0.8, -0.5)
        for x in numpy.arange(-0.8, 0.85, between(random, 0.12, 0.25)):
            if chance(random, 0.25):
                continue
            y = height + 0.3 * x * x + between(random, -0.05, 0.05)
            half, tall = between(random, 0.03, 0.1), between(random, 0.08, 0.25)
            corners = [(x - half, y), (x - half * 0.4, y - tall), (x + half * 0.5, y - tall * 0.8), (x + half, y)]
            corners += [(x + half * 0.4, y + tall), (x, y + tall * 0.4), (x - half * 0.5, y + tall * 0.9)]
            light = blend(figure.hair_light, WHITE, 0.2)
            figure.canvas.shade(None, figure.in_head(corners), light, between(random, 0.4, 1))


