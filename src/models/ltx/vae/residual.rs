//! Residual blocks.

use candle_core::{DType, Tensor};

use super::convolution::{Convolution, Pointwise, Shape, Sight, Window};
use super::norm::{ChannelNorm, Modulation};
use crate::error::Result;
use crate::ops::conv3d::{ClipEpilogue, Noise};
use crate::weights::store::Scope;

/// What a residual block is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResidualShape {
    /// Channels in.
    pub from: usize,
    /// Channels out.
    pub to: usize,
    /// Which frames its convolutions see.
    pub sight: Sight,
    /// Whether a timestep modulates its norms.
    pub modulated: bool,
    /// Whether it adds noise.
    pub noisy: bool,
    /// Epsilon of the layer norm, where the channels change.
    pub norm_epsilon: f64,
}

/// The weights of a residual block.
#[derive(Debug, Clone)]
pub struct ResidualBlock {
    first: Convolution,
    second: Convolution,
    shortcut: Option<(ChannelNorm, Pointwise)>,
    /// Shift and scale of both norms, `[4, C]`.
    table: Option<Tensor>,
    /// `[C]`, float32, after each convolution.
    noise_scales: Option<[Tensor; 2]>,
}

impl ResidualBlock {
    /// Takes its weights.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, shape: ResidualShape) -> Result<Self> {
        let ResidualShape { from, to, sight, .. } = shape;
        let convolution =
            |name: &str, from| Convolution::load(&weights.at(name).at("conv"), Shape { from, to, stride: 1, sight });
        let shortcut = || -> Result<_> {
            let norm = ChannelNorm::load(&weights.at("norm3"), from, shape.norm_epsilon)?;
            Ok((norm, Pointwise::load(&weights.at("conv_shortcut").at("conv"), from, to)?))
        };
        let noise_scale =
            |name: &str| -> Result<_> { Ok(weights.take(name, &[to, 1, 1])?.to_dtype(DType::F32)?.reshape(to)?) };
        Ok(Self {
            first: convolution("conv1", from)?,
            second: convolution("conv2", to)?,
            shortcut: (from != to).then(shortcut).transpose()?,
            table: shape.modulated.then(|| weights.take("scale_shift_table", &[4, to])).transpose()?,
            noise_scales: if shape.noisy {
                Some([noise_scale("per_channel_scale1")?, noise_scale("per_channel_scale2")?])
            } else {
                None
            },
        })
    }

    /// How many maps of noise it adds.
    pub fn noise_maps(&self) -> usize {
        self.noise_scales.as_ref().map_or(0, |scales| scales.len())
    }

    /// The block as it runs for one clip. `embedding: [4 C]` of the timestep; `noise`: as many maps `[H, W]` as it adds.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn prepare(&self, embedding: Option<&Tensor>, noise: &[Tensor]) -> Result<Residual> {
        let modulations = match (&self.table, embedding) {
            (Some(table), Some(embedding)) => Modulation::pairs(&(embedding.reshape(table.shape())? + table)?)?,
            _ => Vec::new(),
        };
        let mut noises = Vec::new();
        for (map, scale) in noise.iter().zip(self.noise_scales.iter().flatten()) {
            let map = map.to_device(scale.device())?.to_dtype(DType::F32)?;
            noises.push(InjectedNoise { map, scale: scale.clone() });
        }
        Ok(Residual { block: self.clone(), modulations, noises })
    }
}

/// Noise that is the same for all frames.
#[derive(Debug, Clone)]
struct InjectedNoise {
    /// `[H, W]`, float32.
    map: Tensor,
    /// `[C]`, float32.
    scale: Tensor,
}

/// A residual block as it runs for one clip. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Residual {
    block: ResidualBlock,
    modulations: Vec<Modulation>,
    noises: Vec<InjectedNoise>,
}

impl Residual {
    /// A whole clip: frames `[1, H, W, from]` to as many frames `[1, H, W, to]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, frames: &[Tensor]) -> Result<Vec<Tensor>> {
        let entered = frames.iter().map(|x| self.enter(x)).collect::<Result<Vec<_>>>()?;
        let halfway = self.between(&self.block.first.windows(&entered))?;
        self.leave(&self.block.second.windows(&halfway), frames)
    }

    /// Which frames its convolutions see.
    pub fn sight(&self) -> Sight {
        self.block.first.shape().sight
    }

    /// What comes before the first convolution; one frame.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn enter(&self, x: &Tensor) -> Result<Tensor> {
        Modulation::activate(self.modulations.first(), x)
    }

    /// The first convolution and what comes after it; a frame for each window of the three that it sees.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn between(&self, windows: &[Window]) -> Result<Vec<Tensor>> {
        let h = self.block.first.convolve(windows, ClipEpilogue { noise: self.noise_after(0), residuals: None })?;
        h.into_iter().map(|h| Modulation::activate(self.modulations.get(1), &h)).collect()
    }

    /// The second convolution, and the block's own inputs `frames` added to it; a frame for each window of the three that it sees.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn leave(&self, windows: &[Window], frames: &[Tensor]) -> Result<Vec<Tensor>> {
        let shortcut = |(norm, pointwise): &(ChannelNorm, Pointwise)| -> Result<Vec<_>> {
            frames.iter().map(|x| pointwise.forward(&norm.forward(x)?)).collect()
        };
        let shortcut = self.block.shortcut.as_ref().map(shortcut).transpose()?;
        let residuals = Some(shortcut.as_deref().unwrap_or(frames));
        self.block.second.convolve(windows, ClipEpilogue { noise: self.noise_after(1), residuals })
    }

    /// The noise that it adds, `[H, W]` each.
    pub fn noise(&self) -> impl Iterator<Item = &Tensor> {
        self.noises.iter().map(|noise| &noise.map)
    }

    fn noise_after(&self, index: usize) -> Option<Noise<'_>> {
        self.noises.get(index).map(|InjectedNoise { map, scale }| Noise { map, scale })
    }
}
