//! Weights of [matrix products](super::gemm) on the CPU, packed from tensors, from bytes of a file, or from GGUF's blocks.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{DType, Device, Tensor};

use super::contents::Contents;
use super::gemm::CONTRACT;
use crate::backend::cpu::gemm::{Kernels, PackedPanels, WeightValues};
use crate::error::Result;

/// A weight in the order in which the processor reads it, with its bias.
pub struct PackedWeight {
    pub(super) panels: PackedPanels,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
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
            return Err(CONTRACT.broken("weight", "shape [N, K]", format!("{:?}", weight.dims())));
        };
        let weight = weight.contiguous()?;
        let contents = Contents::of(&weight)?;
        let panels = PackedPanels::new(kernels, contents.weight_values("weight")?, [outputs, inputs]);
        Self::with_bias(panels, [outputs, inputs], bias)
    }

    /// Packs a weight from where its file is mapped, or from wherever its bytes are. float8 is widened to bfloat16, which is exact.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn from_bytes(weight: &WeightBytes<'_>, bias: Option<&Tensor>) -> Result<Self> {
        let WeightBytes { dtype, bytes, shape } = *weight;
        let Some(values) = weight.values()? else {
            // A file may place its values at odd addresses.
            return Self::new(&Tensor::from_raw_buffer(bytes, dtype, &shape, &Device::Cpu)?, bias);
        };
        Self::with_bias(PackedPanels::new(Kernels::fastest(), values, shape), shape, bias)
    }

    /// Packs a weight in blocks of one of GGUF's types for products with `x` of the type `dtype`: in float32, but rounded to bfloat16 for bfloat16, as a
    /// weight of float32 would be.
    ///
    /// # Errors
    /// Other shapes, a weight that is not on the CPU, or blocks that cannot be read.
    pub fn from_blocks(weight: &QTensor, bias: Option<&Tensor>, dtype: DType) -> Result<Self> {
        let &[outputs, inputs] = weight.shape().dims() else {
            return Err(CONTRACT.broken("weight", "shape [N, K]", format!("{:?}", weight.shape().dims())));
        };
        let kind = weight.dtype();
        let data = weight.data()?;
        let row_bytes = inputs / kind.block_size() * kind.type_size();
        let make = |rows: Range<usize>| {
            let bytes = &data[rows.start * row_bytes..rows.end * row_bytes];
            let blocks = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, kind)?;
            QTensor::new(blocks, (rows.len(), inputs))?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()
        };
        let panels = PackedPanels::made(Kernels::fastest(), [outputs, inputs], dtype == DType::BF16, make)?;
        Self::with_bias(panels, [outputs, inputs], bias)
    }

    fn with_bias(panels: PackedPanels, [outputs, inputs]: [usize; 2], bias: Option<&Tensor>) -> Result<Self> {
        if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
            return Err(CONTRACT.broken("bias", &format!("shape [{outputs}]"), format!("{:?}", bias.dims())));
        }
        let bias = bias.map(to_float32).transpose()?;
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

impl fmt::Debug for PackedWeight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bias = if self.bias.is_some() { " with a bias" } else { "" };
        write!(formatter, "PackedWeight([{}, {}]{bias})", self.outputs, self.inputs)
    }
}

/// The values of a weight as bytes.
#[derive(Debug, Clone, Copy)]
pub struct WeightBytes<'a> {
    /// float32, bfloat16, float16 or float8 (e4m3).
    pub dtype: DType,
    /// Row by row.
    pub bytes: &'a [u8],
    /// `[N, K]`.
    pub shape: [usize; 2],
}

impl<'a> WeightBytes<'a> {
    /// The values; `None` where they are not aligned.
    pub(super) fn values(&self) -> Result<Option<WeightValues<'a>>> {
        let WeightBytes { dtype, bytes, shape } = *self;
        let expected = shape[0] * shape[1] * dtype.size_in_bytes();
        if bytes.len() != expected {
            return Err(CONTRACT.broken("weight", &format!("{expected} bytes"), bytes.len().to_string()));
        }
        match dtype {
            DType::F32 => Ok(WeightValues::float32_of(bytes)),
            DType::BF16 => Ok(WeightValues::two_bytes_of(bytes).map(WeightValues::Bfloat16)),
            DType::F16 => Ok(WeightValues::two_bytes_of(bytes).map(WeightValues::Float16)),
            DType::F8E4M3 => Ok(Some(WeightValues::Float8(bytes))),
            other => Err(CONTRACT.broken("weight", "type F32, BF16, F16 or F8E4M3", format!("{other:?}"))),
        }
    }
}

fn to_float32(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
