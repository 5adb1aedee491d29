//! Many clips in one process: the short form of `scripts/soak`. Linux says how much memory and how many open files a process has.

use super::{Running, bytes, generate, ltx, with_model};
use crate::support::Scratch;

const CLIPS: usize = 12;
/// Of resident memory, between the second third of the clips and the last: it takes some clips until each kind of block has been needed once.
const MOST_GROWTH: f64 = 0.02;
/// Kibibytes that the system's allocator may take at once; of many clips, as in `scripts/soak`, they do not count.
const STEP: f64 = 1024.0;

/// Resident kibibytes and open files.
fn sample(process: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    (resident.trim().trim_end_matches(" kB").parse().unwrap(), files)
}

fn check(mut run: Running) {
    let process = run.child.id();
    // Each is taken where the next clip begins: the last one's end is the process's.
    let samples: Vec<(u64, usize)> = (0..CLIPS)
        .map(|_| {
            run.until(|event| event["event"] == "clip");
            sample(process)
        })
        .collect();
    run.end().expect_success();
    let median = |part: &[(u64, usize)]| {
        let mut resident: Vec<u64> = part.iter().map(|(resident, _)| *resident).collect();
        resident.sort_unstable();
        resident[part.len() / 2] as f64
    };
    let third = CLIPS / 3;
    let (early, late) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
    println!("resident memory grows by {:+.2} %: {samples:?}", 100.0 * (late / early - 1.0));
    assert!(late < (1.0 + MOST_GROWTH) * early + STEP, "resident memory grows: {samples:?}");
    let files = |part: &[(u64, usize)]| part.iter().map(|(_, files)| *files).max().unwrap();
    assert!(files(&samples[2 * third..]) <= files(&samples[third..2 * third]), "open files grow: {samples:?}");
}

#[test]
fn clip_after_clip_takes_no_more_memory() {
    let count = CLIPS.to_string();
    let scratch = Scratch::new("soak");
    scratch.picture("picture.png", 320, 240);
    let clip = if cfg!(feature = "ffmpeg") { "clip.mp4" } else { "clip.y4m" };
    let small = ["-W", "320", "-H", "240", "--num-frames", "9", "--steps", "2", "--count", &count];
    let sway = [&["-i", "picture.png", "-p", "hair flowing [pan left]", "-o", clip], &small[..]].concat();
    check(Running::start(generate(&scratch, &sway)));
    check(Running::start(generate(&scratch, &[&sway[..], &["--save-frames", "frames", "--preview"]].concat())));
    let scratch = with_model("soak-ltx");
    let small = ["-W", "320", "-H", "224", "--num-frames", "9", "--count", &count];
    check(Running::start(ltx(&scratch, clip, &small)));
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
