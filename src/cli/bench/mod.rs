//! `stir bench`: how fast a model runs on this machine, and what two machines or versions have to do with each other.

mod comparison;
mod ops;
mod result;

pub(super) use result::figures;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueHint};

use super::options::Options;
use super::report::{Console, stdout};
use super::shared_options::{DeviceOptions, PartOptions};
use super::signals::while_heeding_signals;
use super::values::{self, Names};
use crate::error::Result;
use crate::media;
use crate::pipeline::bench::compare::compare;
use crate::pipeline::bench::record::Record;
use crate::pipeline::bench::{self, Request, kept};
use crate::pipeline::observer::Level;
use crate::units::Fps;

/// Most clips that are measured.
const MOST_REPEATS: u64 = 1000;
const REPEATS: u64 = 3;

const EXAMPLE: &str = "\
Examples:
  stir bench
  stir bench --model synthetic:ltx-2b --resolution 480p --num-frames 33 --steps 2 --json here.json
  stir bench compare here.json there.json
  stir bench ops gemm";

/// Measure how fast a model runs on this machine, stage by stage
///
/// A picture that is made up is animated after one warm-up as often as --repeats says; the clips are thrown away. The share of the peak is that of
/// the best product of matrices on this device, measured in the same run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE, args_conflicts_with_subcommands = true, override_usage = "stir bench [OPTIONS]\n       stir bench compare A.json B.json\n       stir bench ops [NAME] [OPTIONS]")]
pub(super) struct Bench {
    #[command(subcommand)]
    action: Option<Action>,

    /// Model: a name from `stir models`, a folder or a file; synthetic:ltx-2b and synthetic:ltx-13b have real sizes and random weights, so that nothing is fetched [default: the model that ships with stir]
    #[arg(long, value_name = "NAME|PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    model: Option<OsString>,
    #[command(flatten)]
    parts: PartOptions,
    /// Type that networks compute in: auto, bf16, f16 or f32; auto is bf16, or f32 on processors without bf16 products [default: auto]
    #[arg(long, value_name = "TYPE", value_parser = Names(&["auto", "bf16", "f16", "f32"]), hide_possible_values = true, help_heading = "Model")]
    dtype: Option<OsString>,
    /// Where the denoiser's blocks wait for their turn: none (all are on the device), cpu (in the CPU's memory) or disk (in their file) [default: none]
    #[arg(long, value_name = "WHERE", value_parser = Names(&["none", "cpu", "disk"]), hide_possible_values = true, help_heading = "Model")]
    offload: Option<OsString>,
    #[command(flatten)]
    device: DeviceOptions,

    /// Short side of the clip, which is 16:9: 480p, 512p, 720p or 1080p [default: 720p]
    #[arg(long, value_name = "NAME", value_parser = Names(&["480p", "512p", "720p", "1080p"]), hide_possible_values = true, help_heading = "Clip")]
    resolution: Option<OsString>,
    /// Width in pixels, an even number from 32 to 4096
    #[arg(short = 'W', long, value_name = "PIXELS", allow_hyphen_values = true, help_heading = "Clip")]
    width: Option<OsString>,
    /// Height in pixels, an even number from 32 to 4096
    #[arg(short = 'H', long, value_name = "PIXELS", allow_hyphen_values = true, help_heading = "Clip")]
    height: Option<OsString>,
    /// Length in seconds at 25 frames a second, over 0 and up to 600 [default: 6]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, help_heading = "Clip")]
    duration: Option<OsString>,
    /// Length in frames, 1 to 15000, instead of --duration
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Clip")]
    num_frames: Option<OsString>,

    /// Denoising steps of each clip, 1 to 1000, also where the model was made for another number: a step takes as long [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Measurement")]
    steps: Option<OsString>,
    /// Clips to measure after the warm-up, 1 to 1000 [default: 3]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Measurement")]
    repeats: Option<OsString>,

    /// Also write the result, with every number, to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Measurement")]
    json: Option<OsString>,
    /// Do not keep the result for `stir plan`, which finds it in stir/bench below $XDG_DATA_HOME or ~/.local/share
    #[arg(long, help_heading = "Measurement")]
    no_save: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    Compare(Compare),
    Ops(ops::Ops),
}

/// Print two results side by side: medians, ratios, and what was not the same
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stir bench compare before.json after.json")]
struct Compare {
    /// A file that `stir bench --json` wrote
    #[arg(value_name = "A", value_hint = ValueHint::FilePath)]
    first: OsString,
    /// Another one
    #[arg(value_name = "B", value_hint = ValueHint::FilePath)]
    second: OsString,
}

impl Bench {
    /// Measures, or compares; `arguments` are those of the program, its name first.
    ///
    /// # Errors
    /// Whatever stopped it.
    pub(super) fn run(&self, console: &Arc<Console>, arguments: &[OsString]) -> Result<()> {
        match &self.action {
            Some(Action::Compare(files)) => files.run(),
            Some(Action::Ops(ops)) => ops.run(console, &command(arguments)),
            None => {
                let hint = "nothing is kept of a benchmark that did not end";
                while_heeding_signals(console.clone(), hint, || self.measure(console, arguments))
            }
        }
    }

    fn measure(&self, console: &Arc<Console>, arguments: &[OsString]) -> Result<()> {
        let options = self.options();
        let request = self.request(&options)?;
        let file = self.file()?;
        self.device.use_threads()?;
        console.hear_libraries();
        let command = command(arguments);
        let record = bench::run(&request, &command, &mut |line| console.line(line))?;
        if let Some(file) = &file {
            media::write_atomically(file, record.to_json().as_bytes(), true)?;
        }
        stdout::write(result::table(&record).as_bytes());
        if !self.no_save {
            match kept::keep(&record) {
                Ok(path) => console.line(&format!("kept for `stir plan` in {}", path.display())),
                Err(error) => console.say(Level::Warning, &format!("{error}; `stir plan` will not know the result")),
            }
        }
        stdout::check()
    }

    /// What `stir generate` has too, which reads and checks it.
    fn options(&self) -> Options {
        Options {
            model: self.model.clone(),
            parts: self.parts.clone(),
            resolution: self.resolution.clone(),
            width: self.width.clone(),
            height: self.height.clone(),
            duration: self.duration.clone(),
            num_frames: self.num_frames.clone(),
            dtype: self.dtype.clone(),
            offload: self.offload.clone(),
            device: self.device.clone(),
            ..Options::default()
        }
    }

    fn request(&self, options: &Options) -> Result<Request> {
        options.check_contradictions()?;
        let fps = Fps(25.0);
        let repeats = self
            .repeats
            .as_deref()
            .map_or(Ok(REPEATS), |repeats| values::whole("--repeats", repeats, 1..=MOST_REPEATS, "3 is the default"))?;
        Ok(Request {
            model: options.model()?,
            device: self.device.device()?,
            size: options.size()?,
            length: options.length(fps)?,
            fps,
            steps: self.steps.as_deref().map(values::steps).transpose()?,
            repeats: repeats as usize,
        })
    }

    /// Where the result goes, which is not to be found out after an hour.
    fn file(&self) -> Result<Option<PathBuf>> {
        let Some(file) = &self.json else { return Ok(None) };
        let file = values::path("--json", file)?;
        media::check_file(&file, true, &[])?;
        Ok(Some(file))
    }
}

impl Compare {
    fn run(&self) -> Result<()> {
        let read = |option, file: &OsStr| Record::read(&values::path(option, file)?);
        let (first, second) = (read("A", &self.first)?, read("B", &self.second)?);
        stdout::write(comparison::table(&compare(&first, &second)).as_bytes());
        stdout::check()
    }
}

/// The words of the command: the program by its plain name.
fn command(arguments: &[OsString]) -> Vec<String> {
    let words = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    ["stir".to_owned()].into_iter().chain(words).collect()
}
