//! Norms on CUDA: tensors as the kernel's plan takes them.

use candle_core::{DType, Tensor};

use super::{self as op, Norm, Sizes};
use crate::backend::cuda::device::{Gpu, empty, first_value, pointer};
use crate::backend::cuda::launch::Element;
use crate::backend::cuda::norm::{Affine, RowNorm, Then, plan, row_stride};
use crate::error::Result;

/// `None` for other devices and types.
pub(super) fn norm(x: &Tensor, norm: &Norm<'_>, sizes: &Sizes) -> Result<Option<Tensor>> {
    let (Some(gpu), Some(element)) = (Gpu::of(x.device())?, Element::of(x.dtype())) else { return Ok(None) };
    let Sizes { tokens, width, frames } = *sizes;
    let (x, x_stride) = match row_stride(x.dims(), x.stride()) {
        Some(stride) => (x.clone(), stride),
        None => (x.contiguous()?, width),
    };
    let y = empty(x.shape(), x.dtype(), x.device())?;
    // Whatever is converted here has to live until the kernel is launched.
    let vectors = Vectors::of(norm, x.dtype())?;
    let address = |tensor: &Option<Tensor>| tensor.as_ref().map(first_value).transpose();
    let tables;
    let then = match norm.then {
        op::Then::Nothing => Then::Nothing,
        op::Then::Silu => Then::Silu,
        op::Then::Rotation { cosines, sines } => {
            tables = [float32(cosines)?, float32(sines)?];
            Then::Rotation { cosines: pointer(&tables[0])?, sines: pointer(&tables[1])?, positions: tokens }
        }
    };
    gpu.launch(&plan(&RowNorm {
        element,
        x: first_value(&x)?,
        x_stride,
        y: pointer(&y)?,
        rows: x.elem_count() / width,
        width,
        statistic: norm.statistic,
        epsilon: norm.epsilon as f32,
        affine: Affine {
            element: vectors.element,
            factors: address(&vectors.factors)?,
            shifts: address(&vectors.shifts)?,
            added: vectors.added,
            groups: frames,
            group_stride: vectors.group_stride,
            rows_each: (tokens / frames).max(1),
        },
        then,
    }))?;
    Ok(Some(y))
}

/// Factors and shifts, all of one type.
struct Vectors {
    element: Element,
    factors: Option<Tensor>,
    shifts: Option<Tensor>,
    added: f32,
    group_stride: usize,
}

impl Vectors {
    /// The kernel reads float32 and `dtype`.
    fn of(norm: &Norm<'_>, dtype: DType) -> Result<Self> {
        let readable = |tensor: &Tensor, dtype: DType| -> Result<Tensor> { Ok(tensor.to_dtype(dtype)?.contiguous()?) };
        let type_of =
            |tensors: &[&Tensor]| if tensors.iter().all(|tensor| tensor.dtype() == dtype) { dtype } else { DType::F32 };
        let (dtype, factors, shifts, added, group_stride) = match norm.affine {
            op::Affine::Nothing => (dtype, None, None, 0.0, 0),
            op::Affine::Weight(weight) => {
                let dtype = type_of(&[weight]);
                (dtype, Some(readable(weight, dtype)?), None, 0.0, 0)
            }
            op::Affine::WeightAndBias(weight, bias) => {
                let dtype = type_of(&[weight, bias]);
                (dtype, Some(readable(weight, dtype)?), Some(readable(bias, dtype)?), 0.0, 0)
            }
            op::Affine::Modulation { rows, first } => {
                let dtype = type_of(&[rows]);
                // Frames may be as far apart as they like.
                let follow = rows.dtype() == dtype && rows.stride()[2] == 1;
                let rows = if follow { rows.clone() } else { readable(rows, dtype)? };
                let row = |index| rows.narrow(1, index, 1);
                let stride = rows.stride()[0];
                (dtype, Some(row(first + 1)?), Some(row(first)?), 1.0, stride)
            }
        };
        let element = Element::of(dtype).unwrap_or(Element::Float32);
        Ok(Self { element, factors, shifts, added, group_stride })
    }
}

fn float32(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_dtype(DType::F32)?.contiguous()?)
}
