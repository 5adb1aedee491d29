//! Clocks that go backwards change nothing but the times that are shown.

use std::process::Command;

use super::{Running, SWAY, bytes, generate};
use crate::fixture::repository;
use crate::support::Scratch;

/// The program asks clocks through the C library, so another library can answer.
#[test]
fn clocks_that_go_backwards_change_nothing() {
    let scratch = Scratch::new("clock");
    scratch.picture("picture.png", 640, 480);
    let library = scratch.path("clock.so");
    let mut compiler = Command::new("c++");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(repository("tests/cli/faults/clock.cpp"));
    assert!(compiler.status().expect("the C++ compiler, which `scripts/setup` installs").success());

    let clip = if cfg!(feature = "ffmpeg") { "clip.mp4" } else { "clip.y4m" };
    let arguments =
        |output: &str| [&["-i", "picture.png", "-o", output, "--count", "2"], &SWAY[..]].concat().join("\n");
    let run = |output: &str| generate(&scratch, &arguments(output).split('\n').collect::<Vec<_>>());
    Running::start(run(&format!("usual-{clip}"))).end().expect_success();
    let mut backwards = run(clip);
    backwards.env("LD_PRELOAD", &library).env("STIR_TEST_CLOCK", scratch.path("asked"));
    let ended = Running::start(backwards).end().expect_success();
    let asked: u64 = std::fs::read_to_string(scratch.path("asked")).unwrap().parse().unwrap();
    assert!(asked > 100, "the clocks were asked {asked} times");
    assert!(!ended.talk.contains("warning"), "{}", ended.talk);
    for seed in [42, 43] {
        let [usual, made] = ["usual-clip", "clip"].map(|name| clip.replacen("clip", &format!("{name}-{seed}"), 1));
        assert!(bytes(&scratch, &usual) == bytes(&scratch, &made), "{made} differs");
    }
}
