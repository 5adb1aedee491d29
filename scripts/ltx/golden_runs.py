"""Whole runs of LTX-Video by diffusers 0.42.1 in float32, from a picture and a prompt to latents and frames.

    python -m scripts.golden runs

Writes `checkpoint/` and `checkpoint_0.9.0/` (see tiny_checkpoint.py), and into `runs/`:

* `picture.png`: 96x64 pixels, the size of the clips
* `noise.safetensors`: the tensor `noise`, `[1, 8, 3, 2, 3]`, which every run begins with
* `<run>.safetensors`: `prompt` and, with guidance, `negative` (embeddings `[tokens, 24]`), `image_latents` (of the picture),
  `sigmas` (with the 0 at their end), `latents` (normalised, as they are decoded) and `frames` (every 7th value of
  `[frames, height, width, 3]`, 0 to 255). The metadata `request` tells what was asked for.

Where diffusers does otherwise than the original implementation, it is given what the original would: the mean of the encoder's
posterior instead of a sample, no noise at decoding (which the two add in different places), and prompts that are encoded by
themselves instead of with padding.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from diffusers import LTXConditionPipeline, LTXImageToVideoPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition
from PIL import Image
from safetensors.torch import save_file
from sentencepiece import SentencePieceProcessor

from . import tiny_checkpoint
from .golden_schedule import DISTILLED
from .golden_text import tokens_of
from .golden_vae import thinned

WIDTH, HEIGHT, FRAMES, FPS = 96, 64, 17, 25
SEED = 31
DECODE_TIMESTEP = 0.05
PROMPT = "her hair flows in the wind, soft light shifting"
NEGATIVE_PROMPT = "blurry, jittery"


@dataclass
class Request:
    """What a run was asked for; `None` is the pipeline's own choice."""

    steps: int | None = None
    guidance_scale: float = 1.0
    guidance_rescale: float = 0.0
    negative_prompt: str = ""
    sigmas: list[float] | None = None
    strength: float = 1.0


RUNS = {
    "guided": Request(steps=5, guidance_scale=3.0),
    "rescaled": Request(steps=5, guidance_scale=3.0, guidance_rescale=0.7, negative_prompt=NEGATIVE_PROMPT),
    "distilled": Request(sigmas=DISTILLED),
    # The picture's frame waits for two steps, and joins the others for two.
    "weak": Request(sigmas=[1.0, 0.75, 0.45, 0.2], strength=0.5),
}
FIRST_GENERATION = {"first_generation": Request(steps=5, guidance_scale=3.0)}


def picture() -> Image.Image:
    """A sky over a hill with a sun: smooth colours and a few edges, and different in every corner."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] / (HEIGHT - 1)
    red, green, blue = 90 + 60 * columns, 130 + 70 * rows, 220 - 50 * columns
    sun = (rows - 0.3) ** 2 + (columns - 1.1) ** 2 < 0.03
    hill = rows > 0.65 + 0.15 * np.sin(4 * columns)
    pixels = np.stack([red, green, blue], -1)
    pixels[hill] = np.stack([40 + 30 * columns, 110 - 40 * rows, 50 + 20 * rows], -1)[hill]
    pixels[sun] = (250, 220, 120)
    return Image.fromarray(pixels.round().astype(np.uint8))


def embed(encoder: torch.nn.Module, tokenizer: SentencePieceProcessor, text: str) -> torch.Tensor:
    """`[tokens, channels]` of a text without padding, which is what masked padding gives too."""
    tokens = torch.tensor([tokens_of(tokenizer, text)])
    alone = encoder(tokens).last_hidden_state
    padded = torch.nn.functional.pad(tokens, (0, 256 - tokens.shape[1]))
    masked = encoder(padded, attention_mask=(torch.arange(256) < tokens.shape[1]).long()[None]).last_hidden_state
    difference = (masked[:, : tokens.shape[1]] - alone).abs().max() / alone.abs().max()
    assert difference < 1e-5, f"padding changes {text!r} by {difference}"
    return alone[0]


def padded(texts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The arguments of a pipeline for these embeddings: as long as each other, with masks over what was added."""
    length = max(len(text) for text in texts.values())
    arguments = {}
    for name, text in texts.items():
        arguments[f"{name}_embeds"] = torch.nn.functional.pad(text, (0, 0, 0, length - len(text)))[None]
        arguments[f"{name}_attention_mask"] = (torch.arange(length) < len(text)).float()[None]
    return arguments


def initial_noise(channels: int) -> torch.Tensor:
    """What a pipeline draws first of a generator with this seed."""
    shape = (1, channels, (FRAMES - 1) // 8 + 1, HEIGHT // 32, WIDTH // 32)
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED))


def arguments_of(pipeline: LTXConditionPipeline | LTXImageToVideoPipeline, request: Request) -> dict:
    """What the pipeline's class alone is given."""
    image = picture()
    if isinstance(pipeline, LTXImageToVideoPipeline):
        assert request.sigmas is None and request.strength == 1.0
        return dict(image=image, num_inference_steps=request.steps)
    levels = dict(num_inference_steps=request.steps)
    if request.sigmas is not None:
        levels = dict(timesteps=[1000 * sigma for sigma in request.sigmas])
    return levels | dict(conditions=[LTXVideoCondition(image=image, frame_index=0, strength=request.strength)], image_cond_noise_scale=0.0)


@torch.no_grad()
def run(made: tiny_checkpoint.Model, pipeline_class: type, texts: dict[str, torch.Tensor], request: Request) -> dict[str, torch.Tensor]:
    """The tensors of one run."""
    pipeline = pipeline_class(
        scheduler=made.scheduler, vae=made.vae, transformer=made.transformer, text_encoder=None, tokenizer=None)
    pipeline.set_progress_bar_config(disable=True)
    found = {}

    def keep(_, __, ___, state):
        found["packed"] = state["latents"]
        return state

    # The pipelines ask for a sample of what the encoder gives, and go on as if the noise came first.
    with mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()):
        pixels = pipeline(
            height=HEIGHT, width=WIDTH, num_frames=FRAMES, frame_rate=FPS, guidance_scale=request.guidance_scale,
            guidance_rescale=request.guidance_rescale, generator=torch.Generator().manual_seed(SEED), decode_timestep=DECODE_TIMESTEP,
            decode_noise_scale=0.0, output_type="pt", callback_on_step_end=keep, **padded(texts), **arguments_of(pipeline, request),
        ).frames[0]
    grid = initial_noise(1).shape[2:]
    latents = found["packed"].transpose(1, 2).reshape(1, -1, *grid)
    image = pipeline.video_processor.preprocess(picture(), HEIGHT, WIDTH)
    posterior = made.vae.encode(image[:, :, None]).latent_dist
    image_latents = pipeline._normalize_latents(posterior.mode(), made.vae.latents_mean, made.vae.latents_std)
    begun = torch.lerp(initial_noise(latents.shape[1])[:, :, :1], image_latents, request.strength)
    assert torch.equal(latents[:, :, :1], begun) == (request.strength == 1.0), "only a frame that is weakly held joins the others"
    frames = (255 * pixels.permute(0, 2, 3, 1)).round().to(torch.uint8)
    flat = ((frames == 0) | (frames == 255)).float().mean()
    print(f"latents: largest {latents.abs().max():.2f}; pixels: deviation {pixels.std():.3f}, {flat:.1%} clipped")
    assert flat < 0.05 and pixels.std() > 0.1
    return texts | dict(image_latents=image_latents, sigmas=made.scheduler.sigmas, latents=latents, frames=thinned(frames))


def write(folder: Path) -> None:
    """Writes all files named above into `folder`."""
    torch.set_num_threads(1)
    later, first, encoder = tiny_checkpoint.write(folder)
    tokenizer = SentencePieceProcessor(model_file=str(folder / "checkpoint" / "tokenizer" / "spiece.model"))
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    picture().save(runs / "picture.png")
    save_file(dict(noise=initial_noise(later.transformer.config.in_channels)), runs / "noise.safetensors")
    for made, pipeline_class, requests in ((later, LTXConditionPipeline, RUNS), (first, LTXImageToVideoPipeline, FIRST_GENERATION)):
        for name, request in requests.items():
            with torch.no_grad():
                texts = dict(prompt=embed(encoder, tokenizer, PROMPT))
                if request.guidance_scale > 1:
                    texts["negative_prompt"] = embed(encoder, tokenizer, request.negative_prompt)
            print(name, end=": ")
            found = run(made, pipeline_class, texts, request)
            save_file({key: value.contiguous() for key, value in found.items()}, runs / f"{name}.safetensors",
                      metadata=dict(request=json.dumps(dict(prompt=PROMPT) | asdict(request))))
