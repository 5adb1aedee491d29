//! The CPU: rayon over rows or frames, so that results do not depend on the thread count.

pub mod attention;
pub mod conv;
pub mod gelu;
pub mod gemm;
pub mod threads;
pub mod warp;
