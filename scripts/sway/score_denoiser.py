"""Scores of the denoiser: does it do what a plan asks, leave the rest alone, and move smoothly?

    python -m scripts.sway.score_denoiser --features features.npz --weights models/sway/denoiser.safetensors

Each motion has a measure, taken after the codec. Its nominal size is the truth's median measure per unit of amount. A motion that was asked passes
at `ASKED_SHARE` of the nominal size times its amount; one that was not asked must stay under `UNASKED_SHARE` of the nominal size of amount 1.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.stats import spearmanr

from . import codec, labels, plans
from .denoiser import Denoiser
from .motion import DURATION, Place, synthesise
from .sampler import GUIDANCE, always_known, known, sample

ASKED_SHARE = 0.4
UNASKED_SHARE = 0.1
# Hair or cloth on less of the picture than this is too little to see; between none and this, neither gate counts.
VISIBLE_SHARE = 0.02
# Plans sampled twice, with another seed.
SECOND_SEEDS = 24
SETTINGS = [0.4, 0.7, 1.0, 1.4, 1.9]
SETTING_PICTURES = 8
SETTING_MOTIONS = ["hair", "cloth", "breath", "sway", "light_shift"]
CLOSED, STAYS_OPEN = 0.8, 0.1
# Amplitudes are compared with amounts where they are meant to move: channels of the plan, whether they have a sign.
MEASURED = dict(hair=plans.HAIR, cloth=plans.CLOTH, breath=plans.BREATH, sway=plans.SWAY, nod=plans.NOD, tilt=plans.TILT, turn=plans.TURN,
                light_gain=plans.LIGHT_GAIN, light_shift=plans.LIGHT_SHIFT, warmth=plans.WARMTH, flicker=plans.FLICKER)
# Motions that share a channel: one is measured only where the others of its group are not asked, and unasked means none of the group.
GROUPS = [("sway", "nod", "tilt", "turn"), ("light_gain", "light_shift", "warmth", "flicker")]
TIMES = torch.linspace(0, 1, 150, dtype=torch.float64)


class Clip:
    """Decoded motion of a batch and its measures, each `[B]`."""

    def __init__(self, latents, control):
        motion = codec.decode_control(control.double(), DURATION, TIMES)
        self.fields = codec.decode_fields(latents.double(), DURATION, TIMES)
        self.blink, self.body = motion.blink, motion.body
        yaw, pitch, roll, _, breath, gain, warmth = self.body.unbind(1)
        rms = lambda x: x.pow(2).flatten(1).mean(1).sqrt()
        self.held = dict(tilt=roll[:, 60:].mean(1), turn=yaw[:, 60:].mean(1), light_gain=gain[:, 60:].mean(1), warmth=warmth[:, 60:].mean(1))
        self.measures = dict(
            hair=rms(self.fields[:, 0]), cloth=rms(self.fields[:, 2]), breath=breath.amax(1), sway=rms(torch.stack([yaw, roll], 1)),
            nod=pitch.amax(1), light_shift=rms(gain), flicker=rms(gain), **{name: value.abs() for name, value in self.held.items()})
        self.head = rms(self.body[:, :4])
        self.light = rms(self.body[:, 5:])
        self.wind = torch.stack([self.fields[:, 0, 25:].mean((1, 2, 3)), self.fields[:, 2, 25:].mean((1, 2, 3))], 1)


def possible(features):
    """Which motions each picture can show: name -> `[B]` bool."""
    place = Place(features)
    head, always = place.has_head > 0, torch.ones(len(features), dtype=torch.bool)
    able = {name: always for name in MEASURED}
    share = features[..., [labels.HAIR, labels.CLOTH]].mean((1, 2)) >= VISIBLE_SHARE
    able.update({name: head for name in ("breath", "sway", "nod", "tilt", "turn")}, hair=share[:, 0], cloth=share[:, 1])
    return able


def impossible(features):
    """Which motions each picture cannot show, so that even a plan that asks must leave them out: name -> `[B]` bool."""
    place, able = Place(features), possible(features)
    return {name: ~mask for name, mask in able.items()} | dict(hair=place.hair == 0, cloth=place.cloth == 0)


def companions(name):
    """The other motions that move the same channels as `name`."""
    return [other for group in GROUPS if name in group for other in group if other != name]


def roughness(x):
    """Root mean square second difference in time of `[..., N]`."""
    return float((x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]).pow(2).mean().sqrt())


def share(hits, of):
    """`{"hits", "of"}` of two masks."""
    return dict(hits=int((hits & of).sum()), of=int(of.sum()))


def measure(denoiser, features, plan, truth, way, seed):
    """All scores of one `Way` of sampling."""
    generator = torch.Generator().manual_seed(seed)
    camera = truth[1][..., codec.CAMERA]
    draws = []
    for count in (len(plan), min(SECOND_SEEDS, len(plan))):
        noise = (torch.randn(truth[0].shape, generator=generator), torch.randn(truth[1].shape, generator=generator))
        parts = []
        for chosen in torch.arange(count).split(8):
            given = known(camera[chosen], features[chosen], plan[chosen]) if way.held else always_known(camera[chosen], features[chosen])
            start = (noise[0][chosen], noise[1][chosen])
            parts.append(sample(denoiser, start, features[chosen], plan[chosen], given, guidance=way.guidance))
        draws.append(tuple(torch.cat(values) for values in zip(*parts)))
    clip, other, real = Clip(*draws[0]), Clip(*draws[1]), Clip(*truth)
    able, unable = possible(features), impossible(features)
    result = {}
    for name, channel in MEASURED.items():
        amount, shared = plan[:, channel].abs(), plan[:, [MEASURED[other_name] for other_name in companions(name)]].abs().sum(1)
        asked = (amount > 0) & able[name] & (shared == 0)
        unasked = ((amount == 0) | unable[name]) & (shared == 0)
        measured, real_measured = clip.measures[name], real.measures[name]
        nominal = float((real_measured[asked] / amount[asked]).median())
        row = dict(asked=share(measured >= ASKED_SHARE * nominal * amount, asked), unasked=share(measured > UNASKED_SHARE * nominal, unasked))
        if int(asked.sum()) >= 8:
            row["spearman"] = round(float(spearmanr(amount[asked], measured[asked]).statistic), 3)
            row["spearman_truth"] = round(float(spearmanr(amount[asked], real_measured[asked]).statistic), 3)
            row["size_against_truth"] = round(float((measured[asked] / amount[asked]).median() / nominal), 3)
        if name in clip.held:
            row["sign"] = share(torch.sign(clip.held[name]) == torch.sign(plan[:, channel]), asked)
        result[name] = row
    for side, (channel, flag) in enumerate([(plans.BLINK_LEFT, 14), (plans.BLINK_RIGHT, 15)]):
        seen = features[:, 0, 0, flag] > 0.5
        asked = (plan[:, channel] > 0) & seen
        peak = clip.blink[:, side].amax(1)
        result[("blink_left", "blink_right")[side]] = dict(
            asked=share(peak > CLOSED, asked), unasked=share(peak > STAYS_OPEN, ~asked),
            closed_frames=round(float((clip.blink[asked, side] > 0.5).float().sum(1).mean()), 2),
            closed_frames_truth=round(float((real.blink[asked, side] > 0.5).float().sum(1).mean()), 2))
    both = (plan[:, plans.BLINK_LEFT] > 0) & (plan[:, plans.BLINK_RIGHT] > 0) & (features[:, 0, 0, 14:16] > 0.5).all(1)
    result["eyes_in_step"] = share((clip.blink[:, 0] - clip.blink[:, 1]).abs().amax(1) < 0.3, both)
    carried = torch.stack([(plan[:, plans.HAIR] > 0.25) & able["hair"], (plan[:, plans.CLOTH] > 0.25) & able["cloth"]], 1) & (plan[:, plans.WIND] != 0)[:, None]
    result["wind_sign"] = share(torch.sign(clip.wind) == torch.sign(plan[:, plans.WIND])[:, None], carried)
    result["roughness"] = dict(
        fields=round(roughness(clip.fields.permute(0, 1, 3, 4, 2)) / roughness(real.fields.permute(0, 1, 3, 4, 2)), 3),
        **{name: round(roughness(clip.body[:, i]) / roughness(real.body[:, i]), 3) for i, name in enumerate(["yaw", "pitch", "roll", "bob", "breath", "gain", "warmth"])})
    again = len(other.fields)
    moving = ((plan[:, plans.HAIR] > 0) & able["hair"])[:again]
    difference = (clip.fields[:again, 0] - other.fields[:, 0]).pow(2).mean((1, 2, 3)).sqrt()
    result["seeds_differ"] = share(difference > 0.3 * clip.measures["hair"][:again], moving)
    still = (plan == 0).all(1)
    result["empty_plan"] = dict(fields=round(float(clip.fields[still].abs().amax()), 3), body=round(float(clip.body[still].abs().amax()), 3),
                                blink=round(float(clip.blink[still].amax()), 3)) if still.any() else {}
    return result


def motion_setting(denoiser, features, seed):
    """The motion setting against the mean flow: one plan, picture and seed at a time, amounts scaled -> the mean Spearman correlation of each
    motion's size with the setting, and the sizes relative to setting 1."""
    generator = torch.Generator().manual_seed(seed)
    able = possible(features)
    seen = torch.nonzero(able["hair"] & able["cloth"] & able["breath"])[:SETTING_PICTURES, 0]
    count, steps = len(seen), len(SETTINGS)
    base = torch.zeros(count, plans.CHANNELS)
    base[:, [plans.HAIR, plans.CLOTH, plans.BREATH, plans.SWAY, plans.LIGHT_SHIFT]] = 1.0
    base[::2, plans.WIND] = 1.0
    noise = (torch.randn(count, 4, 25, 6, 6, generator=generator), torch.randn(count, 25, 26, generator=generator))
    sizes = []
    for setting in SETTINGS:
        plan = base.clone()
        plan[:, list(MEASURED.values())] *= setting
        clip = Clip(*sample(denoiser, noise, features[seen], plan, known(torch.zeros(count, 25, 7), features[seen], plan)))
        sizes.append(torch.stack([clip.measures[name] for name in SETTING_MOTIONS], 1))
    sizes = torch.stack(sizes, 1)
    result = {}
    for column, name in enumerate(SETTING_MOTIONS):
        rows = sizes[..., column]
        result[name] = dict(spearman=round(float(np.mean([spearmanr(SETTINGS, row).statistic for row in rows])), 3),
                            size=[round(float(value), 2) for value in (rows / rows[:, SETTINGS.index(1.0), None]).median(0).values])
    return result


@dataclass(frozen=True)
class Way:
    """How to sample: the guidance weight, and whether what a plan does not ask for is held at rest (as the program does) or left to the network."""

    guidance: float
    held: bool


def score(denoiser, features, count=128, ways=(Way(2.0, True),), settings=True, seed=12345):
    """Scores over `count` random plans and pictures -> a dictionary by way of sampling, fit for JSON."""
    device = next(denoiser.parameters()).device
    denoiser = denoiser.to("cpu").eval()
    generator = torch.Generator().manual_seed(seed)
    picked = features[torch.randint(len(features), (count,), generator=generator)]
    plan = plans.sample_plans(count, generator)
    truth = synthesise(plan, picked, generator)
    scores = dict(plans=count, steps=16, asked_share=ASKED_SHARE, unasked_share=UNASKED_SHARE)
    for way in ways:
        scores[f"guidance {way.guidance}, {'held' if way.held else 'free'}"] = measure(denoiser, picked, plan, truth, way, seed + 1)
    if settings:
        scores["motion_setting"] = dict(settings=SETTINGS, **motion_setting(denoiser, features, seed + 2))
    denoiser.to(device)
    return scores


def summary(scores):
    """The scores in a few lines."""
    lines = []
    for key, result in scores.items():
        if key == "motion_setting":
            lines.append(f"motion setting: {result}")
        if not key.startswith("guidance"):
            continue
        cells = [key + ":"]
        for name, row in result.items():
            if "asked" in row:
                cell = f"{name} {row['asked']['hits']}/{row['asked']['of']} un {row['unasked']['hits']}/{row['unasked']['of']}"
                cell += f" rho {row['spearman']:.2f} ({row['spearman_truth']:.2f}) x{row['size_against_truth']:.2f}" if "spearman" in row else ""
                cell += f" sign {row['sign']['hits']}/{row['sign']['of']}" if "sign" in row else ""
                cell += f" closed {row['closed_frames']} ({row['closed_frames_truth']})" if "closed_frames" in row else ""
            elif "hits" in row:
                cell = f"{name} {row['hits']}/{row['of']}"
            else:
                cell = f"{name} {row}"
            cells.append(cell)
        lines.append("\n      ".join(cells))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--guidances", type=float, nargs="+", default=[GUIDANCE])
    parser.add_argument("--free", action="store_true", help="also leave what is not asked for to the network")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways = [Way(guidance, held) for guidance in options.guidances for held in ((True, False) if options.free else (True,))]
    denoiser = Denoiser(layers=options.layers)
    denoiser.load_state_dict({name: value.float() for name, value in load_file(options.weights).items()})
    scores = score(denoiser, torch.from_numpy(np.load(options.features)["features"]), options.count, ways)
    print(summary(scores))
    if options.out:
        options.out.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
