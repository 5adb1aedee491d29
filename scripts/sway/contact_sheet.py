"""Write a contact sheet of generated illustrations, with the labels of the first rows, to look at.

python -m scripts.sway.contact_sheet --output sheet.png [--start SEED] [--withheld]
"""

import argparse
from pathlib import Path

import numpy
from PIL import Image

from . import labels
from .scene import SETTINGS, generate

COLUMNS = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--label-rows", type=int, default=2)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--withheld", action="store_true")
    parser.add_argument("--setting", choices=SETTINGS, default="plain")
    options = parser.parse_args()
    withheld = "always" if options.withheld else "never"
    rows = []
    for row in range(options.rows):
        first = options.start + row * COLUMNS
        samples = [generate(seed, options.size, withheld, setting=options.setting) for seed in range(first, first + COLUMNS)]
        rows.append(numpy.concatenate([sample.picture for sample in samples], 1))
        if row < options.label_rows:
            rows.append(numpy.concatenate([labels.PALETTE[sample.labels] for sample in samples], 1))
    Image.fromarray(numpy.concatenate(rows)).save(options.output)


if __name__ == "__main__":
    main()
