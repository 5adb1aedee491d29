//! `stir generate`: options to a request, the request to a clip.

use std::sync::Arc;

use super::options::Options;
use super::report::{Console, Report, Verbosity, stdout};
use super::settings::Settings;
use super::signals::EndingSignal;
use super::{dry_run, values};
use crate::error::{Error, Result};
use crate::pipeline;

/// Most threads that can be asked for.
const MOST_THREADS: u64 = 1024;

impl Options {
    /// The console that these options ask for.
    pub(super) fn console(&self) -> Console {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Console::new(verbosity, self.json)
    }

    /// Makes the clips, or says what they would be.
    ///
    /// # Errors
    /// Whatever stopped it.
    pub(super) fn run(&self, console: Arc<Console>) -> Result<()> {
        let hint = "unfinished files are removed, finished ones are kept; the same command makes the same clip";
        let ending = EndingSignal::watch(console.clone(), hint)?;
        let outcome = self.make(console);
        ending.wait_for_end();
        outcome
    }

    fn make(&self, console: Arc<Console>) -> Result<()> {
        let request = self.request()?;
        self.use_threads()?;
        let settings = Settings::from(&request);
        let mut report = Report::new(console.clone(), &settings);
        if self.dry_run {
            let checked = dry_run::check(&request, &mut report)?;
            console.dry_run(&Settings::from(&checked.request), &checked.clip);
        } else {
            report.start(&settings);
            pipeline::generate(&request, &mut report)?;
        }
        stdout::check()
    }

    /// Takes as many threads as `--threads` says.
    ///
    /// # Errors
    /// A number that cannot be.
    pub(super) fn use_threads(&self) -> Result<()> {
        let Some(threads) = &self.threads else { return Ok(()) };
        let hint = "leave it out for all cores";
        use_threads(values::whole("--threads", threads, 1..=MOST_THREADS, hint)? as usize)
    }
}

/// One pool serves candle and stir alike; candle hands its work to rayon's.
fn use_threads(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::run("--threads", format!("{threads} threads"), error.to_string(), "ask for fewer"))
}
