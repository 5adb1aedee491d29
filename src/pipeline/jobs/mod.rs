//! Several requests in one process: each model is loaded once, each outcome is in a journal, and one that fails does not stop the rest.
//!
//! All jobs are checked before the first begins. Then come those of the first job's model, then those of the next one's, in groups of a few: the
//! words of all are encoded, then their pictures, then each is denoised and decoded, as [`super::residency`] says. A job is nobody's until it is
//! denoised: another process that works on the same journal takes what this one has not begun. Jobs that were begun and never ended come last: what
//! ended the process that was making them, such as a lack of memory, may end this one too.

mod group;
pub mod identity;
pub mod journal;
mod places;
pub mod record;

pub use places::check_apart;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::observer::{Level, Observer, Stage};
use super::prepare::Resolved;
use super::request::Request;
use crate::device::DeviceChoice;
use crate::error::{Error, Result};
use crate::models::{self, Family, ModelRequest};
use group::Shared;
use identity::Identity;
use journal::{Claim, Journal, Mine};
use record::{Outcome, Output, Record};

/// One of several requests.
#[derive(Debug, Clone)]
pub struct Job {
    /// What messages and the journal call it.
    pub name: String,
    /// What it is.
    pub request: Request,
}

/// What should have been one.
#[derive(Debug)]
pub struct Unreadable {
    /// What messages and the journal call it.
    pub name: String,
    /// Why it cannot be used.
    pub error: Error,
}

/// How a job ended in this process.
#[derive(Debug)]
pub enum Ending<'a> {
    /// Everything was made.
    Done,
    /// Nothing was to be made; why.
    Skipped(&'static str),
    /// What was wrong.
    Failed(&'a Error),
}

/// How many jobs ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Made by this process.
    pub done: usize,
    /// Made before, or by another process.
    pub skipped: usize,
    /// Ended with an error.
    pub failed: usize,
}

/// Watches several jobs.
pub trait JobObserver: Observer {
    /// From here on everything is about this job; with `None`, about all of them.
    fn job(&mut self, job: Option<&Job>);
    /// The job's clips are begun.
    fn started(&mut self, job: &Job);
    /// The job is over.
    fn ended(&mut self, name: &str, ending: Ending);
}

/// Jobs as they were read.
#[derive(Debug, Default)]
pub struct JobList {
    /// Those that can be tried.
    pub jobs: Vec<Job>,
    /// The others.
    pub unreadable: Vec<Unreadable>,
}

impl JobList {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.jobs.len() + self.unreadable.len()
    }
}

/// Makes the clips of all jobs that are not done. What a job fails with is told to the observer and written to the journal; what the disk did not
/// take of that, [`Journal::write_waiting`] tries once more.
///
/// # Errors
/// A journal that cannot be used any more.
pub fn generate(list: &JobList, journal: &mut Journal, observer: &mut dyn JobObserver) -> Result<Tally> {
    generate_with(list, journal, observer, &|request| models::open(&request.model, &request.device.open()?))
}

/// The same, with models from where `open` has them.
pub(super) fn generate_with(
    list: &JobList,
    journal: &mut Journal,
    observer: &mut dyn JobObserver,
    open: &OpenModel,
) -> Result<Tally> {
    let mut session = Session { journal, observer, tally: Tally::default() };
    for Unreadable { name, error } in &list.unreadable {
        session.failed(name, (None, None), error)?;
    }
    let mut models = Models { open, opened: Vec::new() };
    let mut pending = session.checked(&list.jobs, &mut models)?;
    loop {
        let before = session.tally;
        let mut busy = Vec::new();
        let mut together: BTreeMap<(usize, usize), Vec<Pending>> = BTreeMap::new();
        for pending in pending {
            let before = session.journal.cut_short(&pending.identity);
            together.entry((before, pending.model)).or_default().push(pending);
        }
        for ((_, model), pending) in together {
            let mut pending = pending.into_iter();
            let mut shared = Shared::new(models.opened[model].family.as_ref());
            while pending.len() > 0 {
                busy.extend(shared.group(&mut pending, &mut session)?.make(&mut session)?);
            }
        }
        // While there was something to do here, the process that was making them may have come to an untimely end.
        if busy.is_empty() || session.tally == before {
            busy.iter().for_each(|pending| session.skipped(pending.job, "another process is making it"));
            break;
        }
        pending = busy;
    }
    session.observer.job(None);
    Ok(session.tally)
}

/// A defect of this program, or of a library, that a job comes upon is the end of that job alone.
fn contained<T>(part: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic may have left half done is let go with the networks, and the observer only talks.
    catch_unwind(AssertUnwindSafe(part)).unwrap_or_else(|_| {
        let (wanted, found) = ("to be made, or to fail for a reason that can be told", "a defect, named above");
        Err(Error::run("the job", wanted, found, "report it with the exact command and this job"))
    })
}

/// A job that is to be made.
struct Pending<'a> {
    job: &'a Job,
    identity: Identity,
    /// Which of the models.
    model: usize,
}

/// Opens the model of a request.
pub(super) type OpenModel<'a> = dyn Fn(&Request) -> Result<Box<dyn Family>> + 'a;

/// The models of all jobs.
struct Models<'a> {
    open: &'a OpenModel<'a>,
    opened: Vec<OpenedModel>,
}

struct OpenedModel {
    request: ModelRequest,
    device: DeviceChoice,
    family: Box<dyn Family>,
}

impl Models<'_> {
    /// The index of the model that a request names; opened if it is the first that does.
    fn of(&mut self, request: &Request) -> Result<usize> {
        let same = |model: &OpenedModel| model.request == request.model && model.device == request.device;
        if let Some(index) = self.opened.iter().position(same) {
            return Ok(index);
        }
        let family = (self.open)(request)?;
        self.opened.push(OpenedModel { request: request.model.clone(), device: request.device, family });
        Ok(self.opened.len() - 1)
    }
}

/// What lasts from the first job to the last.
struct Session<'a> {
    journal: &'a mut Journal,
    observer: &'a mut dyn JobObserver,
    tally: Tally,
}

impl Session<'_> {
    /// The jobs that are to be made, all checked as far as that can be done before a network is built.
    fn checked<'b>(&mut self, jobs: &'b [Job], models: &mut Models) -> Result<Vec<Pending<'b>>> {
        self.observer.begin(Stage::Prepare, jobs.len());
        let mut pending = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            self.observer.job(Some(job));
            match Identity::of(&job.request) {
                // Reading the picture says more clearly what is wrong with it.
                Err(error) => {
                    let error = contained(|| self.check(job, models)).err().unwrap_or(error);
                    self.failed(&job.name, (None, None), &error)?;
                }
                Ok(identity) if self.journal.is_done(&identity, &job.request.outputs()) => {
                    self.skipped(job, "it is done");
                }
                Ok(identity) => match contained(|| self.check(job, models)) {
                    Err(error) => self.failed(&job.name, (Some(identity), None), &error)?,
                    Ok(model) => {
                        if self.journal.cut_short(&identity) > 0 {
                            self.observer
                                .say(Level::Note, "a run that ended without a word had begun it: it comes last");
                        }
                        pending.push(Pending { job, identity, model });
                    }
                },
            }
            self.observer.job(None);
            self.observer.advance(index + 1);
        }
        Ok(pending)
    }

    /// The index of the job's model.
    fn check(&mut self, job: &Job, models: &mut Models) -> Result<usize> {
        let picture = super::check(&job.request, self.observer)?.picture;
        let model = models.of(&job.request)?;
        Resolved::of(&job.request, &picture, models.opened[model].family.as_ref(), self.observer)?;
        Ok(model)
    }

    fn skipped(&mut self, job: &Job, reason: &'static str) {
        self.tally.skipped += 1;
        self.observer.job(Some(job));
        self.observer.ended(&job.name, Ending::Skipped(reason));
    }

    /// What another process has made, or failed to make.
    fn ended_elsewhere(&mut self, job: &Job, claim: &Claim) {
        match claim {
            Claim::FailedElsewhere => {
                let (wanted, found) = ("another process, which took it, to do it", "that it failed there");
                let error = Error::run("the job", wanted, found, "the journal says why");
                self.tally.failed += 1;
                self.observer.ended(&job.name, Ending::Failed(&error));
            }
            _ => self.skipped(job, "another process has made it"),
        }
    }

    /// A stage of several jobs begins, unless there are none.
    fn begin(&mut self, stage: Stage, jobs: usize) {
        self.observer.job(None);
        if jobs > 0 {
            self.observer.begin(stage, jobs);
        }
    }

    fn advance(&mut self, done: usize) {
        self.observer.job(None);
        self.observer.advance(done);
    }

    fn done(&mut self, job: &Job, identity: Identity, mine: Mine) -> Result<()> {
        let outputs = job.request.outputs().iter().map(|path| Output::of(path)).collect::<Result<Vec<_>>>();
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(error) => return self.failed(&job.name, (Some(identity), Some(mine)), &error),
        };
        self.tally.done += 1;
        self.write(Record::new(&job.name, Some(identity), Outcome::Done { outputs }), Some(mine))?;
        self.observer.ended(&job.name, Ending::Done);
        Ok(())
    }

    /// `known`: what the job is known by, if it could be read, and the right to make it, if it was begun.
    fn failed(&mut self, name: &str, known: (Option<Identity>, Option<Mine>), error: &Error) -> Result<()> {
        self.tally.failed += 1;
        let (identity, mine) = known;
        let outcome = Outcome::Failed { error: error.to_string(), hint: error.hint().to_owned() };
        self.write(Record::new(name, identity, outcome), mine)?;
        self.observer.ended(name, Ending::Failed(error));
        Ok(())
    }

    /// What the disk does not take now it may take later.
    fn write(&mut self, record: Record, mine: Option<Mine>) -> Result<()> {
        match self.journal.add(&record, mine) {
            Err(error @ Error::Io { .. }) => {
                let line = format!("{error}; it is tried again after each job");
                self.observer.say(Level::Warning, &line);
                Ok(())
            }
            other => other,
        }
    }
}
