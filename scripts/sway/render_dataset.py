"""Render illustrations with labels into resumable shards.

    python -m scripts.sway.render_dataset --start 0 --count 16000 --output DIRECTORY

Writes DIRECTORY/SPLIT-SEED.npz (split "train", "test", or "withheld" with the withheld styles), each with `pictures`
uint8 [n, s, s, 3], `labels` uint8 [n, s, s] and `heads` float32 [n, 3, 6] (see scene.Sample), one sample for each of
the n seeds from SEED on. A shard that exists is skipped; a shard appears only when it is complete.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy

from .scene import SETTINGS, generate


def render_shard(path, first, count, size, withheld, setting):
    """Render the samples of `count` seeds from `first` on into `path`; returns the seconds it took."""
    began = time.monotonic()
    seeds = range(first, first + count)
    samples = [generate(seed, size, withheld, setting=setting) for seed in seeds]
    partial = path.with_name(f".{path.stem}-{os.getpid()}.npz")
    numpy.savez(
        partial,
        pictures=numpy.stack([sample.picture for sample in samples]),
        labels=numpy.stack([sample.labels for sample in samples]),
        heads=numpy.stack([sample.heads for sample in samples]),
    )
    os.replace(partial, path)
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=int, default=0, help="first seed; a multiple of --shard")
    parser.add_argument("--count", type=int, required=True, help="samples to render")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--size", type=int, default=192, help="side in pixels")
    parser.add_argument("--shard", type=int, default=500, help="samples in one file")
    parser.add_argument("--split", choices=("train", "test", "withheld"), default="train")
    parser.add_argument("--setting", choices=SETTINGS, default="plain")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    withheld = "always" if options.split == "withheld" else "never"
    end = options.start + options.count
    jobs = []
    for first in range(options.start, end, options.shard):
        path = options.output / f"{options.split}-{first:08d}.npz"
        if not path.exists():
            jobs.append((path, first, min(options.shard, end - first), options.size, withheld, options.setting))
    with ProcessPoolExecutor(options.processes) as pool:
        for job, seconds in zip(jobs, pool.map(render_shard, *zip(*jobs)) if jobs else ()):
            print(f"{job[0].name}: {job[2]} samples, {1000 * seconds / job[2]:.1f} ms each", flush=True)


if __name__ == "__main__":
    main()
