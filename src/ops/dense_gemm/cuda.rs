//! Matrix products on CUDA: tensors as cuBLASLt's plan takes them.

use candle_core::Tensor;

use super::DenseWeight;
use crate::backend::cuda::device::gemm::{self as device};
use crate::backend::cuda::device::{Gpu, aligned, empty, first_value, pointer};
use crate::backend::cuda::gemm::choice::{Candidate, Card};
use crate::backend::cuda::gemm::{Product, Rows, Sizes};
use crate::backend::cuda::launch::Element;
use crate::backend::cuda::norm::row_stride;
use crate::error::{Error, Result};
use crate::ops::gemm::{CONTRACT, Epilogue, checked_residual, finished, output_shape};

/// As [`dense_gemm`](super::dense_gemm); `None` for other devices and types.
pub(super) fn dense_gemm(x: &Tensor, weight: &DenseWeight<'_>, epilogue: Epilogue<'_>) -> Result<Option<Tensor>> {
    let Some(prepared) = Prepared::new(x, weight, epilogue)? else { return Ok(None) };
    if prepared.product.sizes.rows == 0 {
        return Ok(Some(prepared.y));
    }
    if device::multiply(&prepared.gpu, &prepared.product)? {
        return prepared.rest(epilogue).map(Some);
    }
    // What cuBLASLt fuses for most types and shapes, and not for these, is done afterwards.
    let plain = Product { bias: None, addend: None, gelu: false, ..prepared.product };
    if !device::multiply(&prepared.gpu, &plain)? {
        let Sizes { rows, outputs, inputs } = plain.sizes;
        let thing = format!("the product of [{rows}, {inputs}] and [{inputs}, {outputs}] in {:?}", plain.dtype);
        let hint = "report it with the exact command and what `stir devices` prints";
        return Err(Error::run(thing, "an algorithm of cuBLASLt that sums in one sequence", "none", hint));
    }
    Ok(Some(finished(&prepared.flat()?, weight.bias, epilogue)?.reshape(prepared.y.shape())?))
}

/// See [`algorithms`](super::algorithms).
pub(super) fn algorithms(x: &Tensor, weight: &DenseWeight<'_>, epilogue: Epilogue<'_>) -> Result<Vec<Candidate>> {
    match Prepared::new(x, weight, epilogue)? {
        Some(prepared) => device::candidates(&prepared.gpu, &prepared.product),
        None => Ok(Vec::new()),
    }
}

/// See [`card`](super::card).
pub(super) fn card(gpu: &candle_core::Device) -> Result<Option<Card>> {
    Gpu::of(gpu)?.map(|gpu| device::card(&gpu)).transpose()
}

/// As [`dense_gemm`], by this algorithm.
pub(super) fn dense_gemm_by(
    x: &Tensor,
    weight: &DenseWeight<'_>,
    epilogue: Epilogue<'_>,
    by: &Candidate,
) -> Result<Option<Tensor>> {
    let Some(prepared) = Prepared::new(x, weight, epilogue)? else { return Ok(None) };
    device::multiply_by(&prepared.gpu, &prepared.product, &by.algorithm)?;
    prepared.rest(epilogue).map(Some)
}

/// A product that can be started, and everything whose addresses it holds.
struct Prepared {
    gpu: Gpu,
    product: Product,
    y: Tensor,
    /// Given back, on the stream, when the product has been started.
    _converted: Vec<Tensor>,
}

impl Prepared {
    fn new(x: &Tensor, weight: &DenseWeight<'_>, epilogue: Epilogue<'_>) -> Result<Option<Self>> {
        let (Some(gpu), Some(_)) = (Gpu::of(x.device())?, Element::of(x.dtype())) else { return Ok(None) };
        let DenseWeight { weight, bias } = *weight;
        let (outputs, inputs) = weight.dims2()?;
        let shape = output_shape(x, inputs, outputs)?;
        for (name, tensor) in [("weight", Some(weight)), ("bias", bias)] {
            if let Some(tensor) = tensor.filter(|tensor| tensor.dtype() != x.dtype()) {
                return Err(CONTRACT.broken(
                    name,
                    &format!("x's type, {:?}", x.dtype()),
                    format!("{:?}", tensor.dtype()),
                ));
            }
        }
        if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
            return Err(CONTRACT.broken("bias", &format!("shape [{outputs}]"), format!("{:?}", bias.dims())));
        }
        let (x, stride) = match row_stride(x.dims(), x.stride()).filter(|stride| *stride >= inputs) {
            Some(stride) => (x.clone(), stride),
            None => (x.contiguous()?, inputs),
        };
        // cuBLASLt takes an aligned bias only.
        let (weight, bias) = (weight.contiguous()?, bias.map(aligned).transpose()?);
        let addend = match epilogue {
            Epilogue::Sum(residual) => Some(checked_residual(residual, &shape, x.dtype())?),
            _ => None,
        };
        let y = empty(shape.as_slice(), x.dtype(), x.device())?;
        let rows = |tensor: &Tensor| Ok::<_, Error>(Rows { pointer: pointer(tensor)?, stride: outputs });
        let product = Product {
            dtype: x.dtype(),
            sizes: Sizes { rows: y.elem_count() / outputs, outputs, inputs },
            x: Rows { pointer: first_value(&x)?, stride },
            weight: pointer(&weight)?,
            bias: bias.as_ref().map(pointer).transpose()?,
            addend: addend.as_ref().map(rows).transpose()?,
            gelu: matches!(epilogue, Epilogue::Gelu),
            y: rows(&y)?,
        };
        let converted = [Some(x), Some(weight), bias, addend].into_iter().flatten().collect();
        Ok(Some(Self { gpu, product, y, _converted: converted }))
    }

    /// What cuBLASLt does not fuse.
    fn rest(self, epilogue: Epilogue<'_>) -> Result<Tensor> {
        match epilogue {
            Epilogue::None | Epilogue::Gelu | Epilogue::Sum(_) => Ok(self.y),
            Epilogue::Silu | Epilogue::Residual { .. } => {
                Ok(finished(&self.flat()?, None, epilogue)?.reshape(self.y.shape())?)
            }
        }
    }

    /// `[M, N]`.
    fn flat(&self) -> Result<Tensor> {
        Ok(self.y.reshape((self.product.sizes.rows, self.product.sizes.outputs))?)
    }
}
