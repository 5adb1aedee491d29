//! Residual blocks.

use candle_core::Tensor;

use super::convolution::{Convolution, Pointwise, Shape, Sight};
use super::norm::{ChannelNorm, Modulation};
use crate::error::Result;
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
    /// `[1, C, 1, 1]`, after each convolution.
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
        let noise_scale = |name: &str| -> Result<_> { Ok(weights.take(name, &[to, 1, 1])?.unsqueeze(0)?) };
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
            let map = map.to_device(scale.device())?.to_dtype(scale.dtype())?.unsqueeze(0)?.unsqueeze(0)?;
            noises.push(InjectedNoise { map, scale: scale.clone() });
        }
        Ok(Residual { block: self.clone(), modulations, noises })
    }
}

/// Noise that is the same for all frames.
#[derive(Debug, Clone)]
struct InjectedNoise {
    /// `[1, 1, H, W]`.
    map: Tensor,
    /// `[1, C, 1, 1]`.
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
    /// A whole clip, `[T, from, H, W]` to `[T, to, H, W]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.first().forward(&self.enter(x)?)?;
        let h = self.second().forward(&self.between(&h)?)?;
        self.leave(&h, x)
    }

    /// The first convolution.
    pub fn first(&self) -> &Convolution {
        &self.block.first
    }

    /// The second convolution.
    pub fn second(&self) -> &Convolution {
        &self.block.second
    }

    /// What comes before the first convolution; any number of frames.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn enter(&self, x: &Tensor) -> Result<Tensor> {
        Modulation::activate(self.modulations.first(), x)
    }

    /// What comes between the convolutions; any number of frames.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn between(&self, h: &Tensor) -> Result<Tensor> {
        Modulation::activate(self.modulations.get(1), &self.add_noise(0, h)?)
    }

    /// What comes after the second convolution, with the block's own input `x`; any number of frames.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn leave(&self, h: &Tensor, x: &Tensor) -> Result<Tensor> {
        let h = self.add_noise(1, h)?;
        Ok(match &self.block.shortcut {
            Some((norm, pointwise)) => (h + pointwise.forward(&norm.forward(x)?)?)?,
            None => (h + x)?,
        })
    }

    /// The noise that it adds, `[1, 1, H, W]` each.
    pub fn noise(&self) -> impl Iterator<Item = &Tensor> {
        self.noises.iter().map(|noise| &noise.map)
    }

    fn add_noise(&self, index: usize, h: &Tensor) -> Result<Tensor> {
        match self.noises.get(index) {
            Some(InjectedNoise { map, scale }) => Ok(h.broadcast_add(&map.broadcast_mul(scale)?)?),
            None => Ok(h.clone()),
        }
    }
}
