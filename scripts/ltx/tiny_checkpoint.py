"""Two tiny models in the layout of Lightricks' repositories: every folder and file that a real one has, with random weights.

`checkpoint/` is of generation 0.9.5: causal time, an autoencoder that is told the noise level, linear-quadratic levels.
`checkpoint_0.9.0/` is of the first one, and has no text side: it takes the other's. As in the real ones the text encoder is
float32 in shards, and the tokenizer is the model of SentencePiece alone.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel

from .golden_schedule import SHIFTED
from .golden_transformer import randomise
from .golden_vae import CONFIGS, fill

CAPTION_CHANNELS = 24
# 32 channels hold 5 rotary frequencies an axis, and 2 that are not turned.
TRANSFORMER = dict(in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16, cross_attention_dim=32, num_layers=2,
                   caption_channels=CAPTION_CHANNELS)
# Keeps nearly all colours of the clips between black and white, by the generation.
PIXEL_SCALES = {"0.9.5": 0.25, "0.9.0": 0.5}


@dataclass
class Model:
    """What a pipeline is made of."""

    transformer: LTXVideoTransformer3DModel
    vae: AutoencoderKLLTXVideo
    scheduler: FlowMatchEulerDiscreteScheduler


def model(generation: str, seed: int) -> Model:
    """A random model of this generation of the autoencoder; all weights are exact in bfloat16."""
    generator = torch.Generator().manual_seed(seed)
    transformer = LTXVideoTransformer3DModel(**TRANSFORMER).eval()
    randomise(transformer, generator)
    vae = AutoencoderKLLTXVideo.from_config(CONFIGS[generation]).eval()
    fill(vae, generator)
    for parameter in vae.decoder.conv_out.parameters():
        parameter.data = (PIXEL_SCALES[generation] * parameter.data).bfloat16().float()
    scheduler = FlowMatchEulerDiscreteScheduler(**(SHIFTED if generation == "0.9.0" else {}))
    return Model(transformer, vae, scheduler)


def text_encoder(seed: int) -> T5EncoderModel:
    """A random encoder of T5 v1.1 for the vocabulary of `tokenizer/`."""
    generator = torch.Generator().manual_seed(seed)
    config = T5Config(
        vocab_size=512, d_model=CAPTION_CHANNELS, d_kv=8, num_heads=4, d_ff=48, num_layers=2, feed_forward_proj="gated-gelu",
        dropout_rate=0.0, pad_token_id=0, eos_token_id=1, tie_word_embeddings=False)
    encoder = T5EncoderModel(config).eval()
    for name, parameter in encoder.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if "layer_norm" in name:
            values = 1 + 0.3 * values
        elif "shared" not in name and "relative_attention_bias" not in name:
            values = values / parameter.shape[1] ** 0.5
        parameter.data = values.bfloat16().float()
    return encoder


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_index(folder: Path, pipeline: str, parts: dict[str, list[str]]) -> None:
    write_json(folder / "model_index.json", {"_class_name": pipeline, "_diffusers_version": "0.42.1"} | parts)


def write_model(folder: Path, made: Model) -> None:
    """Writes the folders `transformer`, `vae` and `scheduler`."""
    for name, network in dict(transformer=made.transformer, vae=made.vae).items():
        part = folder / name
        part.mkdir(parents=True, exist_ok=True)
        write_json(part / "config.json", json.loads(network.to_json_string()))
        weights = {key: value.bfloat16().contiguous() for key, value in network.state_dict().items()}
        save_file(weights, part / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    made.scheduler.save_pretrained(folder / "scheduler")


def write_text_encoder(folder: Path, encoder: T5EncoderModel) -> None:
    """Writes the encoder in shards."""
    encoder.config.architectures = ["T5EncoderModel"]
    encoder.save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1


def write(fixtures: Path) -> tuple[Model, Model, T5EncoderModel]:
    """Writes both folders below `fixtures`, which holds `tokenizer/` already; gives what they hold."""
    later, first, encoder = model("0.9.5", 21), model("0.9.0", 22), text_encoder(23)
    folders = fixtures / "checkpoint", fixtures / "checkpoint_0.9.0"
    for folder, made in zip(folders, (later, first)):
        shutil.rmtree(folder, ignore_errors=True)
        write_model(folder, made)
    write_text_encoder(folders[0] / "text_encoder", encoder)
    (folders[0] / "tokenizer").mkdir()
    shutil.copy(fixtures / "tokenizer" / "spiece.model", folders[0] / "tokenizer" / "spiece.model")
    parts = dict(scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"], text_encoder=["transformers", "T5EncoderModel"],
                 tokenizer=["transformers", "T5TokenizerFast"], transformer=["diffusers", "LTXVideoTransformer3DModel"],
                 vae=["diffusers", "AutoencoderKLLTXVideo"])
    write_index(folders[0], "LTXConditionPipeline", parts)
    write_index(folders[1], "LTXImageToVideoPipeline", parts)
    return later, first, encoder
