//! Options that mean the same in every command that makes a clip.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::report::{Console, Verbosity};
use super::values::{self, Names};
use super::{contradiction, output};
use crate::device::DeviceChoice;
use crate::error::{Error, Result};
use crate::media::watermark::Watermark;
use crate::media::{DEFAULT_QUALITY, Target};

/// Most threads that can be asked for.
const MOST_THREADS: u64 = 1024;

/// Where parts of a model are that are not with it.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct PartOptions {
    /// Autoencoder to use instead of the model's own: a folder or a file
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    vae: Option<OsString>,
    /// Text encoder, where it is not with the model: a folder or a file
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    text_encoder: Option<OsString>,
    /// Tokenizer, where it is not with the text encoder: a folder, spiece.model or tokenizer.json
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    tokenizer: Option<OsString>,
}

/// The places of [`PartOptions`].
pub(super) struct Parts {
    pub vae: Option<PathBuf>,
    pub text_encoder: Option<PathBuf>,
    pub tokenizer: Option<PathBuf>,
}

impl PartOptions {
    /// Those that are given, by their names.
    pub fn given(&self) -> Vec<(&'static str, OsString)> {
        let Self { vae, text_encoder, tokenizer } = self;
        given([("vae", vae), ("text-encoder", text_encoder), ("tokenizer", tokenizer)])
    }

    pub fn parts(&self) -> Result<Parts> {
        let path = |option, value| values::optional(option, value, values::path);
        Ok(Parts {
            vae: path("--vae", &self.vae)?,
            text_encoder: path("--text-encoder", &self.text_encoder)?,
            tokenizer: path("--tokenizer", &self.tokenizer)?,
        })
    }
}

fn given<const COUNT: usize>(options: [(&'static str, &Option<OsString>); COUNT]) -> Vec<(&'static str, OsString)> {
    options.into_iter().filter_map(|(option, value)| Some((option, value.clone()?))).collect()
}

/// Where networks run.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct DeviceOptions {
    /// Where to run: auto, cpu, cuda, cuda:N or metal [default: auto]
    #[arg(long, value_name = "DEVICE", value_parser = Names(&["auto", "cpu", "cuda", "metal"]), hide_possible_values = true, help_heading = "Model")]
    device: Option<OsString>,

    /// Number of CPU threads [default: all cores]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Model")]
    threads: Option<OsString>,
}

impl DeviceOptions {
    /// Those of a run's own that are given, by their names.
    pub fn given(&self) -> Vec<(&'static str, OsString)> {
        given([("device", &self.device)])
    }

    pub fn device(&self) -> Result<DeviceChoice> {
        values::text("--device", self.device.as_deref().unwrap_or(OsStr::new("auto")))?.parse()
    }

    /// Runs the rest of the program in so many threads. One pool serves candle and stir alike; candle hands its work to rayon's.
    pub fn use_threads(&self) -> Result<()> {
        let Some(threads) = &self.threads else { return Ok(()) };
        let threads = values::whole("--threads", threads, 1..=MOST_THREADS, "leave it out for all cores")? as usize;
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|error| Error::run("--threads", format!("{threads} threads"), error.to_string(), "ask for fewer"))
    }
}

/// What the clip's file is.
#[derive(Debug, Default, Args)]
pub(super) struct FormatOptions {
    /// Quality of a lossy format, 20 to 99 [default: 95]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Output")]
    quality: Option<OsString>,

    /// Format of the clip where its name does not say it: mp4, mov, webm, gif, webp, y4m or png (a folder) [default: mp4]
    #[arg(long, value_name = "FORMAT", value_parser = Names(&["mp4", "mov", "webm", "gif", "webp", "y4m", "png"]), hide_possible_values = true, help_heading = "Output")]
    format: Option<OsString>,

    /// What encodes an .mp4 or .mov: auto, x264 (the same file on every machine) or nvenc (on an NVIDIA GPU; faster); auto is x264 [default: auto]
    #[arg(long, value_name = "NAME", value_parser = Names(&["auto", "x264", "nvenc"]), hide_possible_values = true, help_heading = "Output")]
    encoder: Option<OsString>,

    /// Leave out the record of how the clip was made, which `stir info` prints: it is in the metadata of .mp4, .mov and .webm, in NAME.json beside others
    #[arg(long, help_heading = "Output")]
    no_metadata: bool,

    /// Refuse to replace a clip that is already there
    #[arg(long, help_heading = "Output")]
    no_clobber: bool,

    /// Draw this text, or the picture in this file, into the lower right corner of every frame
    #[arg(long, value_name = "TEXT|FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    watermark: Option<OsString>,
}

impl FormatOptions {
    /// Where the clip goes; by default it has the name of `source`, a file that it is made from.
    pub fn target(&self, output: Option<&OsStr>, source: Option<&Path>) -> Result<Target> {
        let (path, format) = output::target(output, self.format.as_deref(), source)?;
        let quality = self.quality.as_deref().map_or(Ok(DEFAULT_QUALITY), values::quality)?;
        let encoder = self.encoder.as_deref().map(|encoder| values::text("--encoder", encoder)?.parse()).transpose()?;
        Ok(Target { path, format, encoder: encoder.unwrap_or_default(), quality, replace: !self.no_clobber })
    }

    /// Whether the clip carries its record.
    pub fn metadata(&self) -> bool {
        !self.no_metadata
    }

    pub fn watermark(&self) -> Result<Option<Watermark>> {
        let text = self.watermark.as_deref().map(|watermark| values::text("--watermark", watermark)).transpose()?;
        Ok(text.map(Watermark::named))
    }
}

/// What is printed.
#[derive(Debug, Default, Args)]
pub(super) struct TalkOptions {
    /// Print events on standard output instead of the clip's path: one JSON object a line, as `stir schema events` describes
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Print nothing but errors and the clip's path
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,

    /// Print every setting, and details of what is done
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
}

impl TalkOptions {
    /// The console that these options ask for.
    pub fn console(&self) -> Console {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Console::new(verbosity, self.json)
    }

    pub fn check(&self) -> Result<()> {
        if self.quiet && self.verbose {
            return Err(contradiction("--quiet", "no --verbose beside it", "both"));
        }
        Ok(())
    }
}
