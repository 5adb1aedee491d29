"""Golden fixtures of the latent upsampler: a tiny random network, what diffusers makes with it, and a whole run of two passes.

Made with diffusers 0.42.1 and torch 2.15.0, on the CPU in float32, after the fixtures of the transformer and of the autoencoder, which take
part in the run. Writes into the folder:

* `upsampler/`: the network in diffusers' own layout. Its weights are float8 (e4m3), which float32 holds exactly
* `upsampler.safetensors`: normalised latents `[1, 8, 3, 2, 3]`, what the network makes of them when they are not normalised, what the
  pipeline makes of them; tone mapping; a group norm over 64 channels
* `upsampler_two_pass.safetensors`: by `transformer_20` and `vae_0.9.5`, 96x64 and 192x128 pixels, 17 frames: the picture (uint8), the text,
  the noise and the levels of both passes, the latents after pass 1, after the upsampler, and after pass 2. Once more with the prefix
  `plain.` with a picture of one colour, which keeps every pixel when it is resized
"""

import json
from unittest import mock

import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXConditionPipeline, LTXVideoTransformer3DModel
from diffusers import LTXLatentUpsamplePipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.ltx import pipeline_ltx_condition
from diffusers.pipelines.ltx.modeling_latent_upsampler import LTXLatentUpsamplerModel
from safetensors.torch import load_file, save_file

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
    """`[1, 3, height, width]`, 0 to 1 in steps of 1/255: a disc before two gradients."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disc = ((rows - 0.45) ** 2 + (1.5 * columns - 0.6) ** 2 < 0.08).float()
    picture = torch.stack([0.8 * columns + 0.2 * disc, 0.3 + 0.5 * rows - 0.3 * disc, 0.9 - 0.6 * rows * columns])
    return (255 * picture[None].clamp(0, 1)).round() / 255


def smaller(picture):
    """Every square of four pixels becomes their mean."""
    return torch.nn.functional.avg_pool2d(picture, 2)


def two_passes(pipeline, upsampler, given, picture):
    """The latents after each part of a run; `given` is what a run starts from besides the picture."""

    def denoised(which, picture, latents=None):
        height, width = PIXELS[which]
        timesteps = [1000.0 * sigma for sigma in SIGMAS[which]]
        if latents is not None:
            timesteps = [1000.0] + timesteps
        text = given["text"]
        with mock.patch.object(pipeline_ltx_condition, "randn_tensor", lambda *_, **__: given[f"{which}.noise"].clone()):
            return pipeline(
                image=picture, prompt_embeds=text, prompt_attention_mask=torch.ones(text.shape[:2]), height=height, width=width,
                num_frames=FRAMES, timesteps=timesteps, denoise_strength=1.0 if latents is None else 0.999, latents=latents,
                guidance_scale=1.0, image_cond_noise_scale=0.0, output_type="latent").frames  # fmt: skip

    # The posterior's mean: latents of the picture without noise of their own.
    with mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()):
        first = denoised("first", smaller(picture))
        upsampled = upsampler(latents=first, adain_factor=1.0, output_type="latent").frames
        second = denoised("second", picture, upsampled)
    return {"first.latents": first, "upsampled": upsampled, "second.latents": second}


def run(folder, vae, upsampler, generator):
    """Two passes from a drawn picture, and two from a plain one."""
    transformer = LTXVideoTransformer3DModel.from_config(json.loads((folder / "transformer_20.json").read_text())).eval()
    transformer.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "transformer_20.safetensors").items()})
    pipeline = LTXConditionPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae, text_encoder=None, tokenizer=None, transformer=transformer)  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)

    found = {"text": torch.randn(1, 4, transformer.config.caption_channels, generator=generator)}
    for which, (height, width) in PIXELS.items():
        grid = (FRAMES // 8 + 1, height // 32, width // 32)
        found[f"{which}.noise"] = torch.randn(1, CHANNELS, *grid, generator=generator)
        found[f"{which}.sigmas"] = torch.tensor(SIGMAS[which] + [0.0])
    drawn = drawn_picture(*PIXELS["second"])
    plain = torch.tensor([51.0, 102.0, 204.0]).view(1, 3, 1, 1).div(255).expand_as(drawn)
    found |= two_passes(pipeline, upsampler, found, drawn)
    plainly = two_passes(pipeline, upsampler, found, plain)
    found |= {f"plain.{name}": tensor for name, tensor in plainly.items()}
    return found | {"picture": (255 * drawn).round().byte(), "plain.picture": (255 * plain[:, :, :1, :1]).round().byte()}


@torch.no_grad()
def write(folder):
    """Writes all files named above into `folder`."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(9)
    model = write_network(folder / "upsampler", generator)
    vae = AutoencoderKLLTXVideo.from_pretrained(folder / "vae_0.9.5", torch_dtype=torch.float32).eval()
    pipeline = LTXLatentUpsamplePipeline(vae, model)
    files = {"upsampler": group_norm(generator) | upsampling(model, pipeline, generator)}
    files["upsampler_two_pass"] = run(folder, vae, pipeline, generator)
    for file, tensors in files.items():
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / f"{file}.safetensors")
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and "sigmas" not in name:
                print(f"{file} {name}: standard deviation {tensor.std():.3f}, largest {tensor.abs().max():.3f}")
