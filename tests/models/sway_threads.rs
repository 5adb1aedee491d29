//! Results do not depend on the number of threads.

use std::process::Command;

use candle_core::Device;
use stir::diffusion::noise;
use stir::models::sway::denoiser::Known;
use stir::models::sway::image_encoder::ImageEncoder;
use stir::models::sway::weights::Weights;
use stir::models::{ImageEncoder as _, PictureHints};
use stir::picture::Picture;

use crate::fixture::{fixture, values};

/// A hash of every bit of what the networks make of a picture and of noise (FNV-1a).
fn digest() -> u64 {
    let width = 416;
    let pixels = (0..width * 304 * 3).map(|index: usize| (index / 3 % width / 4 + index / 5000) as u8).collect();
    let encoder = ImageEncoder::new(Weights::embedded().unwrap().encoder(&Device::Cpu).unwrap(), Device::Cpu);
    let image = encoder.encode(&Picture::new(width, 304, pixels), &PictureHints::default()).unwrap();
    let shapes = [("latents", vec![1, 4, 25, 6, 6]), ("control", vec![1, 25, 26])].into();
    let reference = fixture("sway/denoiser.safetensors");
    let known = Known { features: &image.tensors["features"], plan: &reference.get("plan"), sigma: 0.75 };
    let clean = Weights::embedded()
        .unwrap()
        .denoiser(&Device::Cpu)
        .unwrap()
        .clean(&noise::initial(1, &shapes).unwrap(), &known)
        .unwrap();
    let all = image.tensors.values().chain(clean.parts.values()).flat_map(values);
    all.fold(0xcbf2_9ce4_8422_2325, |hash, value| (hash ^ value.to_bits()).wrapping_mul(0x0100_0000_01b3))
}

/// Run by the test below in processes of their own: the number of threads is fixed when a process starts.
#[test]
#[ignore = "a part of another test"]
fn print_digest() {
    println!("digest {:016x}", digest());
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let run = |threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["sway_threads::print_digest", "--exact", "--ignored", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let digest = text.split("digest ").nth(1).unwrap_or_else(|| panic!("no digest in: {text}"));
        digest[..16].to_owned()
    };
    let one = run("1");
    assert_eq!(run("2"), one);
    assert_eq!(run("5"), one);
}
