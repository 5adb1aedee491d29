//! SIGINT and SIGTERM in every stage: the exit code says which, and nothing half-written is left.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::fixture::repository;
use crate::support::{Scratch, command};

/// How a run that was sent a signal ended.
pub struct Ended {
    pub code: Option<i32>,
    pub last_event: Value,
    pub talk: String,
}

/// Starts a run, with `--json`, that takes seconds, and sends the signal when the stage begins.
pub fn interrupt(mut run: Command, stage: &str, signal: &str) -> Ended {
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let event = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    let begins = |event: &Value| event["event"] == "stage" && event["stage"] == stage;
    lines.by_ref().map(event).find(begins).unwrap_or_else(|| panic!("{stage} never began"));
    // The shell's own kill: the program of that name is not everywhere.
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());

    let last_event = lines.map(event).last().unwrap();
    let code = child.wait().unwrap().code();
    let mut talk = String::new();
    child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
    Ended { code, last_event, talk }
}

fn signal_in(stage: &str, signal: &str, code: i32) {
    let scratch = Scratch::new(&format!("signal-{stage}-{signal}"));
    let picture = scratch.picture("picture.png", 640, 480);
    let mut run = command();
    run.arg("generate").arg("-i").arg(picture).arg("-o").arg(scratch.path("clip.gif"));
    run.args(["-p", "hair flowing, light shifting [pan left]", "--resolution", "720p", "--json"]);
    run.arg("--save-frames").arg(scratch.path("frames"));
    run.arg(format!("--preview={}", scratch.path("preview.gif").display()));
    let Ended { code: found, last_event: last, talk } = interrupt(run, stage, signal);
    assert_eq!(found, Some(code), "{stage}: {talk}");
    assert_eq!((&last["event"], &last["exit_code"]), (&"error".into(), &code.into()), "{stage}: {last}");
    assert!(
        talk.contains(&format!("error: the run: wanted it to finish, found SIG{signal}\n  next: ")),
        "{stage}: {talk}"
    );
    // A preview that is complete may stay.
    let left: Vec<String> = scratch.names().into_iter().filter(|name| name != "preview.gif").collect();
    assert_eq!(left, ["picture.png"], "{stage}, SIG{signal}");
}

#[test]
fn an_interrupted_run_ends_with_130_and_leaves_nothing() {
    for stage in ["prepare", "text", "encode", "denoise", "decode"] {
        signal_in(stage, "INT", 130);
    }
}

#[test]
fn a_terminated_run_ends_with_143_and_leaves_nothing() {
    for stage in ["prepare", "text", "encode", "denoise", "decode"] {
        signal_in(stage, "TERM", 143);
    }
}

/// Where denoising took long, its result stays, and the message has the command that goes on from it.
#[test]
fn an_interrupted_decode_leaves_latents_and_says_what_to_do_with_them() {
    let scratch = Scratch::new("signal-latents");
    scratch.picture("picture.png", 640, 480);
    let mut run = command();
    run.current_dir(scratch.folder()).args(["generate", "-i", "picture.png", "-o", "clip.y4m", "-p", "hair flowing"]);
    run.arg("--model").arg(repository("tests/fixtures/ltx/checkpoint"));
    run.args(["--device", "cpu", "--steps", "1", "--resolution", "480p", "--num-frames", "97", "--json"]);
    let Ended { code, talk, .. } = interrupt(run, "decode", "INT");
    assert_eq!(code, Some(130), "{talk}");
    assert_eq!(scratch.names(), ["clip.latents.safetensors", "picture.png"], "{talk}");
    let command = "stir decode clip.latents.safetensors -o clip.y4m --device cpu\n";
    assert!(talk.ends_with(&format!("this finishes the clip: {command}")), "{talk}");
}
