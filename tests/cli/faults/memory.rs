//! Too little memory, by a limit on the address space: on the CPU a decode takes smaller pieces, and then ends with an error that keeps the latents.

use std::process::Command;

use super::{Ended, LTX, Running, bytes, generate, made, under, with_model};
use crate::support::{Outcome, Scratch, command, run};

/// A frame so large that the pixels and what they are decoded from outweigh the rest.
const LARGE: [&str; 10] = ["-W", "2048", "-H", "2048", "--num-frames", "1", "--threads", "1", "--dtype", "f32"];
/// Kibibytes between one limit and the next.
const STEP: u64 = 50_000;
/// With so many kibibytes nothing changes.
const ENOUGH: u64 = 4_000_000;

fn large(scratch: &Scratch, output: &str, options: &[&str]) -> Command {
    let named = ["-i", "picture.png", "-o", output, "--model", "model"];
    generate(scratch, &[&named, &LTX[..], &LARGE, options].concat())
}

fn decode(scratch: &Scratch, latents: &str, options: &[&str]) -> Command {
    let mut decode = command();
    decode.current_dir(scratch.folder()).args(["decode", latents, "-o", "clip.y4m", "--threads", "1"]).args(options);
    decode
}

/// The same command within so many kibibytes of address space.
fn within(kibibytes: u64, limited: &Command) -> Outcome {
    run(&mut under(&format!("ulimit -v {kibibytes}"), limited))
}

/// The run, which may take only so many bytes of address space more once the stage has begun.
fn limited_from(stage: &str, more: u64, limited: Command) -> Ended {
    let mut running = Running::start(limited);
    running.until_stage(stage);
    let process = running.child.id();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = format!("--as={}", size * 1024 + more);
    let set = Command::new("prlimit").args([format!("--pid={process}"), limit]).status();
    assert!(set.expect("prlimit, a program of util-linux").success());
    running.end()
}

/// How much address space the program takes besides its decode depends on the system, so the limit is lowered bit by bit: what comes of it must be a clip or
/// an error each time, and smaller pieces in between.
#[test]
fn a_decode_with_too_little_memory_takes_smaller_pieces_and_then_fails() {
    let scratch = with_model("memory");
    run(&mut large(&scratch, "whole.y4m", &["--save-latents", "latents.safetensors"])).expect_code(0);
    let whole = bytes(&scratch, "whole.y4m");
    let decode = decode(&scratch, "latents.safetensors", &[]);
    within(ENOUGH, &decode).expect_code(0);
    assert!(bytes(&scratch, "clip.y4m") == whole, "a limit that is not reached changes the clip");

    let (mut smaller_pieces, mut failures) = (0, 0);
    for kibibytes in (0..20).map(|steps| 1_200_000 - steps * STEP) {
        for name in ["clip.y4m", "clip.y4m.json"] {
            std::fs::remove_file(scratch.path(name)).ok();
        }
        let outcome = within(kibibytes, &decode);
        let said = &outcome.stderr;
        match outcome.code {
            Some(0) if said.contains("frames are decoded in tiles of ") => smaller_pieces += 1,
            Some(0) => assert!(bytes(&scratch, "clip.y4m") == whole, "{kibibytes} KiB"),
            Some(1) if said.contains("out of memory") => {
                assert!(said.contains("\nerror: ") && said.contains("\n  next: "), "{kibibytes} KiB: {said}");
                assert_eq!(made(&scratch), ["latents.safetensors", "whole.y4m", "whole.y4m.json"], "{kibibytes} KiB");
                failures += 1;
            }
            code => panic!("{kibibytes} KiB: {code:?}\n{said}"),
        }
        if failures == 4 {
            break;
        }
    }
    assert!(smaller_pieces > 0 && failures == 4, "{smaller_pieces} in smaller pieces, {failures} failures");
}

#[test]
fn a_decode_that_never_fits_keeps_the_latents() {
    let scratch = with_model("memory-kept");
    run(&mut large(&scratch, "whole.y4m", &[])).expect_code(0);
    let ended = limited_from("denoise", 30_000_000, large(&scratch, "clip.y4m", &[]));
    let ended = ended.expect_failure("wanted enough free memory, found too little (memory: wanted ");
    assert!(ended.talk.contains("ulimit -v"), "{}", ended.talk);
    let command = "stir decode clip.latents.safetensors -o clip.y4m --device cpu\n";
    assert!(ended.talk.ends_with(&format!("this finishes the clip: {command}")), "{}", ended.talk);
    assert_eq!(made(&scratch), ["clip.latents.safetensors", "whole.y4m", "whole.y4m.json"]);
    run(&mut decode(&scratch, "clip.latents.safetensors", &["--device", "cpu"])).expect_code(0);
    assert!(bytes(&scratch, "clip.y4m") == bytes(&scratch, "whole.y4m"));
}

/// Where nothing was asked beforehand, an allocation fails, and no error can be returned.
#[test]
fn memory_that_runs_out_anywhere_ends_the_run_with_an_error() {
    let scratch = Scratch::new("memory-anywhere");
    scratch.picture("picture.png", 640, 480);
    let clip = ["-i", "picture.png", "-o", "clip.gif", "-p", "hair flowing", "-W", "2560", "-H", "1440"];
    let ended = limited_from("denoise", 0, generate(&scratch, &[&clip[..], &["--num-frames", "9"]].concat()));
    let ended = ended.expect_failure("memory: wanted ");
    assert!(ended.talk.contains(" more, found none left: out of memory\n"), "{}", ended.talk);
    assert!(made(&scratch).is_empty(), "{:?}", made(&scratch));
}

/// x264 is refused the memory for its frames: when it opens, or later.
#[cfg(feature = "ffmpeg")]
#[test]
fn an_encoder_that_fails_ends_the_run_with_an_error() {
    let scratch = Scratch::new("memory-encoder");
    scratch.picture("picture.png", 640, 480);
    let clip = ["-i", "picture.png", "-o", "clip.mp4", "-p", "hair flowing", "-W", "1920", "-H", "1080"];
    for more in [100_000_000, 200_000_000] {
        let run = generate(&scratch, &[&clip[..], &["--num-frames", "30", "--save-frames", "frames"]].concat());
        let ended = limited_from("denoise", more, run).expect_failure("the MP4 encoder, ");
        assert!(!ended.last["found"].as_str().unwrap().is_empty(), "{}", ended.last);
        assert!(made(&scratch).is_empty(), "{more}: {:?}", made(&scratch));
    }
}
