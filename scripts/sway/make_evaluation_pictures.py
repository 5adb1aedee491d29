"""Write the held-out evaluation pictures with their label maps: tests/fixtures/sway/pictures.

    python -m scripts.sway.make_evaluation_pictures

Twelve in the styles of training, eight in styles withheld from it, four without figures; NAME.png is the picture, in
a palette of 256 colours, NAME.labels.png its label map (8-bit grey, the values of labels.py).
"""

import argparse
from pathlib import Path

from PIL import Image

from .scene import generate

PICTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "sway" / "pictures"
SIZE = 384
FIRST_SEED = 70_000_000  # no other program draws from here on
GROUPS = (("figure", 12, "never", None), ("withheld", 8, "always", None), ("scenery", 4, "never", 0))
# Of each group with figures, this many show open eyes on the first head, so that a blink can be tested.
OPEN_EYED = {"figure": 9, "withheld": 6, "scenery": 0}


def chosen(group, count, withheld, figures):
    """The first `count` samples of a group, `OPEN_EYED` of which show two open eyes of a head that is not tiny."""
    samples, plain = [], count - OPEN_EYED[group]
    seed = FIRST_SEED
    while len(samples) < count:
        sample = generate(seed, SIZE, withheld, figures)
        seed += 1
        head = sample.heads[0]
        if group == "scenery":
            samples.append(sample)
        elif head[5] and head[2] > 0.08 and head[3] and head[4]:
            if count - len(samples) > plain:
                samples.append(sample)
        elif head[5] and plain > 0:
            samples.append(sample)
            plain -= 1
    return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=PICTURES)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    total = 0
    for group, count, withheld, figures in GROUPS:
        for index, sample in enumerate(chosen(group, count, withheld, figures)):
            path = options.output / f"{group}-{index:02d}.png"
            picture = Image.fromarray(sample.picture).quantize(256, dither=Image.Dither.NONE)
            picture.save(path, optimize=True)
            Image.fromarray(sample.labels).save(path.with_suffix(".labels.png"), optimize=True)
            total += path.stat().st_size + path.with_suffix(".labels.png").stat().st_size
    print(f"{options.output}: {total} bytes")


if __name__ == "__main__":
    main()
