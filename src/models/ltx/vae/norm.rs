//! Normalisation over channels.

use candle_core::{DType, IndexOp, Tensor};

use crate::error::Result;
use crate::weights::store::Scope;

const PIXEL_NORM_EPSILON: f64 = 1e-8;

/// `x / sqrt(mean over channels of x^2)`, `[T, C, H, W]` to the same; in float32 whatever the type of `x` is.
///
/// # Errors
/// A failed tensor operation.
///
/// # Source
/// Karras et al., "Progressive Growing of GANs" (ICLR 2018), section 4.2; diffusers' `RMSNorm` without weights.
pub fn pixel_norm(x: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let scale = (wide.sqr()?.mean_keepdim(1)? + PIXEL_NORM_EPSILON)?.sqrt()?.recip()?;
    Ok(wide.broadcast_mul(&scale)?.to_dtype(x.dtype())?)
}

/// What a timestep makes of normalised channels: `x * (1 + scale) + shift`.
#[derive(Debug, Clone)]
pub struct Modulation {
    /// `1 + scale`, `[1, C, 1, 1]`.
    factor: Tensor,
    /// `[1, C, 1, 1]`.
    shift: Tensor,
}

impl Modulation {
    /// From rows of shifts and scales `[2 n, C]`: one modulation for each pair of rows.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn pairs(rows: &Tensor) -> Result<Vec<Self>> {
        let (count, channels) = rows.dims2()?;
        let row = |index: usize| rows.i(index)?.reshape((1, channels, 1, 1));
        (0..count / 2).map(|pair| Ok(Self { factor: (row(2 * pair + 1)? + 1.0)?, shift: row(2 * pair)? })).collect()
    }

    /// `silu(modulated pixel norm)`, `[T, C, H, W]` to the same; without a modulation the norm goes through `silu` as it is.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn activate(modulation: Option<&Self>, x: &Tensor) -> Result<Tensor> {
        let x = pixel_norm(x)?;
        let x = match modulation {
            Some(Self { factor, shift }) => x.broadcast_mul(factor)?.broadcast_add(shift)?,
            None => x,
        };
        Ok(x.silu()?)
    }
}

/// Layer norm over the channels of `[T, C, H, W]`.
#[derive(Debug, Clone)]
pub struct ChannelNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl ChannelNorm {
    /// Takes `weight` and `bias`, `[channels]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, channels: usize, epsilon: f64) -> Result<Self> {
        let take = |name| weights.take(name, &[channels]);
        Ok(Self { weight: take("weight")?, bias: take("bias")?, epsilon: epsilon as f32 })
    }

    /// `[T, C, H, W]` to the same.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = x.permute((0, 2, 3, 1))?.contiguous()?;
        let normed = candle_nn::ops::layer_norm(&last, &self.weight, &self.bias, self.epsilon)?;
        Ok(normed.permute((0, 3, 1, 2))?.contiguous()?)
    }
}
