//! The CPU: rayon over rows or frames, so that results do not depend on the thread count.

pub mod attention;
pub mod bilinear;
pub mod conv;
mod element;
pub mod fold;
pub mod gelu;
pub mod gemm;
pub mod group_norm;
pub mod memory;
pub mod norm;
pub mod pixels;
pub mod relight;
pub mod soften;
pub mod threads;
pub mod warp;
