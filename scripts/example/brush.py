"""Drawing tools on top of cairo: curves, tapered ink, gradients, blurred layers, light and shadow from silhouettes.

A path is an array of points, float64 `[N, 2]`, in picture units (1280 x 720), x to the right, y down. Every shape is a
dense polyline through a few given points, so that outlines can be offset, tapered and joined without path algebra.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import cairo
import numpy as np
from PIL import Image, ImageFilter

# --------------------------------------------------------------------------------------------------------------- paths


def curve(*points, closed=False, samples=20):
    """A smooth path through `points` (centripetal Catmull-Rom, which never overshoots into loops)."""
    knots = np.asarray(points, dtype=float)
    if closed:
        knots = np.vstack([knots[-1], knots, knots[0], knots[1]])
    else:
        knots = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    steps = np.sqrt(np.linalg.norm(np.diff(knots, axis=0), axis=1)).clip(1e-6)
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    pieces = []
    for i in range(1, len(knots) - 2):
        before, here, after = steps[i - 1], steps[i], steps[i + 1]
        a, b, c, d = knots[i - 1 : i + 3]
        leave = here * ((b - a) / before - (c - a) / (before + here) + (c - b) / here)
        arrive = here * ((c - b) / here - (d - b) / (here + after) + (d - c) / after)
        pieces.append(
            (2 * t**3 - 3 * t**2 + 1) * b
            + (t**3 - 2 * t**2 + t) * leave
            + (-2 * t**3 + 3 * t**2) * c
            + (t**3 - t**2) * arrive
        )
    return np.vstack(pieces + [knots[-2:-1]])


def join(*paths):
    """Paths one after the other: corners stay sharp where they meet."""
    return np.vstack(paths)


def ellipse(x, y, rx, ry, turn=0.0, samples=72):
    """A closed ellipse, `turn` in degrees."""
    angle = np.linspace(0, 2 * np.pi, samples, endpoint=False)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    px, py = rx * np.cos(angle), ry * np.sin(angle)
    return np.stack([x + c * px - s * py, y + s * px + c * py], axis=1)


def resample(path, count):
    """The same path with `count` points at equal distances."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, path[:, 0]), np.interp(at, length, path[:, 1])], axis=1)


def section(path, start, end):
    """The part of an equally sampled path between two fractions of its length."""
    last = len(path) - 1
    return path[int(round(start * last)) : int(round(end * last)) + 1]


def normals(path):
    """Unit normals, to the left of the direction of travel as seen on the screen."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True).clip(1e-9)
    return np.stack([along[:, 1], -along[:, 0]], axis=1)


def offset(path, distance):
    """The path moved sideways by `distance` (one number, or one a point)."""
    return path + normals(path) * np.broadcast_to(distance, len(path))[:, None]


def band(spine, left, right):
    """The closed outline between the offsets `left` and `right` of a spine."""
    return join(offset(spine, left), offset(spine, right)[::-1])


# --------------------------------------------------------------------------------------------------------------- paint


def rgba(text, alpha=1.0):
    """`"#rrggbb"` -> four numbers in 0..1."""
    return tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)) + (alpha,)


def mix(first, second, amount):
    """The colour `amount` of the way from `first` to `second`."""
    a, b = rgba(first), rgba(second)
    return "#" + "".join(f"{round(255 * (p + (q - p) * amount)):02x}" for p, q in zip(a[:3], b[:3], strict=True))


def _stops(gradient, stops):
    for position, colour in stops:
        gradient.add_color_stop_rgba(position, *(rgba(colour) if isinstance(colour, str) else colour))
    return gradient


def linear(start, end, *stops):
    """A gradient from point to point; each stop is `(position, colour)`."""
    return _stops(cairo.LinearGradient(*start, *end), stops)


def radial(centre, radius, *stops):
    """A round gradient from the centre out to `radius`."""
    return _stops(cairo.RadialGradient(*centre, 0, *centre, radius), stops)


# -------------------------------------------------------------------------------------------------------------- canvas


@dataclass
class Rim:
    """Light that grazes a silhouette: `x`, `y` point towards the lamp, their length is the width of the edge."""

    x: float
    y: float
    colour: str
    strength: float


class Canvas:
    """A transparent picture. `scale` is how many device pixels a picture unit has."""

    def __init__(self, width, height, scale):
        self.size, self.scale = (width, height), scale
        self.surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, int(width * scale), int(height * scale))
        self.context = cairo.Context(self.surface)
        self.context.scale(scale, scale)

    def layer(self):
        """An empty canvas of the same size and with the same transform."""
        canvas = Canvas(*self.size, self.scale)
        canvas.context.set_matrix(self.context.get_matrix())
        return canvas

    def pixels(self):
        """The premultiplied BGRA bytes, uint8 `[H, W, 4]`, shared with the canvas."""
        self.surface.flush()
        return np.ndarray((self.surface.get_height(), self.surface.get_width(), 4), np.uint8, self.surface.get_data())

    @contextmanager
    def placed(self, x, y, turn=0.0, stretch=(1.0, 1.0)):
        """Draw with the origin at `x, y`, turned by degrees, then stretched."""
        self.context.save()
        self.context.translate(x, y)
        self.context.rotate(np.radians(turn))
        self.context.scale(*stretch)
        yield self
        self.context.restore()

    def _trace(self, path, closed=True):
        self.context.new_path()
        for x, y in path:
            self.context.line_to(x, y)
        if closed:
            self.context.close_path()

    @contextmanager
    def clipped(self, path):
        self.context.save()
        self._trace(path)
        self.context.clip()
        yield self
        self.context.restore()

    def _source(self, paint, alpha=1.0):
        if isinstance(paint, str):
            self.context.set_source_rgba(*rgba(paint, alpha))
        elif isinstance(paint, tuple):
            self.context.set_source_rgba(*paint)
        else:
            self.context.set_source(paint)

    def fill(self, path, paint, alpha=1.0):
        """Fill a closed path; `paint` is a colour or a gradient."""
        self._source(paint, alpha)
        self._trace(path)
        self.context.fill()

    def wash(self, paint, alpha=1.0):
        """Paint everything the clip lets through."""
        self._source(paint, alpha)
        self.context.paint()

    def ink(self, path, width, colour, alpha=1.0, ends=(0.15, 0.15), swell=0.5):
        """A pen line: `ends` are the widths of its ends as fractions of `width`, `swell` is where it is thickest."""
        line = resample(path, max(8, len(path)))
        t = np.linspace(0, 1, len(line))
        rise = np.where(t < swell, t / max(swell, 1e-6), (1 - t) / max(1 - swell, 1e-6)).clip(0, 1)
        floor = np.where(t < swell, ends[0], ends[1])
        half = 0.5 * width * (floor + (1 - floor) * np.sin(rise * np.pi / 2) ** 0.8)
        self.fill(band(line, half, -half), colour, alpha)

    def put(self, canvas, alpha=1.0, operator=cairo.OPERATOR_OVER):
        """Lay another canvas of the same size over this one, inside the present clip."""
        self.context.save()
        self.context.set_matrix(cairo.Matrix(1, 0, 0, 1, 0, 0))
        self.context.set_operator(operator)
        self.context.set_source_surface(canvas.surface, 0, 0)
        self.context.paint_with_alpha(alpha)
        self.context.restore()

    @contextmanager
    def together(self, alpha=1.0, operator=cairo.OPERATOR_OVER):
        """What is drawn inside is laid down as one: overlaps do not add up."""
        self.context.push_group()
        yield self
        self.context.pop_group_to_source()
        self.context.set_operator(operator)
        self.context.paint_with_alpha(alpha)
        self.context.set_operator(cairo.OPERATOR_OVER)

    def blur(self, radius):
        """Gaussian blur in place; `radius` in picture units."""
        pixels = self.pixels()
        image = Image.fromarray(pixels.copy(), "RGBA").filter(ImageFilter.GaussianBlur(radius * self.scale))
        pixels[:] = np.asarray(image)
        self.surface.mark_dirty()

    @contextmanager
    def soft(self, radius, alpha=1.0, operator=cairo.OPERATOR_OVER):
        """What is drawn inside is blurred before it is laid down."""
        canvas = self.layer()
        yield canvas
        canvas.blur(radius)
        self.put(canvas, alpha, operator)

    @contextmanager
    def onto(self):
        """What is drawn inside stays within what the canvas already shows (for shading)."""
        canvas = self.layer()
        yield canvas
        self.put(canvas, operator=cairo.OPERATOR_ATOP)

    def cast(self, caster, dx, dy, colour, alpha, blur=0.0):
        """The flat shadow that `caster` throws on what this canvas already shows, moved by `dx, dy`."""
        shape = _moved(caster.pixels()[..., 3], dx * self.scale, dy * self.scale)
        shade = Canvas(*self.size, self.scale)
        pixels = shade.pixels()
        strength = shape[..., None] / 255.0 * alpha
        pixels[:] = np.rint(strength * 255 * np.array([*rgba(colour)[2::-1], 1.0])).astype(np.uint8)
        shade.surface.mark_dirty()
        if blur:
            shade.blur(blur)
        self.put(shade, operator=cairo.OPERATOR_ATOP)

    def rim(self, light, beside=None):
        """Light along the edges that face the lamp, but not where `beside`, another canvas, adjoins them."""
        pixels = self.pixels()
        cover = pixels[..., 3].astype(np.float32) / 255
        behind = _moved(pixels[..., 3], -light.x * self.scale, -light.y * self.scale).astype(np.float32) / 255
        if beside is not None:
            behind = np.maximum(behind, beside.pixels()[..., 3].astype(np.float32) / 255)
        edge = cover * (1 - behind)
        edge = np.asarray(
            Image.fromarray((edge * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7 * self.scale)),
            dtype=np.float32,
        )
        amount = (edge / 255 * light.strength).clip(0, 1)[..., None]
        colour = np.array([*rgba(light.colour)[2::-1], 1.0], dtype=np.float32) * 255
        colour = colour * cover[..., None]
        pixels[:] = np.rint(pixels * (1 - amount) + colour * amount).clip(0, 255).astype(np.uint8)
        self.surface.mark_dirty()


def _moved(plane, dx, dy):
    """`plane` shifted by whole pixels, empty where nothing moves in."""
    dx, dy = int(round(dx)), int(round(dy))
    height, width = plane.shape
    out = np.zeros_like(plane)
    out[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = plane[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return out
