"""Golden fixtures of LTX-Video's text side: a tiny SentencePiece model, its tokens, and a tiny T5 encoder.

Made with transformers 5.23.0, sentencepiece 0.2.3, tokenizers 0.23.3, torch 2.15.0. Writes below `tests/fixtures/ltx/`:
`tokenizer/spiece.model` and `tokenizer.json`, `tokens.json` (texts and their tokens), `text_encoder/` (config and weights), `text.safetensors`.

    python -m scripts.golden text
"""

import io
import json
import re
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel
from transformers.convert_slow_tokenizer import T5Converter

ROOT = Path(__file__).resolve().parents[2]
EXTRA_TOKENS = 100
END = 1
LIMIT = 256

SPECIAL_TEXTS = [
    "",
    " ",
    "a",
    "The woman turns her head slowly.",
    "  runs   of    spaces \t and tabs ",
    "line one\nline two\r\n\nline four",
    "Hair, cloth & water: 3.5 m/s!",
    "un été à l'hôtel, naïve façade, Größe",
    "un e\u0301te\u0301 de\u0301compose\u0301",
    "ﬁne ﬂow ½ ² Ⅳ ㎞ … ™",
    "ＦＵＬＬ　ＷＩＤＴＨ　１２３",
    "猫が走る。カ\u3099 ﾊﾟ",
    "한국어 한글 조합",
    "привет, мир",
    "שלום עולם مرحبا",
    "👩‍👩‍👧 waves 👋🏽 at 🇫🇷 🙂🙂",
    "zero\u200bwidth\u00a0no-break\u2003em\u00adsoft\ufeff",
    "control\x07bell\x00nul",
    "▁escaped▁space▁",
    "text </s> after the end",
    "the end</s>",
    "<pad><unk> <extra_id_0> word<extra_id_99>",
    "< / s > </S> <extra_id_100>",
    "a <camera> moves<camera>in",
    "e\u0301\u0302\u0303\u0304\u0305 Z\u0351\u036b\u0343\u036a\u0302",
    "\U0001d400\U0001d401 \U0010ffff \ud7ff",
]


def train_tokenizer(folder: Path) -> Path:
    """A SentencePiece unigram model with T5's options over the prompts of the tests."""
    folder.mkdir(parents=True, exist_ok=True)
    # Written by us: given a path to write to, the trainer would put it into the model.
    model = io.BytesIO()
    prompts = (ROOT / "tests/support/good_prompts.txt").read_text().splitlines()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(prompts + SPECIAL_TEXTS[3:10]),
        model_writer=model,
        model_type="unigram",
        vocab_size=400,
        character_coverage=0.9995,
        normalization_rule_name="nmt_nfkc",
        byte_fallback=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        user_defined_symbols=["<camera>"],
        num_threads=1,
        minloglevel=2,
    )
    path = folder / "spiece.model"
    path.write_bytes(model.getvalue())
    return path


def tokens_of(model: sentencepiece.SentencePieceProcessor, text: str) -> list[int]:
    """What transformers' T5 tokenizer over `spiece.model` makes of a text: special tokens are cut out first, each rest is encoded by itself."""
    size = model.get_piece_size()
    special = {model.id_to_piece(index): index for index in range(3)}
    special |= {f"<extra_id_{index}>": size + EXTRA_TOKENS - 1 - index for index in range(EXTRA_TOKENS)}
    ids = []
    for part in re.split("(" + "|".join(map(re.escape, special)) + ")", text.strip()):
        ids += [special[part]] if part in special else model.encode(part)
    if ids[-1:] != [END]:
        ids.append(END)
    return ids if len(ids) <= LIMIT else ids[: LIMIT - 1] + [END]


def fast_tokens_of(tokenizer, text: str) -> list[int]:
    """The same by `tokenizer.json`."""
    ids = tokenizer.encode(text.strip()).ids
    return ids if len(ids) <= LIMIT else ids[: LIMIT - 1] + [END]


class SentencePieceFile:
    """What transformers' converter asks of a tokenizer."""

    def __init__(self, path: Path):
        self.vocab_file = str(path)
        self._extra_ids = EXTRA_TOKENS
        self.eos_token, self.unk_token, self.pad_token = "</s>", "<unk>", "<pad>"

    def convert_tokens_to_ids(self, token: str) -> int:
        return {"<pad>": 0, "</s>": 1, "<unk>": 2}[token]


def write_tokens(fixtures: Path) -> int:
    """Writes the tokenizer and the tokens of every text; gives the number of tokens."""
    folder = fixtures / "tokenizer"
    path = train_tokenizer(folder)
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    fast = T5Converter(SentencePieceFile(path)).converted()
    fast.add_special_tokens(["<pad>", "</s>", "<unk>"] + [f"<extra_id_{index}>" for index in range(EXTRA_TOKENS)])
    fast.save(str(folder / "tokenizer.json"), pretty=False)
    prompts = (ROOT / "tests/support/good_prompts.txt").read_text().splitlines()
    long = " ".join(prompts)
    texts = SPECIAL_TEXTS + prompts[:6] + [long[:2000], "x" * 2000, "wind " * 255, "wind " * 254]
    rows = [{"text": text, "spiece": tokens_of(model, text), "json": fast_tokens_of(fast, text)} for text in texts]
    (fixtures / "tokens.json").write_text(json.dumps(rows, ensure_ascii=True, indent=0) + "\n")
    return model.get_piece_size() + EXTRA_TOKENS


def write_encoder(fixtures: Path, tokens: int) -> None:
    """A T5 encoder with random weights, and what it makes of short and long texts."""
    folder = fixtures / "text_encoder"
    torch.manual_seed(7)
    config = T5Config(
        vocab_size=512, d_model=32, d_kv=16, num_heads=4, d_ff=96, num_layers=3, feed_forward_proj="gated-gelu",
        dropout_rate=0.0, pad_token_id=0, eos_token_id=END, tie_word_embeddings=False,
    )  # fmt: skip
    assert tokens <= config.vocab_size
    model = T5EncoderModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if "layer_norm" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif "shared" in name or "relative_attention_bias" in name:
                parameter.copy_(noise)
            else:
                scale = 0.6 if name.endswith((".q.weight", ".k.weight")) else 1.0
                parameter.copy_(scale * noise / parameter.shape[1] ** 0.5)
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures = ["T5EncoderModel"]
    config.save_pretrained(folder)
    state = {name: value.contiguous() for name, value in model.state_dict().items() if name != "encoder.embed_tokens.weight"}
    save_file(state, folder / "model.safetensors")
    golden = {}
    for name, length in (("one", 1), ("short", 9), ("long", 256)):
        ids = torch.randint(2, tokens, (1, length))
        ids[0, -1] = END
        with torch.no_grad():
            outputs = model(ids)
        golden[f"{name}.tokens"] = ids[0].to(torch.uint32)
        golden[f"{name}.output"] = outputs.last_hidden_state[0]
        if name == "short":
            padded = torch.zeros(1, 16, dtype=torch.long)
            padded[:, :length] = ids
            with torch.no_grad():
                masked = model(padded, attention_mask=(torch.arange(16) < length).long()[None]).last_hidden_state
            golden["short.output_padded"] = masked[0, :length]
    save_file({name: value.contiguous() for name, value in golden.items()}, fixtures / "text.safetensors")


def write(folder: Path) -> None:
    """Writes all fixtures of the text side into `folder`."""
    write_encoder(folder, write_tokens(folder))
