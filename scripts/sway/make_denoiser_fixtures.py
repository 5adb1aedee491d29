"""Write the parity fixtures of features, denoiser, sampler and codec: float32 tensors from the shipped float16 weights read back as float32.

    python -m scripts.sway.make_denoiser_fixtures --weights models/sway/denoiser.safetensors --out tests/fixtures/sway
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from . import codec, labels, plans
from .denoiser import Denoiser
from .features import find_head, picture_features
from .motion import DURATION, camera_curves, Draw, synthesise
from .sampler import known, null_plan, sample

STEPS, GUIDANCE = 4, 2.0
# A place for each class as (x, y, radius in x, radius in y) in shares of the picture: one head, hair around it, cloth below.
BLOBS = {
    labels.HAIR: (0.47, 0.34, 0.24, 0.36), labels.FACE: (0.47, 0.38, 0.14, 0.22), labels.SKIN: (0.48, 0.66, 0.06, 0.10),
    labels.CLOTH: (0.50, 0.92, 0.30, 0.22), labels.EYE: (0.41, 0.38, 0.03, 0.04), labels.MOUTH: (0.47, 0.50, 0.03, 0.02),
    labels.BROW: (0.41, 0.31, 0.04, 0.01), labels.LASH: (0.53, 0.36, 0.04, 0.01), labels.ACCESSORY: (0.62, 0.14, 0.05, 0.06),
}


def blob_probabilities(height, width):
    """Smooth synthetic class probabilities `[10, height, width]` with one head left of the middle, and a smaller face-like speck."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    x, y = x / width, y / height
    logits = np.zeros((labels.COUNT, height, width))
    for order, (name, (centre_x, centre_y, radius_x, radius_y)) in enumerate(BLOBS.items()):
        distance = np.hypot((x - centre_x) / radius_x, (y - centre_y) / radius_y)
        logits[name] = (3.0 + order) * np.tanh(4.0 * (1.0 - distance))
    logits[labels.FACE] += 12.0 * (np.hypot((x - 0.88) * width, (y - 0.75) * height) < 3.0)
    exponent = np.exp(logits - logits.max(0))
    return (exponent / exponent.sum(0)).astype(np.float32)


def features_fixture():
    probabilities = blob_probabilities(48, 64)
    head, eyes = find_head(probabilities), (1.0, 0.0)
    return dict(
        probabilities=torch.from_numpy(probabilities), head=torch.tensor([head.x, head.y, head.radius]), open_eyes=torch.tensor(eyes),
        features=torch.from_numpy(picture_features(probabilities, head, eyes)),
        features_without_head=torch.from_numpy(picture_features(probabilities, None, (0.0, 0.0))))


def example_plan():
    """Hair in the wind, a breath, a tilt, and a blink of both eyes, of which the picture shows the left one only."""
    plan = torch.zeros(1, plans.CHANNELS)
    for channel, value in {plans.HAIR: 1.2, plans.WIND: -1.0, plans.TEMPO: 0.25, plans.BLINK_LEFT: 1.0, plans.BLINK_RIGHT: 1.0, plans.BREATH: 0.8, plans.TILT: -0.7}.items():
        plan[:, channel] = value
    return plan


@torch.no_grad()
def denoiser_fixture(denoiser, features):
    generator = torch.Generator().manual_seed(7)
    latents, control = torch.randn(1, 4, 25, 6, 6, generator=generator), torch.randn(1, 25, 26, generator=generator)
    plan, camera = example_plan(), torch.zeros(1, 25, 7)
    camera[..., 4] = torch.linspace(0, 1, 25) ** 2
    given = known(camera, features, plan)
    sigma = torch.tensor([0.9, 0.3])
    result = dict(latents=latents, control=control, features=features, plan=plan, unconditional_plan=null_plan(plan), sigma=sigma,
                  control_mask=given.control_mask.float(), control_value=given.control,
                  latents_mask=given.resting.float().expand(1, 4, 25, 6, 6), latents_value=torch.zeros(1, 4, 25, 6, 6))
    for index in range(2):
        clean_latents, clean_control = denoiser(latents, control, features, plan, sigma[index : index + 1])
        result[f"clean_latents.{index}"], result[f"clean_control.{index}"] = clean_latents, clean_control
    result["sampled_latents"], result["sampled_control"] = sample(denoiser, (latents, control), features, plan, given, STEPS, GUIDANCE)
    return result


def codec_fixture(features):
    generator = torch.Generator().manual_seed(8)
    latents, control = synthesise(example_plan(), features, generator)
    control[..., codec.CAMERA] = camera_curves(1, torch.arange(25)[None] * DURATION / 24, Draw(1, generator)) + 0.1 * torch.randn(1, 25, 7, generator=generator)
    control[:, 0, codec.BODY] += 0.2
    latents[:, :, 0] += 0.3
    positions = torch.linspace(0, 1, 150, dtype=torch.float64)
    frames = torch.tensor([0, 1, 37, 90, 149])
    motion = codec.decode_control(control.double(), DURATION, positions)
    fields = codec.decode_fields(latents.double(), DURATION, positions)
    x, y = (torch.arange(20, dtype=torch.float64) + 0.5) / 20, (torch.arange(12, dtype=torch.float64) + 0.5) / 12
    result = dict(latents=latents, control=control, duration=torch.tensor([DURATION]), positions=positions, blink=motion.blink, camera=motion.camera,
                  body=motion.body, fields=fields, grid_positions=positions[frames], grid_x=x, grid_y=y,
                  grid_fields=codec.sample_fields(fields[:, :, frames], x, y))
    return {name: value.float() for name, value in result.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    denoiser = Denoiser(layers=options.layers)
    denoiser.load_state_dict({name: value.float() for name, value in load_file(options.weights).items()})
    features = features_fixture()
    picture = features["features"][None]
    options.out.mkdir(parents=True, exist_ok=True)
    for name, fixture in dict(features=features, denoiser=denoiser_fixture(denoiser, picture), codec=codec_fixture(picture)).items():
        path = options.out / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in fixture.items()}, path)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
