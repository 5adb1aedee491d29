"""Augmentation of labelled pictures: crops of any shape and size, letterbox bars, colour, blur, noise, JPEG."""

import io

import numpy
import torch
from PIL import Image
from torch.nn import functional

from .encoder import MULTIPLE

# The side of a picture the encoder is meant to see, and the sides trained on, squares or others of the same area.
# Small ones are patches at the same scale: more, and more varied, for the same time.
WHOLE_SIDE = 192
PATCH_SIDE = 128
PATCH_SHARE = 0.5


def output_size(random, side):
    """Height and width, multiples of 16, of about the area of a square of `side`; half of the time square."""
    if random.random() < 0.5:
        return side, side
    aspect = numpy.exp(random.uniform(-0.7, 0.7))
    height = round(side * aspect**0.5 / MULTIPLE) * MULTIPLE
    width = round(side * side / height / MULTIPLE) * MULTIPLE
    return height, width


def crop_of(random, heads, patch):
    """The centre (x, y) and side of a crop, in picture fractions: whole, a random part, or around a head.

    `patch` is the side of the patch as a share of `WHOLE_SIDE`; only where it is 1 are there whole pictures.
    """
    present = heads[heads[:, 5] > 0]
    kind = random.random()
    if kind < 0.35 + 0.3 * (patch < 1) and len(present):
        x, y, radius = present[random.integers(len(present)), :3]
        side = max(radius * random.uniform(2.8, 5.5), 0.22) * patch
        spread = 0.3 * radius if patch == 1 else 0.6 * radius
        return x + random.normal(0, spread), y + random.normal(0, spread), side
    if kind < 0.65 or patch < 1:
        side = random.uniform(0.4, 0.95) * patch
        x, y = random.uniform(side / 2, 1 - side / 2, 2)
        return x, y, side
    return 0.5 + random.normal(0, 0.05), 0.5 + random.normal(0, 0.05), random.uniform(0.85, 1.2)


def crops(random, pictures, label_maps, heads, whole_side=WHOLE_SIDE):
    """One crop of each sample, all of one random size.

    `pictures` uint8 [n, s, s, 3], `label_maps` uint8 [n, s, s], `heads` float32 [n, 3, 6]. Returns pictures float32
    [n, 3, H, W] in 0..1 and labels int64 [n, H / 2, W / 2]. What lies outside a picture is a bar of one flat colour.
    """
    height, width = output_size(random, whole_side)
    count = len(pictures)
    theta = numpy.zeros((count, 2, 3), numpy.float32)
    for index in range(count):
        x, y, side = crop_of(random, heads[index], whole_side / WHOLE_SIDE)
        angle = random.normal(0, 0.12) if random.random() < 0.4 else 0.0
        cosine, sine = numpy.cos(angle), numpy.sin(angle)
        scale_x, scale_y = side * width / whole_side, side * height / whole_side
        flip = -1 if random.random() < 0.5 else 1
        theta[index, 0] = flip * scale_x * cosine, -scale_y * sine, 2 * x - 1
        theta[index, 1] = flip * scale_x * sine, scale_y * cosine, 2 * y - 1
    theta = torch.from_numpy(theta)
    source = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    grid = functional.affine_grid(theta, (count, 3, height, width), align_corners=False)
    cropped = functional.grid_sample(source, grid, "bilinear", "border", align_corners=False)
    outside = (grid.abs() > 1).any(-1)[:, None]
    bars = torch.from_numpy(_bar_colours(random, count))[:, :, None, None]
    cropped = torch.where(outside, bars, cropped)
    classes = torch.from_numpy(label_maps)[:, None].float()
    grid = functional.affine_grid(theta, (count, 1, height // 2, width // 2), align_corners=False)
    # Zero padding outside the picture is the background class.
    targets = functional.grid_sample(classes, grid, "nearest", "zeros", align_corners=False)
    return cropped, targets[:, 0].round().long()


def _bar_colours(random, count):
    colours = random.random((count, 3))
    kind = random.random((count, 1))
    colours = numpy.where(kind < 0.35, 1.0, numpy.where(kind < 0.6, 0.0, colours))
    return colours.astype(numpy.float32)


def recolour(random, picture):
    """Change the colours and sharpness of one picture, float32 [3, H, W] in 0..1, the labels staying true."""
    if random.random() < 0.2:
        picture = picture[torch.from_numpy(random.permutation(3))]
    if random.random() < 0.3:
        picture = _turn_hue(picture, random.uniform(-0.6, 0.6))
    if random.random() < 0.15:
        picture = picture.mean(0, keepdim=True).expand(3, -1, -1)
    if random.random() < 0.3:
        picture = picture.clamp(0, 1) ** float(numpy.exp(random.normal(0, 0.3)))
    if random.random() < 0.3:
        picture = (picture - 0.5) * random.uniform(0.7, 1.35) + 0.5 + random.uniform(-0.1, 0.1)
    if random.random() < 0.25:
        picture = _soften(picture, random.uniform(1.2, 2.8))
    if random.random() < 0.15:
        noise = torch.from_numpy(random.standard_normal(tuple(picture.shape), dtype=numpy.float32))
        picture = picture + noise * random.uniform(0.005, 0.05)
    if random.random() < 0.15:
        picture = _compress(picture, int(random.uniform(25, 85)))
    return picture.clamp(0, 1)


def _turn_hue(picture, angle):
    """Turn the colours around the grey axis (Rodrigues' formula)."""
    cosine, sine = numpy.cos(angle * numpy.pi), numpy.sin(angle * numpy.pi)
    even, odd = (1 - cosine) / 3, sine / 3**0.5
    matrix = torch.tensor(
        [
            [cosine + even, even - odd, even + odd],
            [even + odd, cosine + even, even - odd],
            [even - odd, even + odd, cosine + even],
        ],
        dtype=torch.float32,
    )
    return torch.einsum("ij,jhw->ihw", matrix, picture)


def _soften(picture, factor):
    small = [max(8, int(side / factor)) for side in picture.shape[-2:]]
    reduced = functional.interpolate(picture[None], size=small, mode="bilinear", align_corners=False, antialias=True)
    return functional.interpolate(reduced, size=picture.shape[-2:], mode="bilinear", align_corners=False)[0]


def _compress(picture, quality):
    values = (picture.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=quality)
    values = numpy.array(Image.open(stream).convert("RGB"))
    return torch.from_numpy(values).permute(2, 0, 1).float() / 255


def batch(random, dataset, count):
    """An augmented batch: pictures float32 [n, 3, H, W] in [-1, 1] and labels int64 [n, H / 2, W / 2].

    n is `count`, or more where the pictures are patches: the number of pixels is about the same. `dataset` is a Dataset
    or Mixture of dataset.py.
    """
    side = PATCH_SIDE if random.random() < PATCH_SHARE else WHOLE_SIDE
    count = round(count * (WHOLE_SIDE / side) ** 2)
    pictures, targets = crops(random, *dataset.draw(random, count), side)
    pictures = torch.stack([recolour(random, picture) for picture in pictures])
    return pictures * 2 - 1, targets
