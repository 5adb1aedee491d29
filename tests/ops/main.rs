//! Operations against their definitions.

mod attention;
mod conv;
mod gelu;
mod gemm;
mod norm;
mod samples;
mod warp;
