//! What all jobs share, and each job's own options over it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::job_file::Line;
use crate::cli::config::Config;
use crate::cli::configured_options;
use crate::cli::options::Options;
use crate::error::{Error, Result};
use crate::media::image::ImageSource;
use crate::pipeline::jobs::Job;

/// Options of the whole run: no job has them.
const OF_THE_RUN: [&str; 9] = ["jobs", "journal", "config", "dry-run", "json", "quiet", "verbose", "threads", "output"];

/// What all jobs share.
pub struct Shared {
    settings: Config,
    /// Where clips go whose job does not say it.
    folder: Option<PathBuf>,
}

impl Shared {
    /// `settings`: all that stands on the command line and in `--config`. `of_folder`: whether the picture is a folder, of which each job has one.
    pub fn new(mut settings: Config, folder: Option<PathBuf>, of_folder: bool) -> Self {
        let of_job = |option: &str| !OF_THE_RUN.contains(&option) && !(of_folder && option == "image");
        settings.settings.retain(|setting| of_job(&setting.option));
        Self { settings, folder }
    }

    /// The job of a line.
    ///
    /// # Errors
    /// Options that cannot be used.
    pub fn job_of_line(&self, Line { name, settings }: Line) -> Result<Job> {
        let own = settings?;
        let job = self.job(&own, own.arguments().collect());
        Ok(Job { name, request: job.map_err(|error| own.locate(error))? })
    }

    /// The job of a picture of the folder.
    ///
    /// # Errors
    /// Options that cannot be used.
    pub fn job_of_picture(&self, picture: &Path) -> Result<Job> {
        let name = picture.display().to_string();
        let nothing = Config { file: name.clone(), settings: Vec::new() };
        let mut argument = OsString::from("--image=");
        argument.push(picture);
        Ok(Job { request: self.job(&nothing, vec![argument])?, name })
    }

    /// The request of a job's own options, which come before the shared ones.
    fn job(&self, own: &Config, arguments: Vec<OsString>) -> Result<crate::pipeline::request::Request> {
        let has = |option: &str| own.settings.iter().any(|setting| setting.option == option);
        let mut shared = self.settings.clone().without(has);
        shared.file.clone_from(&own.file);
        let mut options = configured_options(&shared, arguments.into_iter())?;
        if let Some(folder) = self.folder.as_ref().filter(|_| !has("output")) {
            options.output = Some(folder.join(options.default_output()?).into_os_string());
        }
        let request = options.request()?;
        if request.image == ImageSource::Stdin {
            let hint = "give each job a picture of its own, or all of them one";
            return Err(Error::input(
                "--image -",
                "a file: jobs can begin in any order, and again",
                "standard input",
                hint,
            ));
        }
        if options.seed.as_deref().is_some_and(|seed| seed == "random") {
            let hint = "give each job a number; without one, each has 42";
            let wanted = "a number: what is done is known by its settings";
            return Err(Error::input("--seed random", wanted, "another number every time", hint));
        }
        Ok(request)
    }
}

impl Options {
    /// Where the clip goes that has the name of its picture.
    fn default_output(&self) -> Result<PathBuf> {
        let picture = self.image.as_ref().map(PathBuf::from);
        Ok(self.format.target(None, picture.as_deref())?.path)
    }
}
