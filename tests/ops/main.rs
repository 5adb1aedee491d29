//! Operations against their definitions.

mod attention;
mod gemm;
mod warp;
