"""Closed-form motion: plans and pictures -> the clean motion latents the denoiser learns from.

Every motion eases in from rest and is exactly 0 at key 0; what a plan does not ask for is exactly 0, and so is what a picture cannot show
(hair without hair, a head's motion without a head, a blink of an eye that is not open). Amplitudes follow the plan's amounts within 12 %.
Units are those of the latents: fields 0.16 R at flexibility 1, yaw 0.05 R, roll 2 degrees, breath one full in-breath, light 12 %, warmth 5 %.
Shapes: B batch, K = 25 keys, C = 36 cells.
"""

import math

import torch

from . import plans

FRAMES, GRID = 25, 6
DURATION = 149 / 25
BLINK_SAMPLES, SAMPLES_PER_SECOND = 150, 25.0
JITTER = 0.12
EASE_SECONDS = 0.8
# The codec keeps 12 cosine terms over 25 keys: nothing faster than this survives it.
FASTEST_HERTZ = 0.85
HAIR_WAVE, HAIR_WIND, HAIR_LIFT = 0.7, 0.7, 0.15
CLOTH_WAVE, CLOTH_WIND = 0.5, 0.4
SMALLEST_SHARE, FULL_SHARE = 0.002, 0.006


def smoothstep(x):
    """0 below 0, 1 above 1, smooth between."""
    x = x.clamp(0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


class Draw:
    """Uniform draws `[B]` from one generator."""

    def __init__(self, batch, generator):
        self.batch, self.generator = batch, generator

    def between(self, low, high):
        return low + (high - low) * torch.rand(self.batch, generator=self.generator)

    def phase(self):
        return self.between(0.0, 2.0 * math.pi)

    def side(self):
        return torch.where(self.between(0, 1) < 0.5, -1.0, 1.0)

    def amount(self, plan_column):
        """A plan's amounts with the modest freedom that seeds have."""
        return plan_column * self.between(1.0 - JITTER, 1.0 + JITTER)


def column(x):
    """`[B]` -> `[B, 1]`, to meet times `[B, N]`."""
    return x[:, None]


class HeadMotion:
    """Yaw, pitch, roll and bob of a head as functions of time, so that hair can answer them later."""

    def __init__(self, plan, has_head, draw):
        pace = 2.0 ** (0.6 * plan[:, plans.TEMPO])
        self.sway = draw.amount(plan[:, plans.SWAY]) * has_head
        self.sway_rate = 2 * math.pi * pace / draw.between(3.8, 5.2)
        self.second_rate = self.sway_rate * draw.between(1.5, 1.9)
        self.phases = [draw.phase() for _ in range(4)]
        self.nod = draw.amount(plan[:, plans.NOD]) * has_head
        self.nod_start, self.nod_length = draw.between(0.3, 0.9), draw.between(1.3, 1.7) / pace
        self.nod_period = self.nod_length * draw.between(1.05, 1.5)
        self.nod_count = torch.floor(draw.between(1.0, 3.99))
        self.tilt = draw.amount(plan[:, plans.TILT]) * has_head
        self.turn = draw.amount(plan[:, plans.TURN]) * has_head
        self.poses = [(draw.between(0.0, 0.5), draw.between(1.0, 1.6) / pace, 2 * math.pi * pace / draw.between(3.2, 4.5), draw.phase()) for _ in range(2)]

    def _pose(self, which, t):
        """Eases to 1 and breathes there."""
        start, rise, rate, phase = (column(value) for value in self.poses[which])
        return smoothstep((t - start) / rise) * (1.0 + 0.1 * torch.sin(rate * t + phase))

    def _nods(self, t):
        since = t - column(self.nod_start)
        index = torch.floor(since / column(self.nod_period)).clamp(min=0)
        within = (since - index * column(self.nod_period)) / column(self.nod_length)
        inside = (since >= 0) & (index < column(self.nod_count)) & (within < 1)
        return torch.where(inside, torch.sin(math.pi * within) ** 2, torch.zeros(()))

    def __call__(self, t):
        """`t [B, N]` seconds -> yaw, pitch, roll, bob, each `[B, N]`; 0 at and before the start."""
        sway = column(self.sway) * smoothstep(t / 1.2)
        first, second = column(self.sway_rate) * t, column(self.second_rate) * t
        phases = [column(phase) for phase in self.phases]
        yaw = sway * (0.65 * torch.sin(first + phases[0]) + 0.25 * torch.sin(second + phases[1]))
        roll = sway * 0.6 * torch.sin(first + phases[0] + 0.6 + 0.1 * phases[2])
        bob = sway * (0.35 * torch.sin(second + phases[3]))
        pitch = sway * 0.3 * torch.sin(first + phases[3])
        nods = column(self.nod) * self._nods(t)
        yaw = yaw + 1.4 * column(self.turn) * self._pose(0, t)
        roll = roll + 1.5 * column(self.tilt) * self._pose(1, t)
        return yaw, pitch + 1.4 * nods, roll, bob + 0.6 * nods


class Wind:
    """One wind for hair and cloth: a steady push towards one side, and gusts that come and go."""

    def __init__(self, plan, draw):
        self.direction, self.gust = plan[:, plans.WIND], plan[:, plans.GUST]
        self.centres = [draw.between(0.9, 2.0), draw.between(2.9, 3.9), draw.between(4.7, 5.6)]
        self.widths = [draw.between(0.45, 0.75) for _ in range(3)]

    def __call__(self, t):
        """`t [B, N]` -> push `[B, N]` (right positive, 1 = steady full wind) and liveliness `[B, N]` (1 without gusts)."""
        bumps = sum(torch.exp(-(((t - column(centre)) / column(width)) ** 2)) for centre, width in zip(self.centres, self.widths))
        liveliness = 1.0 + 0.8 * column(self.gust) * (bumps - 0.35)
        return column(self.direction) * smoothstep(t / 1.4) * liveliness, liveliness


class Place:
    """Where each cell lies from the head, read from the features as the denoiser sees them. All `[B, C]`."""

    def __init__(self, features):
        cells = features.reshape(len(features), GRID * GRID, -1)
        self.right, self.down = 4.0 * cells[..., 11], 4.0 * cells[..., 12]
        self.distance = torch.hypot(self.right, self.down)
        radius = cells[:, 0, 13] / 4.0
        self.has_head = (radius > 0).float()
        radius = torch.where(radius > 0, radius, torch.full_like(radius, 0.2))
        # At most about one radian from cell to cell, so that small heads do not alias on the grid.
        self.wave_number = (6.0 * radius).clamp(0.3, 1.2)
        self.hair = smoothstep((cells[..., 1].mean(1) - SMALLEST_SHARE) / (FULL_SHARE - SMALLEST_SHARE))
        self.cloth = smoothstep((cells[..., 4].mean(1) - SMALLEST_SHARE) / (FULL_SHARE - SMALLEST_SHARE))
        self.left_eye, self.right_eye = cells[:, 0, 14], cells[:, 0, 15]


def hair_fields(plan, place, head, wind, t, draw):
    """`t [B, K, 1]` -> hair dx, dy `[B, K, C]`: waves from root to tip, wind, and a late answer to the head."""
    pace = 2.0 ** (0.6 * plan[:, plans.TEMPO])
    period = draw.between(2.4, 3.3) / pace
    cell = lambda x: x[:, None, None]
    rate = cell(2 * math.pi / period)
    travel = cell(place.wave_number * draw.between(0.85, 1.15)) * place.distance[:, None]
    phase = cell(draw.phase()) + cell(0.3 * draw.side() * place.wave_number) * place.right[:, None]
    overtone = cell(0.3 * ((FASTEST_HERTZ - 1.9 / period) / 0.25).clamp(0, 1))
    wave = torch.sin(rate * t - travel + phase) + overtone * torch.sin(1.9 * rate * t - 1.7 * travel + 2 * phase)
    late = torch.sin(rate * t - travel + phase + 1.2)
    push, liveliness = (value[..., None] for value in wind(t[..., 0]))
    amount = cell(draw.amount(plan[:, plans.HAIR]) * place.hair) * smoothstep(t / EASE_SECONDS)
    dx = amount * (HAIR_WAVE * wave * liveliness + HAIR_WIND * push)
    dy = amount * (0.25 * late * liveliness - HAIR_LIFT * push.abs())

    delay = (0.12 + 0.10 * place.distance)[:, None]
    now = head(t[..., 0])
    before = head((t - delay).clamp(min=0).reshape(len(plan), -1))
    yaw, pitch, roll, bob = (old.reshape(dx.shape) - new[..., None] for old, new in zip(before, now))
    follows = cell(plan[:, plans.HAIR].clamp(max=1) * place.hair)
    return dx + follows * (0.31 * yaw + 0.15 * roll), dy + follows * (0.31 * pitch + 0.12 * bob)


def cloth_fields(plan, place, wind, t, draw):
    """`t [B, K, 1]` -> cloth dx, dy `[B, K, C]`: ripples that travel down and with the wind."""
    pace = 2.0 ** (0.6 * plan[:, plans.TEMPO])
    cell = lambda x: x[:, None, None]
    rate = cell(2 * math.pi * pace / draw.between(2.6, 3.6))
    side = torch.where(plan[:, plans.WIND] == 0, draw.side(), torch.sign(plan[:, plans.WIND]))
    path = 0.8 * place.down + 0.5 * side[:, None] * place.right
    phase = cell(place.wave_number * draw.between(0.85, 1.15)) * path[:, None] + cell(draw.phase())
    push, liveliness = (value[..., None] for value in wind(t[..., 0]))
    amount = cell(draw.amount(plan[:, plans.CLOTH]) * place.cloth) * smoothstep(t / EASE_SECONDS)
    dx = amount * (CLOTH_WAVE * torch.sin(rate * t - phase) * liveliness + CLOTH_WIND * push)
    dy = amount * 0.25 * torch.sin(rate * t - phase - 1.0) * liveliness
    return dx, dy


def blink_curve(plan, draw):
    """Closure `[B, 150]` in [0, 1]: 3 frames closing, 1 closed, 4 opening; slower, 5, 3 and 7. A wink is held longer."""
    rate, tempo = plan[:, plans.BLINK_RATE], plan[:, plans.TEMPO]
    slow = (-torch.minimum(rate, tempo)).clamp(0, 1)
    wink = (plan[:, plans.BLINK_LEFT] != plan[:, plans.BLINK_RIGHT]).float()
    closing, hold, opening = 3 + 2 * slow, 1 + 2 * slow + 3 * wink, 4 + 3 * slow
    gap_low, gap_high = 2.0 * 2.0 ** (-0.8 * rate) + wink, 3.2 * 2.0 ** (-0.8 * rate) + wink
    sample = torch.arange(BLINK_SAMPLES, dtype=torch.float32)[None]
    closure = torch.zeros(len(plan), BLINK_SAMPLES)
    start = draw.between(0.5, 1.8)
    last_start = DURATION - (closing + hold + opening + 1) / SAMPLES_PER_SECOND
    for _ in range(5):
        since = sample - column(torch.round(start * SAMPLES_PER_SECOND))
        down = smoothstep(since / column(closing))
        up = smoothstep((since - column(closing + hold)) / column(opening + 1))
        closure = torch.maximum(closure, torch.where(column(start < last_start), down - up, torch.zeros(())))
        start = start + gap_low + (gap_high - gap_low) * draw.between(0, 1)
    return closure


def breath_curve(plan, has_head, t, draw):
    """`t [B, K]` -> full in-breaths, from rest: 0 to the plan's amount, a period of 3 to 4.2 s."""
    period = draw.between(3.0, 4.2) / 2.0 ** (0.3 * plan[:, plans.TEMPO])
    return column(draw.amount(plan[:, plans.BREATH]) * has_head) * 0.5 * (1 - torch.cos(2 * math.pi * t / column(period)))


def light_curves(plan, t, draw):
    """`t [B, K]` -> light gain and warmth: brightening, drifting, warming, flickering as a fire does (slowly: see `FASTEST_HERTZ`)."""
    pace = 2.0 ** (0.4 * plan[:, plans.TEMPO])
    ease = smoothstep(t / EASE_SECONDS)
    held = lambda name: column(draw.amount(plan[:, name])) * smoothstep(t / column(draw.between(1.5, 2.5) / pace))
    breathing = 1 + 0.08 * torch.sin(2 * math.pi * t / column(draw.between(3.5, 5.0)) + column(draw.phase()))
    drift = 2 * math.pi * column(pace / draw.between(3.5, 5.0)) * t + column(draw.phase())
    shift = column(draw.amount(plan[:, plans.LIGHT_SHIFT])) * ease
    flames = sum(torch.sin(2 * math.pi * column(draw.between(low, low + 0.12)) * t + column(draw.phase())) for low in (0.4, 0.55, 0.7))
    flicker = column(draw.amount(plan[:, plans.FLICKER])) * ease * flames / math.sqrt(3.0)
    gain = held(plans.LIGHT_GAIN) * breathing + 0.7 * shift * torch.sin(drift) + 0.55 * flicker
    return gain, held(plans.WARMTH) + 0.3 * shift * torch.sin(drift + 0.8) + 0.2 * flicker


def camera_curves(batch, t, draw):
    """Camera keys `[B, K, 7]` for the denoiser to see: none, one or two eased moves, or a shake. They are always given, never predicted."""
    u = smoothstep(t / DURATION)
    keys = torch.zeros(batch, FRAMES, 7)
    for chance in (0.5, 0.2):
        which = torch.floor(draw.between(0, 7)).long()
        move = column(draw.side() * draw.between(0.3, 1.5) * (draw.between(0, 1) < chance)) * u
        keys = keys + torch.nn.functional.one_hot(which, 7)[:, None].float() * move[..., None]
    shake = column(draw.between(0.05, 0.25) * (draw.between(0, 1) < 0.1)) * smoothstep(t / 0.5)
    for channel in (0, 1, 6):
        keys[..., channel] += shake * torch.randn(batch, FRAMES, generator=draw.generator)
    return keys


def synthesise(plan, features, generator):
    """`plan [B, 20]`, `features [B, 6, 6, 16]` -> clean `latents [B, 4, 25, 6, 6]` and `control [B, 25, 26]`, float32."""
    batch = len(plan)
    draw = Draw(batch, generator)
    place = Place(features)
    t = (torch.arange(FRAMES) * (DURATION / (FRAMES - 1))).expand(batch, FRAMES)
    head, wind = HeadMotion(plan, place.has_head, draw), Wind(plan, draw)
    fields = [*hair_fields(plan, place, head, wind, t[..., None], draw), *cloth_fields(plan, place, wind, t[..., None], draw)]
    latents = torch.stack(fields, 1).reshape(batch, 4, FRAMES, GRID, GRID)

    closure = 2.0 * blink_curve(plan, draw).reshape(batch, FRAMES, 6)
    control = torch.zeros(batch, FRAMES, 26)
    control[..., 0:6] = closure * (plan[:, plans.BLINK_LEFT] * place.left_eye)[:, None, None]
    control[..., 6:12] = closure * (plan[:, plans.BLINK_RIGHT] * place.right_eye)[:, None, None]
    control[..., 12:19] = camera_curves(batch, t, draw)
    control[..., 19:23] = torch.stack(head(t), -1)
    control[..., 23] = breath_curve(plan, place.has_head, t, draw)
    control[..., 24], control[..., 25] = light_curves(plan, t, draw)
    return latents, control
