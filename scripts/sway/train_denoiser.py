"""Train the denoiser of `sway` on closed-form motion. Run again with the same checkpoint to continue a run that was cut short.

    python -m scripts.sway.train_denoiser --features features.npz --checkpoint denoiser.pt --seconds 2300

Rectified flow (sigma 1 is noise), prediction of the clean values, v-weighted loss. The learning rate falls to zero over the planned seconds (or
`--steps`); what is kept is an exponential average of the weights. Writes `<checkpoint>.log` and, at the end, `<checkpoint>.scores.json`.
On a machine without the C library's huge pages on, `GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000` is worth a
fifth of the speed on a CPU.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.func import functional_call

from . import plans
from .denoiser import PLAN_NULL, Denoiser
from .motion import synthesise
from .muon import Muon
from .sampler import always_known, known
from .score_denoiser import score, summary

PLAN_DROP, FEATURE_DROP = 0.10, 0.05
# Share of the samples where what the plan does not ask for is given as known, at rest, instead of predicted.
HOLD_SHARE = 0.5
SMALLEST_SIGMA = 0.1
BLINK_WEIGHT, BODY_WEIGHT = 2.0, 1.0
WARM_UP_STEPS = 40
AVERAGE_SPAN = 0.03
SHORT_SCORE_SECONDS = 800


class Bank:
    """Features to draw from, with a little more freedom at each draw."""

    def __init__(self, path, generator):
        self.features = torch.from_numpy(np.load(path)["features"])
        self.generator = generator

    def draw(self, count):
        """`[count, 6, 6, 16]`: class shares and head geometry jittered, eyes closed at random in one picture of twenty."""
        picked = self.features[torch.randint(len(self.features), (count,), generator=self.generator)].clone()
        noise = lambda *shape: torch.randn(*shape, generator=self.generator)
        picked[..., :11] *= torch.exp(0.1 * noise(count, 6, 6, 11))
        picked[..., 11:13] = (picked[..., 11:13] + 0.02 * noise(count, 1, 1, 2)).clamp(-1, 1)
        picked[..., 13] *= torch.exp(0.05 * noise(count, 1, 1))
        picked[..., 14:16] *= (torch.rand(count, 1, 1, 2, generator=self.generator) > 0.05).float()
        return picked


def draw_batch(count, bank, generator):
    """Plans, features, clean latents and control, and the noise levels of one batch."""
    plan, features = plans.sample_plans(count, generator), bank.draw(count)
    latents, control = synthesise(plan, features, generator)
    sigma = torch.sigmoid(1.1 * torch.randn(count, generator=generator) + 0.2).clamp(0.002, 0.998)
    return plan, features, latents, control, sigma


def batch_loss(network, batch, generator, device):
    """v-weighted squared error of the clean prediction, over what is not known beforehand -> loss and its three parts."""
    plan, features, latents, control, sigma = (value.to(device) for value in batch)
    count = len(plan)
    chance = torch.rand(3, count, generator=generator).to(device)
    always, given = always_known(control[..., 12:19], features), known(control[..., 12:19], features, plan)
    hold = chance[2] < HOLD_SHARE
    mask = torch.where(hold[:, None, None], given.control_mask, always.control_mask)
    resting = given.resting & hold[:, None, None, None, None]
    dropped = chance[0] < PLAN_DROP
    plan = torch.where(dropped[:, None], torch.eye(plans.CHANNELS, device=device)[PLAN_NULL], plan)
    features = features * (chance[1] >= FEATURE_DROP)[:, None, None, None]
    level = sigma[:, None, None]
    noisy_latents = torch.lerp(latents, torch.randn(latents.shape, generator=generator).to(device), level[..., None, None])
    noisy_control = torch.lerp(control, torch.randn(control.shape, generator=generator).to(device), level)
    noisy_control = torch.where(mask, control, noisy_control)
    noisy_latents = torch.where(resting, latents, noisy_latents)
    clean_latents, clean_control = network(noisy_latents, noisy_control, features, plan, sigma)
    weight = sigma.clamp(min=SMALLEST_SIGMA) ** -2
    spatial = (((clean_latents - latents) ** 2) * ~resting).mean((1, 2, 3, 4))
    control_error = ((clean_control - control) ** 2) * ~mask
    blink, body = control_error[..., :12].mean((1, 2)), control_error[..., 19:].mean((1, 2))
    parts = torch.stack([spatial, blink, body]) * weight
    return (parts * torch.tensor([[1.0], [BLINK_WEIGHT], [BODY_WEIGHT]], device=device)).sum(0).mean(), parts.mean(1).detach()


def half_precision(network):
    """A view of the network that computes in bfloat16 while gradients reach the float32 parameters."""
    return lambda *inputs: functional_call(network, {name: value.bfloat16() for name, value in network.named_parameters()}, inputs)


def make_optimizers(network, rate):
    """Muon for the matrices of the blocks, AdamW for all else."""
    matrices = [p for name, p in network.named_parameters() if name.startswith("blocks.") and name.endswith("weight")]
    chosen = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in chosen]
    return [Muon(matrices, rate), torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)]


class Run:
    """The state of one training run: weights, their average, optimizers, progress."""

    def __init__(self, options, device):
        torch.manual_seed(options.seed)
        self.network = Denoiser(options.width, options.layers).to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizers = make_optimizers(self.network, options.rate)
        self.step, self.seconds = 0, 0.0
        if options.checkpoint.exists():
            self._load(torch.load(options.checkpoint, map_location=device))
        elif options.start:
            weights = torch.load(options.start, map_location=device)["average"]
            self.network.load_state_dict(weights)
            self.average.load_state_dict(weights)

    def _load(self, saved):
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        self.step, self.seconds = saved["step"], saved["seconds"]

    def save(self, path):
        saved = dict(network=self.network.state_dict(), average=self.average.state_dict(), step=self.step, seconds=self.seconds)
        saved["optimizers"] = [optimizer.state_dict() for optimizer in self.optimizers]
        temporary = path.with_suffix(".tmp")
        torch.save(saved, temporary)
        temporary.replace(path)

    def update_average(self):
        keep = 1.0 - 1.0 / (1.0 + AVERAGE_SPAN * self.step + 5)
        with torch.no_grad():
            for kept, value in zip(self.average.parameters(), self.network.parameters()):
                kept.lerp_(value, 1.0 - keep)


def train(options):
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = Run(options, device)
    log = open(options.checkpoint.with_suffix(".log"), "a", buffering=1)

    def note(line):
        print(line, flush=True)
        log.write(line + "\n")

    generator = torch.Generator().manual_seed(options.seed * 1_000_003 + run.step)
    bank = Bank(options.features, generator)
    network = half_precision(run.network)
    size = sum(p.numel() for p in run.network.parameters())
    note(f"{size / 1e6:.2f} M parameters, {len(bank.features)} pictures, step {run.step}, {device}")
    smooth, last_save = None, time.time()
    next_score = run.seconds + SHORT_SCORE_SECONDS
    while True:
        progress = run.step / options.steps if options.steps else run.seconds / options.seconds
        if progress >= 1.0:
            break
        began = time.time()
        rate = options.rate * min(1.0, (run.step + 1) / WARM_UP_STEPS) * (1.0 - progress)
        for optimizer in run.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        run.network.zero_grad(set_to_none=True)
        total = torch.zeros(3)
        for _ in range(options.batch // options.part):
            loss, parts = batch_loss(network, draw_batch(options.part, bank, generator), generator, device)
            (loss * options.part / options.batch).backward()
            total += parts.cpu() * options.part / options.batch
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), 2.0)
        for optimizer in run.optimizers:
            optimizer.step()
        run.step += 1
        run.update_average()
        run.seconds += time.time() - began
        smooth = total if smooth is None else torch.lerp(smooth, total, 0.03)
        if run.step % 50 == 0:
            note(f"step {run.step} {run.seconds:.0f} s: loss cells {smooth[0]:.4f} blink {smooth[1]:.4f} body {smooth[2]:.4f}")
        if time.time() - last_save > 60:
            run.save(options.checkpoint)
            last_save = time.time()
        if run.seconds > next_score:
            note("   " + summary(score(run.average, bank.features, count=24, settings=False)))
            next_score += SHORT_SCORE_SECONDS
    run.save(options.checkpoint)
    scores = score(run.average, bank.features, options.score_plans)
    scores["training"] = dict(steps=run.step, samples=run.step * options.batch, seconds=round(run.seconds), parameters=size)
    options.checkpoint.with_suffix(".scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    note(summary(scores))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="checkpoint of a finished run whose weights a new run starts from")
    parser.add_argument("--seconds", type=float, default=2300, help="planned training time, over which the learning rate falls to zero")
    parser.add_argument("--steps", type=int, default=0, help="planned steps instead of seconds")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--part", type=int, default=8, help="samples computed at a time; small parts stay in the cache")
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--score-plans", type=int, default=128, help="plans scored at the end")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.batch % options.part:
        raise SystemExit(f"--batch {options.batch} must be a multiple of --part {options.part}")
    train(options)


if __name__ == "__main__":
    main()
