"""Write the denoiser's averaged weights as float16 safetensors, tensor names as in `Denoiser.state_dict()`.

    python -m scripts.sway.export_denoiser --checkpoint denoiser.pt --out models/sway/denoiser.safetensors
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    weights = torch.load(options.checkpoint, map_location="cpu")["average"]
    small = {name: value.half().contiguous() for name, value in weights.items()}
    unfit = [name for name, value in small.items() if not torch.isfinite(value).all()]
    if unfit:
        raise SystemExit(f"not finite in float16: {', '.join(unfit)}: train again with a lower --rate")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(small, options.out)
    print(f"{len(small)} tensors, {sum(value.numel() for value in small.values())} parameters, {options.out.stat().st_size} bytes -> {options.out}")


if __name__ == "__main__":
    main()
