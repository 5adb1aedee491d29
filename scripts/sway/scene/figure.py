"""One figure: its pose, colours and line style, and the order its parts are drawn in.

Parts are drawn in head units: (0, 0) is the middle of the head, 1 its radius, y downwards.
"""

from dataclasses import dataclass

import numpy

from .accessories import draw_animal_ears, draw_hair_ornament, draw_hat, draw_headphones
from .body import Body
from .face import Face
from .geometry import WHITE, between, blend, chance, either_side, from_hsv, random_colour, rotation, scale
from .hair import Hair
from .uniform import draw_hair_flowers, draw_uniform
from .wind import Streaming


@dataclass
class Style:
    """How all figures of one picture are drawn.

    `line` is "ink", "colour" (a darker tone of each part) or "none"; `line_width` a fraction of the head radius;
    `shading` is "cel", "soft" or "flat"; `iris_detail` is 0 to 2.
    """

    line: str
    line_width: float
    ink: tuple
    line_darkness: float
    shading: str
    iris_detail: int

    @classmethod
    def draw_from(cls, random):
        """A random style."""
        darkest = 70 if chance(random, 0.85) else 200
        return cls(
            line=str(random.choice(["ink", "colour", "none"], p=[0.42, 0.42, 0.16])),
            line_width=between(random, 0.008, 0.045),
            ink=tuple(int(channel) for channel in random.integers(0, darkest, 3)),
            line_darkness=between(random, 0.25, 0.75),
            shading=str(random.choice(["cel", "soft", "flat"], p=[0.55, 0.3, 0.15])),
            iris_detail=int(random.integers(0, 3)),
        )


@dataclass
class Breeze:
    """The weather around a figure outdoors: where the wind blows (-1 or 1), and whether it is night."""

    side: int
    night: bool


# Short hair and hair that is up does not stream.
STREAMING_HAIR = ("bob", "long", "very long", "pony tail")


class Figure:
    """A figure at `centre` (picture fractions) with head radius `radius` (a fraction of the side)."""

    def __init__(self, canvas, random, centre, radius, style, hair_kinds, breeze=None):
        self.canvas, self.random, self.radius, self.style = canvas, random, radius, style
        self.centre = numpy.asarray(centre, float)
        self.roll = random.normal(0, 0.16 if chance(random, 0.9) else 0.5)
        self.yaw = float(numpy.clip(random.normal(0, 0.45), -1, 1))
        if chance(random, 0.06):
            self.yaw = either_side(random) * between(random, 1.25, 1.6)  # in profile
        self.pitch = random.normal(0, 0.08)
        self.from_behind = chance(random, 0.04)
        self._head_turn = rotation(self.roll)
        self._body_turn = rotation(self.roll * between(random, -0.3, 0.5))
        self.line_width = 0.0 if style.line == "none" else style.line_width * radius
        self._choose_colours()
        self.hair = Hair(self, hair_kinds)
        self.body = Body(self)
        self.face = Face(self)
        self.breeze, self.streaming = breeze, None
        if breeze is not None:
            self._stand_in(breeze)

    def _stand_in(self, breeze):
        random = self.random
        if breeze.night and chance(random, 0.5):
            self.hair_colour = scale(self.hair_colour, between(random, 0.1, 0.5))
            self.hair_shade = scale(self.hair_colour, between(random, 0.3, 0.8))
        if self.hair.kind in STREAMING_HAIR:
            self.hair.gust = breeze.side * between(random, 0, 0.5)
            self.streaming = Streaming(self, breeze.side)
        if chance(random, 0.1):
            self.face.eyes.mode = "closed"

    def _choose_colours(self):
        random = self.random
        kind = random.random()
        if kind < 0.80:
            self.skin = from_hsv(between(random, 0.02, 0.1), between(random, 0.03, 0.35), between(random, 0.85, 1))
        elif kind < 0.94:
            self.skin = from_hsv(between(random, 0.02, 0.09), between(random, 0.3, 0.6), between(random, 0.35, 0.85))
        else:
            self.skin = random_colour(random, (0.05, 0.4), (0.5, 1))
        tone = from_hsv(between(random, 0.9, 1.05), 0.5, 0.8)
        self.skin_shade = blend(scale(self.skin, between(random, 0.75, 0.92)), tone, between(random, 0.05, 0.3))
        hue = random.random()
        if chance(random, 0.35):
            saturation, value = between(random, 0, 0.25), between(random, 0.1, 1)
        else:
            saturation, value = between(random, 0.2, 0.9), between(random, 0.25, 1)
        self.hair_colour = from_hsv(hue if chance(random, 0.6) else between(random, 0.02, 0.15), saturation, value)
        tone = from_hsv(hue + between(random, -0.1, 0.1), 0.6, 0.4)
        self.hair_shade = blend(scale(self.hair_colour, between(random, 0.55, 0.85)), tone, between(random, 0, 0.3))
        self.hair_light = blend(self.hair_colour, WHITE, between(random, 0.2, 0.8))
        self.hair_end = None
        if chance(random, 0.2):
            self.hair_end = blend(
                self.hair_colour, random_colour(random, (0.2, 0.8), (0.4, 1)), between(random, 0.3, 1)
            )

    def in_head(self, points):
        """Points in head units that turn with the head, as picture fractions: float [n, 2]."""
        return (numpy.asarray(points, float).reshape(-1, 2) @ self._head_turn) * self.radius + self.centre

    def in_body(self, points):
        """Points in head units that turn with the body, as picture fractions: float [n, 2]."""
        return (numpy.asarray(points, float).reshape(-1, 2) @ self._body_turn) * self.radius + self.centre

    def line_colour(self, colour):
        """The outline colour of a part filled with `colour`, or None where the style has no lines."""
        if self.style.line == "none":
            return None
        return self.style.ink if self.style.line == "ink" else scale(colour, self.style.line_darkness)

    def part(self, points, colour, label, line_of=None, width=1.0, **options):
        """Fill and outline a polygon (picture fractions) in this figure's line style."""
        line = self.line_colour(colour if line_of is None else line_of)
        self.canvas.polygon(points, colour, label, line, self.line_width * width, **options)

    @property
    def shaded(self):
        """Whether parts have shadows and highlights."""
        return self.style.shading != "flat"

    def soft_edge(self, amount):
        """The blur, in pixels, of a shadow's edge: 0 in cel shading, else `amount` head radii."""
        return 0.0 if self.style.shading == "cel" else self.radius * self.canvas.size * amount

    def draw(self):
        """Draw every part, far to near. Returns the centres of the eyes that were drawn open, left to right.

        Each is (x, y) in picture fractions, or None for a closed, hidden or missing eye.
        """
        random = self.random
        self.hair.draw_back()
        if self.streaming:
            self.streaming.draw_back()
        self.body.draw()
        if self.breeze:
            draw_uniform(self, self.breeze.side)
        if chance(random, 0.15):
            draw_animal_ears(self)
        open_eyes = [None, None]
        if self.from_behind:
            self.hair.draw_from_behind()
        else:
            self.face.draw_skin()
            eyes_over_hair = chance(random, 0.35)
            if not eyes_over_hair:
                open_eyes = self.face.draw_eyes()
                self.face.draw_brows()
            self.face.draw_glasses()
            self.hair.draw_front()
            if eyes_over_hair:
                open_eyes = self.face.draw_eyes()
                self.face.draw_brows()
            elif chance(random, 0.3):
                self.face.draw_brows()
        if self.streaming and not self.from_behind:
            self.streaming.draw_front()
        if self.breeze and chance(random, 0.4):
            draw_hair_flowers(self)
        if chance(random, 0.25):
            draw_hair_ornament(self)
        if chance(random, 0.08):
            draw_hat(self)
        elif chance(random, 0.05):
            draw_headphones(self)
        self.body.draw_front_arms()
        return open_eyes
