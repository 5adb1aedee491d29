//! Faults, each caused while a run is under way: what the program says, and what it leaves.

#[cfg(target_os = "linux")]
mod clock;
mod inputs;
#[cfg(target_os = "linux")]
mod memory;
mod outputs;
#[cfg(target_os = "linux")]
mod soak;
mod space;
mod weights;

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::fixture::repository;
use crate::support::{Scratch, command};

/// A run whose events are read while it is under way.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// How it ended.
struct Ended {
    code: Option<i32>,
    last: Value,
    talk: String,
}

impl Running {
    /// Starts a run that was told `--json`.
    fn start(mut run: Command) -> Self {
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until a stage begins.
    fn until_stage(&mut self, stage: &str) {
        self.until(|event| event["event"] == "stage" && event["stage"] == stage);
    }

    /// Waits for an event.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.lines.by_ref().map(|line| event(&line.unwrap())).find(|event| wanted(event));
        found.unwrap_or_else(|| panic!("the run ended before: {}", self.talk()))
    }

    fn talk(&mut self) -> String {
        let mut talk = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
        talk
    }

    /// Waits until it ends.
    fn end(mut self) -> Ended {
        let last = self.lines.by_ref().map(Result::unwrap).last();
        let talk = self.talk();
        let last = event(&last.unwrap_or_else(|| panic!("no further event: {talk}")));
        Ended { code: self.child.wait().unwrap().code(), last, talk }
    }
}

impl Ended {
    /// Fails unless the run failed with this in its error, which is its last event too; a hint follows.
    #[track_caller]
    fn expect_failure(self, said: &str) -> Self {
        assert_eq!(self.code, Some(1), "{}", self.talk);
        let line = self.talk.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(line.contains(said), "{}", self.talk);
        assert!(self.talk.contains("\n  next: "), "{}", self.talk);
        assert_eq!((&self.last["event"], &self.last["exit_code"]), (&"error".into(), &1.into()), "{}", self.last);
        self
    }

    #[track_caller]
    fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.talk);
        self
    }
}

fn event(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// `stir generate` with `--json` in the test's folder.
fn generate(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut run = command();
    run.current_dir(scratch.folder()).args(["generate", "--json", "--allow-any-image"]).args(arguments);
    run
}

/// What a run of sway that takes a second or two needs besides the picture.
const SWAY: [&str; 6] = ["-p", "hair flowing, light shifting [pan left]", "-W", "640", "--steps", "3"];
/// What a run of the tiny checkpoint that takes seconds in every stage needs besides picture, model and output.
const LTX: [&str; 14] = [
    "-p",
    "hair flowing",
    "--device",
    "cpu",
    "--steps",
    "2",
    "-W",
    "640",
    "-H",
    "480",
    "--num-frames",
    "49",
    "--guidance-scale",
    "1",
];

/// The run of a test's folder under a limit that the shell sets.
fn under(limit: &str, run: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{limit} && exec \"$@\""), "sh"]).arg(run.get_program()).args(run.get_args());
    run.get_envs().for_each(|(name, value)| _ = shell.env(name, value.unwrap()));
    shell.current_dir(run.get_current_dir().unwrap());
    shell
}

/// A run of the model in the folder `model`, from `picture.png` to `output`.
fn ltx(scratch: &Scratch, output: &str, options: &[&str]) -> Command {
    generate(scratch, &[&["-i", "picture.png", "-o", output, "--model", "model"], &LTX[..], options].concat())
}

/// A folder with `picture.png` and a copy of the tiny checkpoint in `model`.
fn with_model(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    scratch.picture("picture.png", 640, 480);
    copy(&repository("tests/fixtures/ltx/checkpoint"), &scratch.path("model"));
    scratch
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to): (PathBuf, PathBuf) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// What the folder holds besides what was there from the start.
fn made(scratch: &Scratch) -> Vec<String> {
    scratch.names().into_iter().filter(|name| !["model", "picture.png"].contains(&name.as_str())).collect()
}

fn bytes(scratch: &Scratch, name: &str) -> Vec<u8> {
    std::fs::read(scratch.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
