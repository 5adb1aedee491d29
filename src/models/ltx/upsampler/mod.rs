//! The latent upsampler: latents of one size to latents of twice the height and width, for a second pass of denoising.
//!
//! # Source
//! `LatentUpsampler` of Lightricks/LTX-Video, as of `ltxv-spatial-upscaler-0.9.8`; diffusers 0.42.1, `LTXLatentUpsamplerModel`. Tensors have the
//! same names in both.

pub mod config;
pub mod layers;

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};

use self::config::UpsamplerConfig;
use self::layers::{Block, ClipConvolution, ClipNorm};
use super::vae::statistics::Statistics;
use crate::diffusion::instance_norm::adaptive_instance_norm;
use crate::error::{Error, Result};
use crate::models::WeightSource;
use crate::nn::convolution::{FrameConvolution, FrameShape};
use crate::ops::fold::unfold;
use crate::shape;
use crate::weights::files::WeightFiles;
use crate::weights::keymap::KeyMap;
use crate::weights::store::{Placement, Scope, Store};

/// What height and width are multiplied by.
pub const SCALE: usize = 2;
/// Where a diffusers folder of several networks keeps this one.
const SUBFOLDER: &str = "latent_upsampler";

/// The network.
#[derive(Debug, Clone)]
pub struct Upsampler {
    config: UpsamplerConfig,
    input: ClipConvolution,
    norm: ClipNorm,
    before: Vec<Block>,
    /// `[1, H, W, width]` to `[1, H, W, 4 width]`.
    expand: FrameConvolution,
    after: Vec<Block>,
    output: ClipConvolution,
    placement: Placement,
}

impl Upsampler {
    /// Reads the checkpoint at `path`: a single file, diffusers' folder of the network, or the folder with `latent_upsampler` in it.
    ///
    /// # Errors
    /// Files that cannot be read, a configuration that is not implemented, and missing, misshapen or unknown tensors, by name.
    pub fn open(path: &Path, placement: &Placement) -> Result<Self> {
        let path = folder_inside(path);
        let files = WeightFiles::open(&path)?;
        Self::of(&path, &files, Store::open(&files, KeyMap::IDENTITY, placement)?)
    }

    /// Whether [`Upsampler::open`] will read the checkpoint at `path`, from its configuration and the names and shapes of its tensors: in
    /// milliseconds, so that a second pass is not refused after a long first one.
    ///
    /// # Errors
    /// As [`Upsampler::open`].
    pub fn check(path: &Path) -> Result<UpsamplerConfig> {
        let path = folder_inside(path);
        let files = WeightFiles::open(&path)?;
        Ok(Self::of(&path, &files, Store::outline(&files, KeyMap::IDENTITY)?)?.config)
    }

    /// Takes what tells the checkpoint at `path` from others into `digest`.
    ///
    /// # Errors
    /// As [`Upsampler::open`].
    pub fn fingerprint(path: &Path, digest: &mut Sha256) -> Result<()> {
        let config = Self::check(path)?;
        digest.update(format!("{config:?}"));
        WeightFiles::open(&folder_inside(path))?.fingerprint(digest);
        Ok(())
    }

    /// Where the weights at `path` come from.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn weights(path: &Path) -> Result<Vec<WeightSource>> {
        Ok(WeightSource::of("latent_upsampler", &WeightFiles::open(&folder_inside(path))?))
    }

    fn of(path: &Path, files: &WeightFiles, store: Store) -> Result<Self> {
        let config = UpsamplerConfig::of(path, files, &store)?;
        let upsampler = Self::load(&store.root(), &config)?;
        store.finish()?;
        Ok(upsampler)
    }

    /// Takes its weights.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, config: &UpsamplerConfig) -> Result<Self> {
        let UpsamplerConfig { channels, width, blocks } = *config;
        let stage = |name: &str| -> Result<Vec<Block>> {
            (0..blocks).map(|index| Block::load(&weights.at(name).at(index), width)).collect()
        };
        let expanded = FrameShape { from: width, to: SCALE * SCALE * width, depth: 1, side: 3, stride: 1 };
        Ok(Self {
            config: *config,
            input: ClipConvolution::load(&weights.at("initial_conv"), channels, width)?,
            norm: ClipNorm::load(&weights.at("initial_norm"), width)?,
            before: stage("res_blocks")?,
            expand: FrameConvolution::load_flat(&weights.at("upsampler.0"), expanded)?,
            after: stage("post_upsample_res_blocks")?,
            output: ClipConvolution::load(&weights.at("final_conv"), width, channels)?,
            placement: weights.placement().clone(),
        })
    }

    /// The sizes of the network.
    pub fn config(&self) -> &UpsamplerConfig {
        &self.config
    }

    /// The autoencoder's latents `[1, C, F, H, W]`, not normalised, to `[1, C, F, 2 H, 2 W]`, float32, on the device of `latents`.
    ///
    /// # Errors
    /// Latents of another shape, or a failed tensor operation.
    pub fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let (_, _, frames, height, width) = latents.dims5()?;
        let wanted = [1, self.config.channels, frames, height, width];
        shape::expect("latents", latents, &wanted, "use the upsampler that belongs to the model")?;
        let clip = latents.squeeze(0)?.permute((1, 2, 3, 0))?.to_device(&self.placement.device)?;
        let clip = clip.to_dtype(self.placement.dtype)?;
        let clip =
            (0..frames).map(|frame| Ok(clip.narrow(0, frame, 1)?.force_contiguous()?)).collect::<Result<Vec<_>>>()?;

        let clip = self.norm.forward(&self.input.forward(&clip)?, None, true)?;
        let clip = self.before.iter().try_fold(clip, |clip, block| block.forward(&clip))?;
        let clip = clip.iter().map(|frame| self.expanded(frame)).collect::<Result<Vec<_>>>()?;
        let clip = self.after.iter().try_fold(clip, |clip, block| block.forward(&clip))?;
        let clip = Tensor::cat(&self.output.forward(&clip)?, 0)?;

        let clip = clip.to_dtype(DType::F32)?.to_device(latents.device())?;
        Ok(clip.permute((3, 0, 1, 2))?.unsqueeze(0)?.contiguous()?)
    }

    /// A frame `[1, H, W, width]` to `[1, 2 H, 2 W, width]`.
    fn expanded(&self, frame: &Tensor) -> Result<Tensor> {
        let unfolded = unfold(&self.expand.forward(frame)?, [1, SCALE, SCALE], None)?;
        Ok(unfolded.into_iter().next().expect("a block of one frame unfolds to one"))
    }

    /// Normalised latents `[1, C, F, H, W]` to normalised latents `[1, C, F, 2 H, 2 W]`, float32, whose channels keep the mean and the
    /// deviation of those given. `share`: how far they are brought there, 1 wholly; see
    /// [`adaptive_instance_norm`](crate::diffusion::instance_norm::adaptive_instance_norm).
    ///
    /// # Errors
    /// As [`Upsampler::forward`], and latents of a single value in each channel.
    ///
    /// # Source
    /// `LTXLatentUpsamplePipeline` of diffusers 0.42.1, which compares the channels before it normalises them: the same but for rounding.
    pub fn upsample(&self, latents: &Tensor, statistics: &Statistics, share: f64) -> Result<Tensor> {
        let upsampled = statistics.normalise(&self.forward(&statistics.denormalise(latents)?)?)?;
        let matched = adaptive_instance_norm(&upsampled, latents, share)?;
        expect_finite(&matched)?;
        Ok(matched)
    }
}

/// The network's own folder where `path` is the one around it.
fn folder_inside(path: &Path) -> PathBuf {
    let inside = path.join(SUBFOLDER);
    if inside.is_dir() { inside } else { path.to_owned() }
}

fn expect_finite(latents: &Tensor) -> Result<()> {
    // NaN and infinity both survive a sum of magnitudes.
    if latents.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
        return Ok(());
    }
    let hint = "try --dtype f32 or another seed, and report it with the exact command";
    Err(Error::run("latents after the upsampler", "finite values", "NaN or infinity", hint))
}
