//! CUDA: what each operation launches. Plans are plain values, made without a device: a GPU runs them, and so does the emulator of the tests.

pub mod gelu;
pub mod launch;
