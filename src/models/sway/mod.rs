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
pub mod motion;
mod named;
pub mod parts;
mod plane;
pub mod text;
pub mod weights;

use std::collections::BTreeMap;

use candle_core::Device;

use crate::error::Result;
use crate::latents::Constraint;
use crate::models::{self, Conditioning, Defaults, Family, Location, MotionPrompt};
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
pub fn open(location: &Location, device: &Device) -> Result<Box<dyn Family>> {
    Ok(Box::new(Sway::open(location, device)?))
}

/// The family, with its networks on one device.
pub struct Sway {
    weights: Weights,
    device: Device,
}

impl Sway {
    /// `device`: where the networks run; frames are always drawn on the CPU.
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

    fn defaults(&self) -> Defaults {
        self.weights.defaults()
    }

    fn check_prompt(&self, prompt: &MotionPrompt) -> Result<()> {
        text::MotionLexicon::new()?.interpret(prompt).map(drop)
    }

    fn grid(&self) -> Grid {
        Grid { side: 1, frames: 1 }
    }

    fn latent_shapes(&self, _clip: &Clip) -> BTreeMap<&'static str, Vec<usize>> {
        [("latents", vec![1, LATENT_CHANNELS, KEYS, GRID, GRID]), ("control", vec![1, KEYS, CONTROL_CHANNELS])].into()
    }

    fn image_encoder(&self) -> Result<Box<dyn models::ImageEncoder>> {
        Ok(Box::new(image_encoder::ImageEncoder::new(self.weights.encoder(&self.device)?, self.device.clone())))
    }

    fn text_encoder(&self) -> Result<Box<dyn models::TextEncoder>> {
        Ok(Box::new(text::MotionLexicon::new()?))
    }

    fn denoiser(&self) -> Result<Box<dyn models::Denoiser>> {
        Ok(Box::new(self.weights.denoiser(&self.device)?))
    }

    fn decoder(&self) -> Result<Box<dyn models::Decoder>> {
        Ok(Box::new(frames::MotionDecoder))
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

    fn constraints(&self, conditioning: &Conditioning, _clip: &Clip) -> Result<Vec<Constraint>> {
        constraints::constraints(conditioning)
    }
}
