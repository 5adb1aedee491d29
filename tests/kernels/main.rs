//! CUDA kernels, run on the host from their own source, against the definitions of their operations.

mod attention;
mod emulated;
mod emulator;
mod fold;
mod gelu;
mod memory;
mod pixels;
#[path = "../ops/samples.rs"]
mod samples;
