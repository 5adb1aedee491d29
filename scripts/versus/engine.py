"""One network of a folder of diffusers, run on request by PyTorch: the twin of `benches/versus.rs`, which says what the arguments and the requests are.

    python -m scripts.versus.engine PART MODEL INPUTS OUTPUT DTYPE THREADS [channels-last] [compiled] [cuda]

PyTorch runs it as diffusers' pipelines do, without gradients. A decoder's weights may have their channels last; networks may be compiled by
`torch.compile`, whose first run takes minutes. `clip`, which is no part of the twin, is the whole pipeline from a picture to frames.
"""

import gc
import json
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXConditionPipeline, LTXVideoTransformer3DModel
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel, T5TokenizerFast
from transformers.utils import logging

from scripts.ltx.golden_transformer import coordinates


class Transformer:
    """A prediction of `LTXConditionPipeline`."""

    def __init__(self, model, dtype):
        self.network = LTXVideoTransformer3DModel.from_pretrained(model / "transformer", torch_dtype=dtype).eval()

    def compile(self):
        self.network.compile()

    def run(self, inputs, dtype):
        latents = inputs["latents"]
        grid, tokens = latents.shape[2:], latents[0, 0].numel()
        timestep = 1000 * inputs["sigma"].float()
        if inputs["held"]:
            # A level for each token, as the pipelines give it where they hold a frame.
            timestep = timestep.expand(tokens).clone()[None]
            timestep[:, : grid[1] * grid[2]] = 0
        text = inputs["text"].to(dtype)
        velocity = self.network(
            latents.flatten(2).transpose(1, 2).to(dtype), text, timestep, torch.ones(text.shape[:2], device=latents.device),
            video_coords=coordinates(grid, True).to(latents.device), return_dict=False)[0]
        return velocity.transpose(1, 2).reshape(latents.shape)


class Decoder:
    """The end of the pipelines: latents on the scale of the autoencoder, then pixels."""

    def __init__(self, model, dtype):
        self.network = AutoencoderKLLTXVideo.from_pretrained(model / "vae", torch_dtype=dtype).eval()

    def compile(self):
        self.network.decoder.compile()

    def run(self, inputs, dtype):
        network, channels = self.network, (1, -1, 1, 1, 1)
        latents = inputs["latents"] * network.latents_std.view(channels).float() + network.latents_mean.view(channels).float()
        return network.decode(latents.to(dtype), inputs["timestep"].to(dtype), return_dict=False)[0]


class TextEncoder:
    """The encoder of the pipelines, with as many tokens as the text has."""

    def __init__(self, model, dtype):
        self.network = T5EncoderModel.from_pretrained(model / "text_encoder", torch_dtype=dtype).eval()

    def compile(self):
        self.network.compile()

    def run(self, inputs, dtype):
        return self.network(inputs["tokens"])[0]


class Clip:
    """A picture to frames by `LTXConditionPipeline`; the inputs are `{"request": ...}` in JSON."""

    def __init__(self, model, dtype):
        self.network = LTXConditionPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(model / "scheduler"),
            vae=Decoder(model, dtype).network, text_encoder=TextEncoder(model, dtype).network,
            tokenizer=T5TokenizerFast.from_pretrained(model / "tokenizer"), transformer=Transformer(model, dtype).network)
        self.network.set_progress_bar_config(disable=True)

    def compile(self):
        self.network.transformer.compile()
        self.network.vae.decoder.compile()

    def run(self, inputs, dtype):
        request = inputs["request"]
        picture = Image.new("RGB", (request["width"], request["height"]), (90, 120, 150))
        frames = self.network(
            image=picture, prompt=request["prompt"], negative_prompt="", width=request["width"], height=request["height"],
            num_frames=request["frames"], num_inference_steps=request["steps"], guidance_scale=3.0, decode_timestep=0.05,
            generator=torch.Generator().manual_seed(1), output_type="np").frames
        return torch.from_numpy(frames)


PARTS = {"transformer": Transformer, "vae-decode": Decoder, "t5": TextEncoder, "clip": Clip}
FLAGS = {"channels-last", "compiled", "cuda"}


class Session:
    """The answers to requests."""

    def __init__(self, part, model, inputs, output, dtype, flags):
        self.device, self.flags = torch.device("cuda" if "cuda" in flags else "cpu"), flags
        self.inputs, self.output = read(inputs, self.device), output
        self.part, self.model = PARTS[part], Path(model)
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
        self.loaded = self.found = None

    def ready(self):
        pass

    def load(self):
        # The old network goes first.
        self.loaded = None
        gc.collect()
        self.loaded = self.part(self.model, self.dtype)
        self.loaded.network.to(self.device)
        if "channels-last" in self.flags:
            self.loaded.network.to(memory_format=torch.channels_last_3d)
        if "compiled" in self.flags:
            self.loaded.compile()

    def run(self):
        self.found = self.loaded.run(self.inputs, self.dtype)

    def whole(self):
        self.load()
        self.run()

    def write(self):
        save_file({"output": self.found.float().contiguous().cpu()}, self.output)

    def timed(self, work):
        start = time.perf_counter()
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start


def read(path, device):
    """Tensors on the device, or what a file of JSON says."""
    if path.endswith(".json"):
        return json.loads(Path(path).read_text())
    return {name: tensor.to(device) for name, tensor in load_file(path).items()}


@torch.inference_mode()
def main():
    part, model, inputs, output, dtype, threads, *flags = sys.argv[1:]
    if unknown := set(flags) - FLAGS:
        sys.exit(f"error: wanted {', '.join(sorted(FLAGS))}, found {', '.join(sorted(unknown))}")
    logging.disable_progress_bar()
    torch.set_num_threads(int(threads))
    session = Session(part, model, inputs, output, dtype, set(flags))
    requests = dict(ready=session.ready, load=session.load, run=session.run, whole=session.whole, write=session.write)
    for line in sys.stdin:
        print(session.timed(requests[line.strip()]), flush=True)


if __name__ == "__main__":
    main()
