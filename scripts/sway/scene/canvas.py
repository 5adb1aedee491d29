"""A picture and its label map, drawn at the same time with filled shapes."""

import numpy
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .geometry import WHITE, circle, ribbon, rotation


class Canvas:
    """A square RGB picture with its uint8 label map; points are fractions of the side."""

    def __init__(self, size, colour=WHITE):
        self.size = size
        self.labels = Image.new("L", (size, size), 0)
        self.label_pen = ImageDraw.Draw(self.labels)
        self.replace(Image.new("RGB", (size, size), colour))

    def replace(self, picture):
        """Draw on `picture` (RGB, size x size) from now on; the labels stay."""
        self.picture = picture
        self.pen = ImageDraw.Draw(picture)

    def fill(self, colour):
        """Paint the whole picture in one colour."""
        self.picture.paste(colour, (0, 0, self.size, self.size))

    def pixels(self, points):
        """Points in picture fractions as pixels: float [n, 2]."""
        return numpy.asarray(points, float) * self.size

    def polygon(self, points, colour, label=None, line=None, line_width=0.0, colour_end=None, axis=(0, 1), clip=None):
        """Fill a polygon, optionally with a gradient along `axis`, and outline it.

        `colour` None leaves the inside alone; `label` None leaves the labels alone; `line_width` is a fraction of
        the side; `clip` is a polygon in pixels outside of which nothing is painted (then there is no outline).
        """
        if len(points) < 3:
            return
        corners = self.pixels(points)
        corner_list = corners.ravel().tolist()
        if colour is not None:
            if clip is None and colour_end is None:
                self.pen.polygon(corner_list, fill=colour)
                if label is not None:
                    self.label_pen.polygon(corner_list, fill=label)
            else:
                self._paint(corners, colour, colour_end, axis, clip, label)
        if line is not None and line_width > 0 and clip is None:
            width = max(1, round(line_width * self.size))
            self.pen.line(corner_list + corner_list[:2], fill=line, width=width, joint="curve")

    def shade(self, parent, points, colour, alpha=0.5, blur=0.0):
        """Blend `colour` over a polygon, inside the polygon `parent` (or anywhere when None); labels stay.

        `alpha` is 0..1 and `blur` a radius in pixels.
        """
        clip = None if parent is None else self.pixels(parent)
        self._paint(self.pixels(points), colour, None, None, clip, None, alpha, blur)

    def stroke(self, centre, half_width, colour, label=None):
        """Paint a stroke along `centre` with half widths, both in picture fractions."""
        self.polygon(ribbon(numpy.asarray(centre, float), numpy.asarray(half_width, float)), colour, label)

    def ellipse(self, centre, radius_x, radius_y, colour, label=None, turn=0.0, **options):
        """Paint an ellipse turned by `turn` radians; `options` are those of `polygon`."""
        outline = (circle() * (radius_x, radius_y)) @ rotation(turn) + numpy.asarray(centre)
        self.polygon(outline, colour, label, **options)
        return outline

    def _paint(self, corners, colour, colour_end, axis, clip, label, alpha=1.0, blur=0.0):
        margin = 2 + int(2 * blur)
        left, top = numpy.maximum(numpy.floor(corners.min(0)).astype(int) - margin, 0)
        right, bottom = numpy.minimum(numpy.ceil(corners.max(0)).astype(int) + margin + 1, self.size)
        if right <= left or bottom <= top:
            return
        origin = numpy.array((left, top))
        mask = Image.new("L", (int(right - left), int(bottom - top)), 0)
        ImageDraw.Draw(mask).polygon((corners - origin).ravel().tolist(), fill=int(255 * alpha))
        if blur > 0:
            mask = mask.filter(ImageFilter.BoxBlur(blur))
        if clip is not None:
            inside = Image.new("L", mask.size, 0)
            ImageDraw.Draw(inside).polygon((clip - origin).ravel().tolist(), fill=255)
            mask = ImageChops.multiply(mask, inside)
        box = (int(left), int(top), int(right), int(bottom))
        if colour_end is None:
            self.picture.paste(colour, box, mask)
        else:
            ramp = self._ramp(corners, colour, colour_end, axis, box)
            self.picture.paste(ramp, box[:2], mask)
        if label is not None:
            self.labels.paste(label, box, mask.point(lambda value: 255 if value > 127 else 0))

    @staticmethod
    def _ramp(corners, colour, colour_end, axis, box):
        left, top, right, bottom = box
        along = corners @ numpy.array(axis, float)
        across = numpy.arange(left, right) * axis[0]
        down = numpy.arange(top, bottom) * axis[1]
        position = (down[:, None] + across[None, :] - along.min()) / (along.max() - along.min() + 1e-6)
        amount = numpy.clip(position, 0, 1)[..., None]
        values = numpy.array(colour) * (1 - amount) + numpy.array(colour_end) * amount
        return Image.fromarray(values.astype(numpy.uint8))
