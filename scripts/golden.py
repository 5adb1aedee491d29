"""Make the golden fixtures of the model families whose reference is a public Python library, all of them or those named.

    pip install torch diffusers transformers sentencepiece
    python -m scripts.golden [transformer schedule vae text runs upsampler]

Every part is a module `scripts/ltx/golden_<part>.py` with a function `write(folder)`. The fixtures that are committed were made with
diffusers 0.42.1, transformers 5.23.0 and torch 2.15.0 on the CPU; tests/fixtures/ltx/versions.json says what the last run used.
"""

import argparse
import importlib
import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "ltx"
PARTS = ["transformer", "schedule", "vae", "text", "runs", "upsampler"]


def versions():
    """The versions of the libraries that make the fixtures."""
    return {name: importlib.import_module(name).__version__ for name in ("diffusers", "torch", "transformers")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}; all when left out")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        importlib.import_module(f"scripts.ltx.golden_{part}").write(FOLDER)
    (FOLDER / "versions.json").write_text(json.dumps(versions(), indent=2) + "\n")
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            print(f"{path.relative_to(FOLDER)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
