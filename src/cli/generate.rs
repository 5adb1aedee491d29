//! `stir generate`: options to a request, the request to a clip.

use std::path::{Path, PathBuf};

use clap::Args;

use super::report::{self, Report};
use crate::error::{Error, Result};
use crate::media::framing::Fit;
use crate::media::image::{ImageSource, ReadOptions};
use crate::media::{OutputFormat, Target};
use crate::picture::Color;
use crate::pipeline::request::{self, Length, QUALITY, Request, Size};
use crate::units::{Fps, Seconds};
use crate::{diffusion, models, pipeline};

/// Animate a picture: 6 seconds, 25 frames a second
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stir generate -i portrait.png -p \"hair gently flowing, eyes blinking slowly [push in]\" -o clip.mp4"
)]
pub(super) struct Generate {
    /// Picture to animate: JPEG, PNG or WebP
    #[arg(short, long, value_name = "IMAGE", help_heading = "Picture and clip")]
    image: PathBuf,

    /// Clip to write: .mp4, .y4m, or a folder (ending in /) of PNGs [default: the picture's name with .mp4, in the current folder]
    #[arg(short, long, value_name = "OUT", help_heading = "Picture and clip")]
    output: Option<PathBuf>,

    /// What should move, in 2 to 2000 characters; camera commands in brackets, such as [push in, tilt up]
    #[arg(short, long, value_name = "WORDS", help_heading = "Words")]
    prompt: String,

    /// Box around an open eye without its lashes, in pixels of IMAGE (left, top, width, height), once or twice [default: look for them]
    #[arg(long, value_name = "X,Y,W,H", allow_hyphen_values = true, help_heading = "Picture and clip")]
    eyes: Vec<String>,

    /// Camera commands, up to three, separated by commas, as in brackets in the prompt
    #[arg(long, value_name = "COMMANDS", help_heading = "Words")]
    camera: Option<String>,

    /// Motion intensity: low, medium, high or a number from 0 to 2
    #[arg(long, value_name = "AMOUNT", default_value = "medium", help_heading = "Words")]
    motion: String,

    /// Short side of the clip, in the picture's aspect: 480p, 512p, 720p or 1080p
    #[arg(long, value_name = "NAME", default_value = "720p", conflicts_with_all = ["width", "height"], help_heading = "Shape")]
    resolution: String,

    /// Width in pixels; the height follows from the picture unless -H is given too
    #[arg(short = 'W', long, value_name = "PIXELS", help_heading = "Shape")]
    width: Option<usize>,

    /// Height in pixels; with -W too, the picture covers that size and is cropped in the centre
    #[arg(short = 'H', long, value_name = "PIXELS", help_heading = "Shape")]
    height: Option<usize>,

    /// Seed of the noise: the same seed gives the same clip; `random` draws one and prints it
    #[arg(short, long, value_name = "NUMBER|random", default_value = "42", help_heading = "Sampling")]
    seed: String,

    /// Denoising steps [default: the model's own]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, help_heading = "Sampling")]
    steps: Option<i64>,

    /// How strongly the words lead; 1 means no guidance [default: the model's own]
    #[arg(long, value_name = "NUMBER", alias = "cfg-scale", allow_negative_numbers = true, help_heading = "Sampling")]
    guidance_scale: Option<f64>,

    /// Read the initial noise from a safetensors file instead of drawing it
    #[arg(long, value_name = "FILE", help_heading = "Sampling")]
    noise: Option<PathBuf>,

    /// Model to use
    #[arg(long, value_name = "NAME", default_value = models::FAMILIES[0].0, help_heading = "Model and machine")]
    model: String,

    /// Where to run: auto, cpu, cuda, cuda:N or metal
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Model and machine")]
    device: String,

    /// Number of CPU threads [default: all cores]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, help_heading = "Model and machine")]
    threads: Option<i64>,

    /// Quality of the MP4, 20 to 99
    #[arg(long, value_name = "NUMBER", default_value_t = 95, allow_negative_numbers = true, help_heading = "Output")]
    quality: i64,

    /// Write exactly the frames of the clip as 000000.png, 000001.png, ... into this folder
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    save_frames: Option<PathBuf>,

    /// Write the final latents to a safetensors file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save_latents: Option<PathBuf>,

    /// Print nothing but errors and the clip's path
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
}

impl Generate {
    pub(super) fn run(self) -> Result<()> {
        if let Some(threads) = self.threads {
            use_threads(threads)?;
        }
        report::show_warnings(self.quiet);
        let mut report = Report::new(self.quiet);
        let request = self.request()?;
        pipeline::generate(&request, &mut report)
    }

    fn request(self) -> Result<Request> {
        let intensity = request::parse_motion(&self.motion)?;
        let prompt = request::read_prompt(&self.prompt, self.camera.as_deref(), intensity)?;
        let output = self.output.clone().unwrap_or_else(|| default_output(&self.image));
        Ok(Request {
            output: Target {
                format: OutputFormat::of(&output)?,
                path: output,
                quality: check_quality(self.quality)?,
                replace: true,
            },
            read: ReadOptions { background: Color::WHITE, any_image: false },
            prompt,
            remarks: Vec::new(),
            fit: Fit::Cover,
            length: Length::Duration(Seconds(6.0)),
            count: 1,
            preview: None,
            watermark: None,
            eyes: request::parse_eyes(&self.eyes)?,
            size: self.size()?,
            fps: Fps(25.0),
            seed: parse_seed(&self.seed)?,
            steps: self.steps.map(|steps| positive("--steps", steps)).transpose()?,
            guidance_scale: self.guidance_scale.map(check_scale).transpose()?,
            device: self.device.parse()?,
            image: ImageSource::named(self.image),
            model: self.model,
            noise: self.noise,
            save_latents: self.save_latents,
            save_frames: self.save_frames,
        })
    }

    fn size(&self) -> Result<Size> {
        for (name, side) in [("--width", self.width), ("--height", self.height)] {
            side.map_or(Ok(()), |side| request::check_side(name, side))?;
        }
        Ok(match (self.width, self.height) {
            (Some(width), Some(height)) => Size::Exact { width, height },
            (Some(width), None) => Size::Width(width),
            (None, Some(height)) => Size::Height(height),
            (None, None) => Size::ShortSide(request::parse_resolution(&self.resolution)?),
        })
    }
}

fn default_output(image: &Path) -> PathBuf {
    PathBuf::from(image.file_stem().unwrap_or(image.as_os_str())).with_extension("mp4")
}

fn parse_seed(text: &str) -> Result<u64> {
    if text == "random" {
        return Ok(diffusion::noise::random_seed());
    }
    text.parse().map_err(|_| {
        Error::input(
            "--seed",
            "a whole number from 0 to 18446744073709551615, or `random`",
            format!("\"{text}\""),
            "42 is the default",
        )
    })
}

fn positive(name: &str, value: i64) -> Result<usize> {
    usize::try_from(value)
        .ok()
        .filter(|value| *value > 0)
        .ok_or_else(|| Error::input(name, "1 or more", value.to_string(), "leave it out for the default"))
}

fn check_scale(scale: f64) -> Result<f64> {
    if scale.is_finite() && scale >= 0.0 {
        return Ok(scale);
    }
    Err(Error::input("--guidance-scale", "a finite number of 0 or more", scale.to_string(), "1 means no guidance"))
}

fn check_quality(quality: i64) -> Result<u8> {
    u8::try_from(quality).ok().filter(|quality| QUALITY.contains(quality)).ok_or_else(|| {
        let wanted = format!("{} to {}", QUALITY.start(), QUALITY.end());
        Error::input("--quality", wanted, quality.to_string(), "95 is the default")
    })
}

/// One pool serves candle and stir alike; candle hands its work to rayon's.
fn use_threads(threads: i64) -> Result<()> {
    let threads = positive("--threads", threads)?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::run("--threads", format!("{threads} threads"), error.to_string(), "ask for fewer"))
}
