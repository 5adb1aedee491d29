//! CUDA: what each operation launches. Plans are plain values, made without a device: a GPU runs them, and so does the emulator of the tests.
//! Only [`device`] needs a driver, and only with the feature `cuda`.

pub mod attention;
pub mod attention_sm90;
#[cfg(feature = "cuda")]
pub mod device;
pub mod gelu;
pub mod launch;
pub mod tensor_map;
