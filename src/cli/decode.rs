//! `stir decode`: options to a request, saved latents to a clip.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};

use super::report::{Console, Report, stdout};
use super::shared_options::{DeviceOptions, FormatOptions, PartOptions, Parts, TalkOptions};
use super::signals::while_heeding_signals;
use super::values::{self, Names};
use crate::error::Result;
use crate::media::image::ImageSource;
use crate::pipeline::decode::{self, DecodeRequest};
use crate::pipeline::settings::Settings;

/// Make the clip of latents that a run has saved, or left when their decode failed
///
/// The file says which model, size, frame rate and seed they are of; the clip is the one that the run makes. Latents of another program, a
/// tensor `latents` [1, C, F, H, W] alone, need --model and --fps.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    override_usage = "stir decode LATENTS [-o OUT] [OPTIONS]",
    after_help = "Example:\n  stir decode clip.latents.safetensors -o clip.mp4"
)]
pub(super) struct DecodeOptions {
    /// Latents to decode: a safetensors file
    #[arg(value_name = "LATENTS", value_hint = ValueHint::FilePath)]
    latents: OsString,

    /// Clip to write, as with `stir generate` [default: the latents' name with .mp4, in the current folder]
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::AnyPath, help_heading = "Picture and clip")]
    output: Option<OsString>,
    /// Picture that the clip was made from, for models that draw on it (sway); `-` reads it from standard input
    #[arg(short, long, value_name = "IMAGE", value_hint = ValueHint::FilePath, help_heading = "Picture and clip")]
    image: Option<OsString>,
    /// Frames a second, up to 240 [default: the run's]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Picture and clip")]
    fps: Option<OsString>,

    /// Seed of the noise of the decode [default: the run's]
    #[arg(short, long, value_name = "NUMBER|random", allow_hyphen_values = true, help_heading = "Sampling")]
    seed: Option<OsString>,
    /// How noisy the decoder takes the latents to be, 0 to 1 [default: the run's]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    decode_timestep: Option<OsString>,
    /// Share of noise mixed into the latents before they are decoded, 0 to 1 [default: the run's]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = "Sampling")]
    decode_noise: Option<OsString>,

    /// Model that made the latents: a name that `stir models` lists, or the path of a folder or file [default: the run's]
    #[arg(long, value_name = "NAME|PATH", value_hint = ValueHint::AnyPath, help_heading = "Model")]
    model: Option<OsString>,
    #[command(flatten)]
    parts: PartOptions,
    /// Type that the decoder computes in: auto, bf16, f16 or f32 [default: the run's]
    #[arg(long, value_name = "TYPE", value_parser = Names(&["auto", "bf16", "f16", "f32"]), hide_possible_values = true, help_heading = "Model")]
    dtype: Option<OsString>,
    /// Decode frames in tiles, which takes less memory and is not exact: auto, on or off [default: the run's]
    #[arg(long, value_name = "WHEN", value_parser = Names(&["auto", "on", "off"]), hide_possible_values = true, help_heading = "Model")]
    vae_tiling: Option<OsString>,
    #[command(flatten)]
    device: DeviceOptions,

    #[command(flatten)]
    format: FormatOptions,
    /// Write exactly the frames of the clip as 000000.png, 000001.png, ... into this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, help_heading = "Output")]
    save_frames: Option<OsString>,
    #[command(flatten)]
    talk: TalkOptions,
}

impl DecodeOptions {
    /// The console that these options ask for.
    pub(super) fn console(&self) -> Console {
        self.talk.console()
    }

    /// Makes the clip.
    ///
    /// # Errors
    /// Whatever stopped it.
    pub(super) fn run(&self, console: Arc<Console>) -> Result<()> {
        let hint = "the unfinished clip is removed, the latents are kept; the same command makes the same clip";
        while_heeding_signals(console.clone(), hint, || self.make(console))
    }

    fn make(&self, console: Arc<Console>) -> Result<()> {
        let request = self.request()?;
        self.device.use_threads()?;
        let settings = Settings::from(&request);
        let mut report = Report::new(console, &settings);
        report.start(&settings);
        decode::decode(&request, &mut report)?;
        stdout::check()
    }

    fn request(&self) -> Result<DecodeRequest> {
        self.talk.check()?;
        let path = |option, value| values::optional(option, value, values::path);
        let share = |option, value| values::optional(option, value, values::share);
        let latents = values::path("LATENTS", &self.latents)?;
        let Parts { vae, text_encoder, tokenizer } = self.parts.parts()?;
        let model = self.model.as_deref().map(|model| values::text("--model", model)).transpose()?;
        Ok(DecodeRequest {
            image: path("--image", &self.image)?.map(ImageSource::named),
            output: self.format.target(self.output.as_deref(), Some(&clip_name(&latents)))?,
            save_frames: path("--save-frames", &self.save_frames)?,
            watermark: self.format.watermark()?,
            metadata: self.format.metadata(),
            model: model.map(str::to_owned),
            vae,
            text_encoder,
            tokenizer,
            dtype: self.dtype.as_deref().map(values::dtype).transpose()?,
            tiling: self.vae_tiling.as_deref().map(values::tiling).transpose()?,
            timestep: share("--decode-timestep", &self.decode_timestep)?,
            noise: share("--decode-noise", &self.decode_noise)?,
            seed: self.seed.as_deref().map(values::seed).transpose()?,
            fps: self.fps.as_deref().map(values::fps).transpose()?,
            device: self.device.device()?,
            latents,
        })
    }
}

/// What the clip is named after: of `clip.latents.safetensors`, which a failed run leaves, the clip that it was to be.
fn clip_name(latents: &Path) -> PathBuf {
    let stem = Path::new(latents.file_stem().unwrap_or_default());
    if stem.extension().is_some_and(|extension| extension == "latents") { stem.to_owned() } else { latents.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_has_the_name_that_it_was_to_have() {
        for (latents, stem) in [
            ("some/clip.latents.safetensors", "clip"),
            ("some/latents.safetensors", "latents"),
            ("a.b.safetensors", "a.b"),
            ("latents", "latents"),
        ] {
            assert_eq!(clip_name(latents.as_ref()).file_stem().unwrap(), stem, "{latents}");
        }
    }
}
