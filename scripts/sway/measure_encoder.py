"""Measuring an encoder on held-out illustrations."""

import numpy
import torch
from torch.nn import functional

from . import labels

# Fewer pixels of the eye class than this, at 192 x 192, are no eye.
SMALLEST_EYE = 12


@torch.no_grad()
def probabilities(encoder, pictures):
    """Class probabilities of uint8 [n, s, s, 3], averaged over each picture and its mirror image: [n, 10, s, s]."""
    device = next(encoder.parameters()).device
    x = torch.from_numpy(numpy.array(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    total = encoder(x).softmax(1) + encoder(x.flip(3)).softmax(1).flip(3)
    return functional.interpolate(total / 2, size=x.shape[-2:], mode="bilinear", align_corners=False)


def measure(encoder, dataset, chunk=20):
    """What an encoder does on a dataset: a dictionary of plain numbers.

    `iou`: intersection over union of each class over all pixels; `eyes_found`: the share of pictures with a visible
    eye in which the eye class covers at least half of it; `false_eyes`: the share of pictures without a visible eye
    in which at least `SMALLEST_EYE` pixels are called eye.
    """
    encoder.eval()
    confusion = numpy.zeros((labels.COUNT, labels.COUNT), numpy.int64)
    found, with_eyes, false, without_eyes = 0, 0, 0, 0
    for first in range(0, len(dataset), chunk):
        answer = probabilities(encoder, dataset.pictures[first : first + chunk]).argmax(1).cpu().numpy()
        truth = dataset.labels[first : first + chunk]
        pairs = truth.astype(numpy.int64) * labels.COUNT + answer
        confusion += numpy.bincount(pairs.ravel(), minlength=labels.COUNT**2).reshape(labels.COUNT, labels.COUNT)
        for answer_map, truth_map in zip(answer == labels.EYE, truth == labels.EYE):
            if truth_map.sum() >= SMALLEST_EYE:
                with_eyes += 1
                found += int((answer_map & truth_map).sum() >= 0.5 * truth_map.sum())
            elif truth_map.sum() == 0:
                without_eyes += 1
                false += int(answer_map.sum() >= SMALLEST_EYE)
    both = numpy.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - both
    return {
        "pictures": len(dataset),
        "iou": {name: round(float(value), 4) for name, value in zip(labels.NAMES, both / numpy.maximum(union, 1))},
        "eyes_found": round(found / max(with_eyes, 1), 4),
        "false_eyes": round(false / max(without_eyes, 1), 4),
        "pictures_without_eyes": without_eyes,
    }
