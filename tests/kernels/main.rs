//! CUDA kernels, run on the host from their own source, against the definitions of their operations.

mod attention;
mod attention_sm90;
mod canvas;
mod conv3d;
#[path = "../ops/conv_cases.rs"]
mod conv_cases;
#[path = "../models/drawn_figure.rs"]
mod drawn_figure;
mod emulated;
mod emulator;
mod float8;
mod fold;
mod gate;
mod gelu;
mod group_norm;
#[path = "../ops/group_norm_cases.rs"]
mod group_norm_cases;
mod hopper;
mod memory;
mod norm;
#[path = "../ops/norm_cases.rs"]
mod norm_cases;
#[path = "../ops/pictures.rs"]
mod pictures;
mod pixels;
mod relight;
#[path = "../ops/samples.rs"]
mod samples;
mod soften;
mod warp;
