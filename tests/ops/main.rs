//! Operations against their definitions.

mod attention;
mod gelu;
mod gemm;
mod norm;
mod relight;
mod samples;
mod warp;
