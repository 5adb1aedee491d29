"""One network of a folder of diffusers, run on request by PyTorch: the twin of `benches/versus.rs`, which says what the arguments and the requests are.

    python -m scripts.versus.engine PART MODEL INPUTS OUTPUT DTYPE THREADS [channels-last]

PyTorch runs it as diffusers' pipelines do, without gradients. A decoder's weights may have their channels last.
"""

import gc
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel
from transformers.utils import logging

from scripts.ltx.golden_transformer import coordinates


class Transformer:
    """A prediction of `LTXConditionPipeline`."""

    def __init__(self, model, dtype):
        self.network = LTXVideoTransformer3DModel.from_pretrained(model / "transformer", torch_dtype=dtype).eval()

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
            latents.flatten(2).transpose(1, 2).to(dtype), text, timestep, torch.ones(text.shape[:2]),
            video_coords=coordinates(grid, True), return_dict=False)[0]
        return velocity.transpose(1, 2).reshape(latents.shape)


class Decoder:
    """The end of the pipelines: latents on the scale of the autoencoder, then pixels."""

    def __init__(self, model, dtype):
        self.network = AutoencoderKLLTXVideo.from_pretrained(model / "vae", torch_dtype=dtype).eval()

    def run(self, inputs, dtype):
        network, channels = self.network, (1, -1, 1, 1, 1)
        latents = inputs["latents"] * network.latents_std.view(channels).float() + network.latents_mean.view(channels).float()
        return network.decode(latents.to(dtype), inputs["timestep"].to(dtype), return_dict=False)[0]


class TextEncoder:
    """The encoder of the pipelines, with as many tokens as the text has."""

    def __init__(self, model, dtype):
        self.network = T5EncoderModel.from_pretrained(model / "text_encoder", torch_dtype=dtype).eval()

    def run(self, inputs, dtype):
        return self.network(inputs["tokens"])[0]


PARTS = {"transformer": Transformer, "vae-decode": Decoder, "t5": TextEncoder}


class Session:
    """The answers to requests."""

    def __init__(self, part, model, inputs, output, dtype, channels_last):
        self.inputs, self.output = load_file(inputs), output
        self.part, self.model, self.channels_last = PARTS[part], Path(model), channels_last
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
        self.loaded = self.found = None

    def ready(self):
        pass

    def load(self):
        # The old network goes first.
        self.loaded = None
        gc.collect()
        self.loaded = self.part(self.model, self.dtype)
        if self.channels_last:
            self.loaded.network.to(memory_format=torch.channels_last_3d)

    def run(self):
        self.found = self.loaded.run(self.inputs, self.dtype)

    def whole(self):
        self.load()
        self.run()

    def write(self):
        save_file({"output": self.found.float().contiguous()}, self.output)


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.inference_mode()
def main():
    part, model, inputs, output, dtype, threads, *layout = sys.argv[1:]
    logging.disable_progress_bar()
    torch.set_num_threads(int(threads))
    session = Session(part, model, inputs, output, dtype, channels_last=layout == ["channels-last"])
    requests = dict(ready=session.ready, load=session.load, run=session.run, whole=session.whole, write=session.write)
    for line in sys.stdin:
        print(timed(requests[line.strip()]), flush=True)


if __name__ == "__main__":
    main()
