"""The face: skin, ears, blush, brows, nose, mouth and glasses; the eyes are in eyes.py."""

import numpy

from ..labels import BROW, FACE, MOUTH
from .eyes import Eyes
from .geometry import between, bezier, blend, chance, circle, closed_spline, either_side, from_hsv, scale


class Face:
    """The face of one figure, in head units."""

    def __init__(self, figure):
        self.figure = figure
        self.eyes = Eyes(figure)
        random = figure.random
        self.brow_width = between(random, 0.01, 0.04)
        self.brow_y = self.eyes.y - self.eyes.height * 0.5 - between(random, 0.12, 0.3)
        self.brow_arch = between(random, -0.05, 0.12)
        self.brow_tilt = random.normal(0, 0.12)
        self.brow_colour = blend(scale(figure.hair_colour, 0.6), self.eyes.lash_colour, between(random, 0, 0.8))

    def draw_skin(self):
        """Ears, the head's skin with its shadows, blush, nose and mouth."""
        figure, random = self.figure, self.figure.random
        jaw, chin, cheek = between(random, 0.45, 0.72), between(random, 0.85, 1.12), between(random, 0.82, 0.98)
        outline = self._outline(jaw, chin, cheek)
        line, radius = figure.line_colour(figure.skin_shade), figure.radius
        if chance(random, 0.6):
            for side in (-1, 1):
                if side * figure.yaw < 0.4:
                    back = figure.yaw * 0.12 if abs(figure.yaw) <= 1 else side * 0.6
                    ear = figure.in_head([(side * cheek * 1.02 - back, 0.18)])[0]
                    options = {"turn": figure.roll, "line": line, "line_width": figure.line_width}
                    figure.canvas.ellipse(ear, 0.16 * radius, 0.24 * radius, figure.skin, FACE, **options)
        face = closed_spline(figure.in_head(outline), 5)
        if abs(figure.yaw) > 1:
            side, y = figure.yaw / abs(figure.yaw), 0.47 + figure.pitch
            nose = [(side * 0.6, y - 0.35), (side * cheek * 1.12, y), (side * 0.6, y + 0.12)]
            figure.part(figure.in_head(nose), figure.skin, FACE, line_of=figure.skin_shade)
        figure.part(face, figure.skin, FACE, line_of=figure.skin_shade)
        if figure.shaded:
            self._draw_shadows(face)
        if chance(random, 0.55):
            self._draw_blush(face)
        self._draw_nose()
        self._draw_mouth()

    def _outline(self, jaw, chin, cheek):
        shift = self.figure.yaw * 0.12
        right = [(cheek, 0.15), (0.92, -0.35), (0.6, -0.85)]
        left = [(-x, y) for x, y in reversed(right)]
        low = [
            (-cheek * 0.88 + shift * 0.5, 0.45),
            (-jaw + shift, 0.72),
            (-0.14 + shift * 1.6, chin - 0.02),
            (0.14 + shift * 1.6, chin - 0.02),
            (jaw + shift, 0.72),
            (cheek * 0.88 + shift * 0.5, 0.45),
        ]
        return [(0, -1.0), *left, *low, *right]

    def _draw_shadows(self, face):
        figure, random = self.figure, self.figure.random
        if chance(random, 0.6):
            hem = [(1.05, (-0.3, 0.2)), (0.4, (-0.4, 0)), (0, (-0.35, 0.05)), (-0.5, (-0.4, 0)), (-1.05, (-0.3, 0.2))]
            points = [(-1.1, -0.9), (1.1, -0.9), *((x, between(random, *y)) for x, y in hem)]
            shape = figure.in_head(closed_spline(points, 4))
            figure.canvas.shade(face, shape, figure.skin_shade, between(random, 0.3, 0.9), figure.soft_edge(0.06))
        if chance(random, 0.4):
            side = either_side(random)
            shape = figure.in_head([(side * 1.1, -0.5), (side * 0.6, 0.3), (side * 0.3, 1.2), (side * 1.2, 1.2)])
            figure.canvas.shade(face, shape, figure.skin_shade, between(random, 0.3, 0.8), figure.soft_edge(0.08))

    def _draw_blush(self, face):
        figure, random = self.figure, self.figure.random
        for side in (-1, 1):
            place = (side * between(random, 0.48, 0.6) + figure.yaw * 0.2, between(random, 0.42, 0.55))
            shape = figure.in_head([place]) + circle(16) * (0.2 * figure.radius, 0.1 * figure.radius)
            colour = from_hsv(between(random, 0.95, 1.03), 0.5, 1)
            blur = figure.radius * figure.canvas.size * 0.06
            figure.canvas.shade(face, shape, colour, between(random, 0.2, 0.7), blur)

    def _draw_nose(self):
        figure, random = self.figure, self.figure.random
        canvas, radius = figure.canvas, figure.radius
        x, y = figure.yaw * 0.42, between(random, 0.42, 0.52) + figure.pitch
        kind = random.choice(["dot", "line", "shadow", "none"])
        if kind == "dot":
            canvas.ellipse(figure.in_head([(x, y)])[0], 0.02 * radius, 0.02 * radius, figure.skin_shade)
        elif kind == "line":
            curve = bezier((x, y - 0.1), (x + 0.03, y - 0.03), (x + 0.05, y), (x - 0.02, y + 0.02), 6)
            canvas.stroke(figure.in_head(curve), numpy.full(6, 0.012 * radius), figure.skin_shade)
        elif kind == "shadow":
            canvas.polygon(
                figure.in_head([(x - 0.05, y + 0.02), (x + 0.03, y - 0.12), (x + 0.06, y + 0.02)]), figure.skin_shade
            )

    def _draw_mouth(self):
        figure, random = self.figure, self.figure.random
        canvas = figure.canvas
        x, y = figure.yaw * 0.34, between(random, 0.62, 0.74) + figure.pitch
        width = between(random, 0.08, 0.3)
        line = blend(self.eyes.lash_colour, (150, 50, 50), between(random, 0.2, 0.8))
        if chance(random, 0.5):
            t = numpy.linspace(-1, 1, 9)
            curve = numpy.stack([x + t * width, y + between(random, -0.04, 0.08) * (1 - t**2)], 1)
            thick = numpy.full(9, between(random, 0.008, 0.025) * figure.radius)
            canvas.stroke(figure.in_head(curve), thick, line, MOUTH)
            return
        height = between(random, 0.05, 0.32)
        upper = (x, y - height * 0.05 + between(random, -0.03, 0.03))
        lower = [(x + width * 0.6, y + height * 0.7), (x, y + height), (x - width * 0.6, y + height * 0.7)]
        outline = figure.in_head(closed_spline([(x - width, y), upper, (x + width, y), *lower], 4))
        inside = from_hsv(between(random, 0.95, 1.03), between(random, 0.4, 0.8), between(random, 0.3, 0.8))
        canvas.polygon(outline, inside, MOUTH, line, figure.line_width * 0.8)

        def band(top, bottom):
            return figure.in_head([(x - width, top), (x + width, top), (x + width, bottom), (x - width, bottom)])

        if chance(random, 0.4):
            canvas.shade(outline, band(y - 0.1, y + height * 0.25), (255, 250, 250), 1)
        if chance(random, 0.5):
            canvas.shade(outline, band(y + height * 0.6, y + height * 1.2), (240, 140, 140), 1)

    def draw_eyes(self):
        """Draw the eyes; returns what `Eyes.draw` returns."""
        return self.eyes.draw()

    def draw_brows(self):
        """Draw both brows."""
        figure, eyes = self.figure, self.eyes
        t = numpy.linspace(-1, 1, 9)
        for side in (-1, 1):
            x = side * eyes.x + figure.yaw * 0.26
            y = self.brow_y - self.brow_arch * (1 - t**2) - self.brow_tilt * t * side * 0.4
            thick = self.brow_width * figure.radius * (1 - 0.48 * t * side)
            curve = figure.in_head(numpy.stack([x + t * eyes.width * 0.95, y], 1))
            figure.canvas.stroke(curve, thick, self.brow_colour, BROW)

    def draw_glasses(self):
        """Rarely, round or wide frames around the eyes; the frames keep the label of what they cover."""
        figure, random, eyes = self.figure, self.figure.random, self.eyes
        if not chance(random, 0.09):
            return
        colour = tuple(random.integers(0, 120, 3).tolist())
        width, height = eyes.width * 1.25 * figure.radius, max(eyes.height * 0.65, eyes.width * 0.8) * figure.radius
        options = {"turn": figure.roll, "line": colour, "line_width": between(random, 0.02, 0.05) * figure.radius}
        for side in (-1, 1):
            centre = figure.in_head([(side * eyes.x + figure.yaw * 0.28, eyes.y)])[0]
            figure.canvas.ellipse(centre, width, height, None, **options)
        bridge = [(side * max(eyes.x - eyes.width * 1.2, 0.02) + figure.yaw * 0.28, eyes.y) for side in (-1, 1)]
        figure.canvas.stroke(figure.in_head(bridge), numpy.full(2, options["line_width"] * 0.5), colour)
