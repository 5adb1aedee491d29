"""The fixed linear codec of `sway`'s first stage: motion latents -> motion curves and fields at any time and place.

It stands where a learned decoder will stand: 12 of 25 orthonormal DCT-II terms in time, motion starting from rest, natural cubic splines
between the keys, uniform cubic B-splines between the cells. Shapes use B batch, K = 25 keys, N times, P points.
"""

import math
from dataclasses import dataclass

import torch

KEYS = 25
BLINK_SAMPLES = 150
KEPT_TERMS = 12
START_DECAY_SECONDS = 0.5
BLINK_LEFT = slice(0, 6)
BLINK_RIGHT = slice(6, 12)
CAMERA = slice(12, 19)
BODY = slice(19, 26)
CONTROL_CHANNELS = 26
RESTING_BLINK_SAMPLES = 3
# Closures this near to open or closed are meant as open or closed: without it the lids of an open eye would tremble.
BLINK_SLACK = 0.04


@dataclass(frozen=True)
class Motion:
    """Decoded control: `blink [B, 2, N]` closure in [0, 1], `camera [B, 7, N]` and `body [B, 7, N]` in the units of the latents."""

    blink: torch.Tensor
    camera: torch.Tensor
    body: torch.Tensor


def dct_projection(kept=KEPT_TERMS, dtype=torch.float64):
    """`[K, K]` projection onto the first `kept` orthonormal DCT-II terms in time: apply from the left to a column of keys."""
    key = torch.arange(KEYS, dtype=dtype)
    term = torch.arange(kept, dtype=dtype)[:, None]
    basis = torch.cos(math.pi * (key + 0.5) * term / KEYS) * math.sqrt(2.0 / KEYS)
    basis[0] /= math.sqrt(2.0)
    return basis.T @ basis


def natural_spline(positions, dtype=torch.float64):
    """`positions [N]` in keys, 0..24 -> weights `[N, K]` of the natural cubic spline (second derivative 0 at both ends)."""
    inner = KEYS - 2
    curvature_of = torch.zeros(KEYS, KEYS, dtype=dtype)
    system = torch.diag(torch.full((inner,), 4.0, dtype=dtype))
    system += torch.diag(torch.ones(inner - 1, dtype=dtype), 1) + torch.diag(torch.ones(inner - 1, dtype=dtype), -1)
    second_difference = torch.zeros(inner, KEYS, dtype=dtype)
    for row in range(inner):
        second_difference[row, row : row + 3] = torch.tensor([6.0, -12.0, 6.0], dtype=dtype)
    curvature_of[1:-1] = torch.linalg.solve(system, second_difference)
    positions = positions.to(dtype)
    left = positions.floor().clamp(0, KEYS - 2).long()
    fraction = (positions - left)[:, None]
    identity = torch.eye(KEYS, dtype=dtype)
    value = (1 - fraction) * identity[left] + fraction * identity[left + 1]
    bend_left = (1 - fraction) ** 3 - (1 - fraction)
    bend_right = fraction**3 - fraction
    return value + (bend_left * curvature_of[left] + bend_right * curvature_of[left + 1]) / 6.0


def b_spline(positions, cells=6, dtype=torch.float64):
    """`positions [P]` in [0, 1] -> weights `[P, cells]` of the uniform cubic B-spline with edge-replicated control points at (i + 0.5) / cells."""
    place = positions.to(dtype) * cells - 0.5
    left = place.floor()
    f = place - left
    taps = torch.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], 1) / 6.0
    index = (left.long()[:, None] + torch.arange(-1, 3)).clamp(0, cells - 1)
    return torch.zeros(len(place), cells, dtype=dtype).scatter_add_(1, index, taps)


def smooth_keys(keys, duration):
    """`keys [..., K]` -> same shape: 12 DCT terms, then the value at key 0 taken away, fading as exp(-t / 0.5 s). `duration` in seconds."""
    keys = keys @ dct_projection(dtype=keys.dtype).T
    seconds = torch.arange(KEYS, dtype=keys.dtype) * duration / (KEYS - 1)
    return keys - keys[..., :1] * torch.exp(-seconds / START_DECAY_SECONDS)


def blink_curves(control):
    """`control [B, 25, 26]` -> closure samples `[B, 2, 150]` in [0, 1] at m / 149 of the clip, the first three forced open."""
    batch = len(control)
    closure = torch.stack([control[..., BLINK_LEFT].reshape(batch, BLINK_SAMPLES), control[..., BLINK_RIGHT].reshape(batch, BLINK_SAMPLES)], 1)
    closure = ((closure / 2.0 - BLINK_SLACK) / (1.0 - 2.0 * BLINK_SLACK)).clamp(0.0, 1.0)
    closure[..., :RESTING_BLINK_SAMPLES] = 0.0
    return closure


def decode_control(control, duration, positions):
    """`control [B, 25, 26]`, `duration` in seconds, `positions [N]` in [0, 1] of the clip -> `Motion`. Blink is interpolated linearly."""
    closure = blink_curves(control)
    place = positions.to(control.dtype) * (BLINK_SAMPLES - 1)
    left = place.floor().clamp(0, BLINK_SAMPLES - 2).long()
    fraction = place - left
    blink = closure[..., left] * (1 - fraction) + closure[..., left + 1] * fraction
    spline = natural_spline(positions * (KEYS - 1), control.dtype).T
    camera = control[..., CAMERA].transpose(1, 2) @ spline
    body = smooth_keys(control[..., BODY].transpose(1, 2), duration) @ spline
    return Motion(blink, camera, body)


def decode_fields(latents, duration, positions):
    """`latents [B, 4, 25, 6, 6]` -> the four fields at the cells, `[B, 4, N, 6, 6]`, at `positions [N]` in [0, 1] of the clip."""
    smooth = smooth_keys(latents.permute(0, 1, 3, 4, 2), duration)
    return (smooth @ natural_spline(positions * (KEYS - 1), latents.dtype).T).permute(0, 1, 4, 2, 3)


def sample_fields(fields, x, y):
    """`fields [..., 6, 6]` (row, column) at the grid of `x [W]`, `y [H]` in [0, 1] of the picture -> `[..., H, W]`."""
    return b_spline(y, dtype=fields.dtype) @ fields @ b_spline(x, dtype=fields.dtype).T
