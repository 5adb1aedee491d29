//! CUDA kernels, run on the host from their own source, against the definitions of their operations.

mod emulated;
mod emulator;
mod float8;
mod gelu;
mod memory;
#[path = "../ops/samples.rs"]
mod samples;
