//! Refusals of options: each names the thing, what was wanted, what was found and the next step, with exit code 2 and nothing written.

use std::ffi::OsString;

use crate::small_run;
use crate::support::{Scratch, command, run as run_program, stir};

/// What is printed for these options of an otherwise good run.
fn refusal(scratch: &Scratch, options: &[&str]) -> String {
    let before = {
        scratch.picture("picture.png", 96, 64);
        scratch.names()
    };
    let mut arguments = small_run(scratch, "clip.y4m", options);
    // A file is written where the option says so: in the test's folder.
    if let Some(name) = options.iter().position(|option| *option == "-o").map(|index| options[index + 1]) {
        let last = arguments.iter().rposition(|argument| argument == name).unwrap();
        arguments[last] = if name.is_empty() { OsString::new() } else { scratch.path(name).into() };
    }
    let outcome = stir(&arguments).expect_code(2);
    assert_eq!(outcome.stdout, "", "{options:?} printed to stdout");
    assert_eq!(scratch.names(), before, "{options:?} left something behind");
    outcome.stderr.replace(&format!("{}/", scratch.folder().display()), "")
}

/// Takes a snapshot of all refusals of a list.
fn check(name: &str, cases: &[&[&str]]) {
    let scratch = Scratch::new(name);
    let mut refusals = String::new();
    for options in cases {
        let shown: Vec<String> = options.iter().map(|option| option.chars().take(60).collect()).collect();
        refusals += &format!("$ stir generate ... {}\n{}\n", shown.join(" "), refusal(&scratch, options));
    }
    insta::assert_snapshot!(name, refusals);
}

#[test]
fn words() {
    let long = "x".repeat(2001);
    check(
        "refusals-words",
        &[
            &["-p", ""],
            &["-p", " \n "],
            &["-p", "x"],
            &["-p", &long],
            &["-p", "hair flowing [fly away]"],
            &["-p", "hair flowing [push in"],
            &["-p", "hair [push in, tilt up]", "--camera", "pan left, shake"],
            &["--motion", "huge"],
            &["--motion", "NaN"],
            &["--motion", "-1"],
            &["--motion", "3"],
        ],
    );
}

/// Shells read `~` at the beginning of a word alone: in `--output=~/clip.mp4` and in files it is a name.
#[test]
fn a_home_folder_is_written_out() {
    let scratch = Scratch::new("refusals-home");
    scratch.picture("picture.png", 96, 64);
    let run = ["generate", "-i", "picture.png", "--allow-any-image", "-p", "hair", "--output=~/clip.y4m"];
    let refused = run_program(command().current_dir(scratch.folder()).args(run)).expect_code(2).stderr;
    assert!(refused.contains("found no folder ~\n  next: write your home folder out"), "{refused}");
}

#[test]
fn shape() {
    check(
        "refusals-shape",
        &[
            &["--resolution", "4k"],
            &["--resolution", "720"],
            &["-W", "641"],
            &["-W", "0"],
            &["-H", "0"],
            &["-H", "-64"],
            &["-W", "5000"],
            &["-W", "99999999999999999999999"],
            &["-W", "64.5"],
            &["-W", "NaN"],
            &["-W", ""],
            &["--resolution", "720p", "-W", "64"],
            &["--resolution", "720p", "-H", "64"],
            &["--fit", "contain"],
            &["--fit", "contain", "-H", "64"],
            &["--fit", "fill", "-W", "64", "-H", "64"],
            &["--background", "pinkish"],
            &["--background", "#12345"],
        ],
    );
}

#[test]
fn time() {
    check(
        "refusals-time",
        &[
            &["--duration", "0"],
            &["--duration", "-6"],
            &["--duration", "NaN"],
            &["--duration", "inf"],
            &["--duration", "600.5"],
            &["--duration", "long"],
            &["--duration", "0.01"],
            &["--duration", "600", "--fps", "60"],
            &["--fps", "0"],
            &["--fps", "-25"],
            &["--fps", "nan"],
            &["--fps", "-inf"],
            &["--fps", "241"],
            &["--num-frames", "0"],
            &["--num-frames", "-5"],
            &["--num-frames", "15001"],
            &["--num-frames", "5", "--duration", "2"],
        ],
    );
}

#[test]
fn sampling_and_model() {
    check(
        "refusals-sampling",
        &[
            &["--steps", "0"],
            &["--steps", "-3"],
            &["--steps", "1001"],
            &["--steps", "many"],
            &["--count", "0"],
            &["--count", "-2"],
            &["--count", "1001"],
            &["--guidance-scale", "NaN"],
            &["--guidance-scale", "-1"],
            &["--guidance-scale", "infinity"],
            &["--cfg-scale", "101"],
            &["--seed", "one"],
            &["--seed", "-1"],
            &["--noise", "missing.safetensors"],
            &["--noise", "n.safetensors", "--count", "2"],
            &["--threads", "0"],
            &["--device", "gpu"],
            &["--model", "unknown"],
            &["--eyes", "10,10,20"],
            &["--eyes", "-1,10,20,10"],
            &["--eyes", "5,10,20,10", "-W", "64", "-H", "64"],
            &["--eyes", "1,1,2,2", "--eyes", "4,1,2,2", "--eyes", "7,1,2,2"],
        ],
    );
}

#[test]
fn output() {
    check(
        "refusals-output",
        &[
            &["--quality", "100"],
            &["--quality", "19"],
            &["--quality", "-95"],
            &["--quality", "high"],
            &["-o", "clip.avi"],
            &["-o", ""],
            &["-o", "missing/clip.mp4"],
            &["--format", "avi"],
            &["--format", "mp4"],
            &["--preview=look.mp4"],
            &["--preview=look"],
            &["--save-frames", ""],
            &["-q", "-v"],
            &["--config", ""],
        ],
    );
}

#[test]
fn the_preview_is_not_the_clip() {
    let scratch = Scratch::new("preview-clip");
    let preview = format!("--preview={}", scratch.path("clip.webp").display());
    let arguments = small_run(&scratch, "clip.webp", &[&preview]);
    assert!(stir(&arguments).expect_code(2).stderr.contains("--preview: wanted another name than the clip's"));
}

#[cfg(unix)]
#[test]
fn text_that_is_not_utf_8() {
    use std::os::unix::ffi::OsStringExt;

    let scratch = Scratch::new("utf-8");
    let invalid = OsString::from_vec(b"hair \xff\xfe flowing".to_vec());
    for option in ["--prompt", "--camera", "--steps", "--device", "--background", "--watermark"] {
        let mut arguments = small_run(&scratch, "clip.y4m", &[]);
        arguments.extend([option.into(), invalid.clone()]);
        let outcome = stir(&arguments).expect_code(2);
        assert!(outcome.stderr.contains(&format!("error: {option}: wanted text in UTF-8")), "{}", outcome.stderr);
        assert_eq!(scratch.names(), ["picture.png"]);
    }
}

#[test]
fn a_device_that_is_not_compiled_in_names_the_build_command() {
    let scratch = Scratch::new("device");
    for (feature, compiled_in) in [("cuda", cfg!(feature = "cuda")), ("metal", cfg!(feature = "metal"))] {
        if compiled_in {
            continue;
        }
        let outcome = stir(&small_run(&scratch, "clip.y4m", &["--device", feature])).expect_code(2);
        assert!(outcome.stderr.contains(&format!("cargo build --release --features {feature}")), "{}", outcome.stderr);
        assert_eq!(scratch.names(), ["picture.png"]);
    }
}

#[test]
fn a_missing_picture_or_prompt() {
    let outcome = stir(&["generate", "-p", "hair flowing"]).expect_code(2);
    assert!(outcome.stderr.contains("--image: wanted a picture to animate, found none"), "{}", outcome.stderr);
    let outcome = stir(&["generate", "-i", "picture.png"]).expect_code(2);
    assert!(outcome.stderr.contains("--prompt: wanted what should move, found none"), "{}", outcome.stderr);
}
