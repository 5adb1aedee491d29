//! The same request gives the same bytes: latents with what is said of them, every frame, and the clip.

use super::Runs;
use crate::support::stir;

/// What encodes clips here.
const CLIP: &str = if cfg!(feature = "ffmpeg") { "mp4" } else { "y4m" };

/// Every byte that a run leaves, by its file's name without the run's own.
type Bytes = Vec<(String, Vec<u8>)>;

/// A run with everything saved.
fn saved(runs: &Runs, name: &str, options: &[&str]) -> Bytes {
    let (clip, latents) = (format!("{name}.{CLIP}"), format!("{name}.safetensors"));
    let save = ["--save-latents", &runs.path(&latents), "--save-frames", &runs.path(name)].map(str::to_owned);
    stir(&[runs.arguments(&clip, options), save.to_vec()].concat()).expect_code(0);
    left(runs, &clip, &latents, name)
}

fn left(runs: &Runs, clip: &str, latents: &str, frames: &str) -> Bytes {
    let read = |name: &str| std::fs::read(runs.scratch.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let count = std::fs::read_dir(runs.scratch.path(frames)).unwrap().count();
    let mut bytes: Bytes = (0..count)
        .map(|frame| format!("{frame:06}.png"))
        .map(|name| (name.clone(), read(&format!("{frames}/{name}"))))
        .collect();
    bytes.extend([("latents".to_owned(), read(latents)), ("clip".to_owned(), read(clip))]);
    bytes
}

#[track_caller]
fn assert_same(found: &Bytes, expected: &Bytes, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: number of files");
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        assert!(found == expected, "{what}: {name} differs");
    }
}

#[test]
fn a_second_run_is_the_first_in_every_type_with_any_number_of_threads() {
    let runs = Runs::new("twice");
    let mut firsts: Vec<Bytes> = Vec::new();
    for dtype in ["f32", "bf16", "f16"] {
        let run = |name: &str, threads: &str| {
            let drawn = ["--dtype", dtype, "--threads", threads, "--guidance-scale", "3", "--stg-scale", "1"];
            saved(&runs, name, &[&drawn[..], &["--decode-noise", "0.1"]].concat())
        };
        let first = run("first", "1");
        assert_eq!(first.len(), 19, "17 frames, latents and clip");
        assert_same(&run("second", "1"), &first, dtype);
        assert_same(&run("third", "2"), &first, &format!("{dtype}, 2 threads"));
        firsts.push(first);
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        assert!(firsts[one] != firsts[other], "types make no difference");
    }
}

/// Beside the first clip of several nothing is as it is in a run of its own: networks are there already, and memory is used again.
#[test]
fn each_of_several_clips_is_the_clip_of_its_seed() {
    let runs = Runs::new("several");
    let decoded = ["--decode-noise", "0.1", "--guidance-scale", "3"];
    saved_several(&runs, &decoded);
    let mut clips = Vec::new();
    for seed in ["7", "8", "9"] {
        let file = |name: &str, end: &str| format!("{name}-{seed}{end}");
        let of_several = left(
            &runs,
            &file("several", &format!(".{CLIP}")),
            &file("several-latents", ".safetensors"),
            &file("several-frames", ""),
        );
        let alone = saved(&runs, "alone", &[&decoded[..], &["--seed", seed]].concat());
        assert_same(&of_several, &alone, &format!("seed {seed}"));
        clips.push(alone);
    }
    assert!(clips[0] != clips[1] && clips[1] != clips[2], "seeds make no difference");
}

fn saved_several(runs: &Runs, options: &[&str]) {
    let save =
        ["--save-latents", &runs.path("several-latents.safetensors"), "--save-frames", &runs.path("several-frames")]
            .map(str::to_owned);
    let arguments = runs.arguments(&format!("several.{CLIP}"), &[options, &["--seed", "7", "--count", "3"]].concat());
    stir(&[arguments, save.to_vec()].concat()).expect_code(0);
}

/// Tiles promise no more than to be close to whole frames (how close is tested beside the options of the decode); but they are the same each time.
#[test]
fn tiles_make_the_same_frames_each_time_and_leave_small_ones_alone() {
    let runs = Runs::new("tiling-exact");
    // The latents and the clip say what was asked for.
    let frames = |mut saved: Bytes| {
        saved.truncate(saved.len() - 2);
        saved
    };
    let [off, on, auto] = ["off", "on", "auto"].map(|tiling| frames(saved(&runs, tiling, &["--vae-tiling", tiling])));
    assert_eq!(off.len(), 17);
    assert_same(&on, &off, "on");
    assert_same(&auto, &off, "auto");
    let tiles = |name: &str, threads: &str| {
        let size = ["-W", "704", "-H", "64", "--num-frames", "9"];
        saved(&runs, name, &[&size[..], &["--vae-tiling", "on", "--threads", threads]].concat())
    };
    assert_same(&tiles("tiles-2", "2"), &tiles("tiles-1", "1"), "tiles");
}
