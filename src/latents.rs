//! What is denoised, and what the sampler must keep.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::error::Result;

/// Named tensors that are denoised together; files use the same names.
///
/// The part `latents` is `[1, C, F, H, W]`; `sway` adds `control` `[1, F, channels]`. All float32 while sampling.
#[derive(Debug, Clone, Default)]
pub struct Latents {
    /// The tensors by name, in name order: noise is drawn and files are written in this order.
    pub parts: BTreeMap<&'static str, Tensor>,
}

/// The shape of every part of latents, by its name.
pub type Shapes = BTreeMap<&'static str, Vec<usize>>;

/// Where `mask` is 1 the sampler keeps `value`, clean, at every step.
///
/// Holding frame 0, keyframes and clamped control channels are all of this kind. A mask between 0 and 1 is a strength: `value` is kept while
/// the noise level is at least `1 - mask`, and denoised with the rest from there on.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// The part of [`Latents`] that is held.
    pub part: &'static str,
    /// `[...]` of the part's own shape, float32, in 0 to 1.
    pub mask: Tensor,
    /// Values of the part's own shape, float32; what stands where `mask` is 0 is not used. Clean where `mask` is 1, and at noise level
    /// `1 - mask` where it is less.
    pub value: Tensor,
}

impl Constraint {
    /// Held only by the share `strength`, 0 to 1: for the rest it begins as noise. `noise`: the part's own, of the same shape.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn weakened(&self, strength: f64, noise: &Tensor) -> Result<Self> {
        if strength == 1.0 {
            return Ok(self.clone());
        }
        let value = (noise + ((&self.value - noise)? * strength)?)?;
        Ok(Self { part: self.part, mask: (&self.mask * strength)?, value })
    }
}
