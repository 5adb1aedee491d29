"""Renew what a folder says of its weights: the checksums in manifest.toml and the tensors in tensors.txt.

    python -m scripts.sway.manifest [--models FOLDER]

A folder without a manifest gets one, with the defaults of the model that ships with stir; they may be edited, the
checksums are renewed. `stir generate --model FOLDER` runs it.
"""

import argparse
import hashlib
import json
import re
import struct
import tomllib
from pathlib import Path

MODELS = Path(__file__).resolve().parents[2] / "models" / "sway"


WEIGHTS = ("denoiser.safetensors", "encoder.safetensors")


def new_manifest():
    """The text of a manifest with the shipped model's defaults, and with checksums still to be filled in."""
    shipped = tomllib.loads((MODELS / "manifest.toml").read_text())
    lines = [f'family = "{shipped["family"]}"', "", "[defaults]"]
    lines += [f"{name} = {value}" for name, value in shipped["defaults"].items()]
    lines += ["", "[sha256]"] + [f'"{name}" = ""' for name in WEIGHTS]
    return "\n".join(lines) + "\n"


def tensor_lines(path):
    """One line for each tensor of a safetensors file, in name order: file, name, type, shape."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return [f"{path.stem} {name} {entry['dtype']} {entry['shape']}" for name, entry in sorted(header.items())]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=MODELS, help="the folder of the weights")
    models = parser.parse_args().models
    manifest = models / "manifest.toml"
    text = manifest.read_text() if manifest.exists() else new_manifest()
    lines = []
    for name in re.findall(r'^"(.+\.safetensors)" = ', text, re.MULTILINE):
        path = models / name
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        text = re.sub(rf'^"{re.escape(name)}" = .*$', f'"{name}" = "{digest}"', text, flags=re.MULTILINE)
        lines += tensor_lines(path)
        print(f"{name}: {digest}")
    manifest.write_text(text)
    (models / "tensors.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
