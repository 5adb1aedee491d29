//! The denoiser and a short sampling run against PyTorch.

use candle_core::Device;
use stir::diffusion::{guidance, sampler, schedule};
use stir::latents::{Constraint, Latents};
use stir::models::sway::FEATURES;
use stir::models::sway::denoiser::Known;
use stir::models::sway::text::names::{PLAN, UNCONDITIONAL_PLAN};
use stir::models::sway::weights::Weights;
use stir::models::{Branch, Conditioning, Denoiser as _, Prediction};
use stir::units::{Clip, Fps, PixelFrames};

use crate::fixture::{Fixture, assert_close, fixture, values};

const CLIP: Clip = Clip { width: 64, height: 64, frames: PixelFrames(150), fps: Fps(25.0) };

/// float32 on both sides, summed in another order: measured 1.1e-6, on another vector unit it may be a few times that.
const TOLERANCE: f64 = 4e-6;
/// Four steps with guidance add up their rounding: measured 2e-6.
const SAMPLING_TOLERANCE: f64 = 1e-5;

fn noise(reference: &Fixture) -> Latents {
    Latents { parts: [("latents", reference.get("latents")), ("control", reference.get("control"))].into() }
}

#[test]
fn clean_predictions_are_those_of_the_reference() {
    let reference = fixture("sway/denoiser.safetensors");
    let network = Weights::embedded().unwrap().denoiser(&Device::Cpu).unwrap();
    let (features, plan) = (reference.get("features"), reference.get("plan"));
    for (index, sigma) in reference.values("sigma").into_iter().enumerate() {
        let clean = network.clean(&noise(&reference), &Known { features: &features, plan: &plan, sigma }).unwrap();
        for (part, name) in [("latents", "clean_latents"), ("control", "clean_control")] {
            let name = format!("{name}.{index}");
            assert_close(&name, &values(&clean.parts[part]), &reference.values(&name), TOLERANCE);
        }
    }
}

#[test]
fn four_guided_steps_end_where_the_reference_ends() {
    let reference = fixture("sway/denoiser.safetensors");
    let network = Weights::embedded().unwrap().denoiser(&Device::Cpu).unwrap();
    let mut conditioning = Conditioning::default();
    conditioning.image.tensors.insert(FEATURES, reference.get("features"));
    conditioning.text.tensors.insert(PLAN, reference.get("plan"));
    conditioning.text.tensors.insert(UNCONDITIONAL_PLAN, reference.get("unconditional_plan"));
    let held = ["control", "latents"].map(|part| Constraint {
        part,
        mask: reference.get(&format!("{part}_mask")),
        value: reference.get(&format!("{part}_value")),
    });
    let sampled = sampler::euler(noise(&reference), &schedule::linear(4), &held, |x, sigma, _| {
        let (conditioning, constraints) = (&conditioning, held.as_slice());
        let velocity =
            |branch| network.velocity(x, &Prediction { sigma, branch, conditioning, constraints, clip: &CLIP });
        let (prompt, unconditional) = (velocity(Branch::Prompt)?, velocity(Branch::Unconditional)?);
        guidance::classifier_free(&prompt, &unconditional, 2.0)
    })
    .unwrap();
    for (part, name) in [("latents", "sampled_latents"), ("control", "sampled_control")] {
        assert_close(name, &values(&sampled.parts[part]), &reference.values(name), SAMPLING_TOLERANCE);
    }
}
