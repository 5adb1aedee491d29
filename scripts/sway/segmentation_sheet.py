"""Write a sheet of what the encoder sees, to look at: picture, classes of the whole, and of the head's crop.

python -m scripts.sway.segmentation_sheet --pictures tests/fixtures/sway/pictures --output sheet.png
"""

import argparse
from pathlib import Path

import numpy
import torch
from PIL import Image
from scipy import ndimage

from . import labels
from .encoder import MULTIPLE
from .export import MODELS
from .make_fixtures import shipped_encoder
from .measure_encoder import probabilities

TILE = 256
AREA = 192 * 192
SMALLEST_SIDE = 96
COLUMNS = 3
# A head crop reaches this many head radii from the head's centre.
CROP_REACH = 1.9


def class_map(encoder, picture, size):
    """Class probabilities [10, height, width] of an RGB picture seen at `size` (width, height)."""
    seen = numpy.asarray(picture.resize(size, Image.BILINEAR))
    return probabilities(encoder, seen[None])[0].numpy()


def whole_size(picture):
    """The size at which the encoder sees a whole picture: about 192 x 192 in area, multiples of 16."""
    scale = (AREA / (picture.width * picture.height)) ** 0.5
    sides = (round(side * scale / MULTIPLE) * MULTIPLE for side in picture.size)
    return tuple(max(SMALLEST_SIDE, side) for side in sides)


def head_box(chances, picture):
    """The box (left, top, right, bottom; pixels of the picture) around the largest head, or None."""
    head = chances[[labels.FACE, labels.EYE, labels.MOUTH, labels.BROW, labels.LASH]].sum(0) > 0.5
    parts, count = ndimage.label(head)
    if count == 0:
        return None
    sizes = ndimage.sum_labels(head, parts, range(1, count + 1))
    y, x = ndimage.center_of_mass(parts == 1 + int(sizes.argmax()))
    to_picture = picture.width / head.shape[1]
    reach = CROP_REACH * 1.05 * (sizes.max() / numpy.pi) ** 0.5 * to_picture
    x, y = x * to_picture, y * to_picture
    return x - reach, y - reach, x + reach, y + reach


def overlay(picture, chances):
    """The picture, `TILE` wide and high, blended with the colours of its classes."""
    colours = labels.PALETTE[chances.argmax(0)]
    colours = Image.fromarray(colours).resize((TILE, TILE), Image.NEAREST)
    return Image.blend(picture.resize((TILE, TILE)), colours, 0.6)


def tiles_of(encoder, picture):
    """Three tiles side by side: uint8 [TILE, 3 * TILE, 3]."""
    chances = class_map(encoder, picture, whole_size(picture))
    tiles = [picture.resize((TILE, TILE)), overlay(picture, chances)]
    box = head_box(chances, picture)
    if box is None:
        tiles.append(Image.new("RGB", (TILE, TILE)))
    else:
        crop = picture.crop(tuple(round(edge) for edge in box))
        tiles.append(overlay(crop, class_map(encoder, crop, (192, 192))))
    return numpy.concatenate([numpy.asarray(tile) for tile in tiles], 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="a directory of PNG or JPEG pictures")
    parser.add_argument("--models", type=Path, default=MODELS, help="the directory of the weights")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = shipped_encoder(options.models)
    paths = [path for path in sorted(options.pictures.iterdir()) if path.suffix in (".png", ".jpg", ".jpeg")]
    paths = [path for path in paths if not path.name.endswith(".labels.png")]
    if not paths:
        raise FileNotFoundError(f"no PNG or JPEG pictures in {options.pictures}")
    rows = [tiles_of(encoder, Image.open(path).convert("RGB")) for path in paths]
    rows += [numpy.zeros_like(rows[0])] * (-len(rows) % COLUMNS)
    grid = [numpy.concatenate(rows[first : first + COLUMNS], 1) for first in range(0, len(rows), COLUMNS)]
    Image.fromarray(numpy.concatenate(grid)).save(options.output)


if __name__ == "__main__":
    main()
