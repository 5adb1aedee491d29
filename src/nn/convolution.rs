//! Convolutions over images.

pub use candle_nn::Conv2d;
use candle_nn::Conv2dConfig;

use crate::error::Result;
use crate::weights::store::Scope;

/// What a convolution does to its input, apart from the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Channels in.
    pub from: usize,
    /// Channels out.
    pub to: usize,
    /// Side of the square kernel: odd; the input is padded with zeros by half of it.
    pub kernel: usize,
    /// Step of the kernel in both directions.
    pub stride: usize,
}

/// `[B, from, H, W] -> [B, to, ceil(H / stride), ceil(W / stride)]` with `weight: [to, from, kernel, kernel]` and `bias: [to]`.
///
/// # Errors
/// Missing or misshapen weights.
pub fn convolution(weights: &Scope, shape: Convolution) -> Result<Conv2d> {
    let Convolution { from, to, kernel, stride } = shape;
    let config = Conv2dConfig { padding: kernel / 2, stride, ..Conv2dConfig::default() };
    let weight = weights.take("weight", &[to, from, kernel, kernel])?;
    Ok(Conv2d::new(weight, Some(weights.take("bias", &[to])?), config))
}
