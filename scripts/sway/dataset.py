"""Reading the shards that render_dataset.py writes."""

from dataclasses import dataclass

import numpy


@dataclass
class Dataset:
    """`pictures` uint8 [n, s, s, 3], `labels` uint8 [n, s, s], `heads` float32 [n, 3, 6] (see scene.Sample)."""

    pictures: numpy.ndarray
    labels: numpy.ndarray
    heads: numpy.ndarray

    def __len__(self):
        return len(self.pictures)


def read_dataset(directory, split, most=None):
    """All shards of a split ("train", "test" or "withheld") in order of their seeds, at most `most` samples."""
    paths = sorted(directory.glob(f"{split}-*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"no {split}-*.npz in {directory}; render some with: "
            f"python -m scripts.sway.render_dataset --split {split} --count 500 --output {directory}"
        )
    names = ("pictures", "labels", "heads")
    parts = {name: [] for name in names}
    count = 0
    for path in paths:
        if most is not None and count >= most:
            break
        with numpy.load(path) as shard:
            for name in names:
                parts[name].append(shard[name])
        count += len(parts["heads"][-1])
    return Dataset(*(numpy.concatenate(parts.pop(name))[:most] for name in names))
