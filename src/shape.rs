//! Shape checks that name the tensor and its dimensions.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// Refuses a tensor whose shape is not exactly `wanted`.
///
/// # Errors
/// An input error that names the tensor, both shapes and `hint`.
pub fn expect(name: &str, tensor: &Tensor, wanted: &[usize], hint: &str) -> Result<()> {
    if tensor.dims() == wanted {
        return Ok(());
    }
    Err(Error::input(format!("tensor `{name}`"), format!("shape {wanted:?}"), format!("{:?}", tensor.dims()), hint))
}
