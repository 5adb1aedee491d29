//! Model families: what each has to offer, and the list of them.
//!
//! A family is one folder here and its data twin in `models/`. Families never import each other; what two of them share lives in [`crate::nn`].

pub mod catalog;
pub mod inspect;
mod location;
pub mod ltx;
pub mod manifest;
pub mod memory;
mod offload;
pub mod recipe;
pub mod sway;
mod weight_source;
pub mod work;

pub use location::{Location, SYNTHETIC};
pub use memory::{Memory, OffloadedWeights, StageMemory, Tiles};
pub use offload::Offload;
pub use recipe::{DecodeSettings, Pass, Recipe, SamplingOptions};
pub use weight_source::{WeightOrigin, WeightSource};
pub use work::{TextTokens, Work};

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use crate::camera::CameraCommand;
use crate::error::Result;
use crate::latents::{Constraint, Latents, Shapes};
use crate::picture::{Picture, PixelBox};
use crate::units::{Clip, Grid};
use catalog::Role;

/// What should move, as the user put it.
#[derive(Debug, Clone, PartialEq)]
pub struct MotionPrompt {
    /// The words, without bracketed commands.
    pub words: String,
    /// The camera commands, from brackets and options.
    pub camera: Vec<CameraCommand>,
    /// Motion intensity, 0 to 2; 1 is medium.
    pub intensity: f64,
    /// What is not to be seen; `None` leaves it to the model.
    pub negative: Option<String>,
}

/// The model to run, and where and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// A name from [`FAMILIES`] or the catalogue, `synthetic:` and the name of a model with random weights, or a path.
    pub model: String,
    /// The autoencoder to use instead of the model's own: a folder or a file.
    pub vae: Option<PathBuf>,
    /// The text encoder: a folder or a file.
    pub text_encoder: Option<PathBuf>,
    /// The tokenizer: a folder or a file.
    pub tokenizer: Option<PathBuf>,
    /// The network that doubles the size of latents between two passes: a folder or a file.
    pub upsampler: Option<PathBuf>,
    /// What a model given by its path was trained for, where that cannot be seen.
    pub variant: Option<Variant>,
    /// The type that networks compute in; `None` is the one in which the device is fastest.
    pub dtype: Option<DType>,
    /// Whether frames are decoded in tiles.
    pub tiling: VaeTiling,
    /// Where the denoiser's blocks wait; `None` is on the device if they fit.
    pub offload: Option<Offload>,
}

impl ModelRequest {
    /// The model `model` with everything else left to it.
    pub fn named(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            vae: None,
            text_encoder: None,
            tokenizer: None,
            upsampler: None,
            variant: None,
            dtype: None,
            tiling: VaeTiling::Auto,
            offload: None,
        }
    }

    /// The files that need not come with the model.
    fn given(&self) -> Vec<Role> {
        let given = [(Role::TextEncoder, &self.text_encoder), (Role::Tokenizer, &self.tokenizer)];
        given.into_iter().filter(|(_, path)| path.is_some()).map(|(role, _)| role).collect()
    }
}

/// What a checkpoint was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Many steps with guidance.
    Dev,
    /// Few steps without guidance.
    Distilled,
}

/// Whether frames are decoded in tiles, which takes less memory but is not exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaeTiling {
    /// Where a decode would not fit into memory otherwise.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl VaeTiling {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Auto, Self::On, Self::Off].into_iter().find(|tiling| tiling.name() == name)
    }
}

/// The type that networks may compute in, of this name: `bf16`, `f16` or `f32`.
pub fn dtype_named(name: &str) -> Option<DType> {
    [DType::BF16, DType::F16, DType::F32].into_iter().find(|dtype| dtype.as_str() == name)
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
pub enum Branch<'a> {
    /// With the prompt.
    Prompt,
    /// Without it, or with the negative prompt.
    Unconditional,
    /// With the prompt, by a network of which these blocks are perturbed.
    Perturbed(&'a [usize]),
}

/// What one prediction is made from, besides the noisy latents.
#[derive(Debug, Clone, Copy)]
pub struct Prediction<'a> {
    /// The noise level: 1 is pure noise, 0 is clean.
    pub sigma: f64,
    /// Which prediction.
    pub branch: Branch<'a>,
    /// What the clip is conditioned on.
    pub conditioning: &'a Conditioning,
    /// What the sampler holds, and how firmly.
    pub constraints: &'a [Constraint],
    /// The clip that the latents are of.
    pub clip: &'a Clip,
}

/// What a decode is made from.
#[derive(Debug, Clone, Copy)]
pub struct DecodeInputs<'a> {
    /// The final latents.
    pub latents: &'a Latents,
    /// What they were conditioned on.
    pub conditioning: &'a Conditioning,
    /// The picture, of the clip's size; `None` only where the family's decoder makes every pixel from the latents
    /// ([`Family::decodes_onto_picture`]).
    pub picture: Option<&'a Picture>,
    /// The clip to decode to.
    pub clip: &'a Clip,
    /// How.
    pub settings: DecodeSettings,
    /// Seed of the noise that a decode may need.
    pub seed: u64,
    /// The longest side in pixels of what is decoded at once; `None` is what the decoder takes for the largest that fits.
    pub piece: Option<usize>,
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
    /// `unconditional`: whether predictions without the prompt will be asked for.
    ///
    /// # Errors
    /// Words that cannot be taken, or a failed tensor operation.
    fn encode(&self, prompt: &MotionPrompt, unconditional: bool) -> Result<TextCondition>;
}

/// Predicts the velocity `noise - clean` of the whole clip at once.
pub trait Denoiser {
    /// `x`: all parts at the prediction's noise level.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn velocity(&self, x: &Latents, prediction: &Prediction) -> Result<Latents>;
}

/// Makes the latents of one pass into those that the next one refines.
pub trait Upsampler {
    /// Clean latents to clean latents of twice the height and width.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn upsample(&self, latents: &Latents) -> Result<Latents>;
}

/// Turns latents into frames.
pub trait Decoder {
    /// Starts a stream of frames of exactly the size and number in `inputs.clip`.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn start(&self, inputs: &DecodeInputs) -> Result<Box<dyn DecodeState>>;

    /// The longest side in pixels of what [`start`](Self::start) would decode at once as memory is now, if it has to be shorter than `below`; `None`
    /// where it cannot be. As it stands frames are decoded whole.
    fn largest_piece(&self, inputs: &DecodeInputs, below: Option<usize>) -> Option<usize> {
        below.is_none().then_some(inputs.clip.width.max(inputs.clip.height))
    }

    /// The same for a quick look: `inputs.picture` and `inputs.clip` are small versions of those that the latents were made for, the clip with
    /// fewer frames a second too. As it stands this is right where latents have no size of their own; a model whose latents have one answers for
    /// itself.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn start_preview(&self, inputs: &DecodeInputs) -> Result<Box<dyn DecodeState>> {
        self.start(inputs)
    }
}

/// A decode under way; its state is apart from the weights.
pub trait DecodeState {
    /// The next frame, or `None` after the last.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn next(&mut self) -> Result<Option<Picture>>;

    /// A line for the user about how it is done, where that is not as usual.
    fn note(&self) -> Option<&str> {
        None
    }
}

/// A model family with its weights at hand: a maker of components, each built when it is used and dropped after.
pub trait Family {
    /// The name in reports and in `--model`.
    fn name(&self) -> &'static str;
    /// Where its networks run.
    fn device(&self) -> &Device;
    /// Checks that the files of its weights are what they were when it was opened. As it stands there are none.
    ///
    /// # Errors
    /// A run error that names the file.
    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
    /// How a clip is made: what was asked for, and for the rest what the model's makers recommend. `clip` lies on the model's grid.
    ///
    /// # Errors
    /// Options that the model has no use for, or that contradict each other.
    fn recipe(&self, options: &SamplingOptions, clip: &Clip) -> Result<Recipe>;
    /// The type that its denoiser computes in. As it stands that is float32.
    fn dtype(&self) -> DType {
        DType::F32
    }
    /// What tells its weights from others, in hexadecimal digits, within milliseconds; of those that a run by `recipe` uses.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    fn fingerprint(&self, recipe: &Recipe) -> Result<String>;
    /// Whether its decoder draws on the picture and what the encoder sees in it. One that does not needs nothing but latents, which are then
    /// dear: they hold the whole clip.
    fn decodes_onto_picture(&self) -> bool;
    /// Whether the model reads nothing but text, so that camera commands and intensity have to be put into words.
    fn reads_only_text(&self) -> bool;
    /// Checks, in milliseconds and before anything is encoded, that it can do what the prompt asks for.
    ///
    /// # Errors
    /// What cannot be combined, such as camera commands that contradict each other.
    fn check_prompt(&self, prompt: &MotionPrompt) -> Result<()>;
    /// Checks as early that it has a use for what the user says about the picture.
    ///
    /// # Errors
    /// What the model does not look for.
    fn check_hints(&self, hints: &PictureHints) -> Result<()>;
    /// The sizes and lengths that it can make; every [`Clip`] that it gets lies on this grid.
    fn grid(&self) -> Grid;
    /// The shape of every part of the latents for this clip.
    fn latent_shapes(&self, clip: &Clip) -> Shapes;
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn image_encoder(&self) -> Result<Box<dyn ImageEncoder>>;
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn text_encoder(&self) -> Result<Box<dyn TextEncoder>>;
    /// `offload`: where its blocks wait, if it has such.
    ///
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn denoiser(&self, offload: Offload) -> Result<Box<dyn Denoiser + '_>>;
    /// # Errors
    /// Missing, unknown or misshapen weights.
    fn decoder(&self) -> Result<Box<dyn Decoder>>;
    /// What stands between the passes of a recipe of two.
    ///
    /// # Errors
    /// Missing, unknown or misshapen weights, and a family that has no such recipe.
    fn upsampler(&self) -> Result<Box<dyn Upsampler>>;
    /// Lines for the user about how picture and words fit together, such as a blink that needs eyes and finds none.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn notes(&self, conditioning: &Conditioning) -> Result<Vec<String>>;
    /// The tokens that the text encoder makes of `prompt`, as it is given to it; without reading weights. As it stands none are counted.
    ///
    /// # Errors
    /// A tokenizer that cannot be read.
    fn text_tokens(&self, _prompt: &MotionPrompt, _unconditional: bool) -> Result<Option<TextTokens>> {
        Ok(None)
    }
    /// Operations that a clip takes, as far as they are counted; `clip` lies on the model's grid, and `text` is what [`text_tokens`](Self::text_tokens)
    /// gave. As it stands none are.
    fn work(&self, _text: Option<TextTokens>, _clip: &Clip) -> Option<Work> {
        None
    }
    /// What the stages of a run hold in memory; without reading weights. `text` is `None` where tokens are not counted.
    ///
    /// # Errors
    /// None that opening the model did not find.
    fn memory(&self, text: Option<TextTokens>, recipe: &Recipe) -> Result<Memory>;
    /// Every file whose weights a clip of `recipe` is made with, tokenizers too; what stands in for files that are not there.
    ///
    /// # Errors
    /// Files that have gone since the model was opened.
    fn weights(&self, recipe: &Recipe) -> Result<Vec<WeightSource>>;
    /// What the sampler must keep for this conditioning.
    ///
    /// # Errors
    /// A failed tensor operation.
    fn constraints(&self, conditioning: &Conditioning, clip: &Clip) -> Result<Vec<Constraint>>;
}

/// Opens a model of a family on a device.
pub type OpenFamily = fn(&Location, &ModelRequest, &Device) -> Result<Box<dyn Family>>;

/// Every family by its name.
pub const FAMILIES: [(&str, OpenFamily); 2] = [("sway", sway::open), ("ltx", ltx::open)];

/// The model that ships with stir.
pub const DEFAULT_MODEL: &str = "sway";

/// Says within milliseconds, before anything is read, whether `model`, a name or a path, leads to a model.
///
/// # Errors
/// An unknown name, a path that leads to no model, a manifest that cannot be used, and files that are not there.
pub fn check(model: &ModelRequest) -> Result<()> {
    location::locate(model).map(drop)
}

/// Opens a model by its name or path. Small weights are checked against their manifest, large ones are not read yet.
///
/// # Errors
/// As [`check`], and weights that are damaged, or belong to another model or version.
pub fn open(model: &ModelRequest, device: &Device) -> Result<Box<dyn Family>> {
    let located = location::locate(model)?;
    (located.open)(&located.location, model, device)
}
