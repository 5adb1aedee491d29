//! Fully connected layers whose weight stays as small as it is stored.

use candle_core::quantized::QMatMul;
use candle_core::{DType, Module, Tensor};
use candle_nn::Linear;

use crate::error::Result;
use crate::weights::store::{Scope, Weight};

/// `[..., from] -> [..., to]`, in the input's type.
#[derive(Debug, Clone)]
pub struct Projection {
    weight: Kept,
    bias: Option<Tensor>,
}

#[derive(Debug, Clone)]
enum Kept {
    Dense(Tensor),
    Float8(Tensor),
    Quantized(QMatMul),
}

impl Projection {
    /// With `weight: [to, from]` and no bias.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn load(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        let weight = match weights.take_weight("weight", &[to, from])? {
            Weight::Dense(weight) => Kept::Dense(weight),
            Weight::Float8(weight) => Kept::Float8(weight),
            Weight::Quantized(weight) => Kept::Quantized(QMatMul::from_arc(weight)?),
        };
        Ok(Self { weight, bias: None })
    }

    /// With `weight: [to, from]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load_with_bias(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        Ok(Self { bias: Some(weights.take("bias", &[to])?), ..Self::load(weights, from, to)? })
    }

    /// `x: [..., from]` to `[..., to]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Kept::Dense(weight) => Linear::new(weight.clone(), None).forward(x)?,
            // The converted weight lives for this one product.
            Kept::Float8(weight) => Linear::new(weight.to_dtype(x.dtype())?, None).forward(x)?,
            // Blocks are multiplied with float32 only.
            Kept::Quantized(weight) => weight.forward(&x.to_dtype(DType::F32)?.contiguous()?)?.to_dtype(x.dtype())?,
        };
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}
