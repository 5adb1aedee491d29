//! What lies beyond the borders loses its focus: the warp mirrors the picture there, and a blurred band draws no attention.
//!
//! A pixel that comes from `d` pixels beyond the border turns by the share `s = t^2 (3 - 2 t)`, `t = min(d / depth, 1)`, into what a blurred picture holds at the
//! mirrored place, bilinear between its cells.

pub use crate::backend::cpu::soften::{BlurredPicture, CELL, soften_row};
