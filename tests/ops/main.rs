//! Operations against their definitions.

mod attention;
mod conv;
mod conv_cases;
mod fold;
mod gelu;
mod gemm;
mod group_norm;
mod group_norm_cases;
mod norm;
mod norm_cases;
mod pictures;
mod relight;
mod samples;
mod warp;
