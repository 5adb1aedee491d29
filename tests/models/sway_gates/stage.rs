//! The evaluation pictures, and clips of motion made from them: everything but the drawing of frames.

use std::path::Path;

use candle_core::Device;
use stir::camera::split_prompt;
use stir::diffusion::noise;
use stir::media::image::{ImageSource, ReadOptions};
use stir::models::sway::codec::Motion;
use stir::models::sway::decoder::camera::cover_zooms;
use stir::models::sway::motion::{ControlFrame, MotionFrame};
use stir::models::{
    Conditioning, Family, ImageCondition, ModelRequest, MotionPrompt, Offload, PictureHints, SamplingOptions,
};
use stir::picture::{Color, Picture};
use stir::pipeline::denoise::Denoising;
use stir::units::{Clip, Fps, PixelFrames};

use crate::fixture::repository;

/// Short side of the clips: gates in pixels hold at 720p.
const SHORT_SIDE: usize = 720;

/// A picture of the evaluation set, which no training has seen.
pub struct EvaluationPicture {
    /// Name of its file; `withheld` stands in those of withheld styles, `scenery` in those without a figure.
    pub name: String,
    /// As prepared for the clip.
    pub picture: Picture,
    /// The true class of every pixel of the drawing, and its size.
    pub labels: image::GrayImage,
    pub clip: Clip,
    /// What the encoder made of it.
    pub image: ImageCondition,
}

impl EvaluationPicture {
    /// The true class at a place of the clip.
    pub fn label(&self, x: f64, y: f64) -> u8 {
        let column = (x / self.clip.width as f64 * f64::from(self.labels.width())) as u32;
        let row = (y / self.clip.height as f64 * f64::from(self.labels.height())) as u32;
        self.labels.get_pixel(column.min(self.labels.width() - 1), row.min(self.labels.height() - 1)).0[0]
    }

    /// The share of the drawing that is of one of these classes.
    pub fn share(&self, classes: &[u8]) -> f64 {
        let hits = self.labels.pixels().filter(|pixel| classes.contains(&pixel.0[0])).count();
        hits as f64 / self.labels.pixels().len() as f64
    }
}

/// The family with everything that many runs share.
pub struct Stage {
    pub family: Box<dyn Family>,
    pub pictures: Vec<EvaluationPicture>,
}

impl Stage {
    /// Opens the shipped model and encodes every picture whose name passes.
    pub fn open(wanted: impl Fn(&str) -> bool) -> Self {
        let family = stir::models::open(&ModelRequest::named("sway"), &Device::Cpu).unwrap();
        let encoder = family.image_encoder().unwrap();
        let folder = repository("tests/fixtures/sway/pictures");
        let mut names: Vec<String> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".labels.png").map(str::to_owned))
            .filter(|name| wanted(name))
            .collect();
        names.sort();
        assert!(!names.is_empty(), "{} holds no wanted picture", folder.display());
        let pictures = names
            .into_iter()
            .map(|name| {
                let (picture, clip) = prepare(&folder.join(format!("{name}.png")));
                let labels = image::open(folder.join(format!("{name}.labels.png"))).unwrap().to_luma8();
                let image = encoder.encode(&picture, &PictureHints::default()).unwrap();
                EvaluationPicture { name, picture, labels, clip, image }
            })
            .collect();
        Self { family, pictures }
    }

    /// Samples the motion of one clip, as `stir generate` does.
    pub fn sample(&self, picture: &EvaluationPicture, prompt: &str, intensity: f64, seed: u64) -> SampledMotion {
        let split = split_prompt(prompt).unwrap();
        let prompt = MotionPrompt { words: split.words, camera: split.commands, intensity, negative: None };
        let text = self.family.text_encoder().unwrap().encode(&prompt, true).unwrap();
        let conditioning = Conditioning { image: picture.image.clone(), text };
        let constraints = self.family.constraints(&conditioning, &picture.clip).unwrap();
        let denoiser = self.family.denoiser(Offload::None).unwrap();
        let recipe = self.family.recipe(&SamplingOptions::default(), &picture.clip).unwrap();
        let shapes = self.family.latent_shapes(&picture.clip);
        let denoising = Denoising {
            denoiser: denoiser.as_ref(),
            pass: &recipe.passes[0],
            conditioning: &conditioning,
            constraints: &constraints,
            image_noise: recipe.image_noise,
            shapes: &shapes,
            seed,
            first_step: 0,
        };
        let latents = denoising.run(noise::initial(seed, &shapes).unwrap(), |_, _| Ok(())).unwrap();
        let frames: Vec<MotionFrame> = Motion::decode(&latents, &picture.clip).unwrap().frames().collect();
        let control: Vec<ControlFrame> = frames.iter().map(|frame| frame.control).collect();
        let covers = cover_zooms(&control, picture.clip.width, picture.clip.height);
        SampledMotion { frames, covers }
    }
}

/// The decoded motion of a clip, and the zoom that keeps its borders out of sight.
pub struct SampledMotion {
    pub frames: Vec<MotionFrame>,
    pub covers: Vec<f64>,
}

fn prepare(path: &Path) -> (Picture, Clip) {
    let options = ReadOptions { background: Color::WHITE, any_image: true };
    let original = stir::media::image::open(&ImageSource::File(path.to_owned()), &options).unwrap().picture;
    let scale = SHORT_SIDE as f64 / original.width().min(original.height()) as f64;
    let side = |side: usize| (side as f64 * scale / 2.0).round() as usize * 2;
    let (width, height) = (side(original.width()), side(original.height()));
    let clip = Clip { width, height, frames: PixelFrames(150), fps: Fps(25.0) };
    (stir::media::framing::cover(&original, width, height), clip)
}
