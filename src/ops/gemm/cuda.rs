//! What follows a matrix product on CUDA: tensors as the kernel's plan takes them.

use candle_core::Tensor;

use super::{CONTRACT, Epilogue};
use crate::backend::cuda::device::{Gpu, empty, pointer};
use crate::backend::cuda::gate::{Activation, Finish, Gate, plan};
use crate::backend::cuda::launch::Element;
use crate::error::Result;

/// `epilogue(y + bias)` for `y: [M, N]`; `None` for other devices and types.
pub(super) fn finished(y: &Tensor, bias: Option<&Tensor>, epilogue: Epilogue<'_>) -> Result<Option<Tensor>> {
    let (Some(gpu), Some(element)) = (Gpu::of(y.device())?, Element::of(y.dtype())) else { return Ok(None) };
    if bias.is_none() && matches!(epilogue, Epilogue::None) {
        return Ok(Some(y.clone()));
    }
    let (rows, width) = y.dims2()?;
    let expect = |name: &str, tensor: &Tensor, wanted: &[usize]| match tensor.dims() == wanted {
        true => Ok(()),
        false => Err(CONTRACT.broken(name, &format!("shape {wanted:?}"), format!("{:?}", tensor.dims()))),
    };
    let y = y.contiguous()?;
    let bias = bias.map(|bias| bias.to_dtype(y.dtype())?.contiguous()).transpose()?;
    if let Some(bias) = &bias {
        expect("bias", bias, &[width])?;
    }
    let residual = match epilogue {
        Epilogue::Sum(residual) | Epilogue::Residual { residual, .. } => {
            Some(residual.reshape((rows, width))?.to_dtype(y.dtype())?.contiguous()?)
        }
        _ => None,
    };
    let gate = match epilogue {
        Epilogue::Residual { gate, .. } => {
            expect("gate", &gate.values, &[gate.starts.len(), width])?;
            Some(Gate { values: pointer(&gate.values)?, starts: &gate.starts })
        }
        _ => None,
    };
    let activation = match epilogue {
        Epilogue::Gelu => Activation::Gelu,
        Epilogue::Silu => Activation::Silu,
        _ => Activation::None,
    };
    let result = empty(y.shape(), y.dtype(), y.device())?;
    let launches = plan(&Finish {
        element,
        x: pointer(&y)?,
        y: pointer(&result)?,
        bias: bias.as_ref().map(pointer).transpose()?,
        activation,
        gate,
        residual: residual.as_ref().map(pointer).transpose()?,
        rows,
        width,
    });
    for launch in &launches {
        gpu.launch(launch)?;
    }
    Ok(Some(result))
}
