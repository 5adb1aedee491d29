//! What all jobs share, and each job's own options over it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::job_file::{Line, OF_THE_RUN};
use crate::cli::config::{Config, argument};
use crate::cli::configured_options;
use crate::cli::options::Options;
use crate::error::{Error, Result};
use crate::media::image::ImageSource;
use crate::pipeline::jobs::Job;

/// What all jobs share.
pub struct Shared {
    settings: Config,
    /// Where clips go whose job does not say it.
    folder: Option<PathBuf>,
}

impl Shared {
    /// `settings`: all that stands on the command line and in `--config`. `of_folder`: whether the picture is a folder, of which each job has one.
    pub fn new(mut settings: Config, folder: Option<PathBuf>, of_folder: bool) -> Self {
        settings.settings.retain(|setting| match setting.option.as_str() {
            "config" | "output" => false,
            "image" => !of_folder,
            option => !OF_THE_RUN.contains(&option),
        });
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
        Ok(Job { request: self.job(&nothing, vec![argument("image", picture)])?, name })
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
        if request.save_state.is_some() {
            let hint = "leave it out: the journal says which jobs are done, and one that was cut short begins again";
            return Err(Error::input("--save-state", "a run of its own", "one of many jobs", hint));
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

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::*;
    use crate::cli::jobs::job_file;
    use crate::pipeline::request::{Length, Request, Size};
    use crate::units::PixelFrames;

    /// The request of a line of a job file, with these options on the command line.
    fn request(typed: &str, line: &str, folder: Option<&str>) -> Result<Request> {
        let command = Options::augment_args(Command::new("generate"));
        let settings = Config::typed(&command.get_matches_from(std::iter::once("generate").chain(typed.split(' '))));
        let line = job_file::parse(line, "jobs.jsonl")?.remove(0);
        Ok(Shared::new(settings, folder.map(PathBuf::from), false).job_of_line(line)?.request)
    }

    #[test]
    fn a_jobs_own_options_come_first() {
        let typed = "-p hair --resolution 480p --duration 2 --steps 3 --eyes 1,2,3,4 -q --preview --jobs jobs.jsonl";
        let line = "{\"image\": \"a.png\", \"width\": 64, \"num_frames\": 5, \"eyes\": [\"5,6,7,8\"]}";
        let found = request(typed, line, None).unwrap();
        assert_eq!((found.size, found.length), (Size::Width(64), Length::Frames(PixelFrames(5))));
        assert_eq!((found.sampling.steps, found.eyes.len(), found.eyes[0].left), (Some(3), 1, 5.0));
        assert_eq!(found.preview.unwrap().path, Path::new("a.preview.webp"));
        let own = request("-p hair", "{\"image\": \"a.png\", \"prompt\": \"leaves\"}", None).unwrap();
        assert_eq!(own.prompt.words, "leaves");
    }

    #[test]
    fn clips_go_into_the_folder_unless_their_job_says_where() {
        let output = |typed, line| request(typed, line, Some("clips")).unwrap().output.path;
        assert_eq!(output("-p hair", "{\"image\": \"some/a.png\"}"), Path::new("clips/a.mp4"));
        assert_eq!(output("-p hair --format webm", "{\"image\": \"a.b.png\"}"), Path::new("clips/a.b.webm"));
        assert_eq!(output("-p hair", "{\"image\": \"a.png\", \"format\": \"png\"}"), Path::new("clips/a-frames/"));
        assert_eq!(output("-p hair", "{\"image\": \"a.png\", \"output\": \"b.gif\"}"), Path::new("b.gif"));
        assert_eq!(output("-p hair -i c.png", "{\"seed\": 3}"), Path::new("clips/c.mp4"));
    }

    #[test]
    fn errors_say_whose_option_it_is() {
        let refused = |typed, line| request(typed, line, None).unwrap_err().to_string();
        let own = refused("-p hair", "{\"image\": \"a.png\", \"num_frames\": 0}");
        assert!(own.starts_with("jobs.jsonl, line 1: num-frames"), "{own}");
        let shared = refused("-p hair --num-frames 0", "{\"image\": \"a.png\"}");
        assert!(shared.starts_with("--num-frames"), "{shared}");
        assert!(refused("-p hair", "{\"image\": \"-\"}").contains("found standard input"));
        assert!(refused("-p hair --seed random", "{\"image\": \"a.png\"}").contains("another number every time"));
    }
}
