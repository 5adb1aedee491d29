//! Products of matrices with packed weights, on the CPU: what fully connected layers are made of.
//!
//! `y = epilogue(x w^T + bias)`. Sums are float32 and run over K in order, and the result is rounded once. No operand is rounded: where both are bfloat16
//! and the processor multiplies pairs of them, it does so (and takes subnormal values for zero); elsewhere they are widened to float32. A
//! row of `y` depends on its own row of `x` only, and nothing depends on the number of threads.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Device, Tensor};

use super::contents::{Contents, written};
use super::contract::Contract;
pub use super::packed_weight::{PackedWeight, WeightBytes};
pub use crate::backend::cpu::gemm::Kernels;
use crate::backend::cpu::gemm::{self as cpu, Multiplication, Panels, Product, StoredPanels};
use crate::error::Result;

/// Of the operands.
pub(super) const CONTRACT: Contract = Contract("a matrix product");

/// The type in which the device multiplies fastest, of those whose sums are float32 and whose range is float32's: bfloat16, but float32 on processors
/// that do not multiply pairs of bfloat16.
pub fn fastest_dtype(device: &Device) -> DType {
    let widened = device.is_cpu() && !Kernels::fastest().has(Product::Bfloat16);
    if widened { DType::F32 } else { DType::BF16 }
}

/// A weight to multiply with.
#[derive(Clone, Copy)]
struct Factor<'a> {
    panels: Panels<'a>,
    bias: Option<&'a [f32]>,
    outputs: usize,
    inputs: usize,
}

/// What is done to `y` before it is rounded.
#[derive(Clone, Copy)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// [`gelu`](super::gelu::gelu): `0.5 y (1 + tanh(sqrt(2 / pi) (y + 0.044715 y^3)))`.
    Gelu,
    /// `y / (1 + exp(-y))`.
    Silu,
    /// `residual + y`; the tensor is of the shape and the type of the result.
    Sum(&'a Tensor),
    /// `residual + gate * y`.
    Residual {
        /// Of the shape and the type of the result.
        residual: &'a Tensor,
        /// The factors.
        gate: &'a Gate,
    },
}

/// Factors for the columns of `y`, which may change from one range of rows to the next.
#[derive(Debug, Clone)]
pub struct Gate {
    /// `[G, N]`, float32, where the product is computed.
    pub(super) values: Tensor,
    /// Where in `y` each row of factors begins.
    pub(super) starts: Vec<usize>,
}

impl Gate {
    /// `values: [G, N]` of any type; row `g` is for the rows of `y` (all axes but the last taken as one) from `starts[g]` up to the next start.
    ///
    /// # Errors
    /// Another shape, or starts that do not ascend from 0.
    pub fn new(values: &Tensor, starts: &[usize]) -> Result<Self> {
        if starts.first() != Some(&0) || !starts.is_sorted() {
            return Err(CONTRACT.broken("gate", "starts that ascend from 0", format!("{starts:?}")));
        }
        match *values.dims() {
            [rows, _] if rows == starts.len() => {
                Ok(Self { values: values.to_dtype(DType::F32)?.contiguous()?, starts: starts.to_vec() })
            }
            ref other => Err(CONTRACT.broken("gate", &format!("shape [{}, N]", starts.len()), format!("{other:?}"))),
        }
    }

    /// `gate * y`, for `y: [M, N]` of the gate's type.
    fn apply(&self, y: &Tensor) -> Result<Tensor> {
        let (rows, columns) = y.dims2()?;
        let count = self.starts.len();
        let gate = self.values.to_dtype(y.dtype())?;
        // Ranges of one length, as frames are, need no factor for each row.
        if rows.is_multiple_of(count) && self.starts.iter().enumerate().all(|(g, start)| *start == g * (rows / count)) {
            let y = y.reshape((count, rows / count, columns))?;
            return Ok(y.broadcast_mul(&gate.unsqueeze(1)?)?.reshape((rows, columns))?);
        }
        let range = |row: usize| self.starts.partition_point(|&start| start <= row) as u32 - 1;
        let ranges = Tensor::from_iter((0..rows).map(range), y.device())?;
        Ok((gate.index_select(&ranges, 0)? * y)?)
    }
}

/// `x: [..., K]` of float32, bfloat16 or float16 to `epilogue(x w^T + bias): [..., N]` of type `output`, one of these too.
///
/// # Errors
/// Other types or shapes, or a tensor that is not on the CPU.
///
/// # Source
/// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), for the order of loops.
pub fn gemm(x: &Tensor, weight: &PackedWeight, epilogue: Epilogue<'_>, output: DType) -> Result<Tensor> {
    let PackedWeight { panels, bias, outputs, inputs } = weight;
    let panels = Panels::Packed(panels);
    multiplied(x, Factor { panels, bias: bias.as_deref(), outputs: *outputs, inputs: *inputs }, epilogue, output)
}

/// The same, bit for bit, without a bias, with a weight that is multiplied from where its file is mapped: each value is read once, and none is kept. For
/// weights that are used once, and hundreds of rows of `x`; with thousands, packing before costs next to nothing and multiplies a little faster.
///
/// # Errors
/// As for [`gemm`].
pub fn gemm_stored(x: &Tensor, weight: &WeightBytes<'_>, epilogue: Epilogue<'_>, output: DType) -> Result<Tensor> {
    gemm_stored_with(x, &StoredWeight { weight: *weight, kernels: Kernels::fastest() }, epilogue, output)
}

/// A weight where it is stored, to be multiplied by one of the [instruction sets](Kernels::available) of this machine.
#[derive(Clone, Copy)]
pub struct StoredWeight<'a> {
    /// The weight.
    pub weight: WeightBytes<'a>,
    /// The instruction set.
    pub kernels: &'static Kernels,
}

/// As [`gemm_stored`].
///
/// # Errors
/// As for [`gemm`].
pub fn gemm_stored_with(
    x: &Tensor,
    weight: &StoredWeight<'_>,
    epilogue: Epilogue<'_>,
    output: DType,
) -> Result<Tensor> {
    let StoredWeight { weight: WeightBytes { dtype, bytes, shape }, kernels } = *weight;
    let [outputs, inputs] = shape;
    let Some(values) = weight.weight.values()? else {
        // A file may place its values at odd addresses.
        let weight = Tensor::from_raw_buffer(bytes, dtype, &shape, &Device::Cpu)?;
        return gemm(x, &PackedWeight::with_kernels(&weight, None, kernels)?, epilogue, output);
    };
    let panels = Panels::Stored(StoredPanels { kernels, values, outputs, inputs });
    multiplied(x, Factor { panels, bias: None, outputs, inputs }, epilogue, output)
}

fn multiplied(x: &Tensor, weight: Factor<'_>, epilogue: Epilogue<'_>, output: DType) -> Result<Tensor> {
    if !matches!(output, DType::F32 | DType::BF16 | DType::F16) {
        return Err(CONTRACT.broken("y", "type F32, BF16 or F16", format!("{output:?}")));
    }
    let shape = output_shape(x, weight.inputs, weight.outputs)?;
    let ones;
    let epilogue = match epilogue {
        Epilogue::Sum(residual) => {
            ones = Gate::new(&Tensor::ones((1, weight.outputs), DType::F32, &Device::Cpu)?, &[0])?;
            Epilogue::Residual { residual, gate: &ones }
        }
        other => other,
    };
    if output == DType::F16 {
        return narrowed(x, weight, epilogue);
    }
    // No processor multiplies float16 with float32 sums; widening it is exact.
    let x = if x.dtype() == DType::F16 { x.to_dtype(DType::F32)? } else { x.contiguous()? };
    let x = Contents::of(&x)?;
    let residual = match epilogue {
        Epilogue::Residual { residual, .. } => Some(checked_residual(residual, &shape, output)?),
        _ => None,
    };
    let residual = residual.as_ref().map(Contents::of).transpose()?;
    let factors = match epilogue {
        Epilogue::Residual { gate, .. } => Some(Contents::of(&gate.values)?),
        _ => None,
    };
    let epilogue = match (epilogue, &residual, &factors) {
        (Epilogue::Residual { gate, .. }, Some(residual), Some(factors)) => {
            let columns = gate.values.dim(1)?;
            if columns != weight.outputs {
                return Err(CONTRACT.broken("gate", &format!("{} columns", weight.outputs), columns.to_string()));
            }
            let gate = cpu::Gate { values: factors.float32("gate")?, starts: &gate.starts };
            cpu::Epilogue::Residual { residual: residual.values("residual")?, gate }
        }
        (Epilogue::Gelu, ..) => cpu::Epilogue::Gelu,
        (Epilogue::Silu, ..) => cpu::Epilogue::Silu,
        _ => cpu::Epilogue::None,
    };
    let rows = shape[..shape.len() - 1].iter().product();
    let Factor { panels: weight, bias, .. } = weight;
    let multiplication = Multiplication { x: x.values("x")?, rows, weight, bias, epilogue };
    written(shape, output, |y| cpu::multiply(&multiplication, y))
}

/// The same in float16, which only the result is rounded to. No sum without a gate.
fn narrowed(x: &Tensor, weight: Factor<'_>, epilogue: Epilogue<'_>) -> Result<Tensor> {
    let wide;
    let epilogue = match epilogue {
        Epilogue::Residual { residual, gate } => {
            wide = residual.to_dtype(DType::F32)?;
            Epilogue::Residual { residual: &wide, gate }
        }
        other => other,
    };
    Ok(multiplied(x, weight, epilogue, DType::F32)?.to_dtype(DType::F16)?)
}

/// What [`gemm`] computes, in plain tensor operations: `x: [..., K]`, `weight: [N, K]`, `bias: [N]`, all of the type of the result.
///
/// # Errors
/// A failed tensor operation.
pub fn definition(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, epilogue: Epilogue<'_>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let shape = output_shape(x, inputs, outputs)?;
    let y = x.reshape(((), inputs))?.matmul(&weight.t()?)?;
    Ok(definition_of_finished(&y, bias, epilogue)?.reshape(shape)?)
}

/// `epilogue(y + bias)` for `y: [M, N]` and `bias: [N]` of one type, to the same. On CUDA a kernel computes it in one pass, in float32, elsewhere it is
/// computed as it is [defined](definition_of_finished).
///
/// # Errors
/// A failed tensor operation.
pub fn finished(y: &Tensor, bias: Option<&Tensor>, epilogue: Epilogue<'_>) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(y) = cuda::finished(y, bias, epilogue)? {
        return Ok(y);
    }
    definition_of_finished(y, bias, epilogue)
}

/// What [`finished`] computes, in plain tensor operations. Gate and residual are computed in float32 where that is wider.
///
/// # Errors
/// A failed tensor operation.
pub fn definition_of_finished(y: &Tensor, bias: Option<&Tensor>, epilogue: Epilogue<'_>) -> Result<Tensor> {
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y.clone(),
    };
    Ok(match epilogue {
        Epilogue::None => y,
        Epilogue::Gelu => y.gelu()?,
        Epilogue::Silu => y.silu()?,
        Epilogue::Sum(residual) => (residual.reshape(y.shape())? + y)?,
        Epilogue::Residual { residual, gate } => {
            let wide = if y.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
            let residual = residual.reshape(y.shape())?.to_dtype(wide)?;
            (residual + gate.apply(&y.to_dtype(wide)?)?)?.to_dtype(y.dtype())?
        }
    })
}

pub(super) fn output_shape(x: &Tensor, inputs: usize, outputs: usize) -> Result<Vec<usize>> {
    match x.dims() {
        [leading @ .., last] if *last == inputs => Ok([leading, &[outputs]].concat()),
        other => Err(CONTRACT.broken("x", &format!("shape [..., {inputs}]"), format!("{other:?}"))),
    }
}

pub(super) fn checked_residual(residual: &Tensor, shape: &[usize], output: DType) -> Result<Tensor> {
    if residual.dims() != shape || residual.dtype() != output {
        let found = format!("{:?} {:?}", residual.dtype(), residual.dims());
        return Err(CONTRACT.broken("residual", &format!("the result's type and shape, {output:?} {shape:?}"), found));
    }
    Ok(residual.contiguous()?)
}
