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
    /// How far it came.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a job ended, or that it did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is being made, unless whatever was making it has ended without a word.
    Begun,
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
    /// Of a job that is begun or over.
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
        let unreadable = |error: serde_json::Error| error.to_string().replace(" at line 1 column ", " in column ");
        let record: Record = serde_json::from_slice(line).map_err(|error| refused(index + 1, unreadable(error)))?;
        if record.version != VERSION {
            return Err(refused(index + 1, format!("version {}", record.version)));
        }
        records.push(record);
        whole += line.len();
    }
    Ok(Parsed { records, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "{\"version\":1,\"job\":\"a\",\"outcome\":\"failed\",\"error\":\"x\",\"hint\":\"y\"}\n";

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let outputs = vec![Output { path: "a.mp4".to_owned(), bytes: 5 }];
        let record = Record::new("jobs.jsonl, line 1", None, Outcome::Done { outputs });
        let line = record.line();
        assert!(line.starts_with(BEGINNING) && line.ends_with(b"}\n"));
        let parsed = parse(&line, "j", 0).unwrap();
        assert_eq!((parsed.records, parsed.whole), (vec![record], line.len()));
        // Fields may be added.
        let further = FAILED.replace("}", ",\"host\":3}");
        assert_eq!(
            parse(further.as_bytes(), "j", 0).unwrap().records,
            parse(FAILED.as_bytes(), "j", 0).unwrap().records
        );
    }

    #[test]
    fn a_line_that_was_cut_is_left_out() {
        for cut in ["{", "{\"version\":1,\"jo", &FAILED[..FAILED.len() - 1], "\0\0\0"] {
            for whole in ["", FAILED] {
                let parsed = parse(format!("{whole}{cut}").as_bytes(), "j", 0).unwrap();
                assert_eq!((parsed.whole, parsed.records.len()), (whole.len(), whole.lines().count()), "{cut}");
            }
        }
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for (text, expected) in [
            (
                "hair flowing".to_owned(),
                "journal j, line 1: wanted what stir writes into a journal, found something else",
            ),
            (
                format!("{FAILED}{{}}\n"),
                "journal j, line 2: wanted what stir writes into a journal, found missing field",
            ),
            (FAILED.replace(":1", ":2"), "line 1: wanted what stir writes into a journal, found version 2"),
            ("\n".to_owned(), "line 1: "),
            ("{\"image\": \"a.png\"}\n".to_owned(), "line 1: "),
        ] {
            let error = parse(text.as_bytes(), "j", 0).err().expect("it is refused");
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(parse(b"x\n", "j", 7).err().unwrap().to_string().contains("line 8"));
    }
}
