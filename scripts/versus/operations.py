"""Single operations by PyTorch, at the shapes that `stir bench ops --json` measured: started by `bench_cuda.py`.

    python -m scripts.versus.operations RECORD OUTPUT DEVICE REPEATS

`OUTPUT` gets JSON: for each operation of the record, in order, seconds by the name of what computed it. On CUDA attention is asked of FlashAttention and of
cuDNN, convolutions keep their channels innermost, and the norms are what diffusers writes, plain and compiled.
"""

import json
import re
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

# Frames of a clip that is convolved; the record's operation makes one of them.
CLIP_FRAMES = 153
# Latent frames of a clip, whose modulation differs.
LATENT_FRAMES = 20
LONG_ENOUGH_SECONDS = 0.2
TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


class Device:
    """Where operations run, and how often they are measured."""

    def __init__(self, name, repeats):
        self.name, self.repeats = name, repeats

    def tensor(self, *shape, dtype):
        return torch.randn(*shape, device=self.name, dtype=torch.float32).to(dtype)

    def wait(self):
        if self.name.startswith("cuda"):
            torch.cuda.synchronize()

    def times(self, run, count):
        start = time.perf_counter()
        for _ in range(count):
            run()
        self.wait()
        return time.perf_counter() - start

    def seconds(self, run):
        """Median over repeats, each of as many runs as take long enough together; two before are not counted."""
        run()
        self.times(run, 1)
        count = max(1, min(10_000, round(LONG_ENOUGH_SECONDS / max(self.times(run, 1), 1e-9))))
        return statistics.median(self.times(run, count) / count for _ in range(self.repeats))


def product(device, shape, dtype):
    """`F.linear` with a bias as stir has it on CUDA, and the GELU behind it, fused where PyTorch can."""
    tokens, inputs, outputs = map(int, re.match(r"(\d+)x(\d+) to (\d+)", shape).groups())
    x, weight, bias = device.tensor(tokens, inputs, dtype=dtype), device.tensor(outputs, inputs, dtype=dtype), device.tensor(outputs, dtype=dtype)
    if not shape.endswith("GELU"):
        return {"PyTorch": lambda: F.linear(x, weight, bias)}
    fused = lambda: torch._addmm_activation(bias, x, weight.t(), use_gelu=True)
    return {"PyTorch": lambda: F.gelu(F.linear(x, weight, bias), approximate="tanh"), "PyTorch, fused": fused}


def attention(device, shape, dtype):
    tokens, heads, width = map(int, re.match(r"(\d+) tokens, (\d+) heads of (\d+)", shape).groups())
    query, key, value = (device.tensor(1, heads, tokens, width, dtype=dtype) for _ in range(3))

    def by(backend):
        def run():
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(query, key, value)

        return run

    if device.name.startswith("cuda"):
        return {"FlashAttention": by(SDPBackend.FLASH_ATTENTION), "cuDNN": by(SDPBackend.CUDNN_ATTENTION)}
    return {"PyTorch": lambda: F.scaled_dot_product_attention(query, key, value)}


def convolution(device, shape, dtype):
    """A whole clip at once on CUDA, as diffusers has it, and the time of one of its frames."""
    height, width, channels = map(int, re.match(r"3x3x3, (\d+)x(\d+), (\d+) channels", shape).groups())
    frames = CLIP_FRAMES if device.name.startswith("cuda") else 1
    layout = torch.channels_last_3d
    x = device.tensor(1, channels, frames + 2, height, width, dtype=dtype).contiguous(memory_format=layout)
    weight = device.tensor(channels, channels, 3, 3, 3, dtype=dtype).contiguous(memory_format=layout)
    name = "cuDNN, channels last" if device.name.startswith("cuda") else "PyTorch, channels last"
    return {name: (lambda: F.conv3d(x, weight, padding=(0, 1, 1)), frames)}


def norm(device, shape, dtype):
    tokens, width = map(int, re.match(r"(\d+)x(\d+), ", shape).groups())
    x, weight = device.tensor(1, tokens, width, dtype=dtype), device.tensor(width, dtype=dtype)

    def rooted(x):
        return (x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype)

    if shape.endswith("modulated by frame"):
        frames = LATENT_FRAMES if tokens % LATENT_FRAMES == 0 else 1
        scale, shift = (device.tensor(1, frames, width, dtype=dtype).repeat_interleave(tokens // frames, 1) for _ in range(2))
        plain = lambda: rooted(x) * (1 + scale) + shift
    else:
        cosines, sines = (device.tensor(1, tokens, width, dtype=torch.float32) for _ in range(2))

        def plain():
            y = rooted(x) * weight
            real, imaginary = y.unflatten(2, (-1, 2)).unbind(-1)
            turned = torch.stack([-imaginary, real], -1).flatten(2)
            return (y.float() * cosines + turned.float() * sines).to(y.dtype)

    if device.name.startswith("cuda"):
        return {"PyTorch": plain, "PyTorch, compiled": torch.compile(plain)}
    return {"PyTorch": plain}


KINDS = {"gemm": product, "attention": attention, "conv3d": convolution, "norm": norm}


def measured(device, operation):
    """Seconds by name; the reason, in words, where something cannot run."""
    kind, seconds = KINDS.get(operation["name"]), {}
    if kind is None:
        return seconds
    for name, run in kind(device, operation["shape"], TYPES[operation["dtype"]]).items():
        run, count = run if isinstance(run, tuple) else (run, 1)
        try:
            seconds[name] = device.seconds(run) / count
        except RuntimeError as error:
            seconds[name] = f"does not run: {str(error).splitlines()[0]}"
    return seconds


@torch.inference_mode()
def main():
    record, output, device, repeats = sys.argv[1:]
    torch.backends.cudnn.benchmark = True
    # stir measures one core.
    torch.set_num_threads(1)
    device = Device(device, int(repeats))
    operations = json.loads(Path(record).read_text())["operations"]
    Path(output).write_text(json.dumps([measured(device, operation) for operation in operations], indent=2) + "\n")


if __name__ == "__main__":
    main()
