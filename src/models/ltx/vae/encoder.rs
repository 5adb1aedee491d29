//! Pixels to latents.

use candle_core::{DType, Tensor};

use super::config::{COLOURS, Config, Downsampling};
use super::convolution::{Convolution, Shape, Sight};
use super::norm::Modulation;
use super::resample::{Downsampler, fold_patches};
use super::residual::{Residual, ResidualBlock, ResidualShape};
use crate::error::{Error, Result};
use crate::weights::store::Scope;

/// Beyond these the exponential of a logarithm of a variance says nothing more.
const LOG_VARIANCES: [f64; 2] = [-30.0, 20.0];

/// A normal distribution over latents.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// `[1, C, F, H, W]`, float32: the latents to use where nothing is to be random.
    pub mean: Tensor,
    /// `[1, 1, F, H, W]`, float32: shared by the channels.
    pub log_variance: Tensor,
}

impl Posterior {
    /// A draw from it, `[1, C, F, H, W]`, with the standard normal `noise` of that shape.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor> {
        let deviation = (&self.log_variance * 0.5)?.exp()?;
        Ok((&self.mean + noise.broadcast_mul(&deviation)?)?)
    }
}

/// The encoder's network.
#[derive(Debug, Clone)]
pub struct Encoder {
    input: Convolution,
    stages: Vec<Stage>,
    middle: Vec<Residual>,
    output: Convolution,
    patch: usize,
    temporal_ratio: usize,
    spatial_ratio: usize,
}

#[derive(Debug, Clone)]
struct Stage {
    blocks: Vec<Residual>,
    downsampling: Option<Down>,
    /// Changes the channels.
    change: Option<Residual>,
}

#[derive(Debug, Clone)]
enum Down {
    Strided(Convolution),
    Folded(Downsampler),
}

impl Encoder {
    /// Takes its weights, which a checkpoint names below `encoder`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, config: &Config) -> Result<Self> {
        let sight = Sight::from_causal(config.encoder_causal);
        let residual = |weights: &Scope, from: usize, to: usize| {
            let norm_epsilon = config.norm_epsilon;
            let shape = ResidualShape { from, to, sight, modulated: false, noisy: false, norm_epsilon };
            ResidualBlock::load(weights, shape)?.prepare(None, &[])
        };
        let residuals = |weights: &Scope, channels: usize, count: usize| -> Result<Vec<Residual>> {
            (0..count).map(|index| residual(&weights.at("resnets").at(index), channels, channels)).collect()
        };
        let convolution = |weights: Scope, from: usize, to: usize, stride: usize| {
            Convolution::load(&weights.at("conv"), Shape { from, to, stride, sight })
        };
        let mut stages = Vec::new();
        for (index, stage) in config.down.iter().enumerate() {
            let weights = weights.at("down_blocks").at(index);
            let sampler = weights.at("downsamplers").at(0);
            let downsampling = match stage.downsampling {
                Downsampling::None => None,
                Downsampling::Strided => {
                    // Unlike the others it is a bare convolution, with one `conv` less in its names.
                    let shape = Shape { from: stage.from, to: stage.from, stride: 2, sight };
                    Some(Down::Strided(Convolution::load(&sampler.at("conv"), shape)?))
                }
                Downsampling::Folded(stride) => {
                    Some(Down::Folded(Downsampler::load(&sampler, stage.from, stage.to, (stride, sight))?))
                }
            };
            let changes = stage.from != stage.to && !matches!(stage.downsampling, Downsampling::Folded(_));
            let change = changes.then(|| residual(&weights.at("conv_out"), stage.from, stage.to)).transpose()?;
            stages.push(Stage { blocks: residuals(&weights, stage.from, stage.layers)?, downsampling, change });
        }
        let width = config.encoder_width();
        Ok(Self {
            input: convolution(weights.at("conv_in"), config.folded_channels(), config.down[0].from, 1)?,
            stages,
            middle: residuals(&weights.at("mid_block"), width, config.encoder_middle)?,
            output: convolution(weights.at("conv_out"), width, config.latent_channels + 1, 1)?,
            patch: config.patch,
            temporal_ratio: config.temporal_ratio(),
            spatial_ratio: config.spatial_ratio(),
        })
    }

    /// `pixels: [1, 3, T, H, W]`, -1 to 1, with `T` one more than a multiple of 8 and sides that are multiples of 32, in the weights' type, to a
    /// posterior with `F = (T - 1) / 8 + 1` latent frames of `H / 32` by `W / 32`.
    ///
    /// # Errors
    /// Another shape, or a failed tensor operation.
    pub fn encode(&self, pixels: &Tensor) -> Result<Posterior> {
        let (space, time) = (self.spatial_ratio, self.temporal_ratio);
        match pixels.dims() {
            &[1, COLOURS, t, h, w] if t % time == 1 % time && h % space == 0 && w % space == 0 && h * w > 0 => {}
            found => {
                return Err(Error::input(
                    "pixels to encode",
                    format!("[1, 3, T, H, W], T one more than a multiple of {time}, H and W multiples of {space}"),
                    format!("{found:?}"),
                    "pad the clip or choose another size",
                ));
            }
        }
        let frames = pixels.squeeze(0)?.transpose(0, 1)?.contiguous()?;
        let mut frames = self.input.forward(&fold_patches(&frames, self.patch)?)?;
        for stage in &self.stages {
            frames = stage.forward(frames)?;
        }
        frames = self.middle.iter().try_fold(frames, |frames, block| block.forward(&frames))?;
        let activated = frames.iter().map(|x| Modulation::activate(None, x)).collect::<Result<Vec<_>>>()?;
        let x = Tensor::cat(&self.output.forward(&activated)?, 0)?;
        let x = x.to_dtype(DType::F32)?.permute((3, 0, 1, 2))?.unsqueeze(0)?.contiguous()?;
        let channels = x.dim(1)? - 1;
        let [least, most] = LOG_VARIANCES;
        Ok(Posterior {
            mean: x.narrow(1, 0, channels)?.contiguous()?,
            log_variance: x.narrow(1, channels, 1)?.contiguous()?.clamp(least, most)?,
        })
    }
}

impl Stage {
    /// A whole clip: frames `[1, H, W, from]` to what the stage makes of them.
    fn forward(&self, frames: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let frames = self.blocks.iter().try_fold(frames, |frames, block| block.forward(&frames))?;
        let frames = match &self.downsampling {
            None => frames,
            Some(Down::Strided(convolution)) => convolution.forward(&frames)?,
            Some(Down::Folded(downsampler)) => downsampler.forward(&frames)?,
        };
        self.change.iter().try_fold(frames, |frames, block| block.forward(&frames))
    }
}
