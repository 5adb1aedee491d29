"""Golden fixtures of the latent upsampler: a tiny random network, what diffusers makes with it, and whole runs of two passes.

    python -m scripts.golden upsampler

Made with diffusers 0.42.1 and torch 2.15.0, on the CPU in float32, with the model in `checkpoint/` (see tiny_checkpoint.py). Writes into the
folder:

* `upsampler/`: the network in diffusers' own layout. Its weights are float8 (e4m3), which float32 holds exactly
* `upsampler.safetensors`: normalised latents `[1, 8, 3, 2, 3]`, what the network makes of them when they are not normalised, what the
  pipeline makes of them; tone mapping; a group norm over 64 channels
* `upsampler_two_passes/`, 96x64 and 192x128 pixels, 17 frames:
    * `drawn.png` and `plain.png`: pictures of the second size. Pass 1 is given the mean of every four pixels; the plain one has one colour,
      which no way to resize it changes
    * `first_noise.safetensors` and `second_noise.safetensors`: the tensor `noise` of each pass
    * `run.safetensors`: `prompt` (embeddings `[tokens, 24]`), the `sigmas` of each pass (with the 0 at their end), and for each picture the
      normalised latents after pass 1, after the upsampler, and after pass 2. The metadata `request` tells what was asked for

As in golden_runs.py diffusers is given the mean of the encoder's posterior, and a prompt without padding.
"""

import json
from unittest import mock

import numpy as np
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXConditionPipeline,
    LTXLatentUpsamplePipeline,
    LTXVideoTransformer3DModel,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.ltx import pipeline_ltx_condition
from diffusers.pipelines.ltx.modeling_latent_upsampler import LTXLatentUpsamplerModel
from PIL import Image
from safetensors.torch import save_file
from sentencepiece import SentencePieceProcessor
from transformers import T5EncoderModel

from .golden_runs import PROMPT, embed, padded

CHANNELS = 8
# One channel a group of the 32: with more the file would be too large, so that the group norm has a golden of its own.
WIDTH = 32
PIXELS = {"first": (64, 96), "second": (128, 192)}
FRAMES = 17
# Of the releases 0.9.8. Diffusers wants a first level of 1 in pass 2 too, and leaves it out where it is told to denoise a little less.
SIGMAS = {"first": [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725], "second": [0.9094, 0.725, 0.4219]}
TONE_MAP_COMPRESSION = 0.6


def randomise(model, generator):
    """Weights that keep activations near 1, with norms and biases that are not trivial; all exact in float8."""
    for name, weight in model.named_parameters():
        values = torch.randn(weight.shape, generator=generator)
        if weight.dim() > 1:
            values = 1.3 * values / weight[0].numel() ** 0.5
        elif "norm" in name and name.endswith("weight"):
            values = 1 + 0.3 * values
        else:
            values = 0.2 * values
        weight.data = values.to(torch.float8_e4m3fn).float()


def write_network(folder, generator):
    """Writes the network and gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = LTXLatentUpsamplerModel(in_channels=CHANNELS, mid_channels=WIDTH, num_blocks_per_stage=1).eval()
    randomise(model, generator)
    weights = {name: tensor.to(torch.float8_e4m3fn).contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    model.save_config(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return model


def group_norm(generator):
    """Two channels a group."""
    norm = torch.nn.GroupNorm(32, 64)
    randomise(norm, generator)
    x = 3 + 2 * torch.randn(1, 64, 3, 2, 2, generator=generator)
    return {"norm.input": x, "norm.weight": norm.weight, "norm.bias": norm.bias, "norm.output": norm(x)}


def upsampling(model, pipeline, generator):
    """The network alone, and the pipeline around it."""
    latents = 0.5 + 1.5 * torch.randn(1, CHANNELS, 3, 2, 3, generator=generator)
    found = {"latents": latents, "forward": model(latents)}
    for name, share in {"as_they_are": 0.0, "half": 0.5, "whole": 1.0}.items():
        found[f"upsampled.{name}"] = pipeline(latents=latents, adain_factor=share, output_type="latent").frames
    found["tone_mapped"] = pipeline.tone_map_latents(latents, TONE_MAP_COMPRESSION)
    return found


def drawn_picture(height, width):
    """`[height, width, 3]`, 0 to 255: a disc before two gradients."""
    rows, columns = np.mgrid[0:height, 0:width] / (height - 1)
    disc = (rows - 0.45) ** 2 + (columns - 0.6) ** 2 < 0.08
    return np.stack([140 * columns + 40 * disc, 80 + 120 * rows - 70 * disc, 230 - 100 * rows * columns], -1).round().astype(np.uint8)


def plain_picture(height, width):
    """`[height, width, 3]`, 0 to 255."""
    return np.broadcast_to(np.array([51, 102, 204], np.uint8), (height, width, 3))


def two_passes(pipeline, upsampler, given, picture):
    """The latents after each part of a run; `given` is what a run starts from besides the picture `[1, 3, H, W]`, 0 to 1."""

    def denoised(which, picture, latents=None):
        height, width = PIXELS[which]
        timesteps = [1000.0 * sigma for sigma in SIGMAS[which]]
        if latents is not None:
            timesteps = [1000.0] + timesteps
        with mock.patch.object(pipeline_ltx_condition, "randn_tensor", lambda *_, **__: given[f"{which}.noise"].clone()):
            return pipeline(
                image=picture, height=height, width=width, num_frames=FRAMES, timesteps=timesteps, latents=latents,
                denoise_strength=1.0 if latents is None else 0.999, guidance_scale=1.0, image_cond_noise_scale=0.0,
                output_type="latent", **padded({"prompt": given["prompt"]})).frames  # fmt: skip

    with mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()):
        first = denoised("first", torch.nn.functional.avg_pool2d(picture, 2))
        upsampled = upsampler(latents=first, adain_factor=1.0, output_type="latent").frames
        second = denoised("second", picture, upsampled)
    return {"first.latents": first, "upsampled": upsampled, "second.latents": second}


def write_runs(folder, checkpoint, upsampler, generator):
    """Writes two passes from a drawn picture, and two from a plain one."""
    folder.mkdir(exist_ok=True)
    transformer = LTXVideoTransformer3DModel.from_pretrained(checkpoint / "transformer", torch_dtype=torch.float32).eval()
    pipeline = LTXConditionPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(checkpoint / "scheduler"), vae=upsampler.vae, text_encoder=None,
        tokenizer=None, transformer=transformer)  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    encoder = T5EncoderModel.from_pretrained(checkpoint / "text_encoder", torch_dtype=torch.float32).eval()
    tokenizer = SentencePieceProcessor(model_file=str(checkpoint / "tokenizer" / "spiece.model"))

    given = {"prompt": embed(encoder, tokenizer, PROMPT)}
    for which, (height, width) in PIXELS.items():
        given[f"{which}.noise"] = torch.randn(1, CHANNELS, FRAMES // 8 + 1, height // 32, width // 32, generator=generator)
        save_file({"noise": given[f"{which}.noise"]}, folder / f"{which}_noise.safetensors")
    found = {"prompt": given["prompt"]} | {f"{which}.sigmas": torch.tensor(sigmas + [0.0]) for which, sigmas in SIGMAS.items()}
    for name, draw in {"drawn": drawn_picture, "plain": plain_picture}.items():
        picture = draw(*PIXELS["second"])
        Image.fromarray(picture).save(folder / f"{name}.png")
        pixels = torch.tensor(picture).permute(2, 0, 1)[None] / 255
        found |= {f"{name}.{key}": tensor for key, tensor in two_passes(pipeline, upsampler, given, pixels).items()}
    save(folder / "run.safetensors", found, {"request": json.dumps({"prompt": PROMPT, "fps": 25})})


def save(path, tensors, metadata=None):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    for name, tensor in tensors.items():
        if "sigmas" not in name:
            print(f"{path.stem} {name}: standard deviation {tensor.std():.3f}, largest {tensor.abs().max():.3f}")


@torch.no_grad()
def write(folder):
    """Writes all files named above into `folder`, which holds `checkpoint/` already."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(9)
    model = write_network(folder / "upsampler", generator)
    vae = AutoencoderKLLTXVideo.from_pretrained(folder / "checkpoint" / "vae", torch_dtype=torch.float32).eval()
    pipeline = LTXLatentUpsamplePipeline(vae, model)
    save(folder / "upsampler.safetensors", group_norm(generator) | upsampling(model, pipeline, generator))
    write_runs(folder / "upsampler_two_passes", folder / "checkpoint", pipeline, generator)
