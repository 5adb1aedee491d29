//! Operations: each file holds an operation's contract, its definition in plain terms, and the dispatch to what makes it fast.

pub mod attention;
pub mod canvas;
mod contents;
mod contract;
pub mod conv3d;
pub mod dense_gemm;
pub mod float8;
pub mod fold;
pub mod gelu;
pub mod gemm;
pub mod group_norm;
pub mod norm;
mod packed_weight;
pub mod pixels;
pub mod relight;
pub mod resize;
pub mod sliced_attention;
pub mod soften;
pub mod warp;
