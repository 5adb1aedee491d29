//! Latents to pixels.

use candle_core::{DType, IndexOp, Tensor};

use super::config::{Config, UpStage};
use super::convolution::{Convolution, Shape, Sight, Window};
use super::norm::Modulation;
use super::resample::{Upsampler, unfold_patches};
use super::residual::{Residual, ResidualBlock, ResidualShape};
use super::stream::{LatentFrames, Stream};
use crate::diffusion::noise::{self, Purpose};
use crate::error::{Error, Result};
use crate::nn::timestep::TimestepEmbedder;
use crate::ops::conv3d::ClipEpilogue;
use crate::weights::store::Scope;

/// Height and width of a latent frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatentSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl LatentSize {
    /// Of `[1, C, F, H, W]`.
    ///
    /// # Errors
    /// A tensor that has not five axes.
    pub fn of(latents: &Tensor) -> Result<Self> {
        let (_, _, _, height, width) = latents.dims5()?;
        Ok(Self { height, width })
    }

    /// What it is after upsampling.
    pub fn times(self, scale: usize) -> Self {
        Self { height: scale * self.height, width: scale * self.width }
    }

    /// Places in a frame.
    pub fn area(self) -> usize {
        self.height * self.width
    }
}

/// The decoder's network.
#[derive(Debug, Clone)]
pub struct Decoder {
    input: Convolution,
    /// The middle, which does not upsample, and the stages after it.
    stages: Vec<Stage>,
    conditioning: Option<Conditioning>,
    output: Convolution,
    latent_channels: usize,
    patch: usize,
}

#[derive(Debug, Clone)]
struct Stage {
    embedder: Option<TimestepEmbedder>,
    /// Changes the channels.
    change: Option<ResidualBlock>,
    upsampler: Option<Upsampler>,
    blocks: Vec<ResidualBlock>,
}

/// What a timestep does outside the stages.
#[derive(Debug, Clone)]
struct Conditioning {
    /// What every timestep is multiplied by first.
    multiplier: f32,
    embedder: TimestepEmbedder,
    /// Shift and scale of the last norm, `[2, C]`.
    table: Tensor,
}

impl Decoder {
    /// Takes its weights, which a checkpoint names below `decoder`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, config: &Config) -> Result<Self> {
        let sight = Sight::from_causal(config.decoder_causal);
        let convolution = |name: &str, from: usize, to: usize| {
            Convolution::load(&weights.at(name).at("conv"), Shape { from, to, stride: 1, sight })
        };
        let mut stages = vec![Stage::load(&weights.at("mid_block"), config.decoder_middle, config)?];
        for (index, stage) in config.up.iter().enumerate() {
            stages.push(Stage::load(&weights.at("up_blocks").at(index), *stage, config)?);
        }
        let width = config.decoder_width();
        let conditioning = || -> Result<_> {
            Ok(Conditioning {
                multiplier: weights.take("timestep_scale_multiplier", &[])?.to_dtype(DType::F32)?.to_scalar()?,
                embedder: TimestepEmbedder::load(&weights.at("time_embedder"), 2 * width)?,
                table: weights.take("scale_shift_table", &[2, width])?,
            })
        };
        Ok(Self {
            input: convolution("conv_in", config.latent_channels, config.decoder_middle.from)?,
            stages,
            conditioning: config.timestep_conditioning.then(conditioning).transpose()?,
            output: convolution("conv_out", width, config.folded_channels())?,
            latent_channels: config.latent_channels,
            patch: config.patch,
        })
    }

    /// The sizes of the maps of noise that a decode adds, in the order of computation.
    pub fn noise_sizes(&self, size: LatentSize) -> Vec<LatentSize> {
        let mut sizes = Vec::new();
        let mut scale = 1;
        for stage in &self.stages {
            scale *= if stage.upsampler.is_some() { 2 } else { 1 };
            let maps: usize = stage.blocks.iter().map(ResidualBlock::noise_maps).sum();
            sizes.extend(vec![size.times(scale); maps]);
        }
        sizes
    }

    /// The maps of noise that a decode adds, `[H, W]` each: map `n` is part `n + 1` of the draw for decoding (part 0 is the latents' own noise).
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn draw_noise(&self, seed: u64, size: LatentSize) -> Result<Vec<Tensor>> {
        let draw = |(index, size): (usize, LatentSize)| {
            let values = noise::normals(seed, Purpose::Decode, index as u32 + 1, size.area());
            Ok(Tensor::from_vec(values, (size.height, size.width), &candle_core::Device::Cpu)?)
        };
        self.noise_sizes(size).into_iter().enumerate().map(draw).collect()
    }

    /// The decoder as it runs for one clip. `timestep`: how noisy the latents are, 0 to 1; a decoder that is not told ignores it.
    /// `noise`: see [`Decoder::draw_noise`].
    ///
    /// # Errors
    /// Another number of maps, or a failed tensor operation.
    pub fn prepare(&self, timestep: f64, noise: &[Tensor]) -> Result<PreparedDecoder> {
        let wanted = self.noise_sizes(LatentSize { height: 1, width: 1 }).len();
        if noise.len() != wanted {
            return Err(Error::run(
                "noise of the decoder",
                format!("{wanted} maps"),
                noise.len().to_string(),
                "report it with the exact command",
            ));
        }
        let timestep = self.conditioning.as_ref().map(|conditioning| timestep as f32 * conditioning.multiplier);
        let mut noise = noise;
        let mut steps = vec![Step::Convolution(self.input.clone())];
        for stage in &self.stages {
            let embedding = match (&stage.embedder, timestep) {
                (Some(embedder), Some(timestep)) => Some(embedder.forward(&[timestep])?),
                _ => None,
            };
            if let Some(change) = &stage.change {
                steps.push(Step::Residual(Box::new(change.prepare(None, &[])?)));
            }
            steps.extend(stage.upsampler.clone().map(Step::Upsampler));
            for block in &stage.blocks {
                let (own, rest) = noise.split_at(block.noise_maps());
                steps.push(Step::Residual(Box::new(block.prepare(embedding.as_ref(), own)?)));
                noise = rest;
            }
        }
        let modulation = match (&self.conditioning, timestep) {
            (Some(Conditioning { embedder, table, .. }), Some(timestep)) => {
                let rows = (embedder.forward(&[timestep])?.reshape(table.shape())? + table)?;
                Modulation::pairs(&rows)?.pop()
            }
            _ => None,
        };
        steps.push(Step::Output(Output { modulation, convolution: self.output.clone(), patch: self.patch }));
        let together = self.output.gains_from_clips();
        Ok(PreparedDecoder { steps, latent_channels: self.latent_channels, together })
    }
}

impl Stage {
    fn load(weights: &Scope, stage: UpStage, config: &Config) -> Result<Self> {
        let UpStage { from, to, layers, upsampling, inject_noise } = stage;
        let sight = Sight::from_causal(config.decoder_causal);
        let factor = upsampling.map_or(1, |upsampling| upsampling.factor);
        let modulated = config.timestep_conditioning;
        let shape =
            ResidualShape { from: to, to, sight, modulated, noisy: inject_noise, norm_epsilon: config.norm_epsilon };
        let changes = from != factor * to;
        let change = || {
            ResidualBlock::load(&weights.at("conv_in"), ResidualShape { from, modulated: false, noisy: false, ..shape })
        };
        let upsampler = |upsampling| Upsampler::load(&weights.at("upsamplers").at(0), factor * to, (upsampling, sight));
        let embedder = || TimestepEmbedder::load(&weights.at("time_embedder"), 4 * to);
        Ok(Self {
            embedder: modulated.then(embedder).transpose()?,
            change: changes.then(change).transpose()?,
            upsampler: upsampling.map(upsampler).transpose()?,
            blocks: (0..layers)
                .map(|index| ResidualBlock::load(&weights.at("resnets").at(index), shape))
                .collect::<Result<_>>()?,
        })
    }
}

/// A part of the decoder as it runs for one clip.
#[derive(Debug, Clone)]
pub enum Step {
    /// A bare convolution.
    Convolution(Convolution),
    /// A residual block.
    Residual(Box<Residual>),
    /// Twice the frames, rows and columns.
    Upsampler(Upsampler),
    /// Channels to pixels.
    Output(Output),
}

impl Step {
    /// A whole clip: frames `[1, H, W, C]` to what the step makes of them.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, frames: &[Tensor]) -> Result<Vec<Tensor>> {
        match self {
            Self::Convolution(convolution) => convolution.forward(frames),
            Self::Residual(residual) => residual.forward(frames),
            Self::Upsampler(upsampler) => upsampler.forward(frames),
            Self::Output(output) => {
                let entered = frames.iter().map(|x| output.enter(x)).collect::<Result<Vec<_>>>()?;
                output.leave(&output.convolution.windows(&entered))
            }
        }
    }
}

/// The end of the decoder.
#[derive(Debug, Clone)]
pub struct Output {
    modulation: Option<Modulation>,
    convolution: Convolution,
    patch: usize,
}

impl Output {
    /// Which frames its convolution sees.
    pub fn sight(&self) -> Sight {
        self.convolution.shape().sight
    }

    /// What comes before the convolution; one frame.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn enter(&self, x: &Tensor) -> Result<Tensor> {
        Modulation::activate(self.modulation.as_ref(), x)
    }

    /// The convolution, whose channels unfold to pixels: a frame `[1, 3, p H, p W]` for each window of the three that it sees.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn leave(&self, windows: &[Window]) -> Result<Vec<Tensor>> {
        let convolved = self.convolution.convolve(windows, ClipEpilogue::default())?;
        convolved.into_iter().map(|x| unfold_patches(&x, self.patch)).collect()
    }
}

/// The decoder as it runs for one clip. Clones share the weights.
#[derive(Debug, Clone)]
pub struct PreparedDecoder {
    steps: Vec<Step>,
    latent_channels: usize,
    together: bool,
}

impl PreparedDecoder {
    /// The same decoder with a [`stream`](Self::stream) that computes all frames of a latent frame together, or one by one: at first it does what takes
    /// less time where it runs. The frames are the same, bit for bit.
    pub fn together(self, together: bool) -> Self {
        Self { together, ..self }
    }

    /// The whole clip at once: denormalised `latents: [1, C, F, H, W]` in the weights' type to pixels `[1, 3, 8 (F - 1) + 1, 32 H, 32 W]`, about
    /// -1 to 1. It needs memory for the whole clip in every layer; [`PreparedDecoder::stream`] gives the same frames in less.
    ///
    /// # Errors
    /// Another shape, or a failed tensor operation.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        self.expect(latents)?;
        let latents = latents.squeeze(0)?;
        let frames = (0..latents.dim(1)?).map(|frame| channels_last(&latents.i((.., frame))?));
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let frames = self.steps.iter().try_fold(frames, |frames, step| step.forward(&frames))?;
        Ok(Tensor::cat(&frames, 0)?.transpose(0, 1)?.unsqueeze(0)?.contiguous()?)
    }

    /// The same frames one after another, for the memory of a few frames in every layer: see [`Stream`].
    ///
    /// # Errors
    /// Another shape.
    pub fn stream(&self, latents: &Tensor) -> Result<Stream> {
        self.expect(latents)?;
        let (latents, mut next) = (latents.squeeze(0)?, 0);
        let source = move || {
            if next == latents.dim(1)? {
                return Ok(None);
            }
            next += 1;
            Ok(Some(latents.i((.., next - 1))?.unsqueeze(0)?))
        };
        Ok(self.stream_from(Box::new(source)))
    }

    /// As [`PreparedDecoder::stream`], with latent frames that come as they come: `source` gives one or more at a time, `[F, C, H, W]` of one
    /// size in the weights' type, and `None` after the last.
    pub fn stream_from(&self, source: LatentFrames) -> Stream {
        Stream::new(&self.steps, self.together, source)
    }

    fn expect(&self, latents: &Tensor) -> Result<()> {
        match latents.dims() {
            &[1, channels, f, h, w] if channels == self.latent_channels && f * h * w > 0 => Ok(()),
            found => Err(Error::input(
                "tensor `latents`",
                format!("shape [1, {}, F, H, W] with a frame or more", self.latent_channels),
                format!("{found:?}"),
                "they belong to another model, or were made by another version",
            )),
        }
    }
}

/// A frame `[C, H, W]` as `[1, H, W, C]`, with memory of its own: a view would keep all the clip alive.
///
/// # Errors
/// A failed tensor operation.
pub fn channels_last(frame: &Tensor) -> Result<Tensor> {
    Ok(frame.permute((1, 2, 0))?.unsqueeze(0)?.force_contiguous()?)
}
