//! `stir generate`: options to a request, the request to a clip.

use std::sync::Arc;

use super::options::Options;
use super::report::{Console, Report, stdout};
use super::signals::while_heeding_signals;
use crate::error::Result;
use crate::pipeline::settings::Settings;
use crate::pipeline::{self, plan};

impl Options {
    /// The console that these options ask for.
    pub(super) fn console(&self) -> Console {
        self.talk.console()
    }

    /// Makes the clips, or says what they would be and take.
    ///
    /// # Errors
    /// Whatever stopped it.
    pub(super) fn run(&self, console: Arc<Console>) -> Result<()> {
        let hint = "unfinished files are removed, finished ones are kept; the same command makes the same clip";
        while_heeding_signals(console.clone(), hint, || self.make(console))
    }

    fn make(&self, console: Arc<Console>) -> Result<()> {
        let request = self.request()?;
        self.device.use_threads()?;
        let settings = Settings::from(&request);
        let mut report = Report::new(console.clone(), &settings);
        if self.dry_run {
            let planned = plan::plan(&request, &mut report)?;
            console.dry_run(&planned, &super::plan::lines(&planned.plan));
        } else {
            report.start(&settings);
            pipeline::generate(&request, &mut report)?;
        }
        stdout::check()
    }
}
