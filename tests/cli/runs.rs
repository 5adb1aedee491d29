//! Whole runs at a small size: the same request gives the same bytes.

use std::collections::BTreeMap;

use crate::small_run;
use crate::support::{Scratch, command, run, stir};

/// Files of a folder by name.
fn contents(folder: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
        })
        .collect()
}

/// One run with everything saved; returns the latents' bytes and the frames'.
fn saved_run(scratch: &Scratch, name: &str, options: &[&str]) -> (Vec<u8>, BTreeMap<String, Vec<u8>>) {
    let picture = scratch.picture("picture.png", 160, 96);
    let path = |suffix: &str| scratch.path(&format!("{name}{suffix}")).display().to_string();
    let (clip, latents, frames) = (path(".y4m"), path(".safetensors"), path("-frames"));
    let mut arguments = vec!["generate", "-i", picture.to_str().unwrap(), "--allow-any-image"];
    arguments.extend(["-p", "hair flowing, light shifting [pan left]"]);
    arguments.extend(["-o", &clip, "-W", "160", "--steps", "3", "--save-latents", &latents, "--save-frames", &frames]);
    arguments.extend(options);
    let outcome = stir(&arguments).expect_code(0);
    assert_eq!(outcome.stdout.trim(), clip);
    (std::fs::read(&latents).unwrap(), contents(frames.as_ref()))
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_threads() {
    let scratch = Scratch::new("seed");
    let (latents, frames) = saved_run(&scratch, "first", &["--seed", "7", "--threads", "1"]);
    assert_eq!(frames.len(), 150);
    assert_eq!(frames.keys().next().unwrap(), "000000.png");
    assert_eq!(frames.keys().last().unwrap(), "000149.png");
    for (name, threads) in [("second", "2"), ("third", "1")] {
        let (other_latents, other_frames) = saved_run(&scratch, name, &["--seed", "7", "--threads", threads]);
        assert!(latents == other_latents, "latents differ with {threads} threads");
        assert!(frames == other_frames, "frames differ with {threads} threads");
    }
    let clip = |name: &str| std::fs::read(scratch.path(name)).unwrap();
    assert!(clip("first.y4m") == clip("second.y4m"), "clips differ");
    let (other_latents, _) = saved_run(&scratch, "fourth", &["--seed", "8"]);
    assert!(latents != other_latents, "another seed gave the same latents");
}

#[test]
fn the_first_frame_is_the_picture() {
    let scratch = Scratch::new("first-frame");
    let (_, frames) = saved_run(&scratch, "clip", &[]);
    let first = image::load_from_memory(&frames["000000.png"]).unwrap().to_rgb8();
    let picture = image::open(scratch.path("picture.png")).unwrap().to_rgb8();
    assert!(first == picture, "frame 0 differs from the picture");
    let last = image::load_from_memory(&frames["000149.png"]).unwrap().to_rgb8();
    assert!(last != picture, "the last frame of a pan is the picture itself");
}

/// Noise that is given must act exactly as the same noise when it is drawn.
#[test]
fn given_noise_equals_drawn_noise() {
    use candle_core::{Device, Tensor};
    use stir::diffusion::noise;

    let scratch = Scratch::new("noise");
    // The record that latents carry says where the noise came from.
    let (drawn, _) = saved_run(&scratch, "drawn", &["--seed", "42", "--no-metadata"]);
    let family = stir::models::open(&stir::models::ModelRequest::named("sway"), &Device::Cpu).unwrap();
    let clip = stir::units::Clip {
        width: 160,
        height: 96,
        frames: stir::units::PixelFrames(150),
        fps: stir::units::Fps(25.0),
    };
    let latents = noise::initial(42, &family.latent_shapes(&clip)).unwrap();
    let tensors: std::collections::HashMap<String, Tensor> = latents
        .parts
        .into_iter()
        .map(|(part, tensor)| (if part == "latents" { "noise".to_owned() } else { format!("noise.{part}") }, tensor))
        .collect();
    let file = scratch.path("noise.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let (given, _) =
        saved_run(&scratch, "given", &["--seed", "42", "--no-metadata", "--noise", file.to_str().unwrap()]);
    assert!(drawn == given, "the same noise gave other latents");
}

/// A picture through a pipe gives the clip that it gives as a file.
#[test]
fn standard_input_is_a_picture_too() {
    let scratch = Scratch::new("stdin");
    let picture = scratch.picture("picture.png", 96, 64);
    assert_eq!(stir(&small_run(&scratch, "file.y4m", &[])).expect_code(0).code, Some(0));
    let arguments = small_run(&scratch, "stdin.y4m", &["-i", "-"]);
    let input = std::fs::File::open(&picture).unwrap();
    run(command().args(arguments).stdin(input)).expect_code(0);
    let bytes = |name: &str| std::fs::read(scratch.path(name)).unwrap();
    assert!(bytes("file.y4m") == bytes("stdin.y4m"), "the clips differ");
    let outcome = stir(&small_run(&scratch, "empty.y4m", &["-i", "-"])).expect_code(2);
    assert!(outcome.stderr.contains("the image from standard input"), "{}", outcome.stderr);
}

/// What `--prompt-optimizer` prints is what runs: given as a prompt, it makes the same clip.
#[test]
fn the_optimizer_prints_what_it_runs() {
    let scratch = Scratch::new("optimizer");
    let prompt = "a beautiful masterpiece of a girl, soft light shifting, hair flowing flowing in the wind";
    let options = ["-p", prompt, "--prompt-optimizer"];
    let outcome = stir(&small_run(&scratch, "first.y4m", &options)).expect_code(0);
    let rewritten =
        outcome.stderr.lines().find_map(|line| line.strip_prefix("prompt: ")).expect("the rewritten prompt");
    assert_ne!(rewritten, prompt);
    stir(&small_run(&scratch, "second.y4m", &["-p", rewritten])).expect_code(0);
    let bytes = |name: &str| std::fs::read(scratch.path(name)).unwrap();
    assert!(bytes("first.y4m") == bytes("second.y4m"), "the clips differ");
    // Without it the words stay, and advice is given.
    let outcome = stir(&small_run(&scratch, "third.y4m", &["-p", prompt])).expect_code(0);
    assert!(outcome.stderr.lines().any(|line| line.starts_with("advice: ")), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("prompt: "), "{}", outcome.stderr);
}

/// `--no-clobber` keeps what is there, and says so before anything is made.
#[test]
fn an_existing_clip_can_be_kept() {
    let scratch = Scratch::new("clobber");
    std::fs::write(scratch.path("clip.y4m"), "kept").unwrap();
    let outcome = stir(&small_run(&scratch, "clip.y4m", &["--no-clobber"])).expect_code(2);
    assert!(!outcome.stderr.contains("denoise"), "{}", outcome.stderr);
    assert_eq!(std::fs::read(scratch.path("clip.y4m")).unwrap(), b"kept");
    stir(&small_run(&scratch, "clip.y4m", &[])).expect_code(0);
    assert!(std::fs::read(scratch.path("clip.y4m")).unwrap().starts_with(b"YUV4MPEG2"));
}

/// Each of several clips is the one that its seed makes alone, to the byte of its MP4.
#[cfg(feature = "ffmpeg")]
#[test]
fn one_of_several_clips_is_the_clip_of_its_seed() {
    let scratch = Scratch::new("several");
    let run = |name: &str, options: &[&str]| {
        let outcome = stir(&crate::small_run(
            &scratch,
            name,
            &[&["-p", "candle light flickering", "--num-frames", "30"], options].concat(),
        ));
        outcome.expect_code(0).stdout
    };
    let several = run("several.mp4", &["--seed", "7", "--count", "3"]);
    let names: Vec<String> = (7..10).map(|seed| format!("several-{seed}.mp4")).collect();
    assert_eq!(several.lines().map(|line| line.rsplit('/').next().unwrap()).collect::<Vec<_>>(), names);
    let mut clips = Vec::new();
    for (seed, name) in (7..10).zip(&names) {
        run("alone.mp4", &["--seed", &seed.to_string(), "--threads", "1"]);
        let clip = std::fs::read(scratch.path(name)).unwrap();
        assert!(clip == std::fs::read(scratch.path("alone.mp4")).unwrap(), "{name} differs from the clip of its seed");
        clips.push(clip);
    }
    clips.dedup();
    assert_eq!(clips.len(), 3, "seeds make no difference");
}

#[test]
fn what_the_model_makes_is_cut_or_shown_between_bars() {
    let scratch = Scratch::new("bars");
    for (fit, line) in [
        (
            "contain",
            "the clip is 64x64, 5 frames at 25 fps; between bars it shows what the model makes, 64x42, 5 frames\n",
        ),
        ("cover", "understood: hair flowing\n"),
    ] {
        let outcome = stir(&small_run(&scratch, "clip.y4m", &["-W", "64", "-H", "64", "--fit", fit])).expect_code(0);
        assert!(outcome.stderr.contains(line), "{}", outcome.stderr);
        assert_eq!(outcome.stderr.contains("what the model makes"), fit == "contain", "{}", outcome.stderr);
    }
}
