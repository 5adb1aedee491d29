//! `sway`: the small model that ships with stir. It diffuses motion; its decoder re-samples the user's own picture.

pub mod camera_path;
pub mod class_map;
pub mod codec;
pub mod constraints;
pub mod curve;
pub mod decoder;
pub mod denoiser;
pub mod encoder;
mod eyes;
pub mod features;
pub mod frames;
pub mod given_eyes;
pub mod image_encoder;
pub mod keys;
mod memory;
pub mod motion;
mod named;
pub mod parts;
mod plane;
pub mod text;
pub mod weights;
mod work;

use candle_core::{DType, Device};

use crate::diffusion::schedule;
use crate::error::{Error, Result};
use crate::latents::{Constraint, Shapes};
use crate::models::{
    self, Conditioning, Defaults, Family, Location, Memory, ModelRequest, MotionPrompt, Offload, PictureHints, Recipe,
    SamplingOptions, TextTokens, VaeTiling, WeightSource, Work,
};
use crate::units::{Clip, Grid};
use class_map::class;
use text::channel;
use weights::Weights;

/// Latent frames of a clip, whatever its length: the keys of its splines.
pub const KEYS: usize = 25;
/// Rows and columns of the spatial latents and of the picture's features.
pub const GRID: usize = motion::GRID;
/// Cells of the grid.
pub const CELLS: usize = GRID * GRID;
/// Spatial latents of a cell: hair x, hair y, cloth x, cloth y.
pub const LATENT_CHANNELS: usize = 4;
/// Control values of a latent frame.
pub const CONTROL_CHANNELS: usize = 26;
/// Features of a cell of the picture.
pub const FEATURE_CHANNELS: usize = 16;
/// Entries of a plan.
pub const PLAN_CHANNELS: usize = text::CHANNELS;

/// Tensor of the image condition: `[1, 6, 6, 16]`, float32, see [`features`].
pub const FEATURES: &str = "features";
/// The entries of a plan that ask for motion of a face: blinks, breath, and motion of the head.
const FACE_ENTRIES: [usize; 7] = [
    channel::BLINK_LEFT,
    channel::BLINK_RIGHT,
    channel::BREATH,
    channel::HEAD_SWAY,
    channel::HEAD_NOD,
    channel::HEAD_TILT,
    channel::HEAD_TURN,
];

/// Hair or cloth that covers less of the picture has moved less than asked in training, down to not at all: `FULL_SHARE` in `scripts/sway/motion.py`.
const FULL_SHARE: f32 = 0.006;

/// Opens a `sway` model.
///
/// # Errors
/// As [`Sway::open`].
pub fn open(location: &Location, request: &ModelRequest, device: &Device) -> Result<Box<dyn Family>> {
    let options = [
        ("--vae", request.vae.is_some()),
        ("--text-encoder", request.text_encoder.is_some()),
        ("--tokenizer", request.tokenizer.is_some()),
        ("--latent-upsampler", request.upsampler.is_some()),
        ("--variant", request.variant.is_some()),
        ("--dtype", request.dtype.is_some_and(|dtype| dtype != DType::F32)),
        ("--vae-tiling", request.tiling != VaeTiling::Auto),
        ("--offload", request.offload.is_some_and(|offload| offload != Offload::None)),
    ];
    if let Some((option, _)) = options.into_iter().find(|(_, given)| *given) {
        let hint = format!("leave {option} out, or choose another model by --model");
        return Err(Error::input(
            option,
            "it left out: sway has no such part and computes in float32",
            "a value",
            hint,
        ));
    }
    Ok(Box::new(Sway::open(location, device)?))
}

/// The family, with its networks on one device.
pub struct Sway {
    weights: Weights,
    device: Device,
}

impl Sway {
    /// `device`: where the networks run. Frames are drawn there too if it is a CUDA GPU, and by the CPU otherwise.
    ///
    /// # Errors
    /// Weights that are damaged, or belong to another model or version.
    pub fn open(location: &Location, device: &Device) -> Result<Self> {
        let weights = Weights::open(location)?;
        // What does not fit is refused now, not when its turn comes. So small, both are built within milliseconds.
        weights.encoder(&Device::Cpu)?;
        weights.denoiser(&Device::Cpu)?;
        Ok(Self { weights, device: device.clone() })
    }
}

impl Family for Sway {
    fn name(&self) -> &'static str {
        "sway"
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn check_unchanged(&self) -> Result<()> {
        self.weights.check_unchanged()
    }

    fn recipe(&self, options: &SamplingOptions, clip: &Clip) -> Result<Recipe> {
        options.expect_only("sway", &["--steps", "--guidance-scale"])?;
        let Defaults { steps, guidance_scale } = self.weights.defaults();
        let sigmas = schedule::linear(options.steps.unwrap_or(steps));
        Ok(Recipe::plain(clip, sigmas, options.guidance_scale.unwrap_or(guidance_scale)))
    }

    fn fingerprint(&self, _recipe: &Recipe) -> Result<String> {
        Ok(self.weights.fingerprint())
    }

    fn decodes_onto_picture(&self) -> bool {
        true
    }

    fn reads_only_text(&self) -> bool {
        false
    }

    fn check_prompt(&self, prompt: &MotionPrompt) -> Result<()> {
        if prompt.negative.is_some() {
            let hint = "say it in the prompt: \"no wind\", \"hair still\"";
            return Err(Error::input("--negative-prompt", "none: sway keeps still what is not named", "one", hint));
        }
        text::MotionLexicon::new()?.interpret(prompt).map(drop)
    }

    fn check_hints(&self, _hints: &PictureHints) -> Result<()> {
        Ok(())
    }

    fn grid(&self) -> Grid {
        Grid { side: 1, frames: 1 }
    }

    fn latent_shapes(&self, _clip: &Clip) -> Shapes {
        [("latents", vec![1, LATENT_CHANNELS, KEYS, GRID, GRID]), ("control", vec![1, KEYS, CONTROL_CHANNELS])].into()
    }

    fn image_encoder(&self) -> Result<Box<dyn models::ImageEncoder>> {
        Ok(Box::new(image_encoder::ImageEncoder::new(self.weights.encoder(&self.device)?, self.device.clone())))
    }

    fn text_encoder(&self) -> Result<Box<dyn models::TextEncoder>> {
        Ok(Box::new(text::MotionLexicon::new()?))
    }

    fn denoiser(&self, _offload: Offload) -> Result<Box<dyn models::Denoiser + '_>> {
        Ok(Box::new(self.weights.denoiser(&self.device)?))
    }

    fn decoder(&self) -> Result<Box<dyn models::Decoder>> {
        Ok(Box::new(frames::MotionDecoder { device: self.device.clone() }))
    }

    fn upsampler(&self) -> Result<Box<dyn models::Upsampler>> {
        let hint = "leave --two-pass out, or choose another model";
        Err(Error::input("--two-pass", "a model with latents to enlarge", "sway", hint))
    }

    /// What was found in the picture, where the words ask for it to move.
    fn notes(&self, conditioning: &Conditioning) -> Result<Vec<String>> {
        let plan = named::named(&conditioning.text.tensors, text::names::PLAN)?.flatten_all()?.to_vec1::<f32>()?;
        let shares =
            named::named(&conditioning.image.tensors, FEATURES)?.mean((1, 2))?.flatten_all()?.to_vec1::<f32>()?;
        let asks_face = FACE_ENTRIES.iter().any(|&entry| plan[entry] != 0.0);
        let mut notes = if asks_face { conditioning.image.notes.clone() } else { Vec::new() };
        for (entry, class, name) in [(channel::HAIR, class::HAIR, "hair"), (channel::CLOTH, class::CLOTH, "cloth")] {
            if plan[entry] != 0.0 && shares[class] < FULL_SHARE {
                notes.push(format!("hardly any {name} found: it moves little or not at all"));
            }
        }
        Ok(notes)
    }

    fn work(&self, _text: Option<TextTokens>, clip: &Clip) -> Option<Work> {
        Some(work::of(clip))
    }

    fn memory(&self, _text: Option<TextTokens>, recipe: &Recipe) -> Result<Memory> {
        Ok(memory::memory(&self.weights, recipe))
    }

    fn weights(&self, _recipe: &Recipe) -> Result<Vec<WeightSource>> {
        Ok(self.weights.sources())
    }

    fn constraints(&self, conditioning: &Conditioning, _clip: &Clip) -> Result<Vec<Constraint>> {
        constraints::constraints(conditioning)
    }
}
