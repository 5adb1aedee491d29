"""Write small inputs with PyTorch's answers that pin the Rust port: tests/fixtures/sway.

    python -m scripts.sway.make_fixtures

encoder.safetensors: `picture` float32 [1, 3, 96, 128] in [-1, 1] and `logits` float32 [1, 10, 48, 64], computed in
float32 with the weights of models/sway/encoder.safetensors. Run it again whenever those weights change.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .encoder import Encoder
from .export import MODELS
from .scene import generate

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "sway"
SEED = 71_000_000
HEIGHT, WIDTH = 96, 128


def shipped_encoder(models=MODELS):
    """The encoder with the shipped weights, rounded to float16 and computed in float32."""
    encoder = Encoder()
    weights = load_file(models / "encoder.safetensors")
    encoder.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return encoder.eval()


@torch.no_grad()
def encoder_fixture(models=MODELS):
    """A part of a generated picture, not square, and the logits for it."""
    seed = SEED
    while True:
        sample = generate(seed, WIDTH)
        if sample.heads[0, 5] and sample.heads[0, 2] > 0.2:
            break
        seed += 1
    picture = torch.from_numpy(sample.picture[:HEIGHT]).permute(2, 0, 1)[None].float() / 127.5 - 1
    return {"picture": picture.contiguous(), "logits": shipped_encoder(models)(picture).contiguous()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=MODELS, help="the directory of the weights")
    parser.add_argument("--output", type=Path, default=FIXTURES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    save_file(encoder_fixture(options.models), options.output / "encoder.safetensors")
    print(options.output / "encoder.safetensors")


if __name__ == "__main__":
    main()
