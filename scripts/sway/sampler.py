"""Reference sampler: rectified flow with Euler steps, classifier-free guidance, and known values held clean."""

import torch

from . import codec
from .denoiser import PLAN_NULL

STEPS = 16
GUIDANCE = 2.0


def null_plan(plan):
    """The unconditional plan: zero but for its last channel."""
    null = torch.zeros_like(plan)
    null[:, PLAN_NULL] = 1.0
    return null


def known_control(camera, features):
    """Camera keys `[B, 25, 7]` and features -> the clean control `[B, 25, 26]` and the mask `[B, 25, 26]` (bool) of what is known:
    the camera always, and an eye that is not open and visible stays as it is."""
    clean = torch.zeros(*camera.shape[:2], codec.CONTROL_CHANNELS, device=camera.device)
    clean[..., codec.CAMERA] = camera
    known = torch.zeros_like(clean, dtype=torch.bool)
    known[..., codec.CAMERA] = True
    known[..., codec.BLINK_LEFT] = (features[:, 0, 0, 14] < 0.5)[:, None, None]
    known[..., codec.BLINK_RIGHT] = (features[:, 0, 0, 15] < 0.5)[:, None, None]
    return clean, known


@torch.no_grad()
def sample(denoiser, noise, features, plan, camera, steps=STEPS, guidance=GUIDANCE):
    """`noise` = (latents `[B, 4, 25, 6, 6]`, control `[B, 25, 26]`) of standard normals -> clean latents and control of the same shapes.

    The denoiser predicts clean values; the velocity at sigma is (x - clean) / sigma, guided as v_u + g (v_c - v_u)."""
    clean, known = known_control(camera, features)
    latents, control = noise[0], torch.where(known, clean, noise[1])
    batch = len(plan)
    plans, pictures = torch.cat([plan, null_plan(plan)]), torch.cat([features, features])
    sigmas = torch.linspace(1.0, 0.0, steps + 1)
    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist()):
        level = torch.full((2 * batch,), sigma, device=plan.device)
        guided_latents, guided_control = denoiser(torch.cat([latents, latents]), torch.cat([control, control]), pictures, plans, level)
        guided_latents = torch.lerp(guided_latents[batch:], guided_latents[:batch], guidance)
        guided_control = torch.lerp(guided_control[batch:], guided_control[:batch], guidance)
        latents = latents + (following - sigma) * (latents - guided_latents) / sigma
        control = control + (following - sigma) * (control - guided_control) / sigma
        control = torch.where(known, clean, control)
    return latents, control
