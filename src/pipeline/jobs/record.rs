//! A line of a journal: what came of a job.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::error::{Error, Result};

/// Raised when a field changes its meaning or goes away; fields may be added without.
const VERSION: u32 = 1;
/// How every line begins: the version comes first.
const BEGINNING: &[u8] = b"{\"version\":";

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// What messages call the job.
    pub job: String,
    /// What it is known by; none where it could not even be read.
    #[serde(flatten)]
    pub identity: Option<Identity>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is there.
    Done {
        /// Every file and folder that it wrote, in the order of [`Request::outputs`](crate::pipeline::request::Request::outputs).
        outputs: Vec<Output>,
    },
    /// It ended with an error.
    Failed {
        /// What was wrong.
        error: String,
        /// What to do next.
        hint: String,
    },
}

/// A file or a folder that a job wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where.
    pub path: String,
    /// Its size: of a folder, of all files in it together.
    pub bytes: u64,
}

impl Output {
    /// What stands there now.
    ///
    /// # Errors
    /// Nothing does.
    pub fn of(path: &Path) -> Result<Self> {
        let hint = "something has removed it right after it was written; run the same command again";
        let bytes = size(path).map_err(|source| Error::io("looking at", path, source, hint))?;
        Ok(Self { path: path.display().to_string(), bytes })
    }
}

/// The size of a file, or of all files in a folder together.
pub(super) fn size(path: &Path) -> io::Result<u64> {
    if path.is_dir() {
        return fs::read_dir(path)?.map(|entry| Ok(entry?.metadata()?.len())).sum();
    }
    Ok(fs::metadata(path)?.len())
}

impl Record {
    /// Of a job that is over.
    pub fn new(job: &str, identity: Option<Identity>, outcome: Outcome) -> Self {
        Self { version: VERSION, job: job.to_owned(), identity, outcome }
    }

    /// The whole line.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("keys are text");
        line.push(b'\n');
        line
    }
}

/// Lines of a journal.
pub struct Parsed {
    /// What they say.
    pub records: Vec<Record>,
    /// Bytes of whole lines; what comes after has been cut by a crash.
    pub whole: usize,
}

/// Reads lines of a journal that come after `before` others; `name` is what messages call it.
///
/// # Errors
/// A line that is not of a journal, or of one of a later version.
pub fn parse(bytes: &[u8], name: &str, before: usize) -> Result<Parsed> {
    let refused = |number: usize, found: String| {
        let hint = "name another file by --journal; this one is left as it is";
        Error::input(
            format!("journal {name}, line {}", before + number),
            "what stir writes into a journal",
            found,
            hint,
        )
    };
    let mut records = Vec::new();
    let mut whole = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            // Of a line that was cut the beginning is there, or nothing but zeros.
            let shared = line.len().min(BEGINNING.len());
            if line[..shared] != BEGINNING[..shared] && line.iter().any(|byte| *byte != 0) {
                return Err(refused(index + 1, "something else".to_owned()));
            }
            break;
        }
        let record: Record = serde_json::from_slice(line).map_err(|error| refused(index + 1, error.to_string()))?;
        if record.version != VERSION {
            return Err(refused(index + 1, format!("version {}", record.version)));
        }
        records.push(record);
        whole += line.len();
    }
    Ok(Parsed { records, whole })
}
