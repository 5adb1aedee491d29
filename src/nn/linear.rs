//! Fully connected layers.

pub use candle_nn::Linear;

use crate::error::Result;
use crate::weights::store::Scope;

/// `[..., from] -> [..., to]` with `weight: [to, from]` and `bias: [to]`.
///
/// # Errors
/// Missing or misshapen weights.
pub fn linear(weights: &Scope, from: usize, to: usize) -> Result<Linear> {
    Ok(Linear::new(weights.take("weight", &[to, from])?, Some(weights.take("bias", &[to])?)))
}
