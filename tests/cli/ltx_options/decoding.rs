//! Types of values, tiles, sizes and previews.

use candle_core::Device;
use stir::ops::gemm::fastest_dtype;

use super::{Made, Runs, change_tensors, difference, peak_ratio};
use crate::fixture::values;

/// Of each narrower type the largest error of the latents, relative to float32, and the least likeness of the frames in decibels: about twice
/// what was measured, 9.6e-3 and 53.9 dB, 7.2e-4 and 61.4 dB.
const NARROWER: [(&str, f32, f64); 2] = [("bf16", 2e-2, 48.0), ("f16", 1.5e-3, 55.0)];
/// Of frames decoded in two tiles, in decibels: measured 58.9.
const LEAST_RATIO_OF_TILES: f64 = 53.0;

/// The rotary positions, norms, modulation and softmax are float32 in every type. Float16 is measured with the text encoder in float32, where it
/// always is.
#[test]
fn narrower_types_stay_close_to_float32() {
    let runs = Runs::new("dtype");
    let exact = runs.make(&["--dtype", "f32"]);
    for (dtype, most, least) in NARROWER {
        let made = runs.make(&["--dtype", dtype]);
        let error = difference(&made, &exact);
        let ratio = peak_ratio(&made, &exact);
        println!("{dtype}: latents at {error:.2e}, frames at {ratio:.1} dB");
        assert!(error > 0.0, "{dtype} is float32");
        assert!(error < most, "{dtype}: latents at {error:.2e}");
        assert!(ratio > least, "{dtype}: frames at {ratio:.1} dB");
    }
    let own = fastest_dtype(&Device::Cpu).as_str();
    let (auto, own) = (runs.make(&["--dtype", "auto"]), runs.make(&["--dtype", own]));
    assert!(
        auto.file == own.file && auto.clip == own.clip,
        "auto is not what this processor is fastest in, or not said"
    );
}

/// Its embeddings, a hundred thousand times as large, are more than float16 can hold; its norms bring them back.
#[test]
fn the_text_encoder_does_not_overflow_in_float16() {
    let runs = Runs::new("overflow");
    let model = runs.copy_of_checkpoint("model");
    change_tensors(&model.join("text_encoder/model-00001-of-00003.safetensors"), |tensors| {
        let embeddings = (&tensors["shared.weight"] * 1e5).unwrap();
        assert!(values(&embeddings).iter().any(|value| value.abs() > 65504.0), "too small to overflow");
        tensors.insert("shared.weight".to_owned(), embeddings);
    });
    let [narrow, exact] =
        ["f16", "f32"].map(|dtype| runs.make(&["--model", model.to_str().unwrap(), "--dtype", dtype]));
    let error = difference(&narrow, &exact);
    let (_, most, _) = NARROWER[1];
    assert!(error > 0.0 && error < most, "latents at {error:.2e}");
}

#[test]
fn tiles_are_close_to_whole_frames_and_said() {
    const NOTE: &str = "frames are decoded in tiles of 640 pixels: --vae-tiling is on";
    let runs = Runs::new("tiles");
    // 22 latents wide, where a tile has 20 at most.
    let make = |tiling: &str| runs.make(&["-W", "704", "-H", "64", "--num-frames", "9", "--vae-tiling", tiling]);
    let [on, off, auto] = ["on", "off", "auto"].map(make);
    assert!(off.clip == auto.clip && off.latents == auto.latents, "auto is not off where memory suffices");
    assert!(on.latents == off.latents, "tiles change the latents");
    assert!(on.clip != off.clip, "one tile was enough");
    let ratio = peak_ratio(&on, &off);
    println!("tiles: {ratio:.1} dB");
    assert!(ratio > LEAST_RATIO_OF_TILES, "tiles: {ratio:.1} dB");
    assert!(on.stderr.contains(NOTE), "{}", on.stderr);
    assert!(!off.stderr.contains("in tiles") && !auto.stderr.contains("in tiles"), "{}{}", off.stderr, auto.stderr);
    // A clip of the size of a tile is decoded as a whole.
    let (small, whole) = (runs.make(&["--vae-tiling", "on"]), runs.make(&[]));
    assert!(small.clip == whole.clip && !small.stderr.contains("in tiles"), "{}", small.stderr);
}

/// Sides that are not on the model's grid are cut out of the next larger ones, and frames too.
#[test]
fn what_is_written_is_what_was_asked_for() {
    let runs = Runs::new("sizes");
    for (width, height, frames, latents, made) in [
        (200, 120, 10, [1, 8, 3, 4, 7], Some("224x128, 17 frames")),
        (34, 62, 2, [1, 8, 2, 2, 2], Some("64x64, 9 frames")),
        (64, 32, 1, [1, 8, 1, 1, 2], None),
    ] {
        let [width_text, height_text, frames_text] = [width, height, frames].map(|number: usize| number.to_string());
        let clip = runs.make(&["-W", &width_text, "-H", &height_text, "--num-frames", &frames_text]);
        assert_eq!(clip.shape, latents);
        let size = format!("({width}x{height}, {frames} frames");
        assert!(clip.stderr.contains(&size), "no {size} in {}", clip.stderr);
        assert_eq!(clip.frames().len(), frames);
        assert!(clip.frames().iter().all(|frame| frame.len() == width * height * 3 / 2));
        let note = made.map(|made| format!("it is cut out of what the model makes, {made}"));
        assert_eq!(clip.stderr.contains("cut out of"), note.is_some(), "{}", clip.stderr);
        assert!(note.is_none_or(|note| clip.stderr.contains(&note)), "{}", clip.stderr);
    }
}

#[test]
fn a_preview_is_written_twice_and_changes_nothing() {
    let runs = Runs::new("preview");
    let path = runs.path("look.webp");
    let watched = runs.make(&["-W", "320", "-H", "256", "--steps", "4", &format!("--preview={path}")]);
    assert_eq!(watched.stderr.matches(&format!("preview   {path}")).count(), 2, "{}", watched.stderr);
    let preview = std::fs::read(&path).unwrap();
    assert!(preview.starts_with(b"RIFF") && preview[8..].starts_with(b"WEBPVP8X"), "no animated picture");
    let frames = preview.windows(4).filter(|bytes| *bytes == b"ANMF").count();
    assert_eq!(frames, 9, "17 frames at 25 a second are 9 at 12.5");
    // Three bytes each, one less than the side.
    let side = |at: usize| usize::from(preview[at]) + 256 * usize::from(preview[at + 1]) + 1;
    assert_eq!((side(24), side(27)), (300, 240));
    let plain: Made = runs.make(&["-W", "320", "-H", "256", "--steps", "4"]);
    assert!(plain.clip == watched.clip && plain.latents == watched.latents, "watching changes the clip");
}

/// One position has no spread that a preview could be brought back to.
#[test]
fn the_smallest_clip_has_a_preview() {
    let runs = Runs::new("smallest");
    let path = runs.path("look.gif");
    let made = runs.make(&["-W", "32", "-H", "32", "--num-frames", "1", &format!("--preview={path}")]);
    assert_eq!(made.shape, [1, 8, 1, 1, 1]);
    assert_eq!(made.stderr.matches(&format!("preview   {path}")).count(), 2, "{}", made.stderr);
}
