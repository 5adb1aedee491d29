//! Noise levels, guidance and seeds.

use super::{Made, Runs};
use crate::support::stir;

/// The levels that distilled models were trained for.
const DISTILLED: &str = "1,0.9937,0.9875,0.9812,0.975,0.9094,0.725,0.4219";

#[track_caller]
fn assert_same(one: &Made, other: &Made, what: &str) {
    assert!(one.latents == other.latents, "{what} changes the latents");
    assert!(one.clip == other.clip, "{what} changes the clip");
}

#[track_caller]
fn assert_other(one: &Made, other: &Made, what: &str) {
    assert_eq!(one.shape, other.shape, "{what} changes the shape");
    assert!(one.latents != other.latents, "{what} leaves the latents as they are");
    assert!(one.clip != other.clip, "{what} leaves the clip as it is");
}

#[test]
fn latents_are_one_tensor_of_the_models_shape() {
    let made = Runs::new("shape").make(&[]);
    assert_eq!(made.shape, [1, 8, 3, 2, 2]);
    assert!(made.latents.iter().all(|value| value.is_finite()));
}

#[test]
fn several_clips_are_those_of_single_runs() {
    let runs = Runs::new("count");
    let (clip, latents) = (runs.path("clip.y4m"), runs.path("latents.safetensors"));
    let mut arguments = runs.arguments("clip.y4m", &["--count", "2", "--seed", "7", "--save-latents", &latents]);
    arguments.extend(["-o".to_owned(), clip]);
    stir(&arguments).expect_code(0);
    let read = |name: &str| std::fs::read(runs.scratch.path(name)).unwrap();
    for seed in ["7", "8"] {
        let single = runs.make(&["--seed", seed]);
        assert!(single.file == read(&format!("latents-{seed}.safetensors")), "latents of seed {seed}");
        assert!(single.clip == read(&format!("clip-{seed}.y4m")), "clip of seed {seed}");
    }
    assert!(read("latents-7.safetensors") != read("latents-8.safetensors"), "both seeds give the same");
}

#[test]
fn spatio_temporal_guidance_counts_from_above_zero() {
    let runs = Runs::new("stg");
    let plain = runs.make(&[]);
    assert_same(&plain, &runs.make(&["--stg-scale", "0"]), "--stg-scale 0");
    let one = runs.make(&["--stg-scale", "1"]);
    assert_other(&plain, &one, "--stg-scale 1");
    assert_other(&one, &runs.make(&["--stg-scale", "2"]), "--stg-scale 2");
}

#[test]
fn a_negative_prompt_is_read_where_there_is_guidance() {
    let runs = Runs::new("negative");
    let negative = |scale: &str, words: &str| runs.make(&["--guidance-scale", scale, "-n", words]);
    assert_same(&runs.make(&["--guidance-scale", "1"]), &negative("1", "blurry"), "a negative prompt at scale 1");
    let three = runs.make(&["--guidance-scale", "3"]);
    assert_same(&three, &runs.make(&[]), "the default scale, given");
    // What a checkpoint is not told to avoid is nothing.
    assert_same(&three, &negative("3", ""), "an empty negative prompt");
    assert_other(&three, &negative("3", "blurry"), "a negative prompt at scale 3");
    assert_other(&three, &runs.make(&["--guidance-scale", "1"]), "the scale");
    assert_other(&three, &runs.make(&["--guidance-rescale", "0.7"]), "--guidance-rescale");
}

#[test]
fn a_shift_of_one_shifts_nothing() {
    let runs = Runs::new("shift");
    let plain = runs.make(&["--steps", "3"]);
    assert_same(&plain, &runs.make(&["--steps", "3", "--flow-shift", "1"]), "--flow-shift 1");
    assert_other(&plain, &runs.make(&["--steps", "3", "--flow-shift", "3"]), "--flow-shift 3");
}

/// Levels to shift lie between the ends, which stay where they are: a single step has none.
#[test]
fn a_single_step_cannot_be_shifted() {
    let runs = Runs::new("one-step");
    assert_same(&runs.make(&["--steps", "1"]), &runs.make(&["--steps", "1", "--flow-shift", "3"]), "a shift");
}

#[test]
fn the_levels_are_listed_or_counted() {
    let runs = Runs::new("levels");
    let refused = runs.refuse(&["--sigmas", "1,0.5", "--steps", "2"]);
    assert!(refused.contains("--sigmas: wanted no --steps beside it, found both"), "{refused}");
    let refused = runs.refuse(&["--sigmas", "1,0.5", "--flow-shift", "2"]);
    assert!(refused.contains("--sigmas: wanted no --flow-shift beside it, found both"), "{refused}");
    let two = runs.make(&["--sigmas", "1,0.5"]);
    assert_other(&two, &runs.make(&["--sigmas", "1,0.6"]), "another level");
    let uneven = runs.make(&["--sigmas", "1,0.5,0.25"]);
    assert_other(&two, &uneven, "a third level");
}

#[test]
fn a_distilled_model_takes_its_own_levels_without_guidance() {
    let runs = Runs::new("distilled");
    let distilled = runs.make(&["--variant", "distilled"]);
    let listed = runs.make(&["--sigmas", DISTILLED, "--guidance-scale", "1"]);
    assert_same(&distilled, &listed, "listing the levels");
    assert_same(&distilled, &runs.make(&["--variant", "distilled", "--steps", "8"]), "counting them right");
    assert_other(&distilled, &runs.make(&["--variant", "dev", "--steps", "8"]), "the variant");
    let refused = runs.refuse(&["--variant", "distilled", "--steps", "5"]);
    let wanted = "--steps: wanted the 8 noise levels that the model was distilled for, found 5";
    assert!(
        refused.contains(wanted) && refused.contains("leave it out, or name other levels by --sigmas"),
        "{refused}"
    );
    let refused = runs.refuse(&["--variant", "distilled", "--flow-shift", "3"]);
    assert!(refused.contains("--flow-shift: wanted the 8 noise levels"), "{refused}");
}

/// Positions in time are seconds.
#[test]
fn the_frame_rate_is_known_to_the_model() {
    let runs = Runs::new("fps");
    let plain = runs.make(&[]);
    assert_same(&plain, &runs.make(&["--fps", "25"]), "the default frame rate, given");
    assert!(plain.latents != runs.make(&["--fps", "12.5"]).latents, "the frame rate changes nothing");
}

#[test]
fn decode_noise_and_timestep_change_frames_alone() {
    let runs = Runs::new("decode-noise");
    let plain = runs.make(&[]);
    let given = runs.make(&["--decode-timestep", "0.05", "--decode-noise", "0.025"]);
    assert_same(&plain, &given, "giving the default decode settings");
    for option in ["--decode-timestep", "--decode-noise"] {
        let changed = runs.make(&[option, "0.5"]);
        assert!(changed.latents == plain.latents, "{option} changes the latents");
        assert!(changed.clip != plain.clip, "{option} leaves the clip as it is");
    }
}
