//! GELU on CUDA.

use candle_core::Tensor;

use crate::backend::cuda::device::{Gpu, aligned, empty, pointer};
use crate::backend::cuda::gelu::{GeluParameters, plan};
use crate::backend::cuda::launch::Element;
use crate::error::Result;

/// `gelu(x)`, times `values` of its shape and type where there are any; `None` for other devices and types.
pub(super) fn gelu(x: &Tensor, values: Option<&Tensor>) -> Result<Option<Tensor>> {
    let (Some(gpu), Some(element)) = (Gpu::of(x.device())?, Element::of(x.dtype())) else { return Ok(None) };
    let result = empty(x.shape(), x.dtype(), x.device())?;
    if x.elem_count() == 0 {
        return Ok(Some(result));
    }
    let x = aligned(x)?;
    let values = values.map(aligned).transpose()?;
    let parameters = GeluParameters {
        x: pointer(&x)?,
        factors: values.as_ref().map(pointer).transpose()?.unwrap_or(0),
        y: pointer(&result)?,
        count: x.elem_count() as i64,
    };
    gpu.launch(&plan(element, parameters))?;
    Ok(Some(result))
}
