"""Plans: what a clip should do, as the vector that conditions the denoiser, and how training draws them."""

import torch

CHANNELS = 20
(HAIR, CLOTH, WIND, TEMPO, BLINK_LEFT, BLINK_RIGHT, BLINK_RATE, BREATH, SWAY, NOD, TILT, TURN, LIGHT_GAIN, LIGHT_SHIFT, WARMTH, FLICKER, GUST) = range(17)
NULL = 19
SMALLEST_AMOUNT, LARGEST_AMOUNT = 0.2, 2.0
# Relative frequency of each motion when a plan asks for a few.
MOTIONS = {
    HAIR: 1.0, CLOTH: 0.8, BLINK_LEFT: 1.0, BREATH: 0.9, SWAY: 0.7, NOD: 0.5,
    TILT: 0.6, TURN: 0.6, LIGHT_GAIN: 0.5, LIGHT_SHIFT: 0.5, WARMTH: 0.4, FLICKER: 0.4,
}
SIGNED = (TILT, TURN, LIGHT_GAIN, WARMTH)


def amounts(count, generator):
    """`[count]` amounts in [0.2, 2], evenly spread in their logarithm and denser around 1 for half of them."""
    low, high = torch.tensor(SMALLEST_AMOUNT).log(), torch.tensor(LARGEST_AMOUNT).log()
    even = torch.exp(low + (high - low) * torch.rand(count, generator=generator))
    usual = (1.0 + 0.35 * torch.randn(count, generator=generator)).clamp(SMALLEST_AMOUNT, LARGEST_AMOUNT)
    return torch.where(torch.rand(count, generator=generator) < 0.5, even, usual)


def sample_plans(count, generator):
    """`[count, 20]` float32: single motions, combinations, the gentle idle plan, everything at once, and the empty plan (all zero)."""
    kind = torch.multinomial(torch.tensor([0.28, 0.44, 0.10, 0.10, 0.08]), count, replacement=True, generator=generator)
    single, several, idle, all_motions = (kind == value for value in range(4))
    names = list(MOTIONS)
    weights = torch.tensor([MOTIONS[name] for name in names])
    asked = torch.rand(count, len(names), generator=generator) < 0.45 * weights
    only = torch.nn.functional.one_hot(torch.multinomial(weights, count, replacement=True, generator=generator), len(names)).bool()
    asked = (asked & several[:, None]) | (only & single[:, None]) | all_motions[:, None]

    plan = torch.zeros(count, CHANNELS)
    for column, name in enumerate(names):
        amount = amounts(count, generator)
        sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) if name in SIGNED else 1.0
        plan[:, name] = amount * sign * asked[:, column]
    gentle = amounts(count, generator) * 0.6 + 0.2
    for name, share in {HAIR: 0.7, CLOTH: 0.5, BREATH: 1.0, SWAY: 0.7}.items():
        plan[:, name] = torch.where(idle, gentle * share, plan[:, name])
    _sample_blinks(plan, (plan[:, BLINK_LEFT] > 0) | idle, generator)
    _sample_wind(plan, generator)

    moves = (plan != 0).any(1)
    tempo = torch.where(torch.rand(count, generator=generator) < 0.5, 0.0, 2 * torch.rand(count, generator=generator) - 1)
    plan[:, TEMPO] = tempo * moves
    return plan


def _sample_blinks(plan, blinks, generator):
    count = len(plan)
    side = torch.multinomial(torch.tensor([0.84, 0.08, 0.08]), count, replacement=True, generator=generator)
    plan[:, BLINK_LEFT] = (blinks & (side != 2)).float()
    plan[:, BLINK_RIGHT] = (blinks & (side != 1)).float()
    rate = torch.where(torch.rand(count, generator=generator) < 0.5, 0.0, 2 * torch.rand(count, generator=generator) - 1)
    plan[:, BLINK_RATE] = rate * blinks


def _sample_wind(plan, generator):
    count = len(plan)
    carried = (plan[:, HAIR] > 0) | (plan[:, CLOTH] > 0)
    side = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    strength = torch.where(torch.rand(count, generator=generator) < 0.7, 1.0, 0.4 + 0.6 * torch.rand(count, generator=generator))
    blows = torch.rand(count, generator=generator) < 0.55
    plan[:, WIND] = side * strength * (carried & blows)
    gusty = torch.rand(count, generator=generator) < 0.3
    plan[:, GUST] = (0.3 + 0.7 * torch.rand(count, generator=generator)) * (carried & gusty)
