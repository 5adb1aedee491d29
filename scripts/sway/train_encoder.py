"""Train the encoder on rendered illustrations; run again to continue from the checkpoint.

    python -m scripts.sway.train_encoder --data DIRECTORY --checkpoint encoder.pt --seconds 900

The learning rate warms up, stays, and falls to zero over the last part of each run, so that every run ends in weights
fit to ship. Prints and writes (next to the checkpoint, .json) what the smoothed weights do on held-out pictures, of
the styles of training and of the styles withheld from it, for each directory that has such pictures.
"""

import argparse
import copy
import json
import os
import time
from pathlib import Path

import numpy
import torch
from torch.nn import functional

from . import augment, labels
from .dataset import read_dataset, read_datasets
from .encoder import Encoder
from .measure_encoder import measure
from .muon import Muon, spectral

PEAK_RATES = {"hidden": 0.02, "other": 2e-3}  # of Muon and of AdamW
WARM_UP_STEPS = 50
DECAY_SHARE = 0.5  # the part of a run over which the learning rate falls
SMOOTHING = 0.99
# Small parts count more; much more than this would find eyes where there are none.
WEIGHTS = {"face": 1.2, "skin": 1.2, "eye": 2.5, "mouth": 2.0, "brow": 2.0, "lash": 2.0, "accessory": 1.3}
DICE_SHARE = 0.4


def loss_of(logits, targets, weights):
    """Weighted cross entropy plus one minus the mean soft Dice coefficient of the classes present.

    `logits` float32 [n, 10, h, w], `targets` int64 [n, h, w].
    """
    cross_entropy = functional.cross_entropy(logits, targets, weight=weights)
    chances = logits.softmax(1)
    truth = functional.one_hot(targets, labels.COUNT).permute(0, 3, 1, 2).to(chances.dtype)
    both = (chances * truth).sum((0, 2, 3))
    either = (chances + truth).sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    dice = (2 * both[present] + 1) / (either[present] + 1)
    return cross_entropy + DICE_SHARE * (1 - dice.mean())


class Training:
    """The encoder, its smoothed copy, the optimizer and the random state: all a checkpoint holds."""

    def __init__(self, device, seed):
        torch.manual_seed(seed)
        self.encoder = Encoder().to(device, memory_format=torch.channels_last)
        self.smoothed = copy.deepcopy(self.encoder)
        hidden, other = [], []
        for name, parameter in self.encoder.named_parameters():
            outer = parameter.ndim < 2 or name.startswith(("stem", "head"))
            (other if outer else hidden).append(parameter)
        self.optimizers = {
            "hidden": Muon(hidden, PEAK_RATES["hidden"], weight_decay=0.0, scale=spectral),
            "other": torch.optim.AdamW(other, weight_decay=0.02),
        }
        self.random = numpy.random.default_rng(seed)
        self.steps = 0

    def save(self, path):
        """Write the checkpoint in one atomic step."""
        state = {
            "encoder": self.encoder.state_dict(),
            "smoothed": self.smoothed.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "random": self.random.bit_generator.state,
            "steps": self.steps,
        }
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path, device):
        """Continue from a checkpoint."""
        state = torch.load(path, map_location=device, weights_only=True)
        self.encoder.load_state_dict(state["encoder"])
        self.smoothed.load_state_dict(state["smoothed"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.random.bit_generator.state = state["random"]
        self.steps = state["steps"]

    def smooth(self):
        """Move the smoothed weights a little towards the trained ones."""
        share = 1 - min(SMOOTHING, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for slow, fast in zip(self.smoothed.parameters(), self.encoder.parameters()):
                slow.lerp_(fast, share)


def rate_at(step_of_run, progress):
    """The learning rate `progress` (0..1) into a run, as a share of its peak."""
    warm = min(1.0, (step_of_run + 1) / WARM_UP_STEPS)
    return warm * min(1.0, (1 - progress) / DECAY_SHARE) + 0.005


def train(training, dataset, device, options):
    """Train until the run's seconds or steps are used up."""
    weights = torch.tensor([WEIGHTS.get(name, 1.0) for name in labels.NAMES], device=device)
    began, first, average = time.monotonic(), training.steps, None
    saved = began
    training.encoder.train()
    while True:
        done = training.steps - first
        elapsed = time.monotonic() - began
        progress = done / options.steps if options.steps else elapsed / options.seconds
        if progress >= 1:
            break
        for name, optimizer in training.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = PEAK_RATES[name] * options.peak * rate_at(done, progress)
        pictures, targets = augment.batch(training.random, dataset, options.batch)
        pictures = pictures.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = training.encoder(pictures)
        loss = loss_of(logits.float(), targets.to(device), weights)
        training.encoder.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(training.encoder.parameters(), 1.0)
        for optimizer in training.optimizers.values():
            optimizer.step()
        training.steps += 1
        training.smooth()
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if training.steps % 50 == 0:
            print(f"step {training.steps}: loss {average:.4f}, {elapsed:.0f} s", flush=True)
        if time.monotonic() - saved > 120:
            training.save(options.checkpoint)
            saved = time.monotonic()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="directories drawn from equally often")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--seconds", type=float, help="length of this run")
    parser.add_argument("--steps", type=int, help="length of this run, instead of --seconds")
    parser.add_argument("--batch", type=int, default=8, help="pictures of 192 x 192 in a step")
    parser.add_argument("--peak", type=float, default=1.0, help="the learning rates, as a share of the usual ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if bool(options.seconds) == bool(options.steps):
        parser.error("give one of --seconds and --steps")
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = read_datasets(options.data, "train")
    training = Training(device, options.seed)
    if options.checkpoint.exists():
        training.load(options.checkpoint, device)
    parameters = sum(parameter.numel() for parameter in training.encoder.parameters())
    print(f"{len(dataset)} pictures, {parameters} parameters, {device}, from step {training.steps}", flush=True)
    train(training, dataset, device, options)
    training.save(options.checkpoint)
    report = {"steps": training.steps, "training_pictures": len(dataset)}
    for directory in options.data:
        for split in ("test", "withheld"):
            if not any(directory.glob(f"{split}-*.npz")):
                continue
            name = f"{directory.name} {split}"
            report[name] = measure(training.smoothed, read_dataset(directory, split, most=400))
            print(name, json.dumps(report[name]), flush=True)
    options.checkpoint.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
