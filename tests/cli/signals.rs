//! SIGINT and SIGTERM in every stage: the exit code says which, and nothing half-written is left.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Scratch, command};

/// Starts a run that takes seconds, sends the signal when the stage begins, and checks how it ends.
fn signal_in(stage: &str, signal: &str, code: i32) {
    let scratch = Scratch::new(&format!("signal-{stage}-{signal}"));
    let picture = scratch.picture("picture.png", 640, 480);
    let mut run = command();
    run.arg("generate").arg("-i").arg(picture).arg("-o").arg(scratch.path("clip.gif"));
    run.args(["-p", "hair flowing, light shifting [pan left]", "--resolution", "720p", "--json"]);
    run.arg("--save-frames").arg(scratch.path("frames"));
    run.arg(format!("--preview={}", scratch.path("preview.gif").display()));
    let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let event = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    let begins = |event: &Value| event["event"] == "stage" && event["stage"] == stage;
    lines.by_ref().map(event).find(begins).unwrap_or_else(|| panic!("{stage} never began"));
    // The shell's own kill: the program of that name is not everywhere.
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());

    let last = lines.map(event).last().unwrap();
    let status = child.wait().unwrap();
    let mut talk = String::new();
    child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
    assert_eq!(status.code(), Some(code), "{stage}: {talk}");
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
