//! Operations against their definitions.

mod attention;
mod conv;
mod fold;
mod gelu;
mod gemm;
mod group_norm;
mod norm;
mod norm_cases;
mod pictures;
mod relight;
mod samples;
mod warp;
