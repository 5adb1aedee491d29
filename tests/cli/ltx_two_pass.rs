//! A whole run of two passes through the program against diffusers.

use std::path::Path;

use candle_core::{DType, Device};

use crate::fixture::{assert_close, fixture, repository, values};
use crate::support::{Outcome, Scratch, stir};

/// Relative to the largest value; diffusers computes in float32 too: measured 2.9e-6.
const TOLERANCE: f64 = 1e-4;
/// As in `scripts/ltx/golden_upsampler.py`.
const PROMPT: &str = "her hair flows in the wind, soft light shifting";

fn fixtures(path: &str) -> String {
    repository("tests/fixtures/ltx").join(path).display().to_string()
}

/// `stir generate` of the tiny checkpoint in two passes; the clip and its latents go into the folder.
fn generate(scratch: &Scratch, options: &[&str]) -> Outcome {
    let path = |name: &str| scratch.path(name).display().to_string();
    let (model, picture) = (fixtures("checkpoint"), fixtures("upsampler_two_passes/plain.png"));
    let (clip, latents) = (path("clip.y4m"), path("latents.safetensors"));
    let mut arguments = vec!["generate", "--model", &model, "--two-pass", "--variant", "distilled", "-i", &picture];
    arguments.extend(["--allow-any-image", "-p", PROMPT, "--seed", "42", "-W", "160", "-H", "128"]);
    arguments.extend(["--num-frames", "17", "--device", "cpu", "--dtype", "f32", "--decode-noise", "0"]);
    arguments.extend(["--save-latents", &latents, "-o", &clip]);
    arguments.extend(options);
    stir(&arguments)
}

/// The first pass is 96x64, two thirds of what is asked for; the second is twice that, and becomes what is asked for after decoding. A picture
/// of one colour is the same at every size, however it is resized, and the noise is that of the default seed.
#[test]
fn two_passes_are_those_of_the_reference() {
    let scratch = Scratch::new("ltx-two-pass");
    generate(&scratch, &["--latent-upsampler", &fixtures("upsampler")]).expect_code(0);
    let tensors = candle_core::safetensors::load(scratch.path("latents.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(tensors["latents"].dims(), [1, 8, 3, 4, 6]);
    let expected = fixture("ltx/upsampler_two_passes/run.safetensors").values("plain.second.latents");
    assert_close("two passes", &values(&tensors["latents"]), &expected, TOLERANCE);
    let clip = std::fs::read(scratch.path("clip.y4m")).unwrap();
    let header = String::from_utf8_lossy(clip.split(|byte| *byte == b'\n').next().unwrap()).into_owned();
    assert!(header.starts_with("YUV4MPEG2 ") && header.contains(" W160 H128 "), "{header}");
}

#[test]
fn an_upsampler_is_refused_before_the_first_pass() {
    let scratch = Scratch::new("ltx-two-pass-refused");
    let refused = |options: &[&str]| {
        let outcome = generate(&scratch, options).expect_code(2);
        assert!(!outcome.stderr.contains("denoise"), "{}", outcome.stderr);
        outcome.stderr
    };
    let message = refused(&[]);
    assert!(message.contains("--two-pass: wanted the latent upsampler") && message.contains("--latent-upsampler"));
    let message = refused(&["--latent-upsampler", &fixtures("checkpoint/vae")]);
    assert!(message.contains("`_class_name`") && message.contains("AutoencoderKLLTXVideo"), "{message}");
    let narrow = scratch.path("narrow.safetensors");
    write_narrow_upsampler(&narrow);
    let message = refused(&["--latent-upsampler", narrow.to_str().unwrap()]);
    assert!(message.contains("wanted an upsampler of 8 channels, found 4"), "{message}");
    assert!(!scratch.path("clip.y4m").exists() && !scratch.path("latents.safetensors").exists());
}

/// The fixtures' upsampler, for latents of 4 channels instead of 8.
fn write_narrow_upsampler(path: &Path) {
    let file = fixtures("upsampler/diffusion_pytorch_model.safetensors");
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    for (name, axis) in [("initial_conv.weight", 1), ("final_conv.weight", 0), ("final_conv.bias", 0)] {
        let tensor = tensors[name].to_dtype(DType::F32).unwrap().narrow(axis, 0, 4).unwrap();
        tensors.insert(name.to_owned(), tensor.contiguous().unwrap());
    }
    candle_core::safetensors::save(&tensors, path).unwrap();
}
