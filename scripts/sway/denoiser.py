"""The joint space-time denoiser of `sway`: it predicts the clean motion latents of a whole clip at once.

Tokens `x [B, T, S, D]`: T = 25 latent frames; S = 37, the 36 cells of the grid row by row and then one control token; D = width. A block is
attention over the 37 tokens of each latent frame, attention over the 25 latent frames of each token, and an MLP, each with modulation shared by
all blocks plus a learned table per block (AdaLN-single, PixArt-alpha, ICLR 2024). Positions are learned and added once.
"""

import math

import torch
from torch import nn
from torch.nn import functional

FRAMES = 25
GRID = 6
CELLS = GRID * GRID
LATENT_CHANNELS = 4
FEATURE_CHANNELS = 16
CONTROL_CHANNELS = 26
PLAN_CHANNELS = 20
PLAN_NULL = 19
SIGMA_CHANNELS = 64
NORM_EPSILON = 1e-6


def norm(x):
    """LayerNorm over the last axis without scale and shift."""
    return functional.layer_norm(x, x.shape[-1:], eps=NORM_EPSILON)


def modulate(x, shift, scale):
    """The normed tokens, scaled and shifted."""
    return norm(x) * (1 + scale) + shift


def sigma_waves(sigma):
    """`sigma [B]` in [0, 1] -> `[B, 64]`: 32 cosines, then 32 sines, at frequencies 100 * 1000^(-i/32) radians per unit."""
    half = SIGMA_CHANNELS // 2
    frequencies = 100.0 * torch.exp(-math.log(1000.0) * torch.arange(half, dtype=torch.float32, device=sigma.device) / half)
    angles = sigma.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1)


class Attention(nn.Module):
    """Multi-head self-attention over the second axis: `[N, L, D]` -> `[N, L, D]`.

    The products are written out because the fused CPU kernel is three times slower at these short lengths."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x):
        count, length, width = x.shape
        size = width // self.heads
        query, key, value = self.query_key_value(x).reshape(count, length, 3, self.heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.matmul(query * size**-0.5, key.transpose(-1, -2)).softmax(-1)
        return self.output(torch.matmul(weights, value).transpose(1, 2).reshape(count, length, width))


class Block(nn.Module):
    """`x [B, T, S, D]`, `shared [B, 9, D]` -> `[B, T, S, D]`. The nine rows: shift, scale, gate of space, of time, of the MLP."""

    def __init__(self, width, heads):
        super().__init__()
        self.spatial = Attention(width, heads)
        self.temporal = Attention(width, heads)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.modulation_table = nn.Parameter(torch.zeros(9, width))

    def forward(self, x, shared):
        batch, frames, tokens, width = x.shape
        rows = (shared + self.modulation_table).to(x.dtype)[:, :, None, None].unbind(1)
        h = modulate(x, rows[0], rows[1]).reshape(batch * frames, tokens, width)
        x = x + rows[2] * self.spatial(h).reshape(x.shape)
        h = modulate(x, rows[3], rows[4]).transpose(1, 2).reshape(batch * tokens, frames, width)
        x = x + rows[5] * self.temporal(h).reshape(batch, tokens, frames, width).transpose(1, 2)
        h = functional.gelu(self.expand(modulate(x, rows[6], rows[7])), approximate="tanh")
        return x + rows[8] * self.contract(h)


class Denoiser(nn.Module):
    """Predicts clean latents and control from noisy ones. Parameter names are the checkpoint's tensor names."""

    def __init__(self, width=128, layers=4, heads=4):
        super().__init__()
        self.latent_input = nn.Linear(LATENT_CHANNELS + FEATURE_CHANNELS, width)
        self.control_input = nn.Linear(CONTROL_CHANNELS, width)
        self.token_position = nn.Parameter(0.02 * torch.randn(CELLS + 1, width))
        self.frame_position = nn.Parameter(0.02 * torch.randn(FRAMES, width))
        self.sigma_expand = nn.Linear(SIGMA_CHANNELS, width)
        self.sigma_contract = nn.Linear(width, width)
        self.plan_expand = nn.Linear(PLAN_CHANNELS, width)
        self.plan_contract = nn.Linear(width, width)
        self.modulation = nn.Linear(width, 9 * width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.final_modulation = nn.Linear(width, 2 * width)
        self.latent_output = nn.Linear(width, LATENT_CHANNELS)
        self.control_output = nn.Linear(width, CONTROL_CHANNELS)
        self._start(layers)

    def _start(self, layers):
        """Starting values: branches open and small, modulation neutral, prediction zero."""
        for block in self.blocks:
            with torch.no_grad():
                block.modulation_table[[2, 5, 8]] = 1.0
                for branch in (block.spatial.output, block.temporal.output, block.contract):
                    branch.weight.mul_(1.0 / math.sqrt(3 * layers))
        for layer in (self.modulation, self.final_modulation, self.latent_output, self.control_output):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, latents, control, features, plan, sigma):
        """`latents [B, 4, 25, 6, 6]`, `control [B, 25, 26]` at noise level `sigma [B]` (1 is noise), `features [B, 6, 6, 16]`,
        `plan [B, 20]` -> clean latents and control of the same shapes, float32."""
        batch = len(latents)
        kind = self.latent_input.weight.dtype
        cells = latents.permute(0, 2, 3, 4, 1).reshape(batch, FRAMES, CELLS, LATENT_CHANNELS)
        picture = features.reshape(batch, 1, CELLS, FEATURE_CHANNELS).expand(-1, FRAMES, -1, -1)
        cells = self.latent_input(torch.cat([cells, picture], -1).to(kind))
        x = torch.cat([cells, self.control_input(control.to(kind))[:, :, None]], 2)
        x = x + self.token_position + self.frame_position[:, None]

        condition = self.sigma_contract(functional.silu(self.sigma_expand(sigma_waves(sigma).to(kind))))
        condition = condition + self.plan_contract(functional.silu(self.plan_expand(plan.to(kind))))
        condition = functional.silu(condition)
        shared = self.modulation(condition).reshape(batch, 9, -1)
        for block in self.blocks:
            x = block(x, shared)

        shift, scale = self.final_modulation(condition)[:, None, None].chunk(2, -1)
        x = modulate(x, shift, scale)
        clean_latents = self.latent_output(x[:, :, :CELLS]).reshape(batch, FRAMES, GRID, GRID, LATENT_CHANNELS).permute(0, 4, 1, 2, 3)
        return clean_latents.float(), self.control_output(x[:, :, CELLS]).float()
