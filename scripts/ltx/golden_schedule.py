"""Schedules, steps and guidance of diffusers 0.42.1, and a short guided run of the tiny transformer.

Writes into the folder:

* `schedules.safetensors`: noise levels, under the names that tests/models/ltx_schedule.rs asks for
* `sampling.safetensors`: deterministic steps with strengths 1, 0.5, 0.25 and 0, and stochastic ones; guidance formulas
* `run.safetensors`: four steps of `transformer_20` with classifier-free guidance 3 and rescale 0.7, frame 0 held clean; once more with
  noise on that frame, which the pipeline leaves there in the end
"""

import math

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.guiders.classifier_free_zero_star_guidance import cfg_zero_star_scale
from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift
from diffusers.pipelines.ltx.pipeline_ltx_condition import linear_quadratic_schedule, rescale_noise_cfg
from safetensors.torch import save_file

from .golden_transformer import GRID, coordinates, tiny

# The scheduler of the first two releases.
SHIFTED = dict(use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, max_image_seq_len=4096, shift_terminal=0.1)
DISTILLED = [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219]


def levels(config, sigmas, tokens=None):
    """The levels that a scheduler of this configuration makes of `sigmas`, with the 0 at their end."""
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    mu = None if tokens is None else calculate_shift(tokens, 1024, 4096, 0.95, 2.05)
    scheduler.set_timesteps(sigmas=sigmas, mu=mu)
    return scheduler.sigmas


def evenly(steps):
    return np.linspace(1.0, 1 / steps, steps).tolist()


def schedules():
    found = {f"linear_quadratic.{steps}": levels({}, linear_quadratic_schedule(steps).tolist()) for steps in (1, 2, 7, 8, 30, 40)}
    found |= {f"shifted.{steps}.{tokens}": levels(SHIFTED, evenly(steps), tokens) for steps, tokens in ((2, 1024), (20, 7800), (40, 17600), (7, 24))}
    found |= {f"constant.{steps}": levels(dict(shift=math.exp(1.25)), evenly(steps)) for steps in (3, 8)}
    found["terminal"] = levels(dict(shift=3.0, shift_terminal=0.2), evenly(5))
    found["explicit"] = levels({}, DISTILLED)
    return found


def steps(generator):
    """`LTXConditionPipeline`'s loop over given velocities, with a strength for each of four tokens; then stochastic steps of all tokens."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[1.0, 0.8, 0.6, 0.45, 0.2])
    strength = torch.tensor([[1.0, 0.5, 0.25, 0.0]])
    x = torch.randn(1, 4, 3, generator=generator)
    velocities = torch.randn(5, 1, 4, 3, generator=generator)
    found = dict(sigmas=scheduler.sigmas, strength=strength, start=x, velocities=velocities)
    for t, velocity in zip(scheduler.timesteps, velocities):
        timestep = torch.min(t.expand(1, 1), (1 - strength) * 1000.0)
        stepped = scheduler.step(-velocity, t, x, per_token_timesteps=timestep, return_dict=False)[0]
        x = torch.where((t / 1000 - 1e-6 < 1.0 - strength).unsqueeze(-1), stepped, x)
    found["deterministic"] = x

    scheduler = FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)
    scheduler.set_timesteps(sigmas=found["sigmas"][:-1].tolist())
    x = found["start"]
    fresh = [torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(index)) for index in range(5)]
    for index, (t, velocity) in enumerate(zip(scheduler.timesteps, velocities)):
        # The same seed draws the same noise within the step.
        x = scheduler.step(velocity, t, x, generator=torch.Generator().manual_seed(index), return_dict=False)[0]
    return found | dict(fresh=torch.stack(fresh), stochastic=x)


def guidance(generator):
    prompt, unconditional, perturbed = (torch.randn(1, 8, 3, 2, 2, generator=generator) * scale for scale in (1.0, 0.8, 1.2))
    guided = unconditional + 3.0 * (prompt - unconditional)
    near = unconditional * cfg_zero_star_scale(prompt.flatten(1), unconditional.flatten(1)).view(1, 1, 1, 1, 1)
    starred = near + 6.0 * (prompt - near)
    away = starred + 4.0 * (prompt - perturbed)
    return dict(prompt=prompt, unconditional=unconditional, perturbed=perturbed, starred=starred,
                rescaled=rescale_noise_cfg(guided, prompt, 0.7), all=rescale_noise_cfg(away, prompt, 0.5))


@torch.no_grad()
def run(generator):
    """Four linear-quadratic steps of the tiny transformer with heads of 20 channels; the two prompts differ in length."""
    model, grid = tiny(20)[0], GRID
    tokens, held = grid[0] * grid[1] * grid[2], grid[1] * grid[2]
    prompts = [torch.randn(1, length, model.config.caption_channels, generator=generator) for length in (4, 1)]
    noise = torch.randn(1, 8, *grid, generator=generator)
    clean = torch.randn(1, 8, 1, *grid[1:], generator=generator)
    held_noise = torch.randn(4, 1, tokens, 8, generator=generator)
    start = torch.cat([clean, noise[:, :, 1:]], 2).flatten(2).transpose(1, 2)
    mask = torch.zeros(1, tokens)
    mask[:, :held] = 1
    found = dict(prompt=prompts[0], unconditional=prompts[1], noise=noise, clean=clean,
                 held_noise=held_noise.transpose(2, 3).reshape(4, 1, 8, *grid))
    for name, noise_scale in dict(sampled=0.0, sampled_with_noise=0.15).items():
        scheduler = FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(sigmas=linear_quadratic_schedule(4).tolist())
        x = start
        for step, t in enumerate(scheduler.timesteps):
            if noise_scale > 0:
                x = torch.where((mask > 1 - 1e-6).unsqueeze(-1), start + noise_scale * held_noise[step] * (t / 1000.0) ** 2, x)
            timestep = torch.min(t.expand(1, 1), (1 - mask) * 1000.0)
            prompt, unconditional = (
                model(x, text, timestep, torch.ones(text.shape[:2]), video_coords=coordinates(grid, True), return_dict=False)[0]
                for text in prompts)
            velocity = rescale_noise_cfg(unconditional + 3.0 * (prompt - unconditional), prompt, 0.7)
            stepped = scheduler.step(-velocity, t, x, per_token_timesteps=timestep, return_dict=False)[0]
            x = torch.where((t / 1000 - 1e-6 < 1.0 - mask).unsqueeze(-1), stepped, x)
        found[name] = x.transpose(1, 2).reshape(1, 8, *grid)
    return found


def write(folder):
    """Writes all files named above into `folder`."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(5)
    files = dict(schedules=schedules(), sampling=steps(generator) | guidance(generator), run=run(generator))
    for name, tensors in files.items():
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / f"{name}.safetensors")
