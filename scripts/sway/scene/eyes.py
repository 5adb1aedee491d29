"""Eyes: aperture, iris, highlights, lashes, and the lines of closed eyes."""

import numpy

from ..labels import EYE, LASH
from .geometry import WHITE, between, blend, chance, random_colour, scale

# In profile, past this yaw, the far eye is out of sight.
FAR_EYE_HIDDEN = 1.2


class Eyes:
    """The pair of eyes of one figure, in head units."""

    def __init__(self, figure):
        self.figure = figure
        random = figure.random
        self.y = between(random, 0.08, 0.3) + figure.pitch
        self.x = between(random, 0.36, 0.5)
        self.width = between(random, 0.18, 0.31)  # half of the aperture's width
        self.height = self.width * between(random, 0.8, 2.1) * (1 if chance(random, 0.8) else 0.6)
        self.tilt = between(random, -0.25, 0.3)
        self.mode = str(random.choice(["open", "closed", "half", "wink"], p=[0.80, 0.08, 0.07, 0.05]))
        self.hidden = int(random.integers(0, 2)) if chance(random, 0.08) else None
        self.iris = random_colour(random, (0.1, 0.95), (0.3, 1))
        self.iris_dark = scale(self.iris, between(random, 0.15, 0.5))
        hair_dark = blend(scale(figure.hair_colour, 0.35), (30, 15, 20), between(random, 0.2, 0.9))
        self.lash_colour = figure.style.ink if chance(random, 0.6) else hair_dark
        self.lash_width = between(random, 0.03, 0.09) if chance(random, 0.75) else between(random, 0.08, 0.15)
        self.outer_drop = chance(random, 0.4)
        self.spikes = int(random.integers(1, 6)) if chance(random, 0.3) else 0
        self.peak = between(random, -0.35, 0.35)  # where the upper lid is highest: negative inwards
        self.iris_height = between(random, 0.44, 0.52) if chance(random, 0.6) else between(random, 0.5, 0.75)
        self.sclera = blend(WHITE, (200, 205, 235), between(random, 0, 0.7)) if chance(random, 0.85) else figure.skin
        self.gaze = (random.normal(0, 0.12), random.normal(0, 0.06))
        self.iris_width = between(random, 0.55, 0.95)
        self.highlights = int(random.integers(0, 4))
        self.lower_line = chance(random, 0.5)
        self.crease = chance(random, 0.5)
        self.wing = between(random, 0, 0.12)
        self.squareness = between(random, 0.6, 1.3)
        self.lower_flatness = between(random, 0.6, 1.1)
        self.blank = chance(random, 0.08)

    def draw(self):
        """Draw both; returns the aperture's centre (picture fractions) of each drawn open, else None."""
        return [self._draw_one(index, side) for index, side in enumerate((-1, 1))]

    def _draw_one(self, index, side):
        if index == self.hidden or side * self.figure.yaw > FAR_EYE_HIDDEN:
            return None
        figure = self.figure
        canvas, head = figure.canvas, figure.in_head
        foreshortened = 1 - 0.45 * max(0, side * figure.yaw)
        x, width = side * self.x + figure.yaw * 0.28, self.width * foreshortened
        t = numpy.linspace(-1, 1, 13)
        slope = -self.tilt * 0.25 * t * side * width
        if self.mode == "closed" or (self.mode == "wink" and index == 0):
            self._draw_closed(x, width, t, slope)
            return None
        height = self.height * (0.45 if self.mode == "half" else 1)
        skewed = t - self.peak * side * (1 - t**2)
        upper = -height * 0.5 * (1 - numpy.abs(skewed) ** (2.2 * self.squareness)) + slope
        lower = height * 0.5 * (1 - numpy.abs(t) ** (2.6 * self.squareness)) * self.lower_flatness + slope
        upper_line = numpy.stack([x + t * width, self.y + upper], 1)
        lower_line = numpy.stack([x + t * width, self.y + lower], 1)
        aperture = head(numpy.concatenate([upper_line, lower_line[::-1]]))
        canvas.polygon(aperture, self.sclera, EYE)
        if not self.blank:
            self._draw_iris(x, width, height, canvas.pixels(aperture))
        if figure.shaded:
            band = numpy.concatenate([upper_line, (upper_line + (0, height * 0.18))[::-1]])
            canvas.shade(aperture, head(band), blend(self.sclera, (70, 60, 100), 0.6), 0.5)
        self._draw_lashes(x, width, height, side, t, upper, lower)
        return aperture.mean(0)

    def _draw_closed(self, x, width, t, slope):
        figure = self.figure
        curve = self.height * 0.25 * (1 if chance(figure.random, 0.6) else -1)
        centre = figure.in_head(numpy.stack([x + t * width, self.y + curve * (1 - t**2) + slope], 1))
        thickness = self.lash_width * figure.radius * 0.6 * (1 - 0.7 * numpy.abs(t) ** 3)
        figure.canvas.stroke(centre, thickness, self.lash_colour, LASH)
        if figure.breeze and chance(figure.random, 0.6):
            self._outline_lid(x, width, t, slope)

    def _outline_lid(self, x, width, t, slope):
        """The lid of a closed eye as an almond of soft lines: the outline of an eye without an eye in it."""
        figure, random = self.figure, self.figure.random
        soft = blend(self.lash_colour, figure.skin_shade, between(random, 0.2, 0.8))
        if chance(random, 0.5):
            almond = self.height * 0.5 * (1 - t**2)
            lid = numpy.concatenate([numpy.stack([x + t * width, self.y - almond], 1), [(x + width, self.y)]])
            figure.canvas.shade(None, figure.in_head(lid), figure.skin_shade, between(random, 0.1, 0.6))
        for direction in (-1, 1)[: random.integers(1, 3)]:
            line = numpy.stack([x + t * width * 0.95, self.y + direction * self.height * 0.4 * (1 - t**2) + slope], 1)
            figure.canvas.stroke(figure.in_head(line), numpy.full(13, self.lash_width * 0.15 * figure.radius), soft)

    def _draw_iris(self, x, width, height, clip):
        figure = self.figure
        random, radius = figure.random, figure.radius
        place = (x + self.gaze[0] * width + figure.yaw * 0.05, self.y + self.gaze[1] * height + height * 0.04)
        centre = figure.in_head([place])[0]
        reach_y = height * self.iris_height * radius
        reach_x = min(width * self.iris_width * between(random, 0.62, 0.7) * radius, reach_y * 1.05)

        def disc(offset, part_x, part_y, colour, colour_end=None):
            middle = centre + numpy.array(offset) * (reach_x, reach_y)
            figure.canvas.ellipse(
                middle,
                reach_x * part_x,
                reach_y * part_y,
                colour,
                EYE,
                turn=figure.roll,
                colour_end=colour_end,
                clip=clip,
            )

        disc((0, 0), 1, 1, self.iris_dark)
        if figure.style.iris_detail > 0:
            disc((0, 0), 0.88, 0.9, scale(self.iris, 0.7), blend(self.iris, WHITE, 0.35))
        else:
            disc((0, 0), 0.9, 0.92, self.iris)
        if figure.style.iris_detail != 2:
            disc((0, 0), 0.42, 0.45, scale(self.iris_dark, 0.5))
        if chance(random, 0.5):
            disc((0, -0.55), 0.85, 0.4, self.iris_dark)
        if self.highlights > 0:
            disc((-0.35, -0.42), 0.28, 0.22, WHITE)
        if self.highlights > 1:
            disc((0.35, 0.4), 0.18, 0.14, WHITE)
        if self.highlights > 2:
            disc((0, 0.6), 0.5, 0.2, blend(self.iris, WHITE, 0.5))

    def _draw_lashes(self, x, width, height, side, t, upper, lower):
        figure = self.figure
        canvas, head, thick = figure.canvas, figure.in_head, self.lash_width * figure.radius
        line = head(numpy.stack([x + t * width * 1.05, self.y + upper], 1))
        profile = (0.35 + 0.65 * (1 - numpy.abs(t) ** 3)) * (1 + 0.5 * side * t)
        canvas.stroke(line, thick * 0.5 * numpy.clip(profile, 0.1, None), self.lash_colour, LASH)
        outer, before = (-1, -2) if side > 0 else (0, 1)
        if self.wing > 0.03:
            corner = self.y + upper[outer]
            wing = [
                (x + side * width * 0.9, self.y + upper[before]),
                (x + side * width * (1.1 + self.wing), corner - height * 0.12 - self.wing * 0.5),
                (x + side * width * 1.02, corner + height * 0.08),
            ]
            canvas.polygon(head(wing), self.lash_colour, LASH)
        if self.outer_drop:
            end = slice(-5, None) if side > 0 else slice(None, 5)
            line = head(numpy.stack([x + t[end] * width, self.y + lower[end]], 1))
            towards = numpy.linspace(0.1, 0.6, 5)
            canvas.stroke(line, thick * (towards if side > 0 else towards[::-1]), self.lash_colour, LASH)
        for spike in range(self.spikes):
            place = min(max(6 + side * (6 - spike), 1), 11)
            root = numpy.array((x + t[place] * width, self.y + upper[place]))
            tip = root + (side * width * (0.1 + 0.03 * spike), -self.lash_width * between(figure.random, 0.7, 1.6))
            base = numpy.array((width * 0.06, 0))
            canvas.polygon(head([root - base, tip, root + base]), self.lash_colour, LASH)
        soft = blend(self.lash_colour, figure.skin_shade, 0.4)
        if self.lower_line:
            middle = slice(3, -3)
            line = head(numpy.stack([x + t[middle] * width, self.y + lower[middle]], 1))
            canvas.stroke(line, numpy.full(7, thick * 0.15), soft)
        if self.crease:
            line = head(numpy.stack([x + t * width * 0.85, self.y + upper - height * 0.14 - 0.03], 1))
            canvas.stroke(line, numpy.full(13, thick * 0.12), soft)
