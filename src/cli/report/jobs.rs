//! Several jobs in one run: whatever is said is about one of them, and each has an ending.

use std::path::Path;
use std::sync::Arc;

use super::events::{ENGINE, Event, JobProblem};
use super::{Console, Report, json_text, shape, stdout, to_toml};
use crate::error::Error;
use crate::pipeline::jobs::{Ending, Job, JobObserver, Tally};
use crate::pipeline::plan::Planned;
use crate::pipeline::settings::Settings;

impl Report {
    /// A report of many jobs.
    pub fn of_jobs(console: Arc<Console>) -> Self {
        Self { of_jobs: true, ..Self::of_format(console, "") }
    }

    /// Says how many jobs there are, and where their outcomes are kept.
    pub fn begin_jobs(&self, count: usize, journal: &Path) {
        let journal = journal.display().to_string();
        self.talk().fact("jobs", &format!("{count}; what becomes of them is kept in {journal}"));
        self.console.event(&Event::Jobs { engine: ENGINE, count, journal: &journal });
    }

    /// Says how many jobs ended in which way.
    pub fn tally(&self, tally: Tally) {
        let Tally { done, skipped, failed } = tally;
        self.talk().end_bar();
        self.talk().fact("jobs", &format!("{done} done, {skipped} skipped, {failed} failed"));
        self.console.event(&Event::Tally { done, skipped, failed });
    }

    /// Answers `--dry-run`: a line of a job file with every setting, and with `-v` `lines` of the plan.
    pub fn planned(&self, planned: &Planned, lines: &[String]) {
        let settings = Settings::from(&planned.request);
        if self.console.events.is_some() {
            let (clip, plan) = (shape(&planned.clip), &planned.plan);
            self.console.event(&Event::DryRun { engine: ENGINE, request: &settings, clip, plan });
            return;
        }
        stdout::write(format!("{}\n", json_text(&settings)).as_bytes());
        if self.talk().is_verbose() {
            lines.iter().for_each(|line| self.talk().line(line));
        }
    }
}

impl Console {
    /// From here on everything is about this job.
    fn enter_job(&self, name: Option<&str>) {
        *self.job.lock().expect("nothing panics with it") = name.map(str::to_owned);
        // A warning about one job is none about the next.
        *self.first_warning.lock().expect("nothing panics with it") = None;
    }

    fn job_failed(&self, name: &str, error: &Error) {
        let message = error.to_string();
        let named = if message.contains(name) { message.clone() } else { format!("{name}: {message}") };
        self.talk.complain(&named, error.hint());
        let problem = JobProblem { message: &message, hint: error.hint(), exit_code: error.exit_code() };
        self.event(&Event::JobEnd { outcome: "failed", reason: None, error: Some(problem) });
    }
}

impl JobObserver for Report {
    fn job(&mut self, job: Option<&Job>) {
        if let Some(job) = job {
            self.format = job.request.output.format.name();
        }
        self.console.enter_job(job.map(|job| job.name.as_str()));
    }

    fn started(&mut self, job: &Job) {
        let settings = Settings::from(&job.request);
        self.talk().line(&job.name);
        self.console.event(&Event::Start { engine: ENGINE, request: &settings });
        if self.talk().is_verbose() {
            to_toml(&settings).lines().for_each(|line| self.talk().fact("setting", line));
        }
    }

    fn ended(&mut self, name: &str, ending: Ending) {
        self.console.enter_job(Some(name));
        match ending {
            Ending::Done => self.console.event(&Event::JobEnd { outcome: "done", reason: None, error: None }),
            Ending::Skipped(reason) => {
                self.talk().fact("skipped", &format!("{name}: {reason}"));
                self.console.event(&Event::JobEnd { outcome: "skipped", reason: Some(reason), error: None });
            }
            Ending::Failed(error) => self.console.job_failed(name, error),
        }
        self.console.enter_job(None);
    }
}
