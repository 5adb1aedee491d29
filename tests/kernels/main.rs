//! CUDA kernels, run on the host from their own source, against the definitions of their operations.

mod attention;
mod attention_sm90;
mod emulated;
mod emulator;
mod gelu;
mod hopper;
mod memory;
#[path = "../ops/samples.rs"]
mod samples;
