//! float8 (e4m3) to wider types.

use candle_core::{DType, Tensor};

use crate::error::Result;

/// `x`, float8, in `dtype`: float32, bfloat16 or float16, which hold all its values.
///
/// On CUDA a kernel of our own widens it: candle 0.11.1 asks for one by a name that its kernels do not have.
///
/// # Errors
/// A failed tensor operation.
///
/// # Source
/// Micikevicius et al., "FP8 Formats for Deep Learning" (2022), table 1.
pub fn widened(x: &Tensor, dtype: DType) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(y) = on_gpu(x, dtype)? {
        return Ok(y);
    }
    Ok(x.to_dtype(dtype)?)
}

#[cfg(feature = "cuda")]
fn on_gpu(x: &Tensor, dtype: DType) -> Result<Option<Tensor>> {
    use crate::backend::cuda::device::{Gpu, aligned, empty, pointer};
    use crate::backend::cuda::float8::{Float8Parameters, plan};
    use crate::backend::cuda::launch::Element;

    let (Some(gpu), Some(element)) = (Gpu::of(x.device())?, Element::of(dtype)) else { return Ok(None) };
    if x.dtype() != DType::F8E4M3 {
        return Ok(None);
    }
    let x = aligned(x)?;
    let y = empty(x.shape(), dtype, x.device())?;
    gpu.launch(&plan(element, Float8Parameters { x: pointer(&x)?, y: pointer(&y)?, count: x.elem_count() as i64 }))?;
    Ok(Some(y))
}
