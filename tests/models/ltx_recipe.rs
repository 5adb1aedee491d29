//! How LTX-Video is sampled: every release by its makers' recipe, a path by plain rules.

use stir::diffusion::schedule::{Schedule, Spacing};
use stir::diffusion::shift::Shift;
use stir::models::ltx::recipe::{Rules, Subject};
use stir::models::ltx::releases::Releases;
use stir::models::ltx::scheduler::Scheduler;
use stir::models::{DecodeSettings, Recipe, SamplingOptions, Variant};
use stir::units::{Clip, Fps, PixelFrames};

const CLIP: Clip = Clip { width: 1280, height: 736, frames: PixelFrames(153), fps: Fps(25.0) };

fn scheduler() -> Scheduler {
    let schedule = Schedule { spacing: Spacing::LinearQuadratic, shift: Shift::NONE };
    Scheduler { schedule, stochastic: false }
}

/// The rules of a release, or the plain ones of a variant.
fn rules(model: Result<&str, Variant>) -> Rules {
    let releases = Releases::embedded().unwrap();
    let scheduler = scheduler();
    let layers = if model.is_ok_and(|name| name.starts_with("13b")) { 48 } else { 28 };
    let subject = Subject { scheduler: &scheduler, layers, timestep_conditioning: true };
    match model {
        Ok(name) => Rules::of_release(&subject, &releases.release[name], &releases.defaults),
        Err(variant) => Rules::plain(&subject, variant, &releases.defaults),
    }
}

fn recipe(model: Result<&str, Variant>, options: &SamplingOptions) -> Recipe {
    rules(model).recipe(options, &CLIP).unwrap()
}

fn two_pass() -> SamplingOptions {
    SamplingOptions { two_pass: true, ..SamplingOptions::default() }
}

#[test]
fn every_release_has_a_recipe_of_one_pass_and_of_two() {
    for name in Releases::embedded().unwrap().release.keys() {
        let one = recipe(Ok(name), &SamplingOptions::default());
        assert_eq!(one.passes.len(), 1, "{name}");
        assert_eq!(recipe(Ok(name), &two_pass()).passes.len(), 2, "{name}");
        assert_eq!((one.strength, one.image_noise, one.degrades_picture), (1.0, 0.15, true), "{name}");
        assert_eq!(one.decode, DecodeSettings { timestep: 0.05, noise: 0.025 }, "{name}");
    }
}

#[test]
fn the_distilled_model_takes_its_eight_levels_in_one_pass_and_the_makers_in_two() {
    let levels = [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219, 0.0];
    for model in [Ok("2b-0.9.8-distilled"), Err(Variant::Distilled)] {
        let one = recipe(model, &SamplingOptions::default());
        assert_eq!(one.passes[0].sigmas, levels);
        assert!(!one.passes[0].needs_unconditional() && !one.passes[0].stochastic);
        let two = recipe(model, &two_pass());
        assert_eq!(two.passes[0].sigmas, [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.0]);
        assert_eq!(two.passes[1].sigmas, [0.9094, 0.725, 0.4219, 0.0]);
        let sides = two.passes.iter().map(|pass| [pass.clip.width, pass.clip.height]).collect::<Vec<_>>();
        assert_eq!(sides, [[832, 480], [1664, 960]]);
        assert!(two.passes.iter().all(|pass| pass.clip.frames == CLIP.frames));
    }
    assert_eq!(recipe(Ok("13b-0.9.8-distilled"), &two_pass()).tone_map_compression, 0.6);
    assert_eq!(recipe(Ok("13b-0.9.8-distilled"), &SamplingOptions::default()).tone_map_compression, 0.0);
}

#[test]
fn the_dev_models_are_guided() {
    let dev = recipe(Ok("2b-0.9.6-dev"), &SamplingOptions::default());
    assert_eq!(dev.passes[0].steps(), 40);
    let range = dev.passes[0].guidance.at(0.5);
    assert_eq!((range.guidance.scale, range.guidance.perturbation_scale, range.guidance.rescale), (3.0, 1.0, 0.7));
    assert_eq!(range.perturbed_blocks, [19]);

    let large = recipe(Ok("13b-0.9.8-dev"), &two_pass());
    assert_eq!(large.passes.iter().map(|pass| pass.steps()).collect::<Vec<_>>(), [27, 13]);
    let at = |sigma| large.passes[0].guidance.at(sigma).clone();
    assert_eq!((at(0.99).guidance.scale, at(0.99).perturbed_blocks), (8.0, vec![28]));
    assert_eq!((at(0.9940).guidance.scale, at(0.9940).perturbed_blocks), (6.0, vec![22, 35, 39]));
    assert!(at(0.99).guidance.project_unconditional);
    assert_eq!(large.passes[1].guidance.at(0.5).perturbed_blocks, [27]);
}

#[test]
fn a_file_of_another_release_is_refused() {
    let releases = Releases::embedded().unwrap();
    let expect = |name: &str, causal, spacing| {
        let schedule = Schedule { spacing, shift: Shift::NONE };
        releases.release[name].expect(std::path::Path::new("model.safetensors"), causal, &schedule)
    };
    expect("2b-0.9.5", true, Spacing::LinearQuadratic).unwrap();
    expect("2b-0.9.0", false, Spacing::Uniform).unwrap();
    expect("2b-0.9.6-dev", true, Spacing::Uniform).unwrap();
    let time = expect("2b-0.9.5", false, Spacing::LinearQuadratic).unwrap_err().to_string();
    assert_eq!(time, "positions in time of model.safetensors: wanted causal, found not causal");
    let levels = expect("2b-0.9.1", false, Spacing::LinearQuadratic).unwrap_err().to_string();
    assert!(levels.contains("wanted Uniform, found LinearQuadratic"), "{levels}");
}

#[test]
fn the_first_distilled_release_is_stochastic() {
    let distilled = recipe(Ok("2b-0.9.6-distilled"), &SamplingOptions::default());
    assert!(distilled.passes[0].stochastic);
    assert_eq!(distilled.passes[0].steps(), 8);
}

#[test]
fn a_path_runs_by_plain_rules() {
    let plain = recipe(Err(Variant::Dev), &SamplingOptions::default());
    let range = plain.passes[0].guidance.only().unwrap();
    assert_eq!((plain.passes[0].steps(), range.guidance.scale), (40, 3.0));
    assert_eq!((range.guidance.perturbation_scale, range.guidance.rescale), (0.0, 0.0));
    assert_eq!((plain.image_noise, plain.degrades_picture), (0.0, false));
    assert_eq!(rules(Err(Variant::Dev)).negative_prompt, "");
}

#[test]
fn what_is_asked_for_comes_first() {
    let options = SamplingOptions {
        steps: Some(10),
        guidance_scale: Some(5.0),
        guidance_rescale: Some(0.25),
        perturbation_scale: Some(2.0),
        strength: Some(0.5),
        image_noise: Some(0.0),
        decode_timestep: Some(0.0),
        decode_noise: Some(0.1),
        ..SamplingOptions::default()
    };
    let asked = recipe(Ok("2b-0.9.5"), &options);
    let guidance = asked.passes[0].guidance.at(0.5).guidance;
    assert_eq!((asked.passes[0].steps(), guidance.scale, guidance.rescale), (10, 5.0, 0.25));
    assert_eq!(guidance.perturbation_scale, 2.0);
    assert_eq!((asked.strength, asked.image_noise), (0.5, 0.0));
    assert_eq!(asked.decode, DecodeSettings { timestep: 0.0, noise: 0.1 });

    let listed = SamplingOptions { sigmas: Some(vec![1.0, 0.5]), ..SamplingOptions::default() };
    assert_eq!(recipe(Ok("2b-0.9.8-distilled"), &listed).passes[0].sigmas, [1.0, 0.5, 0.0]);
    // Of two passes they are the first's, and the second keeps its own.
    let twice = recipe(Ok("2b-0.9.8-distilled"), &SamplingOptions { two_pass: true, ..listed });
    assert_eq!(twice.passes[0].sigmas, [1.0, 0.5, 0.0]);
    assert_eq!(twice.passes[1].sigmas, [0.9094, 0.725, 0.4219, 0.0]);
    let perturbed = SamplingOptions { perturbation_scale: Some(1.0), ..SamplingOptions::default() };
    assert_eq!(recipe(Err(Variant::Dev), &perturbed).passes[0].guidance.at(0.5).perturbed_blocks, [19]);
}

/// By hand: a factor of 3 takes 0.5 to 3 * 0.5 / (1 + 2 * 0.5) = 0.75.
#[test]
fn a_shift_is_a_factor() {
    let scheduler =
        Scheduler { schedule: Schedule { spacing: Spacing::Uniform, shift: Shift::NONE }, stochastic: false };
    let subject = Subject { scheduler: &scheduler, layers: 28, timestep_conditioning: true };
    let rules = Rules::plain(&subject, Variant::Dev, &Releases::embedded().unwrap().defaults);
    let options = SamplingOptions { steps: Some(2), flow_shift: Some(3.0), ..SamplingOptions::default() };
    let sigmas = rules.recipe(&options, &CLIP).unwrap().passes[0].sigmas.clone();
    assert!((sigmas[1] - 0.75).abs() < 1e-6 && sigmas.len() == 3, "{sigmas:?}");
}

#[test]
fn what_a_model_cannot_do_is_refused() {
    let refusal =
        |options: SamplingOptions| rules(Ok("2b-0.9.8-distilled")).recipe(&options, &CLIP).unwrap_err().to_string();
    let steps = refusal(SamplingOptions { steps: Some(20), ..SamplingOptions::default() });
    assert_eq!(steps, "--steps: wanted the 8 noise levels that the model was distilled for, found 20");
    assert!(refusal(SamplingOptions { flow_shift: Some(2.0), ..SamplingOptions::default() }).contains("--flow-shift"));

    let scheduler = scheduler();
    let subject = Subject { scheduler: &scheduler, layers: 28, timestep_conditioning: false };
    let old = Rules::plain(&subject, Variant::Dev, &Releases::embedded().unwrap().defaults);
    let options = SamplingOptions { decode_noise: Some(0.1), ..SamplingOptions::default() };
    assert!(old.recipe(&options, &CLIP).unwrap_err().to_string().contains("--decode-noise"));
    assert_eq!(old.recipe(&SamplingOptions::default(), &CLIP).unwrap().decode, DecodeSettings::default());
}
