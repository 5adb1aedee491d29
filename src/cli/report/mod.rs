//! The only printer: talk goes to stderr, data to stdout: the path of each finished clip, or with `--json` all events.

mod bar;
mod events;
mod floor;
mod jobs;
mod printable;
pub(super) mod stdout;
mod talk;
mod transfer;
mod warnings;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::device::{peak_memory, resident_memory};
use crate::error::Error;
use crate::pipeline::Outcome;
use crate::pipeline::kept_latents::latents_finished_by;
use crate::pipeline::observer::{Level, Observer, Stage};
use crate::pipeline::plan::Planned;
use crate::pipeline::settings::Settings;
use crate::pipeline::state::resumed_by;
use crate::units::Clip;
use events::{ClipShape, ENGINE, Event, Events, ResultFields, rounded};
use talk::Talk;

pub use events::SCHEMA;
pub use printable::{json_text, printable};
pub use talk::Verbosity;
pub use transfer::Transfer;

/// How long a log may be silent while a stage is under way.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Where everything is printed; shared with the threads that libraries warn from.
pub struct Console {
    talk: Talk,
    events: Option<Events>,
    /// The first warning, which `--strict` takes for an error.
    first_warning: Mutex<Option<String>>,
    /// Which of many jobs everything is about at the moment.
    job: Mutex<Option<String>>,
    /// The command that finishes the clip under way from latents that are on disk.
    finishing_command: Mutex<Option<String>>,
    /// The command that goes on with the run from its state on disk.
    resuming_command: Mutex<Option<String>>,
}

impl Console {
    /// A console that says this much, and prints events if `json`.
    pub fn new(verbosity: Verbosity, json: bool) -> Self {
        // A program that listens to events gets no talk when it asks for quiet: errors are among the events.
        let verbosity = if json && verbosity == Verbosity::Quiet { Verbosity::Silent } else { verbosity };
        Self {
            talk: Talk::new(verbosity, json),
            events: json.then(Events::new),
            first_warning: Mutex::default(),
            job: Mutex::default(),
            finishing_command: Mutex::default(),
            resuming_command: Mutex::default(),
        }
    }

    /// Prints an error and the next step.
    pub fn error(&self, error: &Error) {
        self.talk.error(error);
        if let Some(events) = &self.events {
            events.error(error, error.exit_code(), self.job_name().as_deref());
        }
    }

    /// Prints that a signal ends the program, with which exit code, and what to do then; nothing is printed after it.
    pub fn interrupted(&self, signal: &str, exit_code: u8, hint: &str) {
        self.ended(Error::run("the run", "it to finish", signal, hint), exit_code);
    }

    /// Prints an error that ends the program at once, and the command that goes on from what is kept; nothing is printed after it.
    pub fn ended(&self, error: Error, exit_code: u8) {
        floor::take();
        let known = |command: &Mutex<Option<String>>| command.lock().ok().and_then(|command| command.clone());
        let hint = match (known(&self.resuming_command), known(&self.finishing_command)) {
            (Some(command), _) => {
                format!("unfinished files are removed, finished ones are kept; {}", resumed_by(&command))
            }
            (None, Some(command)) => format!("{}; {}", error.hint(), latents_finished_by(&command)),
            (None, None) => error.hint().to_owned(),
        };
        let error = error.with_hint(hint);
        self.talk.error(&error);
        if let Some(events) = &self.events {
            events.error(&error, exit_code, self.job_name().as_deref());
        }
    }

    /// Prints what clap says of arguments that it does not understand.
    pub fn wrong_use(&self, text: &str) {
        let lines: Vec<_> = text.lines().map(printable).collect();
        self.talk.line_by_line(&lines);
        let first = lines.first().map_or("", |line| line.strip_prefix("error: ").unwrap_or(line));
        if let Some(events) = &self.events {
            let wanted = "arguments that stir knows";
            let error = Error::input("the command line", wanted, first, "`stir generate --help` lists them");
            events.error(&error, error.exit_code(), None);
        }
    }

    /// Prints a line of what is being done.
    pub fn line(&self, text: &str) {
        self.talk.line(text);
    }

    /// Prints a line for the user.
    pub fn say(&self, level: Level, text: &str) {
        if level == Level::Warning {
            let mut first = self.first_warning.lock().expect("nothing panics with it");
            first.get_or_insert_with(|| text.to_owned());
        }
        match self.job_name() {
            Some(job) => self.talk.message(level, &format!("{job}: {text}")),
            None => self.talk.message(level, text),
        }
        self.event(&Event::Message { level: level.name(), message: text });
    }

    fn event(&self, event: &Event) {
        if let Some(events) = &self.events {
            events.write(event, self.job_name().as_deref());
        }
    }

    fn job_name(&self) -> Option<String> {
        self.job.lock().expect("nothing panics with it").clone()
    }

    /// Answers `--dry-run`: the settings as `--config` reads them, and in comments the clip that they make and `lines` of the plan.
    pub fn dry_run(&self, planned: &Planned, lines: &[String]) {
        if !self.planned_event(planned) {
            let Clip { width, height, frames, fps } = &planned.clip;
            let made = format!("# makes {width}x{height}, {} frames, {}\n", frames.0, frames.duration(*fps));
            let comments: String =
                lines.iter().map(|line| format!("#   {line}").trim_end().to_owned() + "\n").collect();
            stdout::write((to_toml(&Settings::from(&planned.request)) + &made + &comments).as_bytes());
        }
    }

    /// Answers `stir plan`: the same event, or `lines` of the plan.
    pub fn plan(&self, planned: &Planned, lines: &[String]) {
        if !self.planned_event(planned) {
            lines.iter().for_each(|line| stdout::write(format!("{line}\n").as_bytes()));
        }
    }

    /// Whether events are wanted; then it is one.
    fn planned_event(&self, planned: &Planned) -> bool {
        let Planned { request, clip, plan } = planned;
        self.event(&Event::DryRun { engine: ENGINE, request: &Settings::from(request), clip: shape(clip), plan });
        self.events.is_some()
    }

    /// From here on, warnings of libraries are said as the program's own are.
    pub fn hear_libraries(self: &Arc<Self>) {
        warnings::send_to(self.clone());
    }
}

/// Says what to do about a panic, whose message has been printed.
pub(super) fn defect() {
    let error =
        Error::run("stir", "to work or to say why not", "a defect, named above", "report it with the exact command");
    Console::new(Verbosity::Normal, false).error(&error);
}

/// Shows a run to whoever watches it.
pub struct Report {
    console: Arc<Console>,
    /// The name of the clips' format.
    format: &'static str,
    stage: Stage,
    total: usize,
    count: usize,
    last_line: Instant,
    began: Instant,
    times: Vec<(Stage, Duration)>,
    /// Whether it is about many jobs, of which each is said little about.
    of_jobs: bool,
}

impl Report {
    /// A report of a run with these settings; from here on, warnings of libraries are a part of it.
    pub fn new(console: Arc<Console>, settings: &Settings) -> Self {
        Self::of_format(console, settings.format)
    }

    fn of_format(console: Arc<Console>, format: &'static str) -> Self {
        console.hear_libraries();
        Self {
            console,
            format,
            stage: Stage::Prepare,
            total: 0,
            count: 1,
            last_line: Instant::now(),
            began: Instant::now(),
            times: Vec::new(),
            of_jobs: false,
        }
    }

    /// Says that the run begins, and with what.
    pub fn start(&self, settings: &Settings) {
        self.console.event(&Event::Start { engine: ENGINE, request: settings });
        if self.talk().is_verbose() {
            to_toml(settings).lines().for_each(|line| self.talk().fact("setting", line));
        }
    }

    fn talk(&self) -> &Talk {
        &self.console.talk
    }

    fn end_stage(&mut self) {
        if self.total > 0 {
            self.times.push((self.stage, self.began.elapsed()));
            self.total = 0;
        }
    }
}

impl Observer for Report {
    fn clip(&mut self, index: usize, count: usize, seed: u64) {
        self.count = count;
        self.console.event(&Event::Clip { index, count, seed });
        if count > 1 {
            self.talk().line(&format!("clip {} of {count}, seed {seed}", index + 1));
        }
    }

    fn begin(&mut self, stage: Stage, total: usize) {
        self.end_stage();
        (self.stage, self.total, self.began, self.last_line) = (stage, total, Instant::now(), Instant::now());
        self.console.event(&Event::Stage { stage: stage.name(), total });
        self.talk().stage(stage);
        if let Some(bar) = self.talk().bar() {
            bar.set_prefix(stage.name());
            bar.set_length(total as u64);
            bar.reset();
        }
    }

    fn advance(&mut self, done: usize) {
        let (stage, total) = (self.stage.name(), self.total);
        self.console.event(&Event::Step { stage, step: done, total });
        if let Some(bar) = self.talk().bar() {
            bar.set_position(done as u64);
        } else if self.last_line.elapsed() >= LOG_INTERVAL {
            self.talk().line(&format!("{stage} {done}/{total}"));
            self.last_line = Instant::now();
        }
    }

    fn say(&mut self, level: Level, line: &str) {
        self.console.say(level, line);
        self.last_line = Instant::now();
    }

    fn first_warning(&self) -> Option<String> {
        self.console.first_warning.lock().expect("nothing panics with it").clone()
    }

    fn preview(&mut self, path: &Path) {
        let path = path.display().to_string();
        self.talk().fact("preview", &path);
        self.console.event(&Event::Preview { path: &path });
    }

    fn latents_kept(&mut self, command: Option<&str>) {
        if let Ok(mut known) = self.console.finishing_command.lock() {
            *known = command.map(str::to_owned);
        }
    }

    fn resumable(&mut self, command: Option<&str>) {
        if let Ok(mut known) = self.console.resuming_command.lock() {
            *known = command.map(str::to_owned);
        }
    }

    /// Says what was made, how fast and with how much memory.
    fn finished(&mut self, outcome: &Outcome) {
        self.end_stage();
        self.talk().end_bar();
        let (clip, written) = (&outcome.clip, &outcome.written);
        let times = std::mem::take(&mut self.times);
        let path = written.path.display().to_string();
        let length = clip.frames.duration(clip.fps);
        let (width, height, frames, size) = (clip.width, clip.height, clip.frames.0, size(written.bytes));
        let made = format!("{path} ({width}x{height}, {frames} frames, {length}, {size})");
        let total: Duration = times.iter().map(|(_, time)| *time).sum();
        let peak_memory_bytes = peak_memory();
        if self.count > 1 || self.of_jobs {
            self.talk().fact("made", &format!("{made} in {:.2} s", total.as_secs_f64()));
        } else {
            let stage = |(stage, time): &(Stage, Duration)| format!("{} {:.2} s", stage.name(), time.as_secs_f64());
            let stages: Vec<String> = times.iter().map(stage).collect();
            self.talk().fact("made", &made);
            self.talk().fact("seed", &outcome.seed.to_string());
            self.talk().fact("time", &format!("{:.2} s: {}", total.as_secs_f64(), stages.join(", ")));
            if let Some(bytes) = peak_memory_bytes {
                self.talk().fact("memory", &format!("{:.0} MB at its peak", bytes as f64 / 1e6));
            }
        }
        if self.console.events.is_none() {
            stdout::write_path(&written.path);
        }
        self.console.event(&Event::Result(ResultFields {
            path: &path,
            format: self.format,
            bytes: written.bytes,
            clip: shape(clip),
            seed: outcome.seed,
            stages: times.iter().map(|(stage, time)| (stage.name(), rounded(time.as_secs_f64()))).collect(),
            memory_bytes: resident_memory(),
            peak_memory_bytes,
        }));
    }
}

fn shape(clip: &Clip) -> ClipShape {
    ClipShape {
        width: clip.width,
        height: clip.height,
        frames: clip.frames.0,
        fps: clip.fps.0,
        duration: clip.frames.duration(clip.fps).0,
    }
}

/// A file's size in words.
fn size(bytes: u64) -> String {
    if bytes < 100_000 { format!("{:.1} kB", bytes as f64 / 1e3) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

/// Lines that `--config` reads. JSON's numbers, texts and lists of texts are TOML's too.
fn to_toml(settings: &Settings) -> String {
    settings.entries().map(|(option, value)| format!("{option} = {}\n", json_text(value))).collect()
}
