//! What a run reads changes or goes while it is under way: it has read it.

use std::fs;

use super::{Running, SWAY, bytes, generate, ltx, made, with_model};
use crate::support::{Scratch, command};

#[test]
fn a_picture_that_changes_or_goes_does_not_disturb_the_run() {
    let scratch = Scratch::new("input");
    scratch.picture("picture.png", 640, 480);
    let run = |output: &str| {
        let inputs = ["-i", "picture.png", "--watermark", "mark.png", "--noise", "noise.safetensors", "-o", output];
        Running::start(generate(&scratch, &[&inputs, &SWAY[..]].concat()))
    };
    scratch.picture("mark.png", 64, 32);
    noise(&scratch);
    run("whole.y4m").end().expect_success();
    let inputs = ["picture.png", "mark.png", "noise.safetensors"];
    let change = |name: &&str| fs::write(scratch.path(name), "something else").unwrap();
    let remove = |name: &&str| fs::remove_file(scratch.path(name)).unwrap();
    for action in [&change as &dyn Fn(&&str), &remove] {
        let mut run = run("clip.y4m");
        run.until_stage("text");
        inputs.iter().for_each(action);
        run.end().expect_success();
        assert!(bytes(&scratch, "clip.y4m") == bytes(&scratch, "whole.y4m"));
        scratch.picture("picture.png", 640, 480);
        scratch.picture("mark.png", 64, 32);
        noise(&scratch);
    }
}

/// What the run draws from its seed, by the run itself: given again it gives the same.
fn noise(scratch: &Scratch) {
    use candle_core::{DType, Device, Tensor};

    let shapes = stir::models::open(&stir::models::ModelRequest::named("sway"), &Device::Cpu).unwrap();
    let frames = stir::units::PixelFrames(150);
    let clip = stir::units::Clip { width: 640, height: 480, frames, fps: stir::units::Fps(25.0) };
    let zeros = |shape: Vec<usize>| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let name = |part: &str| if part == "latents" { "noise".to_owned() } else { format!("noise.{part}") };
    let tensors = shapes.latent_shapes(&clip).into_iter().map(|(part, shape)| (name(part), zeros(shape)));
    let tensors: std::collections::HashMap<String, Tensor> = tensors.collect();
    candle_core::safetensors::save(&tensors, scratch.path("noise.safetensors")).unwrap();
}

#[test]
fn latents_that_go_do_not_disturb_their_decode() {
    let scratch = with_model("input-latents");
    Running::start(ltx(&scratch, "whole.y4m", &["--save-latents", "latents.safetensors"])).end().expect_success();
    let mut decode = command();
    decode.current_dir(scratch.folder()).args(["decode", "latents.safetensors", "-o", "clip.y4m", "--json"]);
    let mut run = Running::start(decode);
    run.until_stage("decode");
    fs::remove_file(scratch.path("latents.safetensors")).unwrap();
    run.end().expect_success();
    assert!(bytes(&scratch, "clip.y4m") == bytes(&scratch, "whole.y4m"));
}

/// They are there for the case that the run fails. It does not.
#[test]
fn kept_latents_that_go_do_not_disturb_the_run() {
    let scratch = with_model("input-kept");
    let mut run = Running::start(ltx(&scratch, "clip.y4m", &[]));
    run.until_stage("decode");
    fs::remove_file(scratch.path("clip.latents.safetensors")).unwrap();
    run.end().expect_success();
    assert_eq!(made(&scratch), ["clip.y4m", "clip.y4m.json"]);
}
