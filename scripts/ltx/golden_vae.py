"""Golden fixtures of the LTX-Video autoencoder: one tiny random model of each generation, and what diffusers makes with it.

Made with diffusers 0.42.1 and torch 2.15.0, on the CPU in float32. To make them again:

    python -m scripts.golden vae

Each folder `tests/fixtures/ltx/vae_<generation>` holds a model in diffusers' own layout (`config.json` and
`diffusion_pytorch_model.safetensors`; the weights are bfloat16, which float32 holds exactly) and `golden.safetensors`:

    pixels [1, 3, 9, 64, 32]    a clip in -1 to 1                   mean, log_variance      its posterior
    image_mean                  the posterior's mean of frame 0 alone
    latents [1, 8, 3, 1, 2]     normalised latents                  decoded                 every 7th value of their clip, row by row
    latent_frame [1, 8, 1, 2, 1]                                    decoded_frame           the same for one latent frame
    noise.<n> [H, W]            injected maps in drawing order (generation 0.9.1 only)
"""

import json
from pathlib import Path
from unittest import mock

import torch
from diffusers import AutoencoderKLLTXVideo
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from safetensors.torch import save_file

DECODE_TIMESTEP = 0.05
# Coprime with every dimension, so that all channels, rows and columns occur.
KEEP_EVERY = 7

COMMON = {"latent_channels": 8, "patch_size": 4}
OLD_ENCODER = {
    "block_out_channels": [4, 8, 12, 12],
    "layers_per_block": [2, 1, 1, 1, 1],
    "spatio_temporal_scaling": [True, True, True, False],
}
# The releases halve the channels in every stage; here the middle one keeps its 8, since the residual needs a multiple of 8 to fold.
RESIDUAL_DECODER = {
    "decoder_block_out_channels": [8, 8, 16],
    "decoder_layers_per_block": [1, 1, 2, 1],
    "decoder_spatio_temporal_scaling": [True, True, True],
    "timestep_conditioning": True,
    "upsample_residual": [True, True, True],
    "upsample_factor": [2, 1, 2],
}
CONFIGS = {
    "0.9.0": COMMON
    | OLD_ENCODER
    | {"decoder_block_out_channels": [4, 8, 12, 12], "decoder_layers_per_block": [2, 1, 1, 1, 1]},
    "0.9.1": COMMON | OLD_ENCODER | RESIDUAL_DECODER | {"decoder_inject_noise": [True, True, True, False]},
    "0.9.5": COMMON
    | RESIDUAL_DECODER
    | {
        "block_out_channels": [4, 8, 8, 16, 16],
        "down_block_types": ["LTXVideo095DownBlock3D"] * 4,
        "layers_per_block": [1, 2, 1, 1, 1],
        "spatio_temporal_scaling": [True] * 4,
        "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
        "decoder_inject_noise": [False] * 4,
        "spatial_compression_ratio": 32,
        "temporal_compression_ratio": 8,
    },
}


def fill(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Draws weights that keep activations near 1, with no table, gate or norm left at 0 or 1."""

    def normal(shape: torch.Size) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith("timestep_scale_multiplier"):
            continue
        if name.endswith(("norm3.weight", "latents_std")):
            values = 1 + 0.3 * normal(tensor.shape).clamp(-2, 2)
        elif tensor.dim() >= 4 or name.endswith(("linear_1.weight", "linear_2.weight")):
            values = normal(tensor.shape) * 1.3 / tensor[0].numel() ** 0.5
        else:
            values = 0.3 * normal(tensor.shape)
        tensor.data.copy_(values.bfloat16())


def thinned(pixels: torch.Tensor) -> torch.Tensor:
    """Every `KEEP_EVERY`th value: enough to see any difference, and small enough to keep."""
    return pixels.flatten()[::KEEP_EVERY].clone()


def write_generation(folder: Path, generation: str) -> None:
    """Writes the fixture of one generation."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(90 + int(generation[-1]))
    model = AutoencoderKLLTXVideo.from_config(CONFIGS[generation]).eval()
    fill(model, generator)
    golden = {}

    def decode(latents: torch.Tensor) -> torch.Tensor:
        """As the pipelines do: back to the model's own scale, then decoded at the timestep if the decoder takes one."""
        channels = (1, -1, 1, 1, 1)
        raw = latents * model.latents_std.view(channels) + model.latents_mean.view(channels)
        timestep = torch.tensor([DECODE_TIMESTEP]) if model.config.timestep_conditioning else None
        return model.decode(raw, timestep).sample

    def drawn(shape: torch.Size, **_: object) -> torch.Tensor:
        noise = standard_normal(tuple(shape), generator=generator)
        golden[f"noise.{sum(name.startswith('noise.') for name in golden)}"] = noise
        return noise

    golden["pixels"] = torch.rand((1, 3, 9, 64, 32), generator=generator).mul(2).sub(1).half().float()
    golden["latents"] = torch.randn((1, 8, 3, 1, 2), generator=generator)
    golden["latent_frame"] = torch.randn((1, 8, 1, 2, 1), generator=generator)
    with torch.no_grad():
        posterior: DiagonalGaussianDistribution = model.encode(golden["pixels"]).latent_dist
        golden["mean"], golden["log_variance"] = posterior.mean, posterior.logvar[:, :1]
        golden["image_mean"] = model.encode(golden["pixels"][:, :, :1]).latent_dist.mode()
        standard_normal = torch.randn
        with mock.patch.object(torch, "randn", drawn):
            golden["decoded"] = thinned(decode(golden["latents"]))
        with mock.patch.object(torch, "randn", lambda shape, **_: torch.zeros(shape)):
            golden["decoded_frame"] = thinned(decode(golden["latent_frame"]))
    for name in ["mean", "image_mean", "decoded", "decoded_frame"]:
        print(f"{generation} {name}: standard deviation {golden[name].std():.3f}, largest {golden[name].abs().max():.3f}")

    golden["pixels"] = golden["pixels"].half()
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, folder / "golden.safetensors")
    weights = {name: tensor.bfloat16().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    model.save_config(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write(folder: Path) -> None:
    """Writes the fixtures of all generations below `folder`."""
    for generation in CONFIGS:
        write_generation(folder / f"vae_{generation}", generation)
