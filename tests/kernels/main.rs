//! CUDA kernels, run on the host from their own source, against the definitions of their operations.

mod emulated;
mod emulator;
mod gelu;
mod memory;
#[path = "../ops/samples.rs"]
mod samples;
