//! What people read: how much is said, and that nothing they bring can harm a terminal or a log.

use std::process::Stdio;

use crate::small_run;
use crate::support::{Scratch, command, run, stir};

#[test]
fn a_log_tells_what_was_understood_and_made() {
    let scratch = Scratch::new("normal");
    let outcome = stir(&small_run(&scratch, "clip.y4m", &[])).expect_code(0);
    let clip = scratch.path("clip.y4m").display().to_string();
    assert_eq!(outcome.stdout, format!("{clip}\n"));
    for line in ["prepare", "understood: hair flowing", "denoise", "decode", "seed      42"] {
        assert!(outcome.stderr.lines().any(|printed| printed == line), "no {line:?} in\n{}", outcome.stderr);
    }
    assert!(outcome.stderr.contains(&format!("made      {clip} (64x42, 5 frames, 0.200 s")), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("setting "), "{}", outcome.stderr);
}

#[test]
fn quiet_says_the_path_alone_and_verbose_every_setting() {
    let scratch = Scratch::new("verbosity");
    let outcome = stir(&small_run(&scratch, "clip.y4m", &["-q"])).expect_code(0);
    assert_eq!(outcome.stdout, format!("{}\n", scratch.path("clip.y4m").display()));
    assert_eq!(outcome.stderr, "");
    let outcome = stir(&small_run(&scratch, "clip.y4m", &["-v"])).expect_code(0);
    for line in ["setting   seed = 42", "setting   fps = 25.0"] {
        assert!(outcome.stderr.lines().any(|printed| printed == line), "no {line:?} in\n{}", outcome.stderr);
    }
    let outcome = stir(&small_run(&scratch, "clip.y4m", &["-q", "--device", "gpu"])).expect_code(2);
    assert!(outcome.stderr.starts_with("error: --device"), "{}", outcome.stderr);
}

#[test]
fn several_clips_have_a_line_and_a_path_each() {
    let scratch = Scratch::new("several");
    let outcome = stir(&small_run(&scratch, "clip.y4m", &["--count", "2", "--seed", "7"])).expect_code(0);
    let path = |seed: u32| scratch.path(&format!("clip-{seed}.y4m")).display().to_string();
    assert_eq!(outcome.stdout, format!("{}\n{}\n", path(7), path(8)));
    for line in ["clip 1 of 2, seed 7", "clip 2 of 2, seed 8"] {
        assert!(outcome.stderr.lines().any(|printed| printed == line), "no {line:?} in\n{}", outcome.stderr);
    }
    assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with("made ")).count(), 2, "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn control_characters_are_printed_as_escapes() {
    let scratch = Scratch::new("controls");
    let hostile = "clip\u{1b}[31m\nerror: forged\u{9b}.y4m";
    let prompt = "hair flowing, \u{1b}c\u{9b}31m\u{7} \u{202e}dlrow";
    let clean = |outcome: &crate::support::Outcome| {
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
        }
        assert!(!outcome.stderr.lines().any(|line| line.starts_with("error: forged")), "{}", outcome.stderr);
    };
    let outcome = stir(&small_run(&scratch, hostile, &["-p", prompt, "-v"])).expect_code(0);
    clean(&outcome);
    assert_eq!(outcome.stdout.lines().count(), 1, "{:?}", outcome.stdout);
    assert!(outcome.stdout.ends_with("/clip\\u{1b}[31m\\nerror: forged\\u{9b}.y4m\n"), "{:?}", outcome.stdout);
    assert!(scratch.path(hostile).exists());
    for arguments in [
        small_run(&scratch, "clip.y4m", &["-i", hostile]),
        small_run(&scratch, "clip.y4m", &["--device", hostile]),
        small_run(&scratch, "clip.y4m", &["-p", "[\u{1b}[31m\n]"]),
        small_run(&scratch, "clip.y4m", &["--json", "--steps", hostile]),
        small_run(&scratch, "clip.y4m", &["--dry-run", "-p", prompt]),
    ] {
        let outcome = run(command().args(&arguments));
        assert!(outcome.code.is_some_and(|code| code == 2 || code == 0), "{arguments:?}: {}", outcome.stderr);
        clean(&outcome);
    }
}

#[test]
fn a_reader_that_has_gone_away_does_not_end_the_run() {
    let scratch = Scratch::new("closed");
    for (name, options) in [("path.y4m", [].as_slice()), ("events.y4m", &["--json"])] {
        let mut child = command()
            .args(small_run(&scratch, name, options))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
        assert!(scratch.path(name).exists());
    }
    let mut help = command().arg("--help").stdout(Stdio::piped()).spawn().unwrap();
    drop(help.stdout.take());
    assert_eq!(help.wait().unwrap().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_told_is_a_failure() {
    let scratch = Scratch::new("full");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let outcome = run(command().args(small_run(&scratch, "clip.y4m", &[])).stdout(full)).expect_code(1);
    assert!(outcome.stderr.contains("error: writing to standard output"), "{}", outcome.stderr);
}
