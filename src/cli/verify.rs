//! `stir verify`: makes a clip again, and says whether it is the same.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueHint};
use serde_json::{Map, Value};

use super::config::{Config, argument};
use super::report::{Console, Report, Verbosity, stdout};
use super::shared_options::{DeviceOptions, PartOptions};
use super::signals::while_heeding_signals;
use super::{configured_options, info, values};
use crate::error::{Error, Result, shell_word};
use crate::media::{OutputFormat, ScratchFolder};
use crate::models::{SYNTHETIC, catalog};
use crate::pipeline::Outcome;
use crate::pipeline::observer::{Level, Observer, Stage};
use crate::pipeline::provenance::command::in_format;
use crate::pipeline::provenance::verify::{Agreement, Claim, Finding, LEAST_RATIO, Verification};
use crate::pipeline::request::Request;
use crate::pipeline::settings::Settings;

/// Make a clip again as its record says, and say whether it comes out the same, or from which stage on it does not
///
/// The same build of stir on the same model of device makes the same bytes, whatever the threads. Another build or device makes the same noise and
/// pixels of the same picture, and frames that are close. The exit code is 0 only if what is promised is so.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    override_usage = "stir verify CLIP --image PICTURE [OPTIONS]",
    after_help = "Example:\n  stir verify clip.mp4 --image portrait.png"
)]
pub(super) struct Verify {
    /// A clip that stir has made: a file, or a folder of PNGs
    #[arg(value_name = "CLIP", value_hint = ValueHint::AnyPath)]
    clip: OsString,
    /// The picture that it was made from
    #[arg(short, long, value_name = "PICTURE", value_hint = ValueHint::FilePath, help_heading = "Files that the clip was made from")]
    image: Option<OsString>,
    /// The initial noise, where it was read from a file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Files that the clip was made from")]
    noise: Option<OsString>,
    /// The picture that is drawn into the corner, where there is one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Files that the clip was made from")]
    watermark: Option<OsString>,

    /// The model: a name that `stir models` lists, or the path of a folder or file [default: the name in the record]
    #[arg(long, value_name = "NAME|PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    model: Option<OsString>,
    #[command(flatten)]
    parts: PartOptions,
    /// Latent upsampler of two passes, where it is not with the model: a folder or a file
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    latent_upsampler: Option<OsString>,
    #[command(flatten)]
    device: DeviceOptions,

    /// Print nothing but errors and the comparison
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
}

impl Verify {
    /// The console that these options ask for.
    pub(super) fn console(&self) -> Console {
        Console::new(if self.quiet { Verbosity::Quiet } else { Verbosity::Normal }, false)
    }

    /// Makes the clip again and compares.
    ///
    /// # Errors
    /// What keeps it from being made; and that it is not what is promised.
    pub(super) fn run(&self, console: Arc<Console>) -> Result<()> {
        let hint = "the clip is untouched, and what was made again is removed";
        while_heeding_signals(console.clone(), hint, || self.compare(console))
    }

    fn compare(&self, console: Arc<Console>) -> Result<()> {
        let clip = values::path("CLIP", &self.clip)?;
        let record = info::read(&clip)?;
        let claim = Claim { clip: &clip, record: &record };
        if self.image.is_none() {
            let hint = "name it, such as --image portrait.png";
            return Err(Error::input("--image", "the picture that the clip was made from", "none", hint));
        }
        let settings: Map<String, Value> = claim.request()?.clone().into_iter().collect();
        self.check_model(&settings)?;
        let scratch = ScratchFolder::create("verify")?;
        let request = self.request(settings, (&clip, &scratch))?;
        self.device.use_threads()?;
        let report = Report::new(console.clone(), &Settings::from(&request));
        let verification = claim.verify(&request, &mut Silenced(report))?;
        lines(&verification).iter().for_each(|line| stdout::write_line(line));
        stdout::check()?;
        if verification.holds() {
            return Ok(());
        }
        let start = verification.start().map_or("file", |stage| stage.name());
        let (wanted, found) = ("what its record promises", format!("a difference that begins with the {start}"));
        let hint = "the table above says what differs; the picture, the model and the clip have to be those of the run";
        Err(Error::run(format!("clip {}", clip.display()), wanted, found, hint))
    }

    /// A model that was named by its path is known by its last part alone.
    fn check_model(&self, settings: &Map<String, Value>) -> Result<()> {
        let named = settings.get("model").and_then(Value::as_str).unwrap_or_default();
        let is_known = named.starts_with(SYNTHETIC) || catalog::find(named).is_some() || Path::new(named).exists();
        if self.model.is_some() || named.is_empty() || is_known {
            return Ok(());
        }
        let (wanted, found) =
            ("the path of the model that the clip was made with", format!("none, and no {named} here"));
        let hint = format!("name it, such as --model {}", shell_word(&format!("path/to/{named}")));
        Err(Error::input("--model", wanted, found, hint))
    }

    /// The request of the record, with files where they are here and the clip in `of`'s folder.
    fn request(&self, mut settings: Map<String, Value>, of: (&Path, &ScratchFolder)) -> Result<Request> {
        let (clip, scratch) = of;
        let mut typed: Vec<OsString> = Vec::new();
        let mut set = |option: &str, value: &OsString| {
            typed.push(argument(option, value));
        };
        let mut name = in_format(&info::file_name(clip), settings.get("format").and_then(Value::as_str));
        if OutputFormat::of(clip).ok() == Some(OutputFormat::PngFolder) {
            name.push("");
        }
        set("output", &scratch.path(name).into_os_string());
        let given = [
            ("image", &self.image),
            ("noise", &self.noise),
            ("watermark", &self.watermark),
            ("model", &self.model),
            ("latent-upsampler", &self.latent_upsampler),
        ];
        let given = given.into_iter().filter_map(|(option, value)| Some((option, value.clone()?)));
        for (option, value) in given.chain(self.parts.given()).chain(self.device.given()) {
            set(option, &value);
            settings.remove(&option.replace('-', "_"));
        }
        let config = Config::of_object(&settings, &format!("the record of clip {}", clip.display()))?;
        let request = configured_options(&config, typed.into_iter())?.request();
        request.map_err(|error| config.locate(error))
    }
}

/// What came of it, a stage a line, and what that means.
fn lines(verification: &Verification) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for finding in &verification.findings {
        let (stage, agreement) = (finding.stage.name(), finding.agreement.name());
        lines.push(format!("{stage:<11}{agreement:<8} {}", finding.detail).trim_end().to_owned());
    }
    lines.push(String::new());
    lines.push(match verification.start() {
        None => "difference none".to_owned(),
        Some(stage) => format!("difference begins with: {}", stage.name()),
    });
    lines.push(if verification.covered {
        "promised   the same bytes: build, device and encoder are the same".to_owned()
    } else {
        let differs = |finding: &&Finding| finding.stage.is_surroundings() && finding.agreement == Agreement::Differs;
        let made_by = verification.findings.iter().filter(differs);
        let other = made_by.map(|finding| finding.stage.name()).collect::<Vec<_>>().join(" and ");
        format!("promised   the same noise and pixels, and frames of at least {LEAST_RATIO} dB, for another {other}")
    });
    lines.push(format!("holds      {}", if verification.holds() { "yes" } else { "no" }));
    lines
}

/// A report that keeps to itself where the clip is that nobody is to keep.
struct Silenced(Report);

impl Observer for Silenced {
    fn clip(&mut self, index: usize, count: usize, seed: u64) {
        self.0.clip(index, count, seed);
    }

    fn begin(&mut self, stage: Stage, total: usize) {
        self.0.begin(stage, total);
    }

    fn advance(&mut self, done: usize) {
        self.0.advance(done);
    }

    fn say(&mut self, level: Level, line: &str) {
        self.0.say(level, line);
    }

    fn first_warning(&self) -> Option<String> {
        self.0.first_warning()
    }

    fn preview(&mut self, _path: &Path) {}

    fn latents_kept(&mut self, _command: Option<&str>) {}

    fn resumable(&mut self, _command: Option<&str>) {}

    fn finished(&mut self, _outcome: &Outcome) {}
}
