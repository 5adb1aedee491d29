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

    def draw(self, random, count):
        """`count` samples drawn at random with replacement: pictures, labels and heads."""
        indices = random.integers(0, len(self), count)
        return self.pictures[indices], self.labels[indices], self.heads[indices]


class Mixture:
    """Several datasets, each of which gives as many samples as the others, however many it holds."""

    def __init__(self, datasets):
        self.datasets = datasets

    def __len__(self):
        return sum(len(dataset) for dataset in self.datasets)

    def draw(self, random, count):
        """`count` samples, each from a dataset drawn at random: pictures, labels and heads."""
        counts = random.multinomial(count, [1 / len(self.datasets)] * len(self.datasets))
        parts = [dataset.draw(random, part) for dataset, part in zip(self.datasets, counts)]
        return tuple(numpy.concatenate(arrays) for arrays in zip(*parts))


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


def read_datasets(directories, split):
    """A split of one directory, or of several as a `Mixture`."""
    datasets = [read_dataset(directory, split) for directory in directories]
    return datasets[0] if len(datasets) == 1 else Mixture(datasets)
