"""Writes the seeds of the fuzz targets that read checkpoints, latents and tokenizers: real layouts in miniature, and lies about them.

    python -m scripts.fuzz_corpora

Writes below `tests/fuzz/corpus/`, and leaves alone what fuzzing has found there. Needs nothing but Python.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests/fuzz/corpus"
FIXTURES = ROOT / "tests/fixtures/ltx"
HUGE = 1 << 40
SPACE = "\u2581"


def write(target: str, seeds: dict[str, bytes]) -> None:
    """One file a seed."""
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds.items():
        (folder / name).write_bytes(content)


def text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def safetensors(header: dict, data: bytes = b"") -> bytes:
    """A file with this header, whatever it says of the data."""
    content = text(header)
    return struct.pack("<Q", len(content)) + content + data


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_seeds() -> dict[str, bytes]:
    plain = {"__metadata__": {"format": "pt"}, "a": entry("F32", [2], 0, 8), "b.weight": entry("BF16", [1, 2], 8, 12)}
    whole = safetensors(plain, bytes(12))
    t5 = {
        "shared.weight": entry("F16", [2, 2], 0, 8),
        "encoder.final_layer_norm.weight": entry("F16", [2], 8, 12),
        "encoder.block.0.layer.0.SelfAttention.q.weight": entry("F8_E4M3", [2, 2], 12, 16),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": entry("F16", [4, 1], 16, 24),
        "encoder.block.0.layer.1.DenseReluDense.wi_0.weight": entry("F16", [2, 2], 24, 32),
    }
    vae = {
        "vae.per_channel_statistics.mean-of-means": entry("F32", [1], 0, 4),
        "vae.encoder.conv_in.conv.weight": entry("F32", [1, 3, 1, 1, 1], 4, 16),
        "vae.encoder.conv_out.conv.weight": entry("F32", [2, 1, 1, 1, 1], 16, 24),
        "vae.decoder.conv_out.conv.weight": entry("F32", [3, 1, 1, 1, 1], 24, 36),
        "vae.encoder.down_blocks.0.conv.weight": entry("F32", [1], 36, 40),
        "vae.decoder.up_blocks.0.conv1.conv.weight": entry("F32", [1, 2, 1, 1, 1], 40, 48),
    }
    transformer = {
        "model.diffusion_model.patchify_proj.weight": entry("F32", [2048, 0], 0, 0),
        "model.diffusion_model.caption_projection.linear_1.weight": entry("F32", [0, 3], 0, 0),
        "model.diffusion_model.transformer_blocks.0.scale_shift_table": entry("F32", [1], 0, 4),
    }
    upsampler = {"initial_conv.weight": entry("F32", [32, 0, 3, 3, 3], 0, 0), "res_blocks.0.conv1.weight": entry("F32", [1], 0, 4)}
    return {
        "plain": whole,
        "cut": whole[:-1],
        "longer": whole + b"\0",
        "t5": safetensors(t5, bytes(32)),
        "vae": safetensors(vae, bytes(48)),
        "transformer": safetensors(transformer, bytes(4)),
        "upsampler": safetensors(upsampler, bytes(4)),
        "huge-header": struct.pack("<Q", HUGE) + whole[8:],
        "huge-shape": safetensors({"a": entry("F32", [HUGE, HUGE], 0, 8)}, bytes(8)),
        "huge-empty": safetensors({"a": entry("F32", [0, HUGE, HUGE], 0, 0)}),
        "huge-place": safetensors({"a": entry("F32", [2], HUGE, HUGE + 8)}, bytes(8)),
        "overlap": safetensors({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
        "backwards": safetensors({"a": entry("F32", [2], 8, 0)}, bytes(8)),
        "integers": safetensors({"a": entry("I64", [1], 0, 8)}, bytes(8)),
        "halves-of-bytes": safetensors({"a": entry("F4", [3], 0, 2)}, bytes(2)),
        "scalar": safetensors({"a": entry("F32", [], 0, 4)}, bytes(4)),
        "pickle": b"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl",
        "old-pickle": b"\x80\x02}q\0(X\x01\0\0\0aq\x01K\x01u.",
    }


def string(value: str) -> bytes:
    content = value.encode()
    return struct.pack("<Q", len(content)) + content


def gguf(values: list[bytes], tensors: list[bytes], data: bytes, counts: tuple[int, int] | None = None) -> bytes:
    tensor_count, value_count = counts or (len(tensors), len(values))
    header = b"GGUF" + struct.pack("<IQQ", 3, tensor_count, value_count) + b"".join(values) + b"".join(tensors)
    return header + bytes(-len(header) % 32) + data


def value(key: str, kind: int, content: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + content


def tensor(name: str, axes: list[int], kind: int, offset: int) -> bytes:
    return string(name) + struct.pack(f"<I{len(axes)}QIQ", len(axes), *axes, kind, offset)


def gguf_seeds() -> dict[str, bytes]:
    values = [
        value("general.architecture", 8, string("ltxv")),
        value("general.alignment", 4, struct.pack("<I", 32)),
        value("tokens", 9, struct.pack("<IQ", 8, 2) + string("a") + string("b")),
        value("scores", 9, struct.pack("<IQ", 6, 2) + bytes(8)),
        value("yes", 7, b"\1"),
    ]
    # Of the types F32, Q8_0, Q4K and BF16: bytes of their blocks.
    tensors = [
        tensor("a", [2, 2], 0, 0),
        tensor("b.weight", [32], 8, 32),
        tensor("c", [256, 1], 12, 96),
        tensor("d", [2, 1], 30, 256),
    ]
    data = bytes(288)
    whole = gguf(values, tensors, data)
    t5 = [
        tensor("token_embd.weight", [2, 2], 0, 0),
        tensor("enc.blk.0.attn_q.weight", [2, 2], 0, 32),
        tensor("enc.blk.0.attn_rel_b.weight", [1, 4], 0, 64),
        tensor("enc.blk.0.ffn_gate.weight", [2, 2], 0, 96),
    ]
    transformer = [tensor("patchify_proj.weight", [1, 2], 0, 0), tensor("caption_projection.linear_1.weight", [3, 1], 0, 32)]
    one = [tensor("a", [1], 0, 0)]
    nested = b"".join(struct.pack("<IQ", 9, 1) for _ in range(80))
    return {
        "plain": whole,
        "cut": whole[:-40],
        "cut-header": whole[:60],
        "t5": gguf([], t5, bytes(128)),
        "transformer": gguf([], transformer, bytes(64)),
        "no-alignment": gguf([value("general.alignment", 4, bytes(4))], one, bytes(32)),
        "huge-counts": gguf([], one, bytes(32), (HUGE, HUGE)),
        "huge-text": gguf([value("a", 8, struct.pack("<Q", HUGE))], one, bytes(32)),
        "huge-array": gguf([value("a", 9, struct.pack("<IQ", 0, 1 << 63))], one, bytes(32)),
        "nested-arrays": gguf([value("a", 9, nested)], one, bytes(32)),
        "huge-shape": gguf([], [tensor("a", [1 << 33, 1 << 33], 0, 0)], bytes(32)),
        "no-values": gguf([], [tensor("a", [0, 2], 0, 0)], b""),
        "huge-place": gguf([], [tensor("a", [1], 0, (1 << 64) - 4)], bytes(32)),
        "many-axes": gguf([], [tensor("a", [1] * 9, 0, 0)], bytes(32)),
        "twice": gguf([], one * 2, bytes(64)),
        "overlap": gguf([], [tensor("a", [9], 0, 0), tensor("b", [1], 0, 32)], bytes(64)),
        "half-a-block": gguf([], [tensor("a", [33], 8, 0)], bytes(64)),
        "version-1": b"GGUF" + struct.pack("<III", 1, 0, 0),
    }


def configurations() -> dict[str, dict]:
    """Of the golden fixtures."""
    paths = {
        "transformer": "transformer_20.json",
        "vae-0.9.0": "vae_0.9.0/config.json",
        "vae-0.9.5": "vae_0.9.5/config.json",
        "text-encoder": "text_encoder/config.json",
        "scheduler": "checkpoint/scheduler/scheduler_config.json",
        "upsampler": "upsampler/config.json",
        "model-index": "checkpoint/model_index.json",
    }
    return {name: json.loads((FIXTURES / path).read_text()) for name, path in paths.items()}


def diffusers_seeds() -> dict[str, bytes]:
    own = configurations()
    lies = {
        "huge-layers": own["transformer"] | {"num_layers": 10**9},
        "huge-channels": own["transformer"] | {"in_channels": HUGE, "out_channels": HUGE},
        "huge-heads": own["transformer"] | {"num_attention_heads": 1 << 32, "attention_head_dim": 1 << 32},
        "no-layers": own["transformer"] | {"num_layers": 0},
        "negative-theta": single_file_config()["transformer"] | {"positional_embedding_theta": -1.0},
        "huge-patch": own["vae-0.9.5"] | {"patch_size": 1 << 32, "spatial_compression_ratio": None},
        "huge-vae-layers": own["vae-0.9.5"] | {"layers_per_block": [10**9] * 5},
        "many-stages": {
            "block_out_channels": [8] * 70,
            "decoder_block_out_channels": [8] * 70,
            "down_block_types": ["LTXVideoDownBlock3D"] * 70,
            "layers_per_block": [1] * 71,
            "decoder_layers_per_block": [1] * 71,
            "spatio_temporal_scaling": [True] * 70,
            "decoder_spatio_temporal_scaling": [True] * 70,
            "decoder_inject_noise": [False] * 71,
            "upsample_residual": [False] * 70,
            "upsample_factor": [1] * 70,
        },
        "factor-of-nothing": own["vae-0.9.5"] | {"upsample_factor": [0, 1, 2]},
        "huge-text-encoder": own["text-encoder"] | {"vocab_size": HUGE, "num_heads": HUGE, "d_kv": HUGE},
        "huge-buckets": own["text-encoder"] | {"relative_attention_num_buckets": 1 << 62, "relative_attention_max_distance": 1 << 63},
        "huge-upsampler": own["upsampler"] | {"mid_channels": 1 << 60, "num_blocks_per_stage": HUGE},
        "one-length": own["scheduler"] | {"base_image_seq_len": 4096, "use_dynamic_shifting": True},
        "huge-shift": own["scheduler"] | {"max_shift": 1e308, "use_dynamic_shifting": True},
        "leading-away": own["model-index"] | {"transformer": ["../../other", "LTXVideoTransformer3DModel"], "vae": ["/", "/"]},
    }
    by_blocks = single_file_config()["vae"]
    deep = b"[" * 2000
    return {name: text(config) for name, config in (own | lies | {"blocks": by_blocks}).items()} | {"deep": deep}


def single_file_config() -> dict:
    """What a released file says, in miniature."""
    return {
        "transformer": {
            "_class_name": "Transformer3DModel", "activation_fn": "gelu-approximate", "attention_bias": True,
            "attention_head_dim": 16, "attention_type": "default", "caption_channels": 24, "causal_temporal_positioning": True,
            "cross_attention_dim": 32, "double_self_attention": False, "in_channels": 8, "norm_elementwise_affine": False,
            "norm_eps": 1e-6, "num_attention_heads": 2, "num_layers": 2, "only_cross_attention": False, "out_channels": 8,
            "positional_embedding_max_pos": [20, 2048, 2048], "positional_embedding_theta": 10000.0,
            "positional_embedding_type": "rope", "qk_norm": "rms_norm", "standardization_norm": "rms_norm",
            "timestep_scale_multiplier": 1000,
        },
        "vae": {
            "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 8,
            "encoder_base_channels": 4, "decoder_base_channels": 4, "patch_size": 4, "norm_layer": "pixel_norm",
            "latent_log_var": "uniform", "use_quant_conv": False, "causal_decoder": False, "scaling_factor": 1.0,
            "timestep_conditioning": True,
            "encoder_blocks": [
                ["res_x", {"num_layers": 1}], ["compress_space_res", {"multiplier": 2}], ["res_x", {"num_layers": 2}],
                ["compress_time_res", {"multiplier": 1}], ["res_x", {"num_layers": 1}], ["compress_all_res", {"multiplier": 2}],
                ["res_x", {"num_layers": 1}], ["compress_all_res", {"multiplier": 1}], ["res_x", {"num_layers": 1}],
            ],
            "decoder_blocks": [
                ["res_x", {"num_layers": 1}], ["compress_all", {"residual": True, "multiplier": 2}], ["res_x", {"num_layers": 1}],
                ["compress_all", {"residual": True, "multiplier": 1}], ["res_x", {"num_layers": 2}],
                ["compress_all", {"residual": True, "multiplier": 2}], ["res_x", {"num_layers": 1}],
            ],
        },
        "scheduler": {"_class_name": "RectifiedFlowScheduler", "sampler": "LinearQuadratic"},
        "allowed_inference_steps": [1.0, 0.725],
    }


def single_file_seeds() -> dict[str, bytes]:
    def changed(part: str, **fields: object) -> bytes:
        config = single_file_config()
        config[part] |= fields
        return text(config)

    many = [["compress_all_res", {"multiplier": 65535}]] * 9 + [["res_x", 65535]]
    return {
        "whole": text(single_file_config()),
        "nothing": b"{}",
        "list": b"[]",
        "levels": b'{"allowed_inference_steps": [1e308, -1]}',
        "old-blocks": changed("vae", blocks=[["res_x", 1], ["compress_all", 1], ["res_x_y", 1], ["res_x", 1]], encoder_blocks=None, decoder_blocks=None),
        "huge-layers": changed("transformer", num_layers=10**9),
        "huge-channels": changed("vae", encoder_base_channels=HUGE, decoder_base_channels=HUGE, latent_channels=HUGE),
        "huge-patch": changed("vae", patch_size=HUGE),
        "huge-multiplier": changed("vae", encoder_blocks=many, decoder_blocks=many[::-1]),
        "no-multiplier": changed("vae", decoder_blocks=[["res_x", 1], ["compress_all", {"multiplier": 0}], ["res_x", 1]]),
        "constant": changed("scheduler", sampler="Constant", shift=1e308),
    }


def varint(number: int) -> bytes:
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(content + bytes([number]))


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def piece(name: str, score: float, kind: int = 1) -> bytes:
    return field(1, field(1, name.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + field(3, kind))


def charsmap(replacements: dict[str, str]) -> bytes:
    """The compiled form: a double array of 256 units, built by first fit, and the replacements."""
    units, taken, texts = [0] * 256, {0}, b""
    children: dict = {}
    for source, target in replacements.items():
        node = children
        for byte in source.encode():
            node = node.setdefault(byte, {})
        node[None] = len(texts)
        texts += target.encode() + b"\0"

    def place(node: dict, at: int) -> None:
        keys = [key or 0 for key in node]
        base = next(base for base in range(1, 256) if base != at and not any(base ^ key in taken for key in keys))
        units[at] |= (at ^ base) << 10
        taken.update(base ^ key for key in keys)
        for key, child in node.items():
            if key is None:
                units[at] |= 1 << 8
                units[base] = 1 << 31 | child
            else:
                units[base ^ key] |= key
                place(child, base ^ key)

    place(children, 0)
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + texts


REPLACEMENTS = {"\ufb01": "fi", "e\u0301": "\u00e9", "\u3000": " "}
PIECES = [("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2), (SPACE, -2.0, 1), ("a", -3.0, 1), ("b", -3.5, 1), (SPACE + "cat", -4.0, 1), ("ab", -4.0, 1), ("find", -5.0, 1), ("camera", -5.0, 4)]


def spiece(pieces: bytes, table: bytes, trainer: bytes = b"") -> bytes:
    return pieces + field(2, field(3, 1) + trainer) + field(3, field(1, b"nmt_nfkc") + field(2, table))


def spiece_seeds() -> dict[str, bytes]:
    pieces = b"".join(piece(*entry) for entry in PIECES)
    table = charsmap(REPLACEMENTS)
    whole = spiece(pieces, table)
    return {
        "whole": whole,
        "cut": whole[: len(pieces) + 100],
        "no-table": spiece(pieces, b""),
        "table-cut": spiece(pieces, table[:500]),
        "table-huge": spiece(pieces, struct.pack("<I", 1 << 31) + table[4:]),
        "table-astray": spiece(pieces, table[:4] + b"\xff\xff\xff\x7f" + table[8:]),
        "not-finite": spiece(pieces + piece("c", float("nan")) + piece("d", float("inf")), b""),
        "no-unknown": spiece(piece("a", -1.0) + piece("</s>", 0.0, 3), b""),
        "bytes": spiece(pieces, b"", field(35, 1)),
        "huge-length": varint(1 << 3 | 2) + varint((1 << 64) - 1) + pieces,
        "long-number": b"\x08" + b"\xff" * 12,
    }


def tokenizer_seeds() -> dict[str, bytes]:
    def tokenizer(**parts: object) -> bytes:
        metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
        special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        end = {"id": "</s>", "ids": [1], "tokens": ["</s>"]}
        own = {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": index, "content": name} | special for index, (name, _, kind) in enumerate(PIECES) if kind in (2, 3)],
            "normalizer": normalizer(charsmap(REPLACEMENTS)),
            "pre_tokenizer": metaspace, "decoder": metaspace,
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"</s>": end},
            },
            "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": False, "vocab": [[name, score] for name, score, _ in PIECES]},
        }
        return text(own | parts)

    def normalizer(table: bytes) -> dict:
        return {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()},
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE},
            ],
        }

    table = charsmap(REPLACEMENTS)
    vocabulary = [["<unk>", 0.0], ["</s>", 0.0]]
    return {
        "whole": tokenizer(),
        "no-normalizer": tokenizer(normalizer=None),
        "old-spaces": tokenizer(normalizer=None, pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": SPACE, "add_prefix_space": True}]}),
        "table-huge": tokenizer(normalizer=normalizer(struct.pack("<I", 0xFFFFFFFC) + table[4:])),
        "table-astray": tokenizer(normalizer=normalizer(table[:4] + b"\xff\xff\xff\x7f" + table[8:])),
        "table-of-one": tokenizer(normalizer=normalizer(struct.pack("<II", 4, 0) + b"\0")),
        "slow-pattern": tokenizer(normalizer={"type": "Replace", "pattern": {"Regex": "(a|b|ab)*c"}, "content": ""}),
        "other-model": tokenizer(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "b"}),
        "unknown-astray": tokenizer(model={"type": "Unigram", "unk_id": HUGE, "vocab": vocabulary}),
        "no-unknown": tokenizer(model={"type": "Unigram", "unk_id": None, "vocab": vocabulary}, normalizer=None),
        "empty-piece": tokenizer(model={"type": "Unigram", "unk_id": 0, "vocab": vocabulary + [["", 1.0]]}, normalizer=None),
        "huge-scores": tokenizer(model={"type": "Unigram", "unk_id": 0, "vocab": vocabulary + [["a", 1e308], ["b", -1e308]]}, normalizer=None),
        "cutting": tokenizer(truncation={"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 9}, normalizer=None),
        "padding": tokenizer(padding={"strategy": {"Fixed": HUGE}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}, normalizer=None),
    }


def shard_seeds() -> dict[str, bytes]:
    one = "one.safetensors"

    def index(**places: object) -> bytes:
        return text({"metadata": {"total_size": 8}, "weight_map": places})

    away = ["../one.safetensors", "/etc/hostname", "..", ".", "", "sub/one.safetensors", "..\\one.safetensors", "C:one.safetensors", "one.safetensors/", "a\0b"]
    return {
        "whole": index(a=one, b=one),
        "less": index(a=one),
        "more": index(a=one, b=one, c=one),
        "missing": index(a=one, b="two.safetensors"),
        "itself": index(a="model.safetensors.index.json", b=one),
        "nothing": text({"weight_map": {}}),
        "numbers": index(a=1),
        "deep": b'{"weight_map":' * 200,
    } | {f"away-{number}": index(a=name, b=one) for number, name in enumerate(away)}


def latents_seeds() -> dict[str, bytes]:
    clip = {"width": 64, "height": 64, "frames": 9, "fps": "25"}
    record = {
        "version": 1, "family": "sway", "model": {"name": "sway", "dtype": "auto", "vae_tiling": "auto"}, "seed": 42,
        "clip": clip, "pass": clip,
        "framing": {"fit": "cover", "background": "#ffffff", "shown": [64, 64], "generated": [64, 64]},
        "decode": {"timestep": "0.05", "noise": "0.025"},
        "picture": {"sha256": "0" * 64, "eyes": ["1,2,3,4"], "degrade": "off"},
    }

    def file(record: object, header: dict, data: bytes) -> bytes:
        return safetensors({"__metadata__": {"stir": record if isinstance(record, str) else text(record).decode()}} | header, data)

    plain = {"latents": entry("F32", [1, 2, 1, 1, 1], 0, 8)}
    return {
        "record": text(record),
        "contain": text(record | {"framing": {"fit": "contain", "background": "#000000", "shown": [64, 32], "generated": [64, 64]}}),
        "huge-clip": text(record | {"clip": clip | {"width": 4096, "frames": 1 << 60}}),
        "huge-pass": text(record | {"pass": clip | {"width": HUGE}}),
        "huge-shown": text(record | {"framing": {"fit": "cover", "background": "#ffffff", "shown": [1 << 63, 1 << 63], "generated": [1 << 63, 1 << 63]}}),
        "no-size": text(record | {"framing": {"fit": "cover", "background": "#ffffff", "shown": [0, 0], "generated": [0, 0]}}),
        "no-rate": text(record | {"clip": clip | {"fps": "NaN"}}),
        "other-version": text(record | {"version": 2}),
        "file": file(record, plain, bytes(8)),
        "file-of-another": safetensors(plain, bytes(8)),
        "file-damaged": file("{", plain, bytes(8)),
        "file-not-finite": file(record, plain, struct.pack("<2f", float("nan"), 1.0)),
        "file-huge": file(record, {"latents": entry("F32", [HUGE, HUGE], 0, 8)}, bytes(8)),
        "file-empty": file(record, {"latents": entry("F32", [0, HUGE], 0, 0)}, b""),
    }


def main() -> None:
    write("safetensors", safetensors_seeds())
    write("gguf", gguf_seeds())
    write("diffusers", diffusers_seeds())
    write("single_file", single_file_seeds())
    write("spiece", spiece_seeds())
    write("tokenizer_json", tokenizer_seeds())
    write("shards", shard_seeds())
    write("latents", latents_seeds())


if __name__ == "__main__":
    main()
