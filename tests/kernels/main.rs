//! CUDA kernels, run on the host from their own source, against the definitions of their operations.

mod conv3d;
mod emulated;
mod emulator;
mod gelu;
mod group_norm;
mod memory;
#[path = "../ops/samples.rs"]
mod samples;
