"""Renew what models/sway says of its weights: the hashes in manifest.toml and the tensors in tensors.txt.

    python -m scripts.sway.manifest
"""

import argparse
import hashlib
import json
import re
import struct
from pathlib import Path

MODELS = Path(__file__).resolve().parents[2] / "models" / "sway"


def tensor_lines(path):
    """One line for each tensor of a safetensors file, in name order: file, name, type, shape."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return [f"{path.stem} {name} {entry['dtype']} {entry['shape']}" for name, entry in sorted(header.items())]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=MODELS, help="the directory of the weights")
    models = parser.parse_args().models
    manifest = models / "manifest.toml"
    text = manifest.read_text()
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
