//! Mean and spread of the latents' channels.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::weights::store::Scope;

/// Between the latents of the autoencoder and those of the denoiser, whose channels have mean 0 and variance 1.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// `[1, C, 1, 1, 1]`, float32.
    mean: Tensor,
    /// `[1, C, 1, 1, 1]`, float32.
    deviation: Tensor,
}

impl Statistics {
    /// Takes `latents_mean` and `latents_std`, `[channels]`, from the top of a checkpoint.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, channels: usize) -> Result<Self> {
        let take = |name| -> Result<_> {
            Ok(weights.take(name, &[channels])?.to_dtype(DType::F32)?.reshape((1, channels, 1, 1, 1))?)
        };
        Ok(Self { mean: take("latents_mean")?, deviation: take("latents_std")? })
    }

    /// From the encoder to the denoiser: `[1, C, T, H, W]` to the same in float32.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn normalise(&self, latents: &Tensor) -> Result<Tensor> {
        Ok(latents.to_dtype(DType::F32)?.broadcast_sub(&self.mean)?.broadcast_div(&self.deviation)?)
    }

    /// From the denoiser to the decoder: `[1, C, T, H, W]` to the same in float32.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn denormalise(&self, latents: &Tensor) -> Result<Tensor> {
        Ok(latents.to_dtype(DType::F32)?.broadcast_mul(&self.deviation)?.broadcast_add(&self.mean)?)
    }
}
