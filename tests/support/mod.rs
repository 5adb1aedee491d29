//! What several test binaries need: running the program, and folders that clean up after themselves.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

mod scratch;

pub use scratch::Scratch;

/// What the program did.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Fails the test unless the program ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The program, ready to be given arguments and run without a terminal.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stir"));
    // Results of the user's own benchmarks are not to be seen.
    command.env("COLUMNS", "100").env("XDG_DATA_HOME", "/no/such/folder").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What a dry run prints, without the comments, which say how much is free at the moment.
pub fn without_comments(printed: &str) -> String {
    printed.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// Runs `stir` with these arguments.
pub fn stir(arguments: &[impl AsRef<OsStr>]) -> Outcome {
    run(command().args(arguments))
}

impl Scratch {
    /// The names of what is in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Writes a small picture with smooth colours and a few edges.
    pub fn picture(&self, name: &str, width: u32, height: u32) -> PathBuf {
        let picture = image::RgbImage::from_fn(width, height, |x, y| {
            let edge = if (x / 12 + y / 12) % 2 == 0 { 40 } else { 0 };
            image::Rgb([(x * 255 / width) as u8 / 2 + edge, (y * 255 / height) as u8 / 2 + 60, 120 + edge])
        });
        let path = self.path(name);
        picture.save(&path).unwrap();
        path
    }
}
