//! A whole model on disk: what it consists of, and its networks when they are needed.
//!
//! Three layouts are known: the folders of diffusers; Lightricks' single files, which hold transformer and autoencoder; and GGUF files, which
//! hold the transformer. Opening reads headers and configurations only, and refuses whatever would not load.

mod metadata;
pub(super) mod model;
pub(super) mod part;
pub(super) mod places;
mod shapes;
pub(super) mod weight_bytes;

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};

use self::model::Model;
use self::part::Part;
use super::config::TransformerConfig;
use super::scheduler::{self, Scheduler};
use super::synthetic::{self, Sizes};
use super::text::config::Config as TextConfig;
use super::text::t5::{self, Residency};
use super::text::tokenizer::{self, Tokenizer, Tokens};
use super::transformer::Transformer;
use super::upsampler::Upsampler;
use super::vae;
use super::vae::statistics::Statistics;
use crate::backend::carriers::{self, Kept};
use crate::error::{Error, Result};
use crate::models::{Offload, WeightSource};
use crate::weights::digest::hexadecimal;
use crate::weights::files::WeightFiles;
use crate::weights::fingerprint;
use crate::weights::keymap::KeyMap;
use crate::weights::store::{Placement, Store};

/// Where the parts of a model are; `None` where they are to be found with `model`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// A folder of diffusers, a single file, a GGUF file, or a folder with one of these files.
    pub model: PathBuf,
    /// A folder of diffusers, its folder `vae`, a single file, or a file of the autoencoder.
    pub vae: Option<PathBuf>,
    /// A folder of diffusers, its folder `text_encoder`, or a safetensors or GGUF file of T5 v1.1 XXL.
    pub text_encoder: Option<PathBuf>,
    /// A folder of diffusers, its folder `tokenizer`, `spiece.model` or `tokenizer.json`.
    pub tokenizer: Option<PathBuf>,
    /// The latent upsampler's file or folder.
    pub upsampler: Option<PathBuf>,
}

/// The encoder of the autoencoder, and what its latents are normalised with.
pub struct VaeEncoder {
    /// Pixels to latents.
    pub encoder: vae::encoder::Encoder,
    /// Between its latents and those of the transformer.
    pub statistics: Statistics,
}

/// The decoder of the autoencoder, and what its latents are denormalised with.
pub struct VaeDecoder {
    /// Latents to pixels.
    pub decoder: vae::decoder::Decoder,
    /// Between the latents of the transformer and its own.
    pub statistics: Statistics,
}

/// A model whose parts are all there and fit each other.
#[derive(Debug)]
pub struct Checkpoint {
    transformer: Part<TransformerConfig>,
    vae: Part<vae::config::Config>,
    text_encoder: Part<TextConfig>,
    scheduler: Scheduler,
    allowed_levels: Option<Vec<f64>>,
    /// None where the weights are made up.
    tokenizer: Option<PathBuf>,
    upsampler: Option<PathBuf>,
}

/// Texts to tokens.
pub enum TextTokenizer {
    /// As the model was trained with.
    Own(Box<Tokenizer>),
    /// Always these.
    Fixed(Tokens),
}

impl TextTokenizer {
    /// The tokens of a text.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take.
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        match self {
            Self::Own(tokenizer) => tokenizer.encode(text),
            Self::Fixed(tokens) => Ok(tokens.clone()),
        }
    }
}

impl Checkpoint {
    /// Finds the parts of a model and checks that they load, without reading weights (milliseconds).
    ///
    /// # Errors
    /// A part that is not there, a field with a value that is not implemented, a tensor that is unknown, missing, misshapen or of a type that
    /// is not read, and parts that do not fit each other: by name.
    pub fn open(files: &Files) -> Result<Self> {
        let Model { transformer, vae, scheduler, allowed_levels } = Model::open(&files.model, files.vae.as_deref())?;
        let text_encoder = places::text_encoder(files)?;
        let checkpoint = Self {
            tokenizer: Some(places::tokenizer(files, &text_encoder)?),
            upsampler: places::upsampler(files)?,
            text_encoder: Part::text_encoder(&text_encoder)?,
            transformer,
            vae,
            scheduler,
            allowed_levels,
        };
        checkpoint.check()?;
        Ok(checkpoint)
    }

    /// A model of these sizes without files: its weights are made up when they are read.
    ///
    /// # Errors
    /// None that a known size could cause.
    pub fn synthetic(sizes: Sizes) -> Result<Self> {
        Ok(Self {
            scheduler: scheduler::from_single_file(&sizes.name, model::LINEAR_QUADRATIC)?,
            transformer: Part::synthetic(&sizes.name, "transformer", sizes.transformer),
            vae: Part::synthetic(&sizes.name, "vae", sizes.vae),
            text_encoder: Part::synthetic(&sizes.name, "text_encoder", sizes.text),
            allowed_levels: None,
            tokenizer: None,
            upsampler: None,
        })
    }

    /// What tells its parts from others, in hexadecimal digits, without reading all of them: see [`crate::weights::fingerprint`]. `upsampler`:
    /// whether the latent upsampler is one of them.
    ///
    /// # Errors
    /// A part that cannot be read any more.
    pub fn fingerprint(&self, upsampler: bool) -> Result<String> {
        let mut digest = Sha256::new();
        let Self { transformer, vae, text_encoder, .. } = self;
        digest.update(format!("{:?} {:?} {:?}", transformer.config, vae.config, text_encoder.config));
        [&transformer.files, &vae.files, &text_encoder.files]
            .into_iter()
            .for_each(|files| files.fingerprint(&mut digest));
        if let Some(path) = &self.tokenizer {
            let file = Tokenizer::file(path);
            let bytes = std::fs::read(&file)
                .map_err(|error| Error::io("reading", &file, error, "fetch the `tokenizer` folder of the model"))?;
            fingerprint::update(&mut digest, "tokenizer", &bytes);
        }
        if let Some(path) = self.upsampler.as_ref().filter(|_| upsampler) {
            Upsampler::fingerprint(path, &mut digest)?;
        }
        Ok(hexadecimal(&digest.finalize()))
    }

    /// Checks that the files of its networks are what they were when they were opened.
    ///
    /// # Errors
    /// A run error that names the file.
    pub fn check_unchanged(&self) -> Result<()> {
        let Self { transformer, vae, text_encoder, .. } = self;
        [&transformer.files, &vae.files, &text_encoder.files].into_iter().try_for_each(|files| files.check_unchanged())
    }

    /// Whether its weights are made up.
    pub fn is_synthetic(&self) -> bool {
        self.tokenizer.is_none()
    }

    /// Where the weights of all parts come from, and the tokenizer.
    pub fn weights(&self) -> Vec<WeightSource> {
        let parts = [
            WeightSource::of("transformer", &self.transformer.files),
            WeightSource::of("vae", &self.vae.files),
            WeightSource::of("text_encoder", &self.text_encoder.files),
        ];
        let tokenizer = self.tokenizer.iter().map(|path| WeightSource::file("tokenizer", &tokenizer::file_at(path)));
        parts.into_iter().flatten().chain(tokenizer).collect()
    }

    /// The sizes of the text encoder.
    pub fn text_config(&self) -> &TextConfig {
        &self.text_encoder.config
    }

    /// The sizes of the transformer.
    pub fn transformer_config(&self) -> &TransformerConfig {
        &self.transformer.config
    }

    /// What the autoencoder is made of.
    pub fn vae_config(&self) -> &vae::config::Config {
        &self.vae.config
    }

    /// The noise levels that the model was made for: as its configuration says, or, where it says nothing, as the releases with the same
    /// autoencoder.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The noise levels, above 0 and at most 1, that a distilled model was made for and that its file lists; `None` where none are listed.
    pub fn allowed_levels(&self) -> Option<&[f64]> {
        self.allowed_levels.as_deref()
    }

    /// Where the latent upsampler is, if there is one; nothing of it is checked.
    pub fn upsampler_file(&self) -> Option<&Path> {
        self.upsampler.as_deref()
    }

    /// Reads the transformer; what is offloaded of it, whenever it is computed with.
    ///
    /// # Errors
    /// A failed tensor operation: weights were checked when the model was opened.
    pub fn transformer(&self, placement: &Placement, offload: Offload) -> Result<Transformer<'_>> {
        let Part { config, .. } = &self.transformer;
        let store = self.transformer.store(placement)?;
        let kept = match offload {
            Offload::Cpu if !placement.device.is_cpu() => Kept::InPinnedMemory,
            Offload::Disk => Kept::WhereTheyAre,
            // The CPU's memory is where its weights are anyway.
            Offload::None | Offload::Cpu => return Transformer::load(&store.root(), config),
        };
        Transformer::streamed(store, config, carriers::to(&placement.device, kept)?)
    }

    /// Reads the encoder of the autoencoder; the decoder's weights stay on disk.
    ///
    /// # Errors
    /// As [`Checkpoint::transformer`].
    pub fn vae_encoder(&self, placement: &Placement) -> Result<VaeEncoder> {
        let store = self.vae.store(placement)?;
        let encoder = vae::encoder::Encoder::load(&store.root().at("encoder"), &self.vae.config)?;
        Ok(VaeEncoder { encoder, statistics: self.vae.statistics(&store)? })
    }

    /// Reads the decoder of the autoencoder; the encoder's weights stay on disk.
    ///
    /// # Errors
    /// As [`Checkpoint::transformer`].
    pub fn vae_decoder(&self, placement: &Placement) -> Result<VaeDecoder> {
        let store = self.vae.store(placement)?;
        let decoder = vae::decoder::Decoder::load(&store.root().at("decoder"), &self.vae.config)?;
        Ok(VaeDecoder { decoder, statistics: self.vae.statistics(&store)? })
    }

    /// What latents are normalised and denormalised with, alone.
    ///
    /// # Errors
    /// As [`Checkpoint::transformer`].
    pub fn vae_statistics(&self, placement: &Placement) -> Result<Statistics> {
        self.vae.statistics(&self.vae.store(placement)?)
    }

    /// Reads the tokenizer, or stands in for the one that a made-up model lacks.
    ///
    /// # Errors
    /// A file that is no tokenizer of T5.
    pub fn tokenizer(&self) -> Result<TextTokenizer> {
        match &self.tokenizer {
            Some(path) => Ok(TextTokenizer::Own(Box::new(Tokenizer::open(path)?))),
            None => Ok(TextTokenizer::Fixed(synthetic::tokens(&self.text_encoder.config))),
        }
    }

    /// Reads the text encoder layer by layer, runs it once over the tokens of all texts, and frees it: `[L]` to `[1, L, D]` each. A placement
    /// in float16, in which T5 overflows, means float32 on the CPU and bfloat16 elsewhere.
    ///
    /// # Errors
    /// A text without tokens, a token that the encoder does not have, or a failed tensor operation.
    pub fn encode_text(&self, placement: &Placement, texts: &[&[u32]]) -> Result<Vec<Tensor>> {
        let dtype = text_dtype(placement);
        let store = self.text_encoder.store(&Placement { dtype, device: placement.device.clone() })?;
        let encoder = t5::Encoder::load(&store, self.text_encoder.config, Residency::Layer)?;
        encoder.forward(texts)?.into_iter().map(|text| Ok(text.unsqueeze(0)?)).collect()
    }

    /// Loads the text encoder in outline: the rest was checked when it was opened.
    fn check(&self) -> Result<()> {
        self.text_encoder.check()?;
        fits(
            &format!("text encoder {}", self.text_encoder.name()),
            "channels, as the transformer reads",
            [self.text_encoder.config.width, self.transformer.config.caption_channels],
            "give T5 v1.1 XXL with --text-encoder",
        )
    }
}

/// The type that the text encoder computes in.
fn text_dtype(placement: &Placement) -> DType {
    match placement.dtype {
        DType::F16 if placement.device.is_cpu() => DType::F32,
        DType::F16 => DType::BF16,
        other => other,
    }
}

/// `[found, wanted]` are the same.
fn fits(thing: &str, what: &str, [found, wanted]: [usize; 2], hint: &str) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::input(thing, format!("{wanted} {what}"), found.to_string(), hint))
}
