//! `stir generate` with many jobs: those of a file, or one for each picture of a folder.

mod folder;
pub mod job_file;
mod shared;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::options::Options;
use super::report::{Console, Report, stdout};
use super::signals::while_heeding_signals;
use super::{contradiction, plan, values};
use crate::error::{Error, Result, shell_word};
use crate::pipeline::jobs::identity::Identity;
use crate::pipeline::jobs::journal::{Journal, Outcomes};
use crate::pipeline::jobs::{self, Ending, Job, JobList, JobObserver, Unreadable, check_apart};
use crate::pipeline::observer::Level;
use crate::pipeline::plan as pipeline_plan;
use folder::Pictures;
use shared::Shared;

/// The jobs as they were read.
struct Jobs {
    list: JobList,
    /// Where outcomes are kept.
    journal: PathBuf,
}

impl Options {
    /// Whether there are many jobs: a file of them, or a folder of pictures.
    pub(super) fn has_jobs(&self) -> bool {
        self.jobs.is_some() || self.is_of_folder()
    }

    fn is_of_folder(&self) -> bool {
        self.image.as_ref().is_some_and(|image| Path::new(image).is_dir())
    }

    /// Makes the clips of all jobs, or says what they would be. `settings`: all that stands on the command line and in `--config`.
    ///
    /// # Errors
    /// Jobs that cannot be read at all, and jobs that failed.
    pub(super) fn run_jobs(&self, settings: Config, console: Arc<Console>) -> Result<()> {
        let hint =
            "unfinished files are removed, finished ones are kept; the same command goes on with what is not done";
        while_heeding_signals(console.clone(), hint, || self.make_jobs(settings, console))
    }

    fn make_jobs(&self, settings: Config, console: Arc<Console>) -> Result<()> {
        self.talk.check()?;
        let Jobs { list, journal } = self.read_jobs(settings, &console)?;
        self.device.use_threads()?;
        let mut report = Report::of_jobs(console);
        let all = list.count();
        let failed = if self.dry_run {
            let outcomes = Outcomes::read(&journal)?;
            let unreadable = &list.unreadable;
            unreadable.iter().for_each(|Unreadable { name, error }| report.ended(name, Ending::Failed(error)));
            unreadable.len() + failing_plans(&list.jobs, &outcomes, &mut report)
        } else {
            let mut opened = Journal::open(&journal)?;
            report.begin_jobs(all, &journal);
            let tally = jobs::generate(&list, &mut opened, &mut report)?;
            report.tally(tally);
            opened.write_waiting()?;
            tally.failed
        };
        stdout::check()?;
        if failed == 0 {
            return Ok(());
        }
        let found = format!("{failed} of {all} failed");
        let hint = "what was wrong with each is said above; the same command tries those again that are not done";
        Err(Error::run("the jobs", "all of them done", found, hint))
    }

    fn read_jobs(&self, settings: Config, console: &Console) -> Result<Jobs> {
        let of_folder = self.is_of_folder();
        if self.jobs.is_some() && of_folder {
            return Err(contradiction("--jobs", "no folder of pictures beside it", "both"));
        }
        let output = self.output.as_deref().map(|output| values::path("--output", output)).transpose()?;
        let folder = output.map(folder_for_clips).transpose()?;
        let journal = self.journal.as_deref().map(|journal| values::path("--journal", journal)).transpose()?;
        let shared = Shared::new(settings, folder.clone(), of_folder);
        let (source, jobs) = if let Some(file) = &self.jobs {
            let file = values::path("--jobs", file)?;
            let read = job_file::read(&file)?.into_iter();
            let jobs: Vec<_> = read.map(|line| (line.name.clone(), shared.job_of_line(line))).collect();
            (file, jobs)
        } else {
            let pictures = values::path("--image", self.image.as_deref().expect("a folder of pictures"))?;
            let Pictures { paths, others } = Pictures::of(&pictures)?;
            if others > 0 {
                let line = format!("pictures in {}: {}; other files: {others}", pictures.display(), paths.len());
                console.say(Level::Note, &line);
            }
            let job = |path: &PathBuf| (path.display().to_string(), shared.job_of_picture(path));
            (pictures, paths.iter().map(job).collect())
        };
        let beside = if self.jobs.is_some() { source.parent().map(Path::to_owned) } else { folder };
        let journal = journal.unwrap_or_else(|| beside.unwrap_or_default().join(journal_name(&source)));
        let mut list = JobList::default();
        for (name, job) in jobs {
            match job {
                Ok(job) => list.jobs.push(job),
                Err(error) => list.unreadable.push(Unreadable { name, error }),
            }
        }
        if list.jobs.is_empty() {
            // What is wrong with all of them is mostly the same.
            return Err(list.unreadable.swap_remove(0).error);
        }
        check_apart(&list.jobs, &[&source, &journal])?;
        Ok(Jobs { list, journal })
    }
}

/// The folder that `-o` names.
fn folder_for_clips(output: PathBuf) -> Result<PathBuf> {
    let named = output.as_os_str().as_encoded_bytes().last().is_some_and(|&last| std::path::is_separator(last.into()));
    let (thing, wanted) = (format!("--output {}", output.display()), "a folder for the clips of all jobs");
    if output.is_dir() {
        return Ok(output);
    }
    let (found, hint) = if named {
        ("no such folder", format!("create it: mkdir -p {}", shell_word(&output.display().to_string())))
    } else {
        ("a single name", "such as -o clips/; what a single clip is called, its job says".to_owned())
    };
    Err(Error::input(thing, wanted, found, hint))
}

/// `NAME.journal.jsonl` for `NAME.jsonl` and the folder `NAME`.
fn journal_name(source: &Path) -> PathBuf {
    let whole = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let name = if whole.is_dir() { whole.file_name() } else { source.file_stem() };
    let mut name = name.unwrap_or("jobs".as_ref()).to_owned();
    name.push(".journal.jsonl");
    PathBuf::from(name)
}

/// Says what each job would be, and returns how many would fail.
fn failing_plans(jobs: &[Job], outcomes: &Outcomes, report: &mut Report) -> usize {
    let mut failing = 0;
    for job in jobs {
        report.job(Some(job));
        let identity = Identity::of(&job.request);
        if identity.is_ok_and(|identity| outcomes.is_done(&identity, &job.request.outputs())) {
            report.ended(&job.name, Ending::Skipped("it is done"));
            continue;
        }
        match pipeline_plan::plan(&job.request, report) {
            Ok(planned) => report.planned(&planned, &plan::lines(&planned.plan)),
            Err(error) => {
                failing += 1;
                report.ended(&job.name, Ending::Failed(&error));
            }
        }
    }
    report.job(None);
    failing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_has_the_name_of_its_jobs() {
        assert_eq!(journal_name(Path::new("some/night.jsonl")), Path::new("night.journal.jsonl"));
        assert_eq!(journal_name(Path::new("night")), Path::new("night.journal.jsonl"));
        assert_eq!(journal_name(Path::new("src/")), Path::new("src.journal.jsonl"));
        assert_eq!(journal_name(Path::new("src/..")), journal_name(Path::new(".")));
    }
}
