//! The only printer: talk goes to stderr, the path of the finished clip to stdout.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::error::Error;
use crate::pipeline::Outcome;
use crate::pipeline::observer::{Level, Observer, Stage};

/// Sends the library's warnings to stderr; when quiet, only its errors.
pub fn show_warnings(quiet: bool) {
    let level = if quiet { tracing::Level::ERROR } else { tracing::Level::WARN };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}

/// How long a log may be silent while a stage is under way.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Shows progress: a bar on a terminal, plain lines in a log, nothing when quiet.
pub struct Report {
    quiet: bool,
    bar: Option<ProgressBar>,
    stage: Option<Stage>,
    total: usize,
    last_line: Instant,
    began: Instant,
    times: Vec<(Stage, Duration)>,
}

impl Report {
    /// A report on stderr.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{prefix:>8} {bar:32} {pos}/{len}  {pace}  {eta} left")
                .expect("the template is valid")
                .with_key("pace", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                    // Nothing is known of the pace before the first step is done.
                    let pace = if state.pos() == 0 { 0.0 } else { 1.0 / state.per_sec() };
                    write!(text, "{pace:.2} s/step").ok();
                });
            ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()).with_style(style)
        });
        Self { quiet, bar, stage: None, total: 0, last_line: Instant::now(), began: Instant::now(), times: Vec::new() }
    }

    fn line(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
        self.last_line = Instant::now();
    }

    fn end_stage(&mut self) {
        if let Some(stage) = self.stage.take() {
            self.times.push((stage, self.began.elapsed()));
        }
    }
}

impl Observer for Report {
    fn clip(&mut self, _index: usize, _count: usize, _seed: u64) {}

    fn begin(&mut self, stage: Stage, total: usize) {
        self.end_stage();
        self.began = Instant::now();
        self.stage = Some(stage);
        self.total = total;
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_length(total as u64);
                bar.set_prefix(stage.name());
            }
            None => self.line(stage.name()),
        }
    }

    fn advance(&mut self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        } else if self.last_line.elapsed() >= LOG_INTERVAL {
            let name = self.stage.map_or("", Stage::name);
            self.line(&format!("{name} {done}/{}", self.total));
        }
    }

    fn say(&mut self, _level: Level, line: &str) {
        self.line(line);
    }

    fn preview(&mut self, path: &Path) {
        self.line(&format!("preview   {}", path.display()));
    }

    /// Says what was made, how fast and with how much memory.
    fn finished(&mut self, outcome: &Outcome) {
        self.end_stage();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let clip = &outcome.clip;
        let times = std::mem::take(&mut self.times);
        let stages: Vec<String> =
            times.iter().map(|(stage, time)| format!("{} {:.2} s", stage.name(), time.as_secs_f64())).collect();
        let total: Duration = times.iter().map(|(_, time)| *time).sum();
        self.line(&format!(
            "made      {} ({}x{}, {} frames, {}, {:.1} MB)",
            outcome.written.path.display(),
            clip.width,
            clip.height,
            clip.frames.0,
            clip.frames.duration(clip.fps),
            outcome.written.bytes as f64 / 1e6,
        ));
        self.line(&format!("seed      {}", outcome.seed));
        self.line(&format!("time      {:.2} s: {}", total.as_secs_f64(), stages.join(", ")));
        if let Some(bytes) = peak_memory() {
            self.line(&format!("memory    {:.0} MB at its peak", bytes as f64 / 1e6));
        }
        println!("{}", outcome.written.path.display());
    }
}

/// Prints an error and the next step.
pub fn error(error: &Error) {
    eprintln!("error: {error}");
    eprintln!("  next: {}", error.hint());
}

/// The most memory that this process has held, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}
