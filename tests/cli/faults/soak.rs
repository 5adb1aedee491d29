//! Many clips in one process: the short form of `scripts/soak`.

use std::process::Command;

use serde_json::Value;

use super::{Running, bytes, generate, ltx, under, with_model};
use crate::support::Scratch;

const CLIPS: usize = 12;
/// Of the memory that is held after a clip, between the second third of the clips and the last: the first clips find more and more of what stays,
/// such as threads and tables.
const MOST_GROWTH: f64 = 0.02;
/// The runs need 9 and 16; one more after each clip would be too many for either.
const FILES: &str = "ulimit -n 18";

fn check(run: &Command) {
    let mut run = Running::start(under(FILES, run));
    let mut results: Vec<Value> = (1..CLIPS).map(|_| run.until(|event| event["event"] == "result")).collect();
    results.push(run.end().expect_success().last);
    let held: Vec<f64> = results.iter().map(|result| result["memory_bytes"].as_f64().unwrap()).collect();
    let third = CLIPS / 3;
    let growth = median(&held[2 * third..]) / median(&held[third..2 * third]) - 1.0;
    assert!(growth < MOST_GROWTH, "memory grows by {growth}: {held:?}");
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn clip_after_clip_takes_no_more_memory() {
    let count = CLIPS.to_string();
    let scratch = Scratch::new("soak");
    scratch.picture("picture.png", 320, 240);
    let clip = if cfg!(feature = "ffmpeg") { "clip.mp4" } else { "clip.y4m" };
    let small = ["-W", "320", "-H", "240", "--num-frames", "9", "--steps", "2", "--count", &count];
    let sway = [&["-i", "picture.png", "-p", "hair flowing [pan left]", "-o", clip], &small[..]].concat();
    check(&generate(&scratch, &sway));
    check(&generate(&scratch, &[&sway[..], &["--save-frames", "frames", "--preview"]].concat()));
    let scratch = with_model("soak-ltx");
    let small = ["-W", "320", "-H", "224", "--num-frames", "9", "--count", &count];
    check(&ltx(&scratch, clip, &small));
}

/// Of one folder and one picture, to outputs of their own.
#[test]
fn two_processes_at_once_do_not_disturb_each_other() {
    let scratch = with_model("at-once");
    let seeds = ["7", "8"];
    let run = |seed: &str, name: &str| {
        let (clip, latents) = (format!("{name}-{seed}.y4m"), format!("{name}-{seed}.safetensors"));
        Running::start(ltx(&scratch, &clip, &["--seed", seed, "--num-frames", "17", "--save-latents", &latents]))
    };
    seeds.iter().for_each(|seed| _ = run(seed, "alone").end().expect_success());
    let both = seeds.map(|seed| run(seed, "together"));
    both.into_iter().for_each(|run| _ = run.end().expect_success());
    for file in seeds.map(|seed| [format!("-{seed}.y4m"), format!("-{seed}.safetensors")]).concat() {
        let [alone, together] = ["alone", "together"].map(|name| bytes(&scratch, &format!("{name}{file}")));
        assert!(alone == together, "{file} differs");
    }
}
