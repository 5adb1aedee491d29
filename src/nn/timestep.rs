//! Timesteps as vectors.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::nn::projection::{Projection, exact_dtype};
use crate::ops::gemm::Epilogue;
use crate::weights::store::{Placement, Scope};

/// Cosines and sines of a timestep.
const WAVES: usize = 256;
/// Ratio of the fastest wave to the (never reached) slowest.
const MAX_PERIOD: f64 = 10_000.0;

/// A timestep to a vector: waves, then two fully connected layers.
///
/// # Source
/// Vaswani et al., "Attention Is All You Need" (2017), section 3.5, with cosines first; Peebles and Xie, "Scalable Diffusion Models with
/// Transformers" (ICCV 2023), for the layers.
#[derive(Debug, Clone)]
pub struct TimestepEmbedder {
    expand: Projection,
    contract: Projection,
    placement: Placement,
}

impl TimestepEmbedder {
    /// Takes the weights of an embedder with `width` values, which a checkpoint names below `timestep_embedder`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, width: usize) -> Result<Self> {
        let weights = weights.at("timestep_embedder");
        Ok(Self {
            expand: Projection::load_with_bias(&weights.at("linear_1"), WAVES, width)?,
            contract: Projection::load_with_bias(&weights.at("linear_2"), width, width)?,
            placement: weights.placement().clone(),
        })
    }

    /// `timesteps`, about 0 to 1000, to `[timesteps.len(), width]` in the weights' type.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, timesteps: &[f32]) -> Result<Tensor> {
        Ok(self.exact(timesteps)?.to_dtype(self.placement.dtype)?)
    }

    /// The same in the [most exact type](exact_dtype) that the products have.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn exact(&self, timesteps: &[f32]) -> Result<Tensor> {
        let waves: Vec<f32> = timesteps.iter().flat_map(|timestep| waves(*timestep)).collect();
        let waves = Tensor::from_vec(waves, (timesteps.len(), WAVES), &Device::Cpu)?;
        let waves = waves.to_dtype(exact_dtype(&self.placement))?.to_device(&self.placement.device)?;
        self.contract.forward(&self.expand.forward_with(&waves, Epilogue::Silu)?)
    }
}

/// 128 cosines, then 128 sines, of `timestep` times `10000^(-i / 128)`. Products are rounded to float32 where the reference rounds them:
/// angles reach 1000, where a float32 has steps of 6e-5.
fn waves(timestep: f32) -> [f32; WAVES] {
    let half = WAVES / 2;
    let mut waves = [0.0; WAVES];
    for index in 0..half {
        let exponent = (-libm::log(MAX_PERIOD)) as f32 * index as f32 / half as f32;
        let angle = f64::from(timestep * libm::exp(f64::from(exponent)) as f32);
        waves[index] = libm::cos(angle) as f32;
        waves[half + index] = libm::sin(angle) as f32;
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_begin_at_the_timestep_and_end_near_a_ten_thousandth_of_it() {
        let waves = waves(500.0);
        assert!((waves[0] - 500f32.cos()).abs() < 1e-6 && (waves[128] - 500f32.sin()).abs() < 1e-6);
        let slowest = 500.0 * 10_000f64.powf(-127.0 / 128.0);
        assert!((f64::from(waves[127]) - slowest.cos()).abs() < 1e-6);
        assert!((f64::from(waves[255]) - slowest.sin()).abs() < 1e-6);
    }

    #[test]
    fn timestep_0_has_cosines_of_one() {
        let waves = waves(0.0);
        assert!(waves[..128].iter().all(|wave| *wave == 1.0) && waves[128..].iter().all(|wave| *wave == 0.0));
    }
}
