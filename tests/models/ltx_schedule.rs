//! Schedules, steps and guidance against diffusers, and a short guided run of a tiny LTX transformer.

use candle_core::{DType, Device, Tensor};
use stir::diffusion::guidance::{self, Guidance, Predictions};
use stir::diffusion::sampler::{self, Start};
use stir::diffusion::schedule::{Schedule, Spacing};
use stir::diffusion::shift::{Mu, MuPoint, Shift};
use stir::error::Result;
use stir::latents::{Constraint, Latents};
use stir::models::ltx::rope::Rope;
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::{Context, TransformerInputs};

use crate::fixture::{Fixture, assert_close, fixture, values};
use crate::ltx_transformer::{FPS, GRID, tiny};

/// Roundings to float32: measured 6.0e-8.
const LEVELS: f64 = 2e-7;
/// float32 on both sides: measured 7.2e-8.
const TOLERANCE: f64 = 3e-7;
/// Four guided steps of the network add up its rounding: measured 8.1e-7.
const RUN_TOLERANCE: f64 = 5e-6;

fn latents(tensor: Tensor) -> Latents {
    Latents { parts: [("latents", tensor)].into() }
}

fn schedule(spacing: Spacing, mu: Mu, terminal: Option<f64>) -> Schedule {
    Schedule { spacing, shift: Shift { mu, terminal } }
}

fn check(name: &str, found: &[f64]) {
    assert_close(name, found, &fixture("ltx/schedules.safetensors").values(name), LEVELS);
}

#[test]
fn levels_are_those_of_diffusers() {
    let plain = Mu::Constant(0.0);
    for steps in [1, 2, 7, 8, 30, 40] {
        let levels = schedule(Spacing::LinearQuadratic, plain, None).levels(steps, 1);
        check(&format!("linear_quadratic.{steps}"), &levels);
    }
    let by_tokens =
        Mu::ByTokens { low: MuPoint { tokens: 1024.0, mu: 0.95 }, high: MuPoint { tokens: 4096.0, mu: 2.05 } };
    for (steps, tokens) in [(2, 1024), (20, 7800), (40, 17600), (7, 24)] {
        let levels = schedule(Spacing::Uniform, by_tokens, Some(0.1)).levels(steps, tokens);
        check(&format!("shifted.{steps}.{tokens}"), &levels);
    }
    for steps in [3, 8] {
        let levels = schedule(Spacing::Uniform, Mu::Constant(1.25), None).levels(steps, 1);
        check(&format!("constant.{steps}"), &levels);
    }
    check("terminal", &schedule(Spacing::Uniform, Mu::Constant(3f64.ln()), Some(0.2)).levels(5, 1));
    let distilled = vec![1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219];
    check("explicit", &schedule(Spacing::Explicit(distilled), plain, None).levels(8, 1));
}

/// The velocity of one step of the fixture, whatever `x` is.
fn given(reference: &Fixture, step: usize) -> Result<Latents> {
    Ok(latents(reference.get("velocities").get(step)?))
}

#[test]
fn steps_under_strengths_are_those_of_the_pipeline() {
    let reference = fixture("ltx/sampling.safetensors");
    let start = reference.get("start");
    let constraint = Constraint {
        part: "latents",
        mask: reference
            .get("strength")
            .unsqueeze(2)
            .unwrap()
            .broadcast_as(start.shape())
            .unwrap()
            .contiguous()
            .unwrap(),
        value: start.clone(),
    };
    let sigmas = reference.values("sigmas");
    let sampled = sampler::euler(latents(start), &sigmas, &[constraint], |_, _, step| given(&reference, step)).unwrap();
    let found = values(&sampled.parts["latents"]);
    assert_close("deterministic", &found, &reference.values("deterministic"), TOLERANCE);
}

#[test]
fn stochastic_steps_are_those_of_the_scheduler() {
    let reference = fixture("ltx/sampling.safetensors");
    let sigmas = reference.values("sigmas");
    let start = Start { latents: latents(reference.get("start")), sigmas: &sigmas, constraints: &[], taken: 0 };
    let fresh = |step| Ok(latents(reference.get("fresh").get(step)?));
    let sampled = sampler::stochastic(start, |_, _, step| given(&reference, step), fresh).unwrap();
    let found = values(&sampled.parts["latents"]);
    assert_close("stochastic", &found, &reference.values("stochastic"), TOLERANCE);
}

#[test]
fn guidance_formulas_are_those_of_diffusers() {
    let reference = fixture("ltx/sampling.safetensors");
    let predictions = Predictions {
        prompt: latents(reference.get("prompt")),
        unconditional: Some(latents(reference.get("unconditional"))),
        perturbed: Some(latents(reference.get("perturbed"))),
    };
    let cases = [
        ("starred", Guidance { scale: 6.0, project_unconditional: true, ..Guidance::NONE }),
        ("rescaled", Guidance { scale: 3.0, rescale: 0.7, ..Guidance::NONE }),
        ("all", Guidance { scale: 6.0, project_unconditional: true, perturbation_scale: 4.0, rescale: 0.5 }),
    ];
    for (name, guidance) in cases {
        let found = guidance.combine(&predictions).unwrap();
        assert_close(name, &values(&found.parts["latents"]), &reference.values(name), TOLERANCE);
    }
}

/// Frame 0 is held, the prompts differ in length, guidance 3 with rescale 0.7; `noise_scale` is that of the noise shown on frame 0.
fn guided_run(reference: &Fixture, noise_scale: f64) -> Tensor {
    let network = tiny("transformer_20", DType::F32);
    let rope = Rope::new(network.config(), GRID, FPS, &Device::Cpu).unwrap();
    let [prompt, unconditional] =
        ["prompt", "unconditional"].map(|name| network.context(&reference.get(name)).unwrap());
    let (noise, clean) = (reference.get("noise"), reference.get("clean"));
    let rest = noise.narrow(2, 1, GRID.frames - 1).unwrap();
    let mask = Tensor::cat(&[clean.ones_like().unwrap(), rest.zeros_like().unwrap()], 2).unwrap();
    let constraint = [Constraint { part: "latents", mask, value: Tensor::cat(&[clean, rest], 2).unwrap() }];

    let sigmas = schedule(Spacing::LinearQuadratic, Mu::Constant(0.0), None).levels(4, GRID.tokens());
    let sampled = sampler::euler(latents(noise), &sigmas, &constraint, |x, sigma, step| {
        let held_noise = latents(reference.get("held_noise").get(step)?);
        let shown = sampler::with_noise_on_held(x, &constraint, &held_noise, noise_scale * sigma * sigma)?;
        let levels = FrameLevels::new(&[0.0, sigma, sigma]);
        let predict = |context: &Context| -> Result<Latents> {
            let inputs = TransformerInputs {
                latents: &shown.parts["latents"],
                levels: &levels,
                context,
                rope: &rope,
                perturbation: None,
            };
            Ok(latents(network.forward(&inputs)?))
        };
        let prompted = predict(&prompt)?;
        let guided = guidance::classifier_free(&prompted, &predict(&unconditional)?, 3.0)?;
        guidance::rescaled(&guided, &prompted, 0.7)
    })
    .unwrap();
    sampled.parts["latents"].clone()
}

#[test]
fn four_guided_steps_end_where_diffusers_ends() {
    let reference = fixture("ltx/run.safetensors");
    let found = guided_run(&reference, 0.0);
    assert_close("sampled", &values(&found), &reference.values("sampled"), RUN_TOLERANCE);
    assert_eq!(values(&found.narrow(2, 0, 1).unwrap()), reference.values("clean"), "frame 0 is kept exactly");
}

/// Frame 0 is compared with the clean one: diffusers leaves the last noise on it.
#[test]
fn noise_on_the_held_frame_changes_the_others_as_in_diffusers() {
    let reference = fixture("ltx/run.safetensors");
    let found = guided_run(&reference, 0.15);
    let rest = |tensor: &Tensor| values(&tensor.narrow(2, 1, GRID.frames - 1).unwrap());
    let expected = rest(&reference.get("sampled_with_noise"));
    assert_close("sampled_with_noise", &rest(&found), &expected, RUN_TOLERANCE);
    assert_ne!(expected, rest(&reference.get("sampled")));
    assert_eq!(values(&found.narrow(2, 0, 1).unwrap()), reference.values("clean"), "frame 0 is kept exactly");
}
