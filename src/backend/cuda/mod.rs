//! CUDA: what each operation launches. Plans are plain values, made without a device: a GPU runs them, and so does the emulator of the tests.
//! Only [`device`] needs a driver, and only with the feature `cuda`.

pub mod attention;
pub mod attention_sm90;
pub mod conv3d;
#[cfg(feature = "cuda")]
pub mod device;
pub mod divisor;
pub mod float8;
pub mod fold;
pub mod gate;
pub mod gelu;
pub mod gemm;
pub mod group_norm;
pub mod launch;
pub mod norm;
pub mod pixels;
pub mod relight;
pub mod soften;
pub mod tensor_map;
pub mod warp;
