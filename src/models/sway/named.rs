//! Look-up of named tensors.

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::models::Tensors;

/// The tensor of this name.
pub(super) fn named<'a>(tensors: &'a Tensors, name: &'static str) -> Result<&'a Tensor> {
    tensors.get(name).ok_or_else(|| {
        let found: Vec<&str> = tensors.keys().copied().collect();
        Error::input(
            format!("tensor `{name}`"),
            "its presence",
            format!("only {found:?}"),
            "encode with the same model",
        )
    })
}
