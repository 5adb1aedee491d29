"""Reference sampler: rectified flow with Euler steps, classifier-free guidance, and known values held clean."""

from dataclasses import dataclass

import torch

from . import codec, plans
from .denoiser import PLAN_NULL

STEPS = 16
GUIDANCE = 1.5


def null_plan(plan):
    """The unconditional plan: zero but for its last channel."""
    null = torch.zeros_like(plan)
    null[:, PLAN_NULL] = 1.0
    return null


# Control channel -> the plan's channels that move it. Where none of them is asked for, the channel is known to rest.
MOVED_BY = {
    **{channel: [plans.BLINK_LEFT] for channel in range(0, 6)},
    **{channel: [plans.BLINK_RIGHT] for channel in range(6, 12)},
    19: [plans.SWAY, plans.TURN], 20: [plans.SWAY, plans.NOD], 21: [plans.SWAY, plans.TILT], 22: [plans.SWAY, plans.NOD],
    23: [plans.BREATH], 24: [plans.LIGHT_GAIN, plans.LIGHT_SHIFT, plans.FLICKER], 25: [plans.WARMTH, plans.LIGHT_SHIFT, plans.FLICKER],
}


@dataclass(frozen=True)
class Known:
    """What is known before sampling: `control [B, 25, 26]` clean values where `control_mask [B, 25, 26]` (bool), and the fields that rest,
    `resting [B, 4, 1, 1, 1]` (bool)."""

    control: torch.Tensor
    control_mask: torch.Tensor
    resting: torch.Tensor

    def hold(self, latents, control):
        """The known values put in place."""
        return latents.masked_fill(self.resting, 0.0), torch.where(self.control_mask, self.control, control)


def always_known(camera, features):
    """Camera keys `[B, 25, 7]`; an eye that is not open and visible stays as it is."""
    control = torch.zeros(*camera.shape[:2], codec.CONTROL_CHANNELS, device=camera.device)
    control[..., codec.CAMERA] = camera
    mask = torch.zeros_like(control, dtype=torch.bool)
    mask[..., codec.CAMERA] = True
    mask[..., codec.BLINK_LEFT] = (features[:, 0, 0, 14] < 0.5)[:, None, None]
    mask[..., codec.BLINK_RIGHT] = (features[:, 0, 0, 15] < 0.5)[:, None, None]
    return Known(control, mask, torch.zeros(len(camera), 4, 1, 1, 1, dtype=torch.bool, device=camera.device))


def known(camera, features, plan):
    """What is always known, and that what the plan `[B, 20]` does not ask for rests."""
    always = always_known(camera, features)
    mask = always.control_mask.clone()
    for channel, moved_by in MOVED_BY.items():
        mask[..., channel] |= (plan[:, moved_by] == 0).all(1)[:, None]
    still = plan[:, [plans.HAIR, plans.HAIR, plans.CLOTH, plans.CLOTH]] == 0
    return Known(always.control, mask, still[:, :, None, None, None])


@torch.no_grad()
def sample(denoiser, noise, features, plan, given, steps=STEPS, guidance=GUIDANCE):
    """`noise` = (latents `[B, 4, 25, 6, 6]`, control `[B, 25, 26]`) of standard normals -> clean latents and control of the same shapes.
    `given`: what is `Known`.

    The denoiser predicts clean values; the velocity at sigma is (x - clean) / sigma, guided as v_u + g (v_c - v_u)."""
    latents, control = given.hold(*noise)
    batch = len(plan)
    both_plans, pictures = torch.cat([plan, null_plan(plan)]), torch.cat([features, features])
    sigmas = torch.linspace(1.0, 0.0, steps + 1)
    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist()):
        level = torch.full((2 * batch,), sigma, device=plan.device)
        guided_latents, guided_control = denoiser(torch.cat([latents, latents]), torch.cat([control, control]), pictures, both_plans, level)
        guided_latents = torch.lerp(guided_latents[batch:], guided_latents[:batch], guidance)
        guided_control = torch.lerp(guided_control[batch:], guided_control[:batch], guidance)
        latents = latents + (following - sigma) * (latents - guided_latents) / sigma
        control = control + (following - sigma) * (control - guided_control) / sigma
        latents, control = given.hold(latents, control)
    return latents, control
