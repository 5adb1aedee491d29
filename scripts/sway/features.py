"""Image latents of `sway`: class probabilities of one picture -> `features [6, 6, 16]` float32.

The grid is the picture stretched to 6 x 6 cells; a pixel belongs to the cell that contains its centre. Channels:

    0-9    mean probability of each class in the cell
    10     mean of hair probability times hair flexibility
    11, 12 (cell centre - head centre) / R in x and y, clipped to [-4, 4], divided by 4
    13     4 R / short side of the picture; 0 without a head
    14, 15 1 where the left (smaller x on the screen) and right eye are open and visible

R is the head's radius in pixels. Without a head, channels 11 and 12 are measured from the picture's centre with R = 0.2 short side.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from . import labels

HEAD_CLASSES = [labels.FACE, labels.EYE, labels.MOUTH, labels.BROW, labels.LASH]
GRID = 6
CHANNELS = 16
# A component smaller than this share of the picture is a speck, not a head (a radius of about 2.6 % of the side).
SMALLEST_HEAD_SHARE = 0.002
RADIUS_WITHOUT_HEAD = 0.2
OFFSET_LIMIT = 4.0


@dataclass(frozen=True)
class Head:
    """A head in pixels of the probability map: centroid of the face parts (pixel centres at +0.5) and 1.05 sqrt(area / pi)."""

    x: float
    y: float
    radius: float


def find_head(probabilities):
    """`probabilities [10, H, W]` in [0, 1] -> the largest 4-connected component of the summed face parts above 0.5, or None."""
    mask = probabilities[HEAD_CLASSES].sum(0) > 0.5
    components, count = ndimage.label(mask)
    if count == 0:
        return None
    sizes = np.bincount(components.ravel())[1:]
    if sizes.max() < SMALLEST_HEAD_SHARE * mask.size:
        return None
    rows, columns = np.nonzero(components == sizes.argmax() + 1)
    return Head(float(columns.mean() + 0.5), float(rows.mean() + 0.5), float(1.05 * np.sqrt(len(rows) / np.pi)))


def hair_flexibility(height, width, head):
    """How far a hair pixel can move, 0 at the scalp to 1.24 at far tips: `[H, W]`, from the distance to a point above the head's centre."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    distance = np.hypot(x - head.x, y - (head.y - 0.2 * head.radius))
    return np.clip((distance - 0.9 * head.radius) / (2.2 * head.radius), 0.0, 1.2) ** 1.2


def head_or_default(head, height, width):
    """The head given, or the stand-in that the features are measured from where a picture has none."""
    return head or Head(width / 2, height / 2, RADIUS_WITHOUT_HEAD * min(height, width))


def cell_means(values):
    """`[C, H, W]` -> mean over each cell of the grid `[6, 6, C]`. Both sides must be at least 6."""
    channels, height, width = values.shape
    if min(height, width) < GRID:
        raise ValueError(f"a map of {width}x{height} is too small for a {GRID}x{GRID} grid: give at least {GRID} pixels a side")
    rows = np.floor((np.arange(height) + 0.5) * GRID / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * GRID / width).astype(int)
    row_sums = np.zeros((channels, GRID, width))
    np.add.at(row_sums, (slice(None), rows), values)
    sums = np.zeros((channels, GRID, GRID))
    np.add.at(sums, (slice(None), slice(None), columns), row_sums)
    counts = np.bincount(rows, minlength=GRID)[:, None] * np.bincount(columns, minlength=GRID)[None]
    return (sums / counts).transpose(1, 2, 0)


def picture_features(probabilities, head, open_eyes):
    """`probabilities [10, H, W]` in [0, 1], `head` or None, `open_eyes` (left, right) as 0/1 -> `features [6, 6, 16]` float32."""
    if probabilities.shape[0] != labels.COUNT:
        raise ValueError(f"expected {labels.COUNT} class probabilities, found {probabilities.shape[0]}: give the encoder's softmax")
    _, height, width = probabilities.shape
    reference = head_or_default(head, height, width)
    flexible_hair = probabilities[labels.HAIR] * hair_flexibility(height, width, reference)
    features = np.zeros((GRID, GRID, CHANNELS), np.float32)
    features[..., :11] = cell_means(np.concatenate([probabilities, flexible_hair[None]]))
    centres = (np.arange(GRID) + 0.5) / GRID
    offset_x = (centres * width - reference.x) / reference.radius
    offset_y = (centres * height - reference.y) / reference.radius
    features[..., 11] = np.clip(offset_x, -OFFSET_LIMIT, OFFSET_LIMIT)[None, :] / OFFSET_LIMIT
    features[..., 12] = np.clip(offset_y, -OFFSET_LIMIT, OFFSET_LIMIT)[:, None] / OFFSET_LIMIT
    if head is not None:
        features[..., 13] = 4.0 * head.radius / min(height, width)
        features[..., 14], features[..., 15] = open_eyes
    return features
