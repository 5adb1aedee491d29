//! Whole runs of LTX-Video against diffusers, on tiny checkpoints in the layouts of the released ones.

use std::path::Path;

use candle_core::{Device, Tensor};

use crate::fixture::{assert_close, fixture, repository, values};
use crate::single_file::write_single_file;
use crate::support::{Outcome, Scratch, stir};

const PROMPT: &str = "her hair flows in the wind, soft light shifting";
/// Relative to the largest value; diffusers computes in float32 too.
const LATENT_TOLERANCE: f64 = 1e-4;
/// Of the frames, in decibels. Rounding to 8 bits alone leaves 58.9 against exact values; here both sides are rounded.
const LEAST_RATIO: f64 = 50.0;
/// Of the frames every so many values, row by row, are in the fixtures.
const KEPT_EVERY: usize = 7;

fn fixture_path(path: &str) -> String {
    repository("tests/fixtures/ltx").join(path).display().to_string()
}

/// The options that name a model whose decoder is told how noisy latents are, as they were told to the reference.
fn timed(model: &str) -> Vec<String> {
    ["--model", model, "--decode-timestep", "0.05", "--decode-noise", "0"].map(String::from).to_vec()
}

/// Options for the folder of the later generation.
fn later(options: &[&str]) -> Vec<String> {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    [timed(&fixture_path("checkpoint")), options].concat()
}

/// `stir generate` of the fixtures' picture; the clip, the latents and the frames go into the folder.
fn generate(scratch: &Scratch, options: &[String]) -> Outcome {
    let path = |name: &str| scratch.path(name).display().to_string();
    let image = fixture_path("runs/picture.png");
    let (clip, latents, frames) = (path("clip.y4m"), path("latents.safetensors"), path("frames"));
    let mut arguments = vec!["generate", "-i", &image, "--allow-any-image", "-p", PROMPT, "-o", &clip];
    arguments.extend(["--save-latents", &latents, "--save-frames", &frames, "--device", "cpu", "--dtype", "f32"]);
    arguments.extend(options.iter().map(String::as_str));
    stir(&arguments).expect_code(0)
}

/// All values of the saved frames in order: frames, rows, columns, colours.
fn saved_frames(folder: &Path, count: usize, size: (u32, u32)) -> Vec<u8> {
    let names: Vec<String> = (0..count).map(|index| format!("{index:06}.png")).collect();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), count, "files in {}", folder.display());
    let mut values = Vec::new();
    for name in names {
        let frame = image::open(folder.join(&name)).unwrap().to_rgb8();
        assert_eq!(frame.dimensions(), size, "{name}");
        values.extend_from_slice(&frame);
    }
    values
}

/// The peak signal-to-noise ratio in decibels.
fn peak_ratio(found: &[u8], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "number of values");
    let squares = found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).powi(2));
    let mean = squares.sum::<f64>() / found.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

fn saved_latents(scratch: &Scratch) -> Tensor {
    let path = scratch.path("latents.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert_eq!(tensors.len(), 1, "tensors in {}", path.display());
    tensors.remove("latents").unwrap()
}

/// A run with these options and the reference's noise gives the latents and frames that diffusers made.
fn check(name: &str, options: &[String]) {
    check_in(&Scratch::new(&format!("ltx-{name}")), name, options);
}

fn check_in(scratch: &Scratch, name: &str, options: &[String]) {
    let expected = fixture(&format!("ltx/runs/{name}.safetensors"));
    let noise = fixture_path("runs/noise.safetensors");
    let clip = ["-W", "96", "-H", "64", "--num-frames", "17", "--noise", &noise].map(String::from);
    generate(scratch, &[options, &clip].concat());
    let latents = saved_latents(scratch);
    assert_eq!(latents.dims(), [1, 8, 3, 2, 3]);
    assert_close(name, &values(&latents), &expected.values("latents"), LATENT_TOLERANCE);
    let frames = saved_frames(&scratch.path("frames"), 17, (96, 64));
    let kept: Vec<u8> = frames.into_iter().step_by(KEPT_EVERY).collect();
    let ratio = peak_ratio(&kept, &expected.values("frames"));
    println!("{name}: frames at {ratio:.1} dB");
    assert!(ratio > LEAST_RATIO, "{name}: frames at {ratio:.1} dB");
}

#[test]
fn a_guided_run_is_that_of_the_reference() {
    check("guided", &later(&["--steps", "5", "--guidance-scale", "3"]));
}

#[test]
fn guidance_away_from_a_negative_prompt_is_rescaled() {
    let guidance = ["--guidance-scale", "3", "--guidance-rescale", "0.7", "-n", "blurry, jittery"];
    check("rescaled", &later(&[&["--steps", "5"], &guidance[..]].concat()));
}

#[test]
fn levels_can_be_listed() {
    let levels = "1,0.9937,0.9875,0.9812,0.975,0.9094,0.725,0.4219";
    check("distilled", &later(&["--sigmas", levels, "--guidance-scale", "1"]));
}

#[test]
fn a_weak_picture_joins_the_other_frames_later() {
    check("weak", &later(&["--sigmas", "1,0.75,0.45,0.2", "--guidance-scale", "1", "--strength", "0.5"]));
}

/// The folder has no text side: the other's is given.
#[test]
fn the_first_generation_runs_by_its_own_rules() {
    let (model, text) = (fixture_path("checkpoint_0.9.0"), fixture_path("checkpoint"));
    let options = ["--model", &model, "--text-encoder", &text, "--steps", "5", "--guidance-scale", "3"];
    check("first_generation", &options.map(String::from));
}

#[test]
fn a_single_file_runs_as_its_folder_does() {
    let scratch = Scratch::new("ltx-file");
    let file = scratch.path("ltx-tiny.safetensors");
    write_single_file(&repository("tests/fixtures/ltx/checkpoint"), &file);
    let text = fixture_path("checkpoint");
    let options = ["--text-encoder", &text, "--steps", "5", "--guidance-scale", "3"];
    check_in(&scratch, "guided", &[timed(file.to_str().unwrap()), options.map(String::from).to_vec()].concat());
}

/// The model makes 17 frames of 64x64; what is too much is cut off.
#[test]
fn any_size_and_length_can_be_asked_for() {
    let scratch = Scratch::new("ltx-size");
    let size = ["-W", "64", "-H", "48", "--num-frames", "10"];
    generate(&scratch, &later(&[&["--steps", "2", "--guidance-scale", "1"], &size[..]].concat()));
    saved_frames(&scratch.path("frames"), 10, (64, 48));
    let clip = std::fs::read(scratch.path("clip.y4m")).unwrap();
    let header = std::str::from_utf8(clip.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert!(header.starts_with("YUV4MPEG2 ") && header.contains(" W64 H48 "), "{header}");
    assert_eq!(saved_latents(&scratch).dims(), [1, 8, 3, 2, 2]);
}

/// Noise is drawn from the seed here.
#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_threads() {
    let run = |seed: &str, threads: &str| {
        let scratch = Scratch::new(&format!("ltx-seed-{seed}-{threads}"));
        let options = ["-W", "96", "-H", "64", "--num-frames", "17", "--steps", "2", "--guidance-scale", "3"];
        generate(&scratch, &later(&[&options[..], &["--seed", seed, "--threads", threads]].concat()));
        ["latents.safetensors", "clip.y4m"].map(|name| std::fs::read(scratch.path(name)).unwrap())
    };
    let first = run("7", "1");
    assert!(first == run("7", "2"), "two threads made other bytes");
    assert!(first != run("8", "1"), "another seed made the same bytes");
}
