//! Products of matrices with packed weights, on the CPU: what fully connected layers are made of.
//!
//! `y = epilogue(x w^T + bias)`. Sums are float32 and run over K in order, and the result is rounded once. No operand is rounded: where both are bfloat16
//! and the processor multiplies pairs of them, it does so (and takes subnormal values for zero); elsewhere they are widened to float32. A
//! row of `y` depends on its own row of `x` only, and nothing depends on the number of threads.

use candle_core::{DType, Device, Tensor};
use half::vec::HalfBitsVecExt;

use super::contents::Contents;
pub use crate::backend::cpu::gemm::Kernels;
use crate::backend::cpu::gemm::{self as cpu, Multiplication, PackedPanels, ValuesMut};
use crate::error::{Error, Result};

/// A weight in the order in which the processor reads it, with its bias.
pub struct PackedWeight {
    panels: PackedPanels,
    bias: Option<Vec<f32>>,
    outputs: usize,
    inputs: usize,
}

impl PackedWeight {
    /// Packs `weight: [N, K]` of float32, bfloat16 or float16, and `bias: [N]` of any type, for the fastest instructions of this machine. Two-byte types
    /// take two bytes a value, but for float16 on processors that cannot widen it while they multiply.
    ///
    /// # Errors
    /// Other types or shapes, or a tensor that is not on the CPU.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        Self::with_kernels(weight, bias, Kernels::fastest())
    }

    /// The same for one of the [instruction sets](Kernels::available) of this machine.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_kernels(weight: &Tensor, bias: Option<&Tensor>, kernels: &'static Kernels) -> Result<Self> {
        let &[outputs, inputs] = weight.dims() else {
            return Err(misused("weight", "shape [N, K]", format!("{:?}", weight.dims())));
        };
        if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
            return Err(misused("bias", &format!("shape [{outputs}]"), format!("{:?}", bias.dims())));
        }
        let bias = bias.map(to_float32).transpose()?;
        let weight = weight.contiguous()?;
        let contents = Contents::of(&weight)?;
        let panels = PackedPanels::new(kernels, contents.weight_values("weight")?, [outputs, inputs]);
        Ok(Self { panels, bias, outputs, inputs })
    }

    /// N.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// K.
    pub fn inputs(&self) -> usize {
        self.inputs
    }
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
    /// `residual + gate * y`.
    Residual {
        /// Of the shape and the type of the result.
        residual: &'a Tensor,
        /// The factors.
        gate: &'a Gate,
    },
}

/// Factors for the columns of `y`, which may change from one range of rows to the next.
pub struct Gate {
    /// `[G, N]`.
    values: Vec<f32>,
    columns: usize,
    /// Where in `y` each row of factors begins.
    starts: Vec<usize>,
}

impl Gate {
    /// `values: [G, N]` of any type; row `g` is for the rows of `y` (all axes but the last taken as one) from `starts[g]` up to the next start.
    ///
    /// # Errors
    /// Another shape, or starts that do not ascend from 0.
    pub fn new(values: &Tensor, starts: &[usize]) -> Result<Self> {
        if starts.first() != Some(&0) || !starts.is_sorted() {
            return Err(misused("gate", "starts that ascend from 0", format!("{starts:?}")));
        }
        match *values.dims() {
            [rows, columns] if rows == starts.len() => {
                Ok(Self { values: to_float32(values)?, columns, starts: starts.to_vec() })
            }
            ref other => Err(misused("gate", &format!("shape [{}, N]", starts.len()), format!("{other:?}"))),
        }
    }
}

/// `x: [..., K]` of float32, bfloat16 or float16 to `epilogue(x w^T + bias): [..., N]` of type `output`, float32 or bfloat16.
///
/// # Errors
/// Other types or shapes, or a tensor that is not on the CPU.
///
/// # Source
/// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), for the order of loops.
pub fn gemm(x: &Tensor, weight: &PackedWeight, epilogue: Epilogue<'_>, output: DType) -> Result<Tensor> {
    let shape = output_shape(x, weight.inputs, weight.outputs)?;
    // No processor multiplies float16 with float32 sums; widening it is exact.
    let x = if x.dtype() == DType::F16 { x.to_dtype(DType::F32)? } else { x.contiguous()? };
    let x = Contents::of(&x)?;
    let residual = match epilogue {
        Epilogue::Residual { residual, .. } => Some(checked_residual(residual, &shape, output)?),
        _ => None,
    };
    let residual = residual.as_ref().map(Contents::of).transpose()?;
    let epilogue = match (epilogue, &residual) {
        (Epilogue::Residual { gate, .. }, Some(residual)) => {
            if gate.columns != weight.outputs {
                return Err(misused("gate", &format!("{} columns", weight.outputs), gate.columns.to_string()));
            }
            let gate = cpu::Gate { values: &gate.values, starts: &gate.starts };
            cpu::Epilogue::Residual { residual: residual.values("residual")?, gate }
        }
        (Epilogue::Gelu, _) => cpu::Epilogue::Gelu,
        (Epilogue::Silu, _) => cpu::Epilogue::Silu,
        _ => cpu::Epilogue::None,
    };
    let rows = shape[..shape.len() - 1].iter().product();
    let bias = weight.bias.as_deref();
    let multiplication = Multiplication { x: x.values("x")?, rows, weight: &weight.panels, bias, epilogue };
    let size = rows * weight.outputs;
    match output {
        DType::F32 => {
            let mut y = vec![0_f32; size];
            cpu::multiply(&multiplication, ValuesMut::Float32(&mut y));
            Ok(Tensor::from_vec(y, shape, &Device::Cpu)?)
        }
        DType::BF16 => {
            let mut y = vec![0_u16; size];
            cpu::multiply(&multiplication, ValuesMut::Bfloat16(&mut y));
            Ok(Tensor::from_vec(y.reinterpret_into::<half::bf16>(), shape, &Device::Cpu)?)
        }
        other => Err(misused("y", "type F32 or BF16", format!("{other:?}"))),
    }
}

/// What [`gemm`] computes, in plain tensor operations: `x: [..., K]`, `weight: [N, K]`, `bias: [N]`, all of the type of the result.
///
/// # Errors
/// A failed tensor operation.
pub fn definition(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, epilogue: Epilogue<'_>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let shape = output_shape(x, inputs, outputs)?;
    let y = x.reshape(((), inputs))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    let y = match epilogue {
        Epilogue::None => y,
        Epilogue::Gelu => y.gelu()?,
        Epilogue::Silu => y.silu()?,
        Epilogue::Residual { residual, gate } => {
            let rows = y.dims()[0];
            let row = |row: usize| gate.starts.partition_point(|&start| start <= row) as u32 - 1;
            let rows = Tensor::from_iter((0..rows).map(row), y.device())?;
            let gate = Tensor::from_slice(&gate.values, (gate.starts.len(), gate.columns), y.device())?;
            let gate = gate.to_dtype(y.dtype())?.index_select(&rows, 0)?;
            (residual.reshape(y.shape())? + (gate * y)?)?
        }
    };
    Ok(y.reshape(shape)?)
}

fn output_shape(x: &Tensor, inputs: usize, outputs: usize) -> Result<Vec<usize>> {
    match x.dims() {
        [leading @ .., last] if *last == inputs => Ok([leading, &[outputs]].concat()),
        other => Err(misused("x", &format!("shape [..., {inputs}]"), format!("{other:?}"))),
    }
}

fn checked_residual(residual: &Tensor, shape: &[usize], output: DType) -> Result<Tensor> {
    if residual.dims() != shape || residual.dtype() != output {
        let found = format!("{:?} {:?}", residual.dtype(), residual.dims());
        return Err(misused("residual", &format!("the result's type and shape, {output:?} {shape:?}"), found));
    }
    Ok(residual.contiguous()?)
}

fn to_float32(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// What only a defect in the caller brings about.
fn misused(name: &str, wanted: &str, found: String) -> Error {
    Error::run(format!("`{name}` of a matrix product"), wanted, found, "please report this: it is a defect of stir")
}
