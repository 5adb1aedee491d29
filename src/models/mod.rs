//! Model families: what each has to offer, and the list of them.
//!
//! A family is one folder here and its data twin in `models/`. Families never import each other; what two of them share lives in [`crate::nn`].

pub mod inspect;
mod location;
pub mod ltx;
pub mod manifest;
pub mod sway;

pub use location::Location;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::camera::CameraCommand;
use crate::error::Result;
use crate::latents::{Constraint, Latents};
use crate::picture::{Picture, PixelBox};
use crate::units::{Clip, Grid};

/// What should move, as the user put it.
#[derive(Debug, Clone, PartialEq)]
pub struct MotionPrompt {
    /// The words, without bracketed commands.
    pub words: String,
    /// The camera commands, from brackets and options.
    pub camera: Vec<CameraCommand>,
    /// Motion intensity, 0 to 2; 1 is medium.
    pub intensity: f64,
}

/// Named tensors that condition the denoiser or the decoder; a family documents its own names.
pub type Tensors = BTreeMap<&'static str, Tensor>;

/// What the user says about the picture, so that the image encoder need not find it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PictureHints {
    /// Boxes around the open eyes in pixels of the picture, at most two, each inside it; empty means that the encoder looks for them.
    pub eyes: Vec<PixelBox>,
}

/// What the text encoder made of a prompt.
#[derive(Debug, Clone, Default)]
pub struct TextCondition {
    /// Inputs of the denoiser.
    pub tensors: Tensors,
    /// Lines for the user: what was understood and what was ignored.
    pub notes: Vec<String>,
}

/// What the image encoder made of the picture.
#[derive(Debug, Clone, Default)]
pub struct ImageCondition {
    /// Inputs of the denoiser and the decoder.
    pub tensors: Tensors,
    /// Lines for the user: for instance that no eyes were found, so that nothing blinks.
    pub notes: Vec<String>,
}

/// Everything that a clip is conditioned on.
#[derive(Debug, Clone, Default)]
pub struct Conditioning {
    /// From the picture.
    pub image: ImageCondition,
    /// From the words.
    pub text: TextCondition,
}

/// Which prediction is wanted: guidance combines several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// With the prompt.
    Prompt,
    /// Without it.
    Unconditional,
}

/// Numbers of denoising steps that can be asked for: more never makes a better clip, only a later one.
pub const STEPS: RangeInclusive<usize> = 1..=1000;
/// Scales of classifier-free guidance that can be asked for.
pub const GUIDANCE_SCALES: RangeInclusive<f64> = 0.0..=100.0;

/// What a family recommends where the user says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Denoising steps.
    pub steps: usize,
    /// Classifier-free guidance scale; 1 means none.
    pub guidance_scale: f64,
}

/// Turns the picture into what denoiser and decoder need.
pub trait ImageEncoder {
    /// `picture`: as prepared for the clip, at the clip's size. `hints` are in its pixels.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn encode(&self, picture: &Picture, hints: &PictureHints) -> Result<ImageCondition>;
}

/// Turns words into what the denoiser needs.
pub trait TextEncoder {
    /// # Errors
    /// A failed tensor operation.
    fn encode(&self, prompt: &MotionPrompt) -> Result<TextCondition>;
}

/// Predicts the velocity `noise - clean` of the whole clip at once.
pub trait Denoiser {
    /// `x`: all parts at noise level `sigma` (1 is pure noise, 0 is clean).
    ///
    /// # Errors
    /// A failed tensor operation.
    fn velocity(&self, x: &Latents, sigma: f64, conditioning: &Conditioning, branch: Branch) -> Result<Latents>;
}

/// Turns latents into frames.
pub trait Decoder {
    /// Starts a stream of frames of exactly the size and number in `clip`.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn start(
        &self,
        latents: &Latents,
        conditioning: &Conditioning,
        picture: &Picture,
        clip: &Clip,
    ) -> Result<Box<dyn DecodeState>>;

    /// The same for a quick look: `picture` and `clip` are small versions of those that the latents were made for, the clip with
    /// fewer frames a second too. As it stands this is right where latents have no size of their own; a model whose latents have one answers for
    /// itself.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn start_preview(
        &self,
        latents: &Latents,
        conditioning: &Conditioning,
        picture: &Picture,
        clip: &Clip,
    ) -> Result<Box<dyn DecodeState>> {
        self.start(latents, conditioning, picture, clip)
    }
}

/// A decode under way; its state is apart from the weights.
pub trait DecodeState {
    /// The next frame, or `None` after the last.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn next(&mut self) -> Result<Option<Picture>>;
}

/// A model family with its weights at hand: a maker of components, each built when it is used and dropped after.
pub trait Family {
    /// The name in reports and in `--model`.
    fn name(&self) -> &'static str;
    /// The family's recommended settings.
    fn defaults(&self) -> Defaults;
    /// Checks, in milliseconds and before anything is encoded, that it can do what the prompt asks for.
    ///
    /// # Errors
    /// What cannot be combined, such as camera commands that contradict each other.
    fn check_prompt(&self, prompt: &MotionPrompt) -> Result<()>;
    /// The sizes and lengths that it can make; every [`Clip`] that it gets lies on this grid.
    fn grid(&self) -> Grid;
    /// The shape of every part of the latents for this clip.
    fn latent_shapes(&self, clip: &Clip) -> BTreeMap<&'static str, Vec<usize>>;
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn image_encoder(&self) -> Result<Box<dyn ImageEncoder>>;
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn text_encoder(&self) -> Result<Box<dyn TextEncoder>>;
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn denoiser(&self) -> Result<Box<dyn Denoiser>>;
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn decoder(&self) -> Result<Box<dyn Decoder>>;
    /// Lines for the user about how picture and words fit together, such as a blink that needs eyes and finds none.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn notes(&self, conditioning: &Conditioning) -> Result<Vec<String>>;
    /// What the sampler must keep for this conditioning.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn constraints(&self, conditioning: &Conditioning, clip: &Clip) -> Result<Vec<Constraint>>;
}

/// Opens a model of a family on a device.
pub type OpenFamily = fn(&Location, &Device) -> Result<Box<dyn Family>>;

/// Every family, by the name of its model that ships with stir; the default comes first.
pub const FAMILIES: [(&str, OpenFamily); 1] = [("sway", sway::open)];

/// Says within milliseconds, before anything is read, whether `model`, a name or a path, leads to a model.
///
/// # Errors
/// An unknown name, a path that leads to no model, a manifest that cannot be used, and files that are not there.
pub fn check(model: &str) -> Result<()> {
    location::locate(model).map(drop)
}

/// Opens a model by its name or path, with all of its weights checked against its manifest.
///
/// # Errors
/// As [`check`], and weights that are damaged, or belong to another model or version.
pub fn open(model: &str, device: &Device) -> Result<Box<dyn Family>> {
    let located = location::locate(model)?;
    (located.open)(&located.location, device)
}
