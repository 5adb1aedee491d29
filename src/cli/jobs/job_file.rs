//! Job files: a JSON object of options on each line.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::cli::config::Config;
use crate::error::{Error, Result};
use crate::units::Bytes;

/// Largest file that is read: far more than the longest prompts of all jobs together.
const MOST_BYTES: u64 = 64 << 20;
/// Most jobs of a file.
pub const MOST_JOBS: usize = 10_000;
/// Options of the whole run, which no single job can have.
pub const OF_THE_RUN: [&str; 7] = ["jobs", "journal", "dry-run", "json", "quiet", "verbose", "threads"];

/// A line of a job file that is not blank.
#[derive(Debug)]
pub struct Line {
    /// What messages call the job, such as `jobs.jsonl, line 3`.
    pub name: String,
    /// Its own options, or why they cannot be used.
    pub settings: Result<Config>,
}

/// Reads a file.
///
/// # Errors
/// A file that cannot be read, is too large or not UTF-8, and what [`parse`] refuses.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let thing = format!("--jobs {}", path.display());
    let refused = |found: String, hint: &str| Error::input(&thing, "a readable file of jobs", found, hint);
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => refused("no such file".to_owned(), "check the path"),
        std::io::ErrorKind::IsADirectory => {
            refused("a folder".to_owned(), "name a file; a folder of pictures is given by -i")
        }
        _ => refused(error.to_string(), "check the path and the file's permissions"),
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refused(format!("more than {}", Bytes(MOST_BYTES)), "divide it into several"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| refused(format!("one that is not UTF-8 ({error})"), "save it as UTF-8"))?;
    parse(&text, &path.display().to_string())
}

/// The jobs in `text`; `file` names it in errors.
///
/// # Errors
/// No job at all, too many, and text of which no line is a job.
pub fn parse(text: &str, file: &str) -> Result<Vec<Line>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut lines: Vec<Line> = Vec::new();
    for (index, line) in filled {
        if lines.len() == MOST_JOBS {
            let found = format!("more, in line {}", index + 1);
            return Err(Error::input(file, format!("at most {MOST_JOBS} jobs"), found, "divide it into several files"));
        }
        let name = format!("{file}, line {}", index + 1);
        lines.push(Line { settings: settings(line, &name), name });
    }
    if lines.is_empty() {
        return Err(Error::input(file, "a job on each line", "an empty file", EXAMPLE));
    }
    if lines.iter().any(|line| line.settings.is_ok()) {
        return Ok(lines);
    }
    // Of a file that is something else altogether, the first complaint will do.
    Err(lines.swap_remove(0).settings.expect_err("none can be used"))
}

const EXAMPLE: &str = "lines look like: {\"image\": \"portrait.png\", \"prompt\": \"hair flowing\"}";

fn settings(line: &str, name: &str) -> Result<Config> {
    let unreadable = |error: serde_json::Error| {
        let found = error.to_string().replace(" at line 1 column ", " in column ");
        Error::input(name, "a JSON object of options", found, EXAMPLE)
    };
    let Entries(entries) = serde_json::from_str(line).map_err(unreadable)?;
    let mut object = Map::new();
    for (key, value) in entries {
        if OF_THE_RUN.contains(&key.replace('_', "-").as_str()) {
            let hint = "give it on the command line, for all jobs";
            return Err(Error::input(
                format!("{name}: {key}"),
                "an option of a single job",
                "one that all jobs share",
                hint,
            ));
        }
        if object.contains_key(&key) {
            let thing = format!("{name}: {key}");
            return Err(Error::input(thing, "it once", "it twice", "remove one of the two"));
        }
        object.insert(key, value);
    }
    Config::of_object(&object, name)
}

/// The entries of an object in their order, those of one name too.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let lines = parse(&format!("{{\"steps\": 1}}\n{text}\n"), "jobs.jsonl").unwrap();
        lines.into_iter().nth(1).unwrap().settings.unwrap_err().to_string()
    }

    #[test]
    fn blank_lines_count_and_are_no_jobs() {
        let lines =
            parse("\u{feff}\n{\"steps\": 2}\r\n\n  {\"image\": \"a.png\", \"cfg_scale\": 2}", "jobs.jsonl").unwrap();
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["jobs.jsonl, line 2", "jobs.jsonl, line 4"]);
        let arguments: Vec<_> = lines[1].settings.as_ref().unwrap().arguments().collect();
        assert_eq!(arguments, ["--guidance-scale=2", "--image=a.png"]);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_its_number() {
        for (text, expected) in [
            ("{\"steppes\": 2}", "jobs.jsonl, line 2: steppes: wanted an option of stir generate"),
            ("{\"steps\": 2, \"steps\": 3}", "line 2: steps: wanted it once, found it twice"),
            ("{\"num_frames\": 2, \"num-frames\": 3}", "line 2: num_frames: wanted --num-frames once"),
            ("{\"quiet\": true}", "line 2: quiet: wanted an option of a single job"),
            ("{\"dry_run\": true}", "line 2: dry_run: wanted an option of a single job"),
            ("{\"config\": \"a.toml\"}", "line 2: config: wanted options of stir generate other than config"),
            (
                "[1]",
                "jobs.jsonl, line 2: wanted a JSON object of options, found invalid type: sequence, expected an object",
            ),
            ("{\"steps\": 2", "line 2: wanted a JSON object of options, found EOF while parsing an object"),
            ("{} {}", "line 2: wanted a JSON object of options, found trailing characters"),
        ] {
            assert!(message(text).contains(expected), "{text}: {}", message(text));
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused_as_a_whole() {
        for (text, expected) in [
            ("", "jobs.jsonl: wanted a job on each line, found an empty file"),
            ("\n \n", "found an empty file"),
            ("steps = 3\nfps = 5", "jobs.jsonl, line 1: wanted a JSON object of options"),
            (&"{}\n".repeat(MOST_JOBS + 1), "wanted at most 10000 jobs, found more, in line 10001"),
        ] {
            let error = parse(text, "jobs.jsonl").unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
