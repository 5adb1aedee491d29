"""Write the weights that ship with stir from training checkpoints: float16 safetensors under models/sway.

python -m scripts.sway.export --encoder encoder.pt [--output models/sway]
"""

import argparse
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from .encoder import Encoder

MODELS = Path(__file__).resolve().parents[2] / "models" / "sway"


def write_weights(weights, path):
    """Write a state dictionary to `path` as float16, in one atomic step."""
    tensors = {name: tensor.detach().cpu().to(torch.float16).contiguous() for name, tensor in weights.items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} is not finite in float16; train again with a lower rate, or export it in float32")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial)
    os.replace(partial, path)


def smoothed_encoder(checkpoint):
    """The smoothed weights of an encoder checkpoint, checked against the network."""
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["smoothed"]
    Encoder().load_state_dict(weights)
    return weights


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, help="a checkpoint of train_encoder.py")
    parser.add_argument("--output", type=Path, default=MODELS, help="the directory to write to")
    options = parser.parse_args()
    sources = {"encoder": (options.encoder, smoothed_encoder)}
    if all(path is None for path, _ in sources.values()):
        parser.error("name at least one checkpoint")
    for name, (path, read) in sources.items():
        if path is not None:
            target = options.output / f"{name}.safetensors"
            write_weights(read(path), target)
            print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
