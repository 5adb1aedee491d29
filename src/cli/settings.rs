//! The settings of a run by the names of their options: what `--dry-run` prints, `-v` lists, events carry and `--config` reads.

use serde::Serialize;

use super::output;
use crate::device::DeviceChoice;
use crate::media::framing::Fit;
use crate::media::image::ImageSource;
use crate::media::watermark::Watermark;
use crate::models::MotionPrompt;
use crate::pipeline::request::{Length, PROMPT_CHARACTERS, Request, Size};

/// Every setting that has a value; none where the model or the picture decides. File names that are not UTF-8 are shown as nearly as they can be.
#[derive(Debug, Serialize)]
pub struct Settings {
    image: String,
    output: String,
    pub(super) format: &'static str,
    prompt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera: Option<String>,
    motion: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit: Option<&'static str>,
    background: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    fps: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_frames: Option<usize>,
    seed: Seed,
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guidance_scale: Option<f64>,
    model: String,
    device: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    eyes: Vec<String>,
    quality: u8,
    no_clobber: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    save_frames: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    save_latents: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<String>,
    allow_any_image: bool,
}

/// A seed; as text where it is larger than TOML's integers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Seed {
    Number(i64),
    Text(String),
}

impl From<&Request> for Settings {
    fn from(request: &Request) -> Self {
        let (prompt, camera) = words_of(&request.prompt);
        let (resolution, width, height) = match request.size {
            Size::ShortSide(side) => (Some(format!("{side}p")), None, None),
            Size::Width(width) => (None, Some(width), None),
            Size::Height(height) => (None, None, Some(height)),
            Size::Exact { width, height } => (None, Some(width), Some(height)),
        };
        let (duration, num_frames) = match request.length {
            Length::Duration(duration) => (Some(duration.0), None),
            Length::Frames(frames) => (None, Some(frames.0)),
        };
        let fit = matches!(request.size, Size::Exact { .. }).then_some(match request.fit {
            Fit::Cover => "cover",
            Fit::Contain => "contain",
            Fit::Stretch => "stretch",
        });
        let [red, green, blue] = request.read.background.0;
        let file = |path: &std::path::PathBuf| path.display().to_string();
        Self {
            image: match &request.image {
                ImageSource::File(path) => file(path),
                ImageSource::Stdin => "-".to_owned(),
            },
            output: file(&request.output.path),
            format: output::format_name(request.output.format),
            prompt,
            camera,
            motion: request.prompt.intensity,
            resolution,
            width,
            height,
            fit,
            background: format!("#{red:02x}{green:02x}{blue:02x}"),
            duration,
            fps: request.fps.0,
            num_frames,
            seed: i64::try_from(request.seed).map_or_else(|_| Seed::Text(request.seed.to_string()), Seed::Number),
            count: request.count,
            steps: request.steps,
            guidance_scale: request.guidance_scale,
            model: request.model.clone(),
            device: match request.device {
                DeviceChoice::Auto => "auto".to_owned(),
                DeviceChoice::Cpu => "cpu".to_owned(),
                DeviceChoice::Metal => "metal".to_owned(),
                DeviceChoice::Cuda(index) => format!("cuda:{index}"),
            },
            eyes: request
                .eyes
                .iter()
                .map(|eye| format!("{},{},{},{}", eye.left, eye.top, eye.width, eye.height))
                .collect(),
            quality: request.output.quality,
            no_clobber: !request.output.replace,
            watermark: request.watermark.as_ref().map(|watermark| match watermark {
                Watermark::Text(text) => text.clone(),
                Watermark::Picture(path) => file(path),
            }),
            preview: request.preview.as_ref().map(|preview| file(&preview.path)),
            save_frames: request.save_frames.as_ref().map(file),
            save_latents: request.save_latents.as_ref().map(file),
            noise: request.noise.as_ref().map(file),
            allow_any_image: request.read.any_image,
        }
    }
}

/// The prompt and the camera commands; in brackets in the prompt where the words alone are too few for one.
fn words_of(prompt: &MotionPrompt) -> (String, Option<String>) {
    let commands = prompt.camera.iter().map(|command| command.name()).collect::<Vec<_>>().join(", ");
    if commands.is_empty() {
        (prompt.words.clone(), None)
    } else if prompt.words.chars().count() < *PROMPT_CHARACTERS.start() {
        (format!("{} [{commands}]", prompt.words).trim().to_owned(), None)
    } else {
        (prompt.words.clone(), Some(commands))
    }
}

impl Settings {
    /// Lines that `--config` reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are numbers, texts and lists of texts")
    }
}
