"""The LTX transformer of diffusers 0.42.1 at two tiny configurations, with rotary tables of the real width.

Writes into the folder, for NAME in `transformer_64` and `transformer_20` (after the width of a head):

* `NAME.json`: the configuration, as diffusers saves it
* `NAME.safetensors`: random weights under diffusers' names; bfloat16, so that float32 holds them exactly
* `NAME_cases.safetensors`: inputs, and what diffusers makes of them in float32

and `rope_2048.safetensors`: rows of the tables of the 2B model at 832x480, 153 frames, 25 frames a second.
"""

import json
import math

import torch
from diffusers import LTXVideoTransformer3DModel
from diffusers.models.transformers.transformer_ltx import LTXVideoAttnProcessor, LTXVideoRotaryPosEmbed
from safetensors.torch import save_file

FPS = 25.0
# Pixels of a latent voxel: frames, rows, columns.
STRIDE = (8, 32, 32)
# Latent frames, rows and columns of all cases.
GRID = (3, 2, 4)
# By the width of a head: seed, heads, blocks.
TINY = {64: (0, 1, 1), 20: (1, 2, 3)}


def coordinates(grid, causal):
    """`[1, 3, N]`: seconds, rows and columns in pixels of every token, as `LTXConditionPipeline` (causal) or `LTXPipeline` computes them."""
    axes = torch.meshgrid(*(torch.arange(count) for count in grid), indexing="ij")
    pixels = torch.stack([axis.flatten() * stride for axis, stride in zip(axes, STRIDE)])[None]
    if causal:
        pixels[:, 0] = (pixels[:, 0] + 1 - STRIDE[0]).clamp(min=0)
    coordinates = pixels.float()
    coordinates[:, 0] = coordinates[:, 0] * (1.0 / FPS)
    return coordinates


def randomise(model, generator):
    """Weights that keep activations near 1, with norms, tables and gates that are not trivial; all exact in bfloat16."""
    for name, weight in model.named_parameters():
        values = torch.randn(weight.shape, generator=generator)
        if "norm_q" in name or "norm_k" in name:
            values = 1 + 0.3 * values
        elif "scale_shift_table" in name:
            values = 0.5 * values
        elif weight.dim() == 2:
            values = values / math.sqrt(weight.shape[1])
        else:
            values = 0.2 * values
        weight.data = values.bfloat16().float()


def tiny(head_dim):
    """A random model, and the generator that made it."""
    seed, heads, layers = TINY[head_dim]
    generator = torch.Generator().manual_seed(seed)
    model = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=heads, attention_head_dim=head_dim, cross_attention_dim=heads * head_dim,
        num_layers=layers, caption_channels=24).eval()
    randomise(model, generator)
    return model, generator


class Perturbed:
    """Replaces what self-attention gathers, before the output projection: by its values (Lightricks' mode `attention_values`), or by
    its input (`attention_skip`). Diffusers has no such mode for this model, but lets a processor do it."""

    def __init__(self, by_values):
        self.by_values = by_values

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, image_rotary_emb=None):
        return attn.to_out[0](attn.to_v(hidden_states) if self.by_values else hidden_states)


@torch.no_grad()
def cases(model, grid, text_tokens, generator):
    """Inputs and outputs. Frame 0 is clean, the others are at noise level 0.725; `velocity` sees padded text and its mask."""
    config, tokens = model.config, grid[0] * grid[1] * grid[2]
    latents = torch.randn(1, config.in_channels, *grid, generator=generator)
    text = torch.randn(1, text_tokens, config.caption_channels, generator=generator)
    padding = torch.randn(1, 3, config.caption_channels, generator=generator)
    sigma = torch.tensor([0.725])
    timestep = (1000 * sigma).expand(tokens).clone()
    timestep[: grid[1] * grid[2]] = 0

    def velocity(causal=True, padded=False):
        encoded = torch.cat([text, padding], 1) if padded else text
        mask = torch.ones(1, encoded.shape[1])
        mask[:, text_tokens:] = 0
        output = model(
            latents.flatten(2).transpose(1, 2), encoded, timestep[None], mask, video_coords=coordinates(grid, causal), return_dict=False
        )[0]
        return output.transpose(1, 2).reshape(1, config.out_channels, *grid)

    found = dict(latents=latents, text=text, sigma=sigma)
    gathered = {}
    hooks = [block.register_forward_hook(lambda _, __, output, index=index: gathered.update({f"block.{index}": output.clone()}))
             for index, block in enumerate(model.transformer_blocks)]
    found["velocity"] = velocity(padded=True)
    for hook in hooks:
        hook.remove()
    found |= gathered
    found["velocity_not_causal"] = velocity(causal=False)

    last = len(model.transformer_blocks) - 1
    for mode, indices in dict(attention_values={0, last}, attention_skip={last}).items():
        for index in indices:
            model.transformer_blocks[index].attn1.set_processor(Perturbed(mode == "attention_values"))
        found[f"velocity_{mode}"] = velocity()
        for index in indices:
            model.transformer_blocks[index].attn1.set_processor(LTXVideoAttnProcessor())
    block = model.transformer_blocks[last]
    del model.transformer_blocks[last]
    found["velocity_transformer_block"] = velocity()
    model.transformer_blocks.append(block)
    rope = LTXVideoRotaryPosEmbed(dim=config.num_attention_heads * config.attention_head_dim)
    found["cosines"], found["sines"] = (table[0] for table in rope(latents, video_coords=coordinates(grid, True)))
    return found


def rope_of_the_2b_model():
    """Unrepeated rows `[rows, 1024]` of a few tokens of the grid 20 x 15 x 26, causal and not."""
    rows = torch.tensor([0, 25, 390, 3999, 7799])
    found = dict(rows=rows)
    for name, causal in dict(causal=True, not_causal=False).items():
        tables = LTXVideoRotaryPosEmbed(dim=2048)(torch.zeros(1), video_coords=coordinates((20, 15, 26), causal))
        found[f"{name}.cosines"], found[f"{name}.sines"] = (table[0, rows, ::2] for table in tables)
    return found


def save(path, tensors):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def write(folder):
    """Writes all files named above into `folder`."""
    torch.set_num_threads(1)
    for head_dim in TINY:
        model, generator = tiny(head_dim)
        name = f"transformer_{head_dim}"
        (folder / f"{name}.json").write_text(json.dumps(json.loads(model.to_json_string()), indent=2, sort_keys=True) + "\n")
        save(folder / f"{name}.safetensors", {key: value.bfloat16() for key, value in model.state_dict().items()})
        save(folder / f"{name}_cases.safetensors", cases(model, GRID, 5, generator))
    save(folder / "rope_2048.safetensors", rope_of_the_2b_model())
