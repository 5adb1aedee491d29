//! LTX-Video: a diffusion transformer over all latent frames of the clip at once, on the latents of a causal video VAE.
//!
//! # Source
//! HaCohen et al., "LTX-Video: Realtime Video Latent Diffusion" (2024); the repository Lightricks/LTX-Video; diffusers 0.42.1. Tensors have
//! the names of diffusers.

pub mod block;
mod blocks;
pub mod checkpoint;
pub mod config;
pub mod config_fields;
pub mod denoiser;
pub mod frames;
pub mod image_encoder;
pub mod inspect;
pub mod keys;
pub mod memory;
mod modulation;
pub mod pieces;
pub mod prompt;
pub mod recipe;
pub mod releases;
pub mod rope;
pub mod scheduler;
pub mod synthetic;
pub mod text;
pub mod timestep;
pub mod transformer;
pub mod upsampler;
pub mod vae;
pub mod work;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};

use crate::camera;
use crate::error::{Error, Result};
use crate::latents::{Constraint, Latents, Shapes};
use crate::models::catalog::{self, Role};
use crate::models::{
    self, Conditioning, Family, Location, Memory, ModelRequest, MotionPrompt, Offload, PictureHints, Recipe,
    SamplingOptions, TextTokens, VaeTiling, Variant, WeightSource, Work,
};
use crate::ops::gemm::fastest_dtype;
use crate::units::{Clip, Grid};
use crate::weights::store::Placement;
use checkpoint::{Checkpoint, Files, VaeDecoder, VaeEncoder};
use config::TransformerConfig;
use denoiser::PART;
use image_encoder::LATENTS;
use recipe::{Rules, Subject};
use releases::Releases;
use synthetic::Sizes;
use upsampler::Upsampler;
use vae::statistics::Statistics;

/// Opens a checkpoint of the family: headers and configurations, no weights.
///
/// # Errors
/// Parts that are missing, damaged, or of another model or version.
pub fn open(location: &Location, request: &ModelRequest, device: &Device) -> Result<Box<dyn Family>> {
    Ok(Box::new(Ltx::open(location, request, device)?))
}

/// The family, with the parts of one checkpoint.
pub struct Ltx {
    checkpoint: Rc<Checkpoint>,
    rules: Rules,
    placement: Placement,
    tiling: VaeTiling,
}

impl Ltx {
    /// `device`: where the networks run.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(location: &Location, request: &ModelRequest, device: &Device) -> Result<Self> {
        let placement =
            Placement { dtype: request.dtype.unwrap_or_else(|| fastest_dtype(device)), device: device.clone() };
        let Opened { checkpoint, model, release } = opened(location, request, &placement)?;
        let releases = Releases::embedded()?;
        let subject = Subject {
            scheduler: checkpoint.scheduler(),
            layers: checkpoint.transformer_config().layers,
            timestep_conditioning: checkpoint.vae_config().timestep_conditioning,
        };
        let rules = match release.as_ref().and_then(|name| releases.release.get(name)) {
            Some(release) => {
                release.expect(&model, checkpoint.transformer_config().causal_time, &subject.scheduler.schedule)?;
                Rules::of_release(&subject, release, &releases.defaults)
            }
            None => {
                // A file that lists the levels it was distilled for says so itself.
                let own = checkpoint.allowed_levels().map_or(Variant::Dev, |_| Variant::Distilled);
                Rules::plain(&subject, request.variant.unwrap_or(own), &releases.defaults)
            }
        };
        Ok(Self { checkpoint: Rc::new(checkpoint), rules, placement, tiling: request.tiling })
    }
}

impl Ltx {
    fn upsampler_place(&self) -> Result<&Path> {
        self.checkpoint.upsampler_file().ok_or_else(|| {
            let wanted = "the latent upsampler, a network of its own";
            let hint = "name it by --latent-upsampler, or leave --two-pass out";
            Error::input("--two-pass", wanted, "none with the model", hint)
        })
    }

    /// A second pass is not to be refused after a long first one.
    fn check_upsampler(&self) -> Result<()> {
        let path = self.upsampler_place()?;
        let (wanted, found) = (self.checkpoint.transformer_config().channels, Upsampler::check(path)?.channels);
        if wanted == found {
            return Ok(());
        }
        let (thing, hint) = (path.display().to_string(), "use the upsampler that belongs to the model");
        Err(Error::input(thing, format!("an upsampler of {wanted} channels"), found.to_string(), hint))
    }
}

/// A checkpoint and what it is.
struct Opened {
    checkpoint: Checkpoint,
    /// The model's file or folder.
    model: PathBuf,
    /// The name of the release where it is known.
    release: Option<String>,
}

fn opened(location: &Location, request: &ModelRequest, placement: &Placement) -> Result<Opened> {
    if let Location::Synthetic(name) = location {
        synthetic::check(request)?;
        let sizes = Sizes::of(name)?;
        let layers = match request.offload {
            // Each is made anew whenever its turn comes.
            Some(Offload::Disk) => Offload::blocks_at_a_time(placement.device.is_cpu()) as usize,
            _ => sizes.transformer.layers,
        };
        work::check_memory(&sizes.name, &TransformerConfig { layers, ..sizes.transformer.clone() }, placement)?;
        let (model, release) = (PathBuf::from(&sizes.name), Some(sizes.release.to_owned()));
        return Ok(Opened { checkpoint: Checkpoint::synthetic(sizes)?, model, release });
    }
    let (files, release) = files(location, request)?;
    Ok(Opened { checkpoint: Checkpoint::open(&files)?, model: files.model, release })
}

/// Where the parts are, and the name of the release where it is known.
fn files(location: &Location, request: &ModelRequest) -> Result<(Files, Option<String>)> {
    let given = |model: PathBuf| Files {
        model,
        vae: request.vae.clone(),
        text_encoder: request.text_encoder.clone(),
        tokenizer: request.tokenizer.clone(),
        upsampler: request.upsampler.clone(),
    };
    match location {
        Location::Checkpoint(path) => Ok((given(path.clone()), None)),
        Location::Named(entry) => {
            if request.variant.is_some() {
                let hint = "leave --variant out: it is for models given by their path";
                return Err(Error::input("--variant", "it left out with a model's name", "a value", hint));
            }
            let local = catalog::local(entry, &request.given())?;
            let path = |role| local.path(role).map(Path::to_owned);
            let files = given(path(Role::Model).unwrap_or_default());
            let files = Files {
                text_encoder: files.text_encoder.or(path(Role::TextEncoder)),
                tokenizer: files.tokenizer.or(path(Role::Tokenizer)),
                upsampler: files.upsampler.or(path(Role::Upsampler)),
                ..files
            };
            Ok((files, entry.release.clone()))
        }
        Location::Embedded | Location::Folder { .. } | Location::Synthetic(_) => {
            let hint = "name one that `stir models` lists, or the path of a checkpoint";
            Err(Error::input("--model", "a checkpoint of LTX-Video", "a model of another family", hint))
        }
    }
}

/// The network between two passes.
struct SecondPass {
    upsampler: Upsampler,
    statistics: Statistics,
}

impl models::Upsampler for SecondPass {
    fn upsample(&self, latents: &Latents) -> Result<Latents> {
        let upsampled = self.upsampler.upsample(denoiser::part(latents)?, &self.statistics, 1.0)?;
        Ok(Latents { parts: [(PART, upsampled)].into() })
    }
}

impl Family for Ltx {
    fn name(&self) -> &'static str {
        "ltx"
    }

    fn device(&self) -> &Device {
        &self.placement.device
    }

    fn check_unchanged(&self) -> Result<()> {
        self.checkpoint.check_unchanged()
    }

    fn recipe(&self, options: &SamplingOptions, clip: &Clip) -> Result<Recipe> {
        if options.two_pass {
            self.check_upsampler()?;
        }
        self.rules.recipe(options, clip)
    }

    fn dtype(&self) -> DType {
        self.placement.dtype
    }

    fn fingerprint(&self, recipe: &Recipe) -> Result<String> {
        self.checkpoint.fingerprint(recipe.passes.len() > 1)
    }

    fn decodes_onto_picture(&self) -> bool {
        false
    }

    fn reads_only_text(&self) -> bool {
        true
    }

    fn check_prompt(&self, prompt: &MotionPrompt) -> Result<()> {
        camera::check_together(&prompt.camera)?;
        // A tokenizer is read in a moment, and one that cannot be is not to be found out later.
        self.checkpoint.tokenizer().map(drop)
    }

    fn check_hints(&self, hints: &PictureHints) -> Result<()> {
        if hints.eyes.is_empty() {
            return Ok(());
        }
        let hint = "leave --eyes out: this model looks at the whole picture";
        Err(Error::input("--eyes", "none with this model", "a box", hint))
    }

    fn grid(&self) -> Grid {
        let config = self.checkpoint.vae_config();
        Grid { side: config.spatial_ratio(), frames: config.temporal_ratio() }
    }

    fn latent_shapes(&self, clip: &Clip) -> Shapes {
        let grid = recipe::grid(clip);
        let channels = self.checkpoint.transformer_config().channels;
        [(PART, vec![1, channels, grid.frames, grid.height, grid.width])].into()
    }

    fn image_encoder(&self) -> Result<Box<dyn models::ImageEncoder>> {
        let VaeEncoder { encoder, statistics } = self.checkpoint.vae_encoder(&self.placement)?;
        Ok(Box::new(image_encoder::ImageEncoder { encoder, statistics, placement: self.placement.clone() }))
    }

    fn text_encoder(&self) -> Result<Box<dyn models::TextEncoder>> {
        Ok(Box::new(prompt::PromptEncoder {
            checkpoint: self.checkpoint.clone(),
            placement: self.placement.clone(),
            negative_prompt: self.rules.negative_prompt.clone(),
        }))
    }

    fn denoiser(&self, offload: Offload) -> Result<Box<dyn models::Denoiser + '_>> {
        let transformer = self.checkpoint.transformer(&self.placement, offload)?;
        Ok(Box::new(denoiser::Denoiser::new(transformer, self.placement.device.clone())))
    }

    fn decoder(&self) -> Result<Box<dyn models::Decoder>> {
        let VaeDecoder { decoder, statistics } = self.checkpoint.vae_decoder(&self.placement)?;
        Ok(Box::new(frames::FrameDecoder {
            decoder,
            config: self.checkpoint.vae_config().clone(),
            statistics,
            placement: self.placement.clone(),
            tiling: self.tiling,
        }))
    }

    fn upsampler(&self) -> Result<Box<dyn models::Upsampler>> {
        let statistics = self.checkpoint.vae_statistics(&Placement { dtype: DType::F32, device: Device::Cpu })?;
        Ok(Box::new(SecondPass { upsampler: Upsampler::open(self.upsampler_place()?, &self.placement)?, statistics }))
    }

    fn notes(&self, _conditioning: &Conditioning) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn text_tokens(&self, prompt: &MotionPrompt, unconditional: bool) -> Result<Option<TextTokens>> {
        let tokenizer = self.checkpoint.tokenizer()?;
        let negative = prompt.negative.as_ref().unwrap_or(&self.rules.negative_prompt);
        let count = |text: &str| -> Result<usize> { Ok(tokenizer.encode(text)?.ids.len()) };
        let negative = unconditional.then(|| count(negative)).transpose()?;
        Ok(Some(TextTokens { prompt: count(&prompt.words)?, negative }))
    }

    fn work(&self, text: Option<TextTokens>, clip: &Clip) -> Option<Work> {
        Some(work::of(&self.checkpoint, text?, clip))
    }

    fn memory(&self, text: Option<TextTokens>, recipe: &Recipe) -> Result<Memory> {
        let clips: Vec<Clip> = recipe.passes.iter().map(|pass| pass.clip).collect();
        let given = memory::Given { checkpoint: &self.checkpoint, placement: &self.placement, tiling: self.tiling };
        given.memory(text, &clips)
    }

    fn weights(&self, recipe: &Recipe) -> Result<Vec<WeightSource>> {
        let mut sources = self.checkpoint.weights();
        if recipe.passes.len() > 1 {
            sources.extend(Upsampler::weights(self.upsampler_place()?)?);
        }
        Ok(sources)
    }

    /// The picture is the first latent frame.
    fn constraints(&self, conditioning: &Conditioning, clip: &Clip) -> Result<Vec<Constraint>> {
        let first = conditioning.image.tensors.get(LATENTS).ok_or_else(|| {
            let hint = "report it with the exact command";
            Error::run("image condition", format!("a tensor `{LATENTS}`"), "none", hint)
        })?;
        let frames = recipe::grid(clip).frames;
        let value = first.pad_with_zeros(2, 0, frames - 1)?;
        let mask = Tensor::ones(first.shape(), DType::F32, first.device())?.pad_with_zeros(2, 0, frames - 1)?;
        Ok(vec![Constraint { part: PART, mask, value }])
    }
}
