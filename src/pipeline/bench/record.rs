//! The result of a benchmark as it is kept in a file.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::summary::Summary;
use crate::device::energy::Energy;
use crate::device::machine::Machine;
use crate::error::{Error, Result};
use crate::models::Offload;
use crate::units::Clip;

/// Raised when a field changes its meaning or goes away; fields may be added without.
const VERSION: u32 = 1;
/// A result has some kilobytes; what is much larger is another file.
const LONGEST_FILE: u64 = 16 << 20;

/// One benchmark: what was run, where, and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Of the format.
    pub version: u32,
    /// The version of stir.
    pub stir: String,
    /// When it began, in UTC, such as `2026-11-21T15:00:00Z`.
    pub date: String,
    /// The exact command, word by word.
    pub command: Vec<String>,
    /// Where.
    pub machine: Machine,
    /// What was run.
    pub run: Run,
    /// Operations a second of the best matrix product on this device, measured before and after, in units of 10^12.
    pub peak_teraflops: f64,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// The most memory that the process held, in bytes; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// The most memory of the GPU that was in use, by all programs, in bytes; `None` on the CPU, and where the driver does not tell.
    pub device_peak_memory_bytes: Option<u64>,
    /// Energy of all that was measured, warm-up included, by all programs; `None` where no driver counts it or lets its counters be read.
    pub energy: Option<Energy>,
    /// What there is to know about the numbers.
    pub notes: Vec<String>,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// As it was named.
    pub model: String,
    /// The family that ran it.
    pub family: String,
    /// Where the networks ran.
    pub device: String,
    /// The type that the denoiser computed in.
    pub dtype: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// Where the denoiser's blocks waited for their turn: `none`, `cpu` or `disk`.
    #[serde(default = "on_the_device")]
    pub offload: String,
    /// What was written.
    pub clip: Shape,
    /// What the model made for it.
    pub generated: Shape,
    /// Denoising steps of a clip.
    pub steps: usize,
    /// Measured clips, after one that was not.
    pub repeats: usize,
    /// Positions of the latents; `None` where the model counts none.
    pub tokens: Option<usize>,
    /// Tokens of the prompt; `None` where the model counts none.
    pub text_tokens: Option<usize>,
}

/// Results that do not say where blocks waited are from when they could wait nowhere else.
fn on_the_device() -> String {
    Offload::None.name().to_owned()
}

/// The shape of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Frames.
    pub frames: usize,
    /// Frames a second.
    pub fps: f64,
}

/// A stage of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `load`, `text`, `encode`, `step`, `decode` or `mux`.
    pub name: String,
    /// Seconds.
    pub seconds: Summary,
    /// Operations counted, median, in units of 10^12; `None` where they are not.
    pub teraflop: Option<f64>,
    /// Operations a second, median, in units of 10^12.
    pub teraflops: Option<f64>,
    /// Those as a share of the peak.
    pub share_of_peak: Option<f64>,
}

/// Operations and seconds of one measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// How long it took.
    pub seconds: f64,
    /// What was computed, where it is counted.
    pub operations: Option<f64>,
}

impl Stage {
    /// The stage `name`; `peak` in operations a second. `None` without measurements.
    pub fn of(name: &str, measurements: &[Measurement], peak: f64) -> Option<Self> {
        let median = |values: Vec<f64>| Summary::of(&values).map(|summary| summary.median);
        let seconds: Vec<f64> = measurements.iter().map(|measurement| measurement.seconds).collect();
        let counted =
            || measurements.iter().filter_map(|measurement| Some((measurement.operations?, measurement.seconds)));
        let rate = median(counted().map(|(operations, seconds)| operations / seconds).collect());
        Some(Self {
            name: name.to_owned(),
            seconds: Summary::of(&seconds)?,
            teraflop: median(counted().map(|(operations, _)| operations / 1e12).collect()),
            teraflops: rate.map(|rate| rate / 1e12),
            share_of_peak: rate.map(|rate| rate / peak),
        })
    }
}

impl From<&Clip> for Shape {
    fn from(clip: &Clip) -> Self {
        Self { width: clip.width, height: clip.height, frames: clip.frames.0, fps: clip.fps.0 }
    }
}

impl Record {
    /// A result without stages.
    pub fn new(command: &[String], date: String, machine: Machine, run: Run) -> Self {
        Self {
            version: VERSION,
            stir: env!("CARGO_PKG_VERSION").to_owned(),
            date,
            command: command.to_vec(),
            machine,
            run,
            peak_teraflops: 0.0,
            stages: Vec::new(),
            peak_memory_bytes: None,
            device_peak_memory_bytes: None,
            energy: None,
            notes: Vec::new(),
        }
    }

    /// The stage of this name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// JSON, a field a line.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts are JSON") + "\n"
    }

    /// Reads what [`Record::to_json`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, that is no result, or that a later version wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let refused = |found: String| {
            let hint = "such a file is written by: stir bench --json FILE";
            Err(Error::input(path.display().to_string(), "a result of `stir bench`", found, hint))
        };
        match path.metadata() {
            Ok(file) if !file.is_file() => return refused("no regular file".to_owned()),
            Ok(file) if file.len() > LONGEST_FILE => return refused(format!("{} bytes", file.len())),
            Ok(_) => {}
            Err(error) => return refused(error.to_string()),
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return refused(error.to_string()),
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(record) if record.version == VERSION => Ok(record),
            Ok(record) => {
                refused(format!("one in version {} of the format, where this stir reads {VERSION}", record.version))
            }
            Err(problem) => refused(problem.to_string()),
        }
    }
}

/// Now, in UTC.
pub fn now() -> String {
    date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// `seconds` since the beginning of 1970 as a date.
fn date(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn rates_are_medians_of_what_was_counted() {
        let measured = |seconds, operations| Measurement { seconds, operations };
        let steps = [measured(2.0, Some(4e12)), measured(1.0, Some(4e12)), measured(4.0, Some(4e12))];
        let stage = Stage::of("step", &steps, 8e12).unwrap();
        assert_eq!(stage.seconds, Summary { count: 3, minimum: 1.0, median: 2.0, maximum: 4.0 });
        assert_eq!((stage.teraflop, stage.teraflops, stage.share_of_peak), (Some(4.0), Some(2.0), Some(0.25)));
        let stage = Stage::of("mux", &[measured(3.0, None)], 8e12).unwrap();
        assert_eq!((stage.teraflop, stage.teraflops, stage.share_of_peak), (None, None, None));
        assert_eq!(Stage::of("load", &[], 1.0), None);
    }
}
