//! Mean and spread of the latents' channels.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::weights::store::Scope;

/// Between the latents of the autoencoder and those of the denoiser, whose channels have mean 0 and variance 1. Latents may be on another device than
/// the checkpoint: those of a decode come from the CPU.
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
        let [mean, deviation] = self.beside(latents)?;
        Ok(latents.to_dtype(DType::F32)?.broadcast_sub(&mean)?.broadcast_div(&deviation)?)
    }

    /// From the denoiser to the decoder: `[1, C, T, H, W]` to the same in float32.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn denormalise(&self, latents: &Tensor) -> Result<Tensor> {
        let [mean, deviation] = self.beside(latents)?;
        Ok(latents.to_dtype(DType::F32)?.broadcast_mul(&deviation)?.broadcast_add(&mean)?)
    }

    /// Mean and deviation where the latents are.
    fn beside(&self, latents: &Tensor) -> Result<[Tensor; 2]> {
        Ok([self.mean.to_device(latents.device())?, self.deviation.to_device(latents.device())?])
    }
}
