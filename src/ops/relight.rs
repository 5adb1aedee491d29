//! Light: brighter, dimmer, warmer, without clipping and without steps.
//!
//! Of a value `v` of 0 to 255 under the gain `g` comes `after = v (1 + g) / (1 + max(g, 0) (v / 255)^3)`, then `after + dither min(|after - v|, 1)`, rounded, with
//! `dither` a fixed pattern in -0.5 to 0.5. `g` is the pixel's gain, for red with the warmth and for blue without it.

use crate::backend::cpu::relight;
pub use crate::backend::cpu::relight::{Light, LightGains};

use super::gemm::Kernels;
use super::warp::RowColours;

/// Lights a row of colours and rounds it to bytes, `[width, 3]`. The result does not depend on the processor's instructions.
///
/// # Panics
/// If a width differs.
pub fn relight_row(colours: &RowColours, light: &Light<'_>, bytes: &mut [u8]) {
    relight_row_with(colours, light, Kernels::fastest(), bytes);
}

/// [`relight_row`] on the instruction set of one's choice.
///
/// # Panics
/// If a width differs.
pub fn relight_row_with(colours: &RowColours, light: &Light<'_>, kernels: &'static Kernels, bytes: &mut [u8]) {
    relight::relight_row(colours, light, kernels, bytes);
}
