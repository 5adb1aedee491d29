//! Timesteps as vectors.

use candle_core::{DType, Module, Tensor};

use crate::error::Result;
use crate::nn::linear::{Linear, linear};
use crate::weights::store::Scope;

/// Cosines and sines of a timestep.
const WAVES: usize = 256;
const LONGEST_PERIOD: f32 = 10_000.0;

/// A timestep to a vector: waves, then two fully connected layers.
///
/// # Source
/// Vaswani et al., "Attention Is All You Need" (2017), section 3.5, with cosines first.
#[derive(Debug, Clone)]
pub struct TimestepEmbedder {
    expand: Linear,
    contract: Linear,
}

impl TimestepEmbedder {
    /// Takes the weights of an embedder with `width` values.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, width: usize) -> Result<Self> {
        let weights = weights.at("timestep_embedder");
        Ok(Self {
            expand: linear(&weights.at("linear_1"), WAVES, width)?,
            contract: linear(&weights.at("linear_2"), width, width)?,
        })
    }

    /// A timestep, 0 to 1000, to `[width]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, timestep: f32) -> Result<Tensor> {
        let weight = self.expand.weight();
        let half = WAVES / 2;
        let angle = |index: usize| timestep * (-LONGEST_PERIOD.ln() * index as f32 / half as f32).exp();
        let waves: Vec<f32> =
            (0..half).map(|index| angle(index).cos()).chain((0..half).map(|index| angle(index).sin())).collect();
        let waves = Tensor::from_vec(waves, (1, WAVES), weight.device())?.to_dtype(weight.dtype())?;
        Ok(self.contract.forward(&self.expand.forward(&waves)?.silu()?)?.squeeze(0)?)
    }
}

/// A single number among the weights, as float32.
///
/// # Errors
/// A missing or misshapen weight.
pub fn scalar(weights: &Scope, name: &str) -> Result<f32> {
    Ok(weights.take(name, &[])?.to_dtype(DType::F32)?.to_scalar()?)
}
