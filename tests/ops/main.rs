//! Operations against their definitions.

mod attention;
mod conv;
mod gemm;
mod warp;
