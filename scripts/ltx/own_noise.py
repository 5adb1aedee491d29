"""The noise that stir draws from a seed (src/diffusion/noise.rs), so that a reference can begin where `stir generate --seed` begins."""

import numpy as np
import torch

MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
# What a draw is for.
INITIAL, SECOND_PASS = 0, 1


def philox(counter, key):
    """Philox4x32-10: `counter: [..., 4]` and `key: [2]`, words of 32 bits in uint64, to `[..., 4]`."""
    for _ in range(10):
        product = MULTIPLIERS * counter[..., 0::2]
        high, low = product >> HALF, product & LOW
        counter = np.stack([high[..., 1] ^ counter[..., 1] ^ key[0], low[..., 1], high[..., 0] ^ counter[..., 3] ^ key[1], low[..., 0]], -1)
        key = (key + WEYL) & LOW
    return counter


def uniform(low, high):
    """Strictly between 0 and 1, from 53 of 64 bits."""
    return (((high << HALF | low) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def normals(seed, purpose, shape):
    """Latents of this shape: standard normal, float32."""
    count = int(np.prod(shape))
    counter = np.zeros(((count + 1) // 2, 4), np.uint64)
    counter[:, 0], counter[:, 3] = np.arange(len(counter)), purpose
    words = philox(counter, np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint64))
    radius = np.sqrt(-2.0 * np.log(uniform(words[:, 0], words[:, 1])))
    angle = 2.0 * np.pi * uniform(words[:, 2], words[:, 3])
    values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)
    return torch.from_numpy(values.flatten()[:count].reshape(shape))
