//! Operations against their definitions.

mod gemm;
mod warp;
