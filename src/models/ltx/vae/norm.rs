//! Normalisation over channels.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::ops::norm::{Affine, Norm, Then, norm};
use crate::weights::store::Scope;

const PIXEL_NORM_EPSILON: f64 = 1e-8;

/// What a timestep makes of normalised channels: `x * (1 + scale) + shift`.
#[derive(Debug, Clone)]
pub struct Modulation {
    /// Shift and scale, `[1, 2, C]`, float32.
    rows: Tensor,
}

impl Modulation {
    /// From rows of shifts and scales `[2 n, C]`: one modulation for each pair of rows.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn pairs(rows: &Tensor) -> Result<Vec<Self>> {
        let rows = rows.to_dtype(DType::F32)?;
        let pair = |pair: usize| Ok(Self { rows: rows.narrow(0, 2 * pair, 2)?.unsqueeze(0)?.contiguous()? });
        (0..rows.dim(0)? / 2).map(pair).collect()
    }

    /// `silu(modulated pixel norm)` of frames `[T, H, W, C]`, to the same; without a modulation the norm goes through `silu` as it is. The pixel norm is
    /// `x / sqrt(mean over channels of x^2)`.
    ///
    /// # Errors
    /// A failed tensor operation.
    ///
    /// # Source
    /// Karras et al., "Progressive Growing of GANs" (ICLR 2018), section 4.2; diffusers' `RMSNorm` without weights.
    pub fn activate(modulation: Option<&Self>, x: &Tensor) -> Result<Tensor> {
        let affine = modulation.map_or(Affine::Nothing, |Self { rows }| Affine::Modulation { rows, first: 0 });
        norm(x, &Norm { affine, then: Then::Silu, ..Norm::root_mean_square(PIXEL_NORM_EPSILON) })
    }
}

/// Layer norm over the channels of frames `[T, H, W, C]`.
#[derive(Debug, Clone)]
pub struct ChannelNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl ChannelNorm {
    /// Takes `weight` and `bias`, `[channels]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, channels: usize, epsilon: f64) -> Result<Self> {
        let take = |name| weights.take(name, &[channels]);
        Ok(Self { weight: take("weight")?, bias: take("bias")?, epsilon })
    }

    /// `[T, H, W, C]` to the same.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        norm(x, &Norm { affine: Affine::WeightAndBias(&self.weight, &self.bias), ..Norm::layer(self.epsilon) })
    }
}
