//! Products with weights that are plain tensors, where a device takes them as they are: by cuBLASLt on CUDA, and by candle elsewhere.
//!
//! On CUDA sums are float32, none is split, and float32 is not rounded to TF32. Bias, GELU and the plain sum are fused, and the result is rounded once. SiLU
//! and a gate take a pass of their own, over the product rounded to its type: to keep it in float32 until then would take longer than it is worth, and
//! the networks' own programs round there too. So does everything else for types and shapes that cuBLASLt fuses it for with no algorithm of one sequence.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Device, Tensor};

use super::gemm::{Epilogue, definition};
use crate::backend::cuda::gemm::choice::{Candidate, Card};
use crate::error::Result;

/// A weight, and what is added.
#[derive(Debug, Clone, Copy)]
pub struct DenseWeight<'a> {
    /// `[N, K]`, of the type of `x`, where it is.
    pub weight: &'a Tensor,
    /// `[N]`, as the weight.
    pub bias: Option<&'a Tensor>,
}

/// `x: [..., K]` to `epilogue(x w^T + bias): [..., N]`, of `x`'s type. On CUDA `x` may be a part of a wider last axis, which is read where it is.
///
/// # Errors
/// Shapes or types that do not fit each other, or a device that fails.
pub fn dense_gemm(x: &Tensor, weight: &DenseWeight<'_>, epilogue: Epilogue<'_>) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(y) = cuda::dense_gemm(x, weight, epilogue)? {
        return Ok(y);
    }
    definition(x, weight.weight, weight.bias, epilogue)
}

/// The ways in which the device can compute this, best first by its own estimate: none where there is nothing to choose from.
///
/// # Errors
/// As for [`dense_gemm`].
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
pub fn algorithms(x: &Tensor, weight: &DenseWeight<'_>, epilogue: Epilogue<'_>) -> Result<Vec<Candidate>> {
    #[cfg(feature = "cuda")]
    return cuda::algorithms(x, weight, epilogue);
    #[cfg(not(feature = "cuda"))]
    Ok(Vec::new())
}

/// [`dense_gemm`] by one of its [`algorithms`], for measurements.
///
/// # Errors
/// As for [`dense_gemm`].
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
pub fn dense_gemm_by(
    x: &Tensor,
    weight: &DenseWeight<'_>,
    epilogue: Epilogue<'_>,
    algorithm: &Candidate,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(y) = cuda::dense_gemm_by(x, weight, epilogue, algorithm)? {
        return Ok(y);
    }
    definition(x, weight.weight, weight.bias, epilogue)
}

/// What measured [`algorithms`] are good for; `None` where there are none.
///
/// # Errors
/// A device that fails.
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
pub fn card(device: &Device) -> Result<Option<Card>> {
    #[cfg(feature = "cuda")]
    return cuda::card(device);
    #[cfg(not(feature = "cuda"))]
    Ok(None)
}
