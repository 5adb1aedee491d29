"""Image latents to train the denoiser on: perturbed features of generated label maps, as an encoder would see them.

    python -m scripts.sway.feature_bank --data DIRECTORY --count 6000 --out features.npz

Reads `labels uint8 [n, S, S]` and `heads float32 [n, 3, 6]` (centre, radius, left and right eye open, present; shares of the picture) of every
`train-*.npz`, and writes `features float32 [count, 6, 6, 16]`. The label maps are mirrored, cut to windows of other aspects, blurred, and their
classes confused, since at inference the probabilities come from a network and from pictures that are not square.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from . import labels
from .features import find_head, picture_features

WINDOW_AREA = 9216
NO_HEAD_SHARE = 0.05
HIDDEN_EYE_SHARE = 0.06


def random_window(label_map, rng):
    """A window of the square map with a side ratio between 9:16 and 16:9 -> label map and its box (x0, y0, x1, y1) in shares of the map."""
    side = label_map.shape[0]
    ratio = np.exp(rng.uniform(np.log(9 / 16), np.log(16 / 9))) if rng.random() < 0.7 else 1.0
    longest = side * rng.uniform(0.6, 1.0)
    width, height = (longest, longest / ratio) if ratio > 1 else (longest * ratio, longest)
    x0, y0 = rng.uniform(0, side - width), rng.uniform(0, side - height) * rng.uniform(0, 1)
    box = np.array([x0, y0, x0 + width, y0 + height]) / side
    scale = np.sqrt(WINDOW_AREA / (width * height))
    columns = (x0 + (np.arange(round(width * scale)) + 0.5) / scale).astype(int).clip(0, side - 1)
    rows = (y0 + (np.arange(round(height * scale)) + 0.5) / scale).astype(int).clip(0, side - 1)
    return label_map[rows[:, None], columns[None]], box


def uncertain_probabilities(label_map, rng):
    """Label map `[H, W]` -> probabilities `[10, H, W]` as of an unsure network: blurred, confused, uneven."""
    probabilities = np.eye(labels.COUNT, dtype=np.float32)[label_map].transpose(2, 0, 1)
    blur = rng.uniform(0.4, 2.0)
    probabilities = ndimage.gaussian_filter(probabilities, (0, blur, blur))
    share = rng.uniform(0.0, 0.12)
    confusion = rng.dirichlet(np.full(labels.COUNT, 0.3), labels.COUNT).astype(np.float32)
    mixed = np.einsum("chw,cd->dhw", probabilities, (1 - share) * np.eye(labels.COUNT, dtype=np.float32) + share * confusion)
    coarse = rng.normal(0.0, rng.uniform(0.0, 0.8), (labels.COUNT, 5, 5))
    uneven = np.stack([ndimage.zoom(layer, np.array(label_map.shape) / 5.0, order=1) for layer in coarse])
    mixed = mixed * np.exp(uneven[:, : label_map.shape[0], : label_map.shape[1]])
    return (mixed / mixed.sum(0)).astype(np.float32)


def open_eyes(head, heads, box, shape):
    """The eye flags of the known head that the head found lies in, or both closed."""
    if head is None:
        return 0.0, 0.0
    per_share = shape[1] / (box[2] - box[0])
    for x, y, radius, left, right, present in heads:
        if present > 0.5 and np.hypot((x - box[0]) * per_share - head.x, (y - box[1]) * per_share - head.y) < radius * per_share:
            return float(left > 0.5), float(right > 0.5)
    return 0.0, 0.0


def draw_features(label_map, heads, rng):
    """One perturbed view of one picture -> `features [6, 6, 16]`."""
    if rng.random() < 0.5:
        label_map, heads = label_map[:, ::-1], heads[:, [0, 1, 2, 4, 3, 5]] * 1.0
        heads[:, 0] = 1.0 - heads[:, 0]
    window, box = random_window(label_map, rng)
    probabilities = uncertain_probabilities(window, rng)
    head = find_head(probabilities) if rng.random() > NO_HEAD_SHARE else None
    eyes = open_eyes(head, heads, box, window.shape)
    eyes = tuple(0.0 if rng.random() < HIDDEN_EYE_SHARE else value for value in eyes)
    return picture_features(probabilities, head, eyes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pattern", default="train-*.npz")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    files = sorted(options.data.glob(options.pattern))
    if not files:
        raise SystemExit(f"no {options.pattern} in {options.data}: render the data set first (python -m scripts.sway.render_dataset)")
    rng = np.random.default_rng(options.seed)
    share = -(-options.count // len(files))
    drawn = []
    for file in files:
        data = np.load(file)
        maps, heads = data["labels"], data["heads"]
        for index in rng.integers(0, len(maps), share):
            drawn.append(draw_features(maps[index], heads[index], rng))
    features = np.stack(drawn)[rng.permutation(len(drawn))[: options.count]]
    np.savez(options.out, features=features)
    first = features[:, 0, 0]
    print(f"{len(features)} pictures; head {np.mean(first[:, 13] > 0):.2f}, left eye {np.mean(first[:, 14]):.2f}, right eye {np.mean(first[:, 15]):.2f}, "
          f"R/short side {np.median(first[:, 13][first[:, 13] > 0]) / 4:.3f}")


if __name__ == "__main__":
    main()
