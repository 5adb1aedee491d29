//! Outputs that others write or remove while a run is under way.

use std::fs;
use std::path::Path;

use super::{Running, SWAY, bytes, generate, ltx, made, with_model};
use crate::support::Scratch;

/// A run to `clip.mp4` or another name, with each frame in a folder.
fn run(scratch: &Scratch, seed: &str, output: &str, frames: &str) -> Running {
    let named = ["-i", "picture.png", "--seed", seed, "-o", output, "--save-frames", frames, "--num-frames", "40"];
    Running::start(generate(scratch, &[&named, &SWAY[..]].concat()))
}

fn frames(folder: &Path) -> Vec<Vec<u8>> {
    (0..40).map(|index| fs::read(folder.join(format!("{index:06}.png"))).unwrap()).collect()
}

/// Which comes last is chance; that it is whole is not.
#[test]
fn of_two_runs_with_the_same_output_each_makes_a_whole_clip() {
    let scratch = Scratch::new("same-output");
    scratch.picture("picture.png", 640, 480);
    let clip = if cfg!(feature = "ffmpeg") { "clip.mp4" } else { "clip.y4m" };
    let alone = ["7", "8"].map(|seed| {
        run(&scratch, seed, &format!("{seed}-{clip}"), seed).end().expect_success();
        (bytes(&scratch, &format!("{seed}-{clip}")), frames(&scratch.path(seed)))
    });
    assert!(alone[0].0 != alone[1].0 && alone[0].1 != alone[1].1, "seeds make no difference");
    for _ in 0..3 {
        let both = ["7", "8"].map(|seed| run(&scratch, seed, clip, "frames"));
        both.into_iter().for_each(|run| _ = run.end().expect_success());
        let made = bytes(&scratch, clip);
        assert!(alone.iter().any(|(alone, _)| *alone == made), "the clip is of neither run");
        let made = frames(&scratch.path("frames"));
        assert!(alone.iter().any(|(_, alone)| *alone == made), "the frames are of neither run");
        assert_eq!(fs::read_dir(scratch.path("frames")).unwrap().count(), 40);
        let names = ["7", &format!("7-{clip}"), "8", &format!("8-{clip}"), clip, "frames", "picture.png"];
        assert_eq!(scratch.names(), names);
    }
}

/// Each keeps its own latents while it decodes.
#[test]
fn two_runs_with_the_same_output_do_not_share_latents() {
    let scratch = with_model("same-latents");
    let both = ["7", "8"].map(|seed| Running::start(ltx(&scratch, "clip.y4m", &["--seed", seed])));
    both.into_iter().for_each(|run| _ = run.end().expect_success());
    assert_eq!(made(&scratch), ["clip.y4m", "clip.y4m.json"]);
}

/// The latents are gone with it, and nothing is said of them.
#[test]
fn an_output_folder_that_goes_is_an_error() {
    let scratch = with_model("folder-gone");
    fs::create_dir(scratch.path("out")).unwrap();
    let mut run = Running::start(ltx(&scratch, "out/clip.y4m", &[]));
    run.until(|event| event["event"] == "step" && event["stage"] == "decode");
    fs::remove_dir_all(scratch.path("out")).unwrap();
    let ended = run.end().expect_failure("out/clip.y4m");
    assert!(!ended.talk.contains("stir decode"), "{}", ended.talk);
    assert!(made(&scratch).is_empty(), "{:?}", made(&scratch));
}
