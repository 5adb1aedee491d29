"""Networks of LTX-Video with random weights in a folder of diffusers, and what goes into them: started by `bench_vs_diffusers.py`.

    python -m scripts.versus.networks FOLDER SIZES PART ...

`SIZES` is JSON (see `bench_vs_diffusers.py`). `FOLDER/model` gets transformer, autoencoder, text encoder and tokenizer; the weights are bfloat16, as those
of the releases are. Each part gets `FOLDER/<part>.safetensors`.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel
from transformers.utils import logging

from scripts.ltx.golden_transformer import randomise
from scripts.ltx.golden_vae import CONFIGS, fill
from scripts.ltx.tiny_checkpoint import Model, write_index, write_model

ROOT = Path(__file__).resolve().parents[2]
FPS = 25.0
SIGMA = 0.725
DECODE_TIMESTEP = 0.05


def vae_config(latent_channels, widths, layers):
    """The autoencoder of 0.9.5 with a decoder of these channels, from the last stage to the first. Its encoder, which decoding does not use, is narrow."""
    return CONFIGS["0.9.5"] | {
        "latent_channels": latent_channels,
        "decoder_block_out_channels": widths,
        "decoder_layers_per_block": [layers] * 4,
        "upsample_factor": [2, 2, 2] if len(set(widths)) == 3 else CONFIGS["0.9.5"]["upsample_factor"],
    }


def text_encoder(sizes, generator):
    """An encoder of T5 v1.1 whose scores are about 1, as those of a trained one are."""
    config = T5Config(
        vocab_size=sizes["vocabulary"], d_model=sizes["width"], d_kv=sizes["head_width"], num_heads=sizes["heads"],
        d_ff=sizes["feed_forward"], num_layers=sizes["layers"], feed_forward_proj="gated-gelu", dropout_rate=0.0,
        pad_token_id=0, eos_token_id=1, tie_word_embeddings=False)
    encoder = T5EncoderModel(config).bfloat16().eval()
    for name, parameter in encoder.named_parameters():
        scale = parameter.shape[-1] ** -0.5 * (sizes["head_width"] ** -0.5 if ".q." in name else 1)
        if "layer_norm" in name:
            parameter.data.copy_(1 + 0.3 * torch.randn(parameter.shape, generator=generator))
        elif "shared" in name or "relative_attention_bias" in name:
            parameter.data.normal_(generator=generator)
        else:
            parameter.data.normal_(std=scale, generator=generator)
    return encoder


def write_model_folder(folder, sizes):
    """Writes the networks."""
    generator = torch.Generator().manual_seed(5)
    transformer, vae = sizes["transformer"], sizes["vae"]
    width = transformer["heads"] * transformer["head_width"]
    channels = vae["latent_channels"]
    denoiser = LTXVideoTransformer3DModel(
        in_channels=channels, out_channels=channels, num_attention_heads=transformer["heads"], attention_head_dim=transformer["head_width"],
        cross_attention_dim=width, num_layers=transformer["layers"], caption_channels=sizes["text"]["width"]).eval()
    randomise(denoiser, generator)
    autoencoder = AutoencoderKLLTXVideo.from_config(vae_config(channels, vae["widths"], vae["layers"])).eval()
    fill(autoencoder, generator)
    write_model(folder, Model(denoiser, autoencoder, FlowMatchEulerDiscreteScheduler()))
    del denoiser, autoencoder
    text_encoder(sizes["text"], generator).save_pretrained(folder / "text_encoder")
    # Of no use here, but a model without one is refused.
    (folder / "tokenizer").mkdir()
    shutil.copy(ROOT / "tests" / "fixtures" / "ltx" / "tokenizer" / "spiece.model", folder / "tokenizer" / "spiece.model")
    write_index(folder, "LTXConditionPipeline", {})


def inputs(part, sizes):
    """What goes into a part, by name."""
    generator = torch.Generator().manual_seed(6)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    channels = sizes["vae"]["latent_channels"]
    if part == "transformer":
        held = torch.tensor([float(sizes["held_frame"])])
        return dict(latents=normal(1, channels, *sizes["grid"]), text=normal(1, sizes["text_tokens"], sizes["text"]["width"]),
                    sigma=torch.tensor([SIGMA], dtype=torch.float64), fps=torch.tensor([FPS]), held=held)
    if part == "vae-decode":
        return dict(latents=normal(1, channels, *sizes["latents"]), timestep=torch.tensor([DECODE_TIMESTEP], dtype=torch.float64))
    return dict(tokens=torch.randint(0, sizes["text"]["vocabulary"], (1, sizes["text_tokens"]), generator=generator))


def main():
    logging.disable_progress_bar()
    folder, sizes, parts = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    # Last, so that a folder which has it is whole.
    done = folder / "sizes.json"
    if not done.exists() or json.loads(done.read_text()) != sizes["networks"]:
        shutil.rmtree(folder / "model", ignore_errors=True)
        done.unlink(missing_ok=True)
        write_model_folder(folder / "model", sizes["networks"])
        done.write_text(json.dumps(sizes["networks"], indent=2) + "\n")
    for part in parts:
        save_file(inputs(part, sizes["networks"] | sizes["inputs"]), folder / f"{part}.safetensors")


if __name__ == "__main__":
    main()
