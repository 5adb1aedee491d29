"""The image encoder of sway: a U-Net with attention in the middle that labels every pixel of an illustration."""

import torch
from torch import nn
from torch.nn import functional

from . import labels

WIDTHS = (24, 48, 96, 160)
GROUPS = 4
HEADS = 4
# The picture's sides must be multiples of this: one pixel-unshuffle and three strides of 2.
MULTIPLE = 2 ** len(WIDTHS)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group norm and a shortcut: [B, in, H, W] -> [B, out, H / stride, W / stride]."""

    def __init__(self, channels_in, channels_out, stride=1):
        super().__init__()
        self.convolution_1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1)
        self.norm_1 = nn.GroupNorm(GROUPS, channels_out)
        self.convolution_2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1)
        self.norm_2 = nn.GroupNorm(GROUPS, channels_out)
        same = channels_in == channels_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1, stride)

    def forward(self, x):
        hidden = functional.silu(self.norm_1(self.convolution_1(x)))
        hidden = self.norm_2(self.convolution_2(hidden))
        return functional.silu(hidden + self.shortcut(x))


class SelfAttention(nn.Module):
    """Self-attention over all positions: [B, C, H, W] -> [B, C, H, W].

    The channels of `query_key_value` are query, key, value, each as heads of C / HEADS channels.
    """

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.projection = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        batch, channels, height, width = x.shape
        heads = self.query_key_value(self.norm(x)).reshape(batch, 3, HEADS, channels // HEADS, height * width)
        query, key, value = heads.transpose(-1, -2).unbind(1)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return x + self.projection(attended.transpose(-1, -2).reshape(batch, channels, height, width))


class Encoder(nn.Module):
    """RGB in [-1, 1], [B, 3, H, W] with sides that are multiples of 16 -> logits [B, 10, H / 2, W / 2]."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(12, WIDTHS[0], 3, 1, 1)
        self.encoder = nn.ModuleList([ResidualBlock(WIDTHS[0], WIDTHS[0])])
        self.encoder.extend(ResidualBlock(a, b, 2) for a, b in zip(WIDTHS, WIDTHS[1:]))
        deepest = WIDTHS[-1]
        self.middle = nn.ModuleList([SelfAttention(deepest), ResidualBlock(deepest, deepest), SelfAttention(deepest)])
        # decoder.0 is the coarsest: it joins the deepest features with those of encoder.2.
        self.decoder = nn.ModuleList(
            ResidualBlock(a + b, b) for a, b in zip(reversed(WIDTHS[1:]), reversed(WIDTHS[:-1]))
        )
        self.head = nn.Conv2d(WIDTHS[0], labels.COUNT, 1)

    def forward(self, picture):
        x = self.stem(functional.pixel_unshuffle(picture, 2))
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        for block in self.middle:
            x = block(x)
        for block, skip in zip(self.decoder, reversed(skips[:-1])):
            x = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        return self.head(x)
