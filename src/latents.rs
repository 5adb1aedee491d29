//! What is denoised, and what the sampler must keep.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// Named tensors that are denoised together; files use the same names.
///
/// The part `latents` is `[1, C, F, H, W]`; `sway` adds `control` `[1, F, channels]`. All float32 while sampling.
#[derive(Debug, Clone, Default)]
pub struct Latents {
    /// The tensors by name, in name order: noise is drawn and files are written in this order.
    pub parts: BTreeMap<&'static str, Tensor>,
}

/// Where `mask` is 1 the sampler keeps `value`, clean, at every step.
///
/// Holding frame 0, keyframes and clamped control channels are all of this kind.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// The part of [`Latents`] that is held.
    pub part: &'static str,
    /// `[...]` of the part's own shape, float32, 0 or 1.
    pub mask: Tensor,
    /// Clean values, of the part's own shape, float32; what stands where `mask` is 0 is not used.
    pub value: Tensor,
}
