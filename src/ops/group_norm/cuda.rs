//! Group norm on CUDA.

use candle_core::{DType, Tensor};

use super::{GroupNorm, check};
use crate::backend::cuda::device::{Gpu, empty, pointer};
use crate::backend::cuda::group_norm::{Clip, Sizes, plan};
use crate::backend::cuda::launch::Element;
use crate::error::Result;

/// As [`super::group_norm`]; `None` where there is no kernel for the clip.
///
/// # Errors
/// Shapes or types that do not fit each other, or a failed launch.
pub fn group_norm(clip: &[Tensor], norm: &GroupNorm<'_>, residual: Option<&[Tensor]>) -> Result<Option<Vec<Tensor>>> {
    let Some(channels) = check(clip, norm, residual)? else { return Ok(None) };
    let (shape, dtype, device) = (clip[0].shape(), clip[0].dtype(), clip[0].device());
    let (Some(gpu), Some(element)) = (Gpu::of(device)?, Element::of(dtype)) else { return Ok(None) };
    let pixels = shape.elem_count() / channels;
    let sizes = Sizes { element, frames: clip.len(), pixels, channels, groups: norm.groups };

    let contiguous = |clip: &[Tensor]| clip.iter().map(Tensor::contiguous).collect::<Result<Vec<_>, _>>();
    let pointers = |tensors: &[Tensor]| tensors.iter().map(pointer).collect::<Result<Vec<_>>>();
    let float32 = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.contiguous();
    // All of them are kept until the launches are under way: memory is given back in the order of the stream.
    let (clip, residual) = (contiguous(clip)?, residual.map(contiguous).transpose()?.unwrap_or_default());
    let (weight, bias) = (float32(norm.weight)?, float32(norm.bias)?);
    let partials = empty(sizes.partials(), DType::F32, device)?;
    let measured = empty(sizes.measured(), DType::F32, device)?;
    let results = clip.iter().map(|_| empty(shape, dtype, device)).collect::<Result<Vec<_>>>()?;
    let launches = plan(&Clip {
        sizes,
        epsilon: norm.epsilon as f32,
        silu: norm.silu,
        weight: pointer(&weight)?,
        bias: pointer(&bias)?,
        partials: pointer(&partials)?,
        measured: pointer(&measured)?,
        frames: &pointers(&clip)?,
        residuals: &pointers(&residual)?,
        results: &pointers(&results)?,
    });
    launches.iter().try_for_each(|launch| gpu.launch(launch))?;
    Ok(Some(results))
}
