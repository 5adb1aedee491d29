//! Events on stdout, for programs: one JSON object a line, as `events.schema.json` describes.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::printable::json_text;
use super::stdout;
use crate::error::{Error, Problem};
use crate::pipeline::plan::Plan;
use crate::pipeline::settings::Settings;

/// The JSON Schema of a line.
pub const SCHEMA: &str = include_str!("events.schema.json");
/// The program as events name it.
pub(super) const ENGINE: &str = concat!("stir ", env!("CARGO_PKG_VERSION"));
/// Raised when a field changes its meaning or goes away; fields may be added without.
const VERSION: u32 = 1;

/// What happened.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    /// A run begins, with every setting that is known.
    Start { engine: &'static str, request: &'a Settings },
    /// The answer of `--dry-run` and `stir plan`: what would be made of these settings, and what that takes.
    DryRun { engine: &'static str, request: &'a Settings, clip: ClipShape, plan: &'a Plan },
    /// Clip `index` of `count`, from 0, begins.
    Clip { index: usize, count: usize, seed: u64 },
    /// A stage of `total` steps begins.
    Stage { stage: &'static str, total: usize },
    /// `step` steps of the stage are done.
    Step { stage: &'static str, step: usize, total: usize },
    /// A line for the user.
    Message { level: &'static str, message: &'a str },
    /// A preview can be looked at.
    Preview { path: &'a str },
    /// A clip is complete.
    Result(ResultFields<'a>),
    /// Many jobs begin; their outcomes are kept in `journal`.
    Jobs { engine: &'static str, count: usize, journal: &'a str },
    /// The job that the line names is over.
    JobEnd {
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<JobProblem<'a>>,
    },
    /// All jobs are over: so many ended in each way.
    Tally { done: usize, skipped: usize, failed: usize },
    /// The run has ended without what was asked for.
    Error { thing: &'a str, wanted: &'a str, found: &'a str, hint: &'a str, message: &'a str, exit_code: u8 },
}

/// The shape of a clip.
#[derive(Serialize)]
pub(super) struct ClipShape {
    pub width: usize,
    pub height: usize,
    pub frames: usize,
    pub fps: f64,
    pub duration: f64,
}

/// What was made.
#[derive(Serialize)]
pub(super) struct ResultFields<'a> {
    pub path: &'a str,
    pub format: &'a str,
    pub bytes: u64,
    #[serde(flatten)]
    pub clip: ClipShape,
    pub seed: u64,
    /// Seconds by stage.
    pub stages: BTreeMap<&'static str, f64>,
    /// Held after the clip; `None` where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// The most held so far; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
}

/// What a job ended with; others go on.
#[derive(Serialize)]
pub(super) struct JobProblem<'a> {
    pub message: &'a str,
    pub hint: &'a str,
    pub exit_code: u8,
}

/// A line: what every event has, and the event itself.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    /// Since the program began.
    seconds: f64,
    /// Which of many jobs it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// Writes events, each flushed at once.
pub(super) struct Events {
    began: Instant,
}

impl Events {
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }

    pub fn write(&self, event: &Event, job: Option<&str>) {
        let line = Line { version: VERSION, seconds: rounded(self.began.elapsed().as_secs_f64()), job, event };
        stdout::write(format!("{}\n", json_text(&line)).as_bytes());
    }

    /// An error in its parts, as far as it has them, that ends the program with this exit code.
    pub fn error(&self, error: &Error, exit_code: u8, job: Option<&str>) {
        let message = error.to_string();
        let (thing, wanted, found) = match error {
            Error::Input(Problem { thing, wanted, found, .. }) | Error::Run(Problem { thing, wanted, found, .. }) => {
                (thing.clone(), wanted.clone(), found.clone())
            }
            Error::Io { thing, source, .. } => (thing.clone(), "it to succeed".to_owned(), source.to_string()),
            Error::Tensor(source) => ("tensor operation".to_owned(), "it to succeed".to_owned(), source.to_string()),
        };
        let (thing, wanted, found) = (thing.as_str(), wanted.as_str(), found.as_str());
        self.write(&Event::Error { thing, wanted, found, hint: error.hint(), message: &message, exit_code }, job);
    }
}

/// To the millisecond.
pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
