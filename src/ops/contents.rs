//! The values of tensors, for operations with code of their own.

use std::ops::Range;

use candle_core::{CpuStorage, DType, Device, Shape, Storage, StorageRef, Tensor};
use half::slice::HalfFloatSliceExt;
use half::vec::HalfBitsVecExt;

use super::contract::Contract;
use crate::backend::cpu::gemm::{Values, ValuesMut, WeightValues};
use crate::error::Result;

/// Of the operands.
const CONTRACT: Contract = Contract("an operation");

/// The values of a contiguous tensor on the CPU.
pub struct Contents<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl<'a> Contents<'a> {
    /// Borrows the values.
    ///
    /// # Errors
    /// Values that do not follow each other.
    pub fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, end) = layout.contiguous_offsets().ok_or_else(|| {
            CONTRACT.broken("a tensor", "contiguous values", format!("strides {:?}", layout.stride()))
        })?;
        Ok(Self { storage, range: start..end })
    }

    /// The values where they have to be float32 or bfloat16; `name` is the tensor's, for the message.
    ///
    /// # Errors
    /// Another type or device.
    pub fn values(&self, name: &str) -> Result<Values<'_>> {
        match self.weight_values(name)? {
            WeightValues::Float32(values) => Ok(Values::Float32(values)),
            WeightValues::Bfloat16(values) => Ok(Values::Bfloat16(values)),
            _ => Err(CONTRACT.broken(name, "type F32 or BF16", self.type_name())),
        }
    }

    /// The values where they have to be float32.
    ///
    /// # Errors
    /// Another type or device.
    pub fn float32(&self, name: &str) -> Result<&[f32]> {
        match self.weight_values(name)? {
            WeightValues::Float32(values) => Ok(values),
            _ => Err(CONTRACT.broken(name, "type F32", self.type_name())),
        }
    }

    /// The values where they may also be float16.
    ///
    /// # Errors
    /// Another type or device.
    pub fn weight_values(&self, name: &str) -> Result<WeightValues<'_>> {
        let range = self.range.clone();
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => Ok(WeightValues::Float32(&values[range])),
            Storage::Cpu(CpuStorage::BF16(values)) => Ok(WeightValues::Bfloat16(values[range].reinterpret_cast())),
            Storage::Cpu(CpuStorage::F16(values)) => Ok(WeightValues::Float16(values[range].reinterpret_cast())),
            _ => Err(CONTRACT.broken(name, "type F32, BF16 or F16 on the CPU", self.type_name())),
        }
    }

    fn type_name(&self) -> String {
        format!("{:?} on {:?}", self.storage.dtype(), self.storage.device().location())
    }
}

/// Whether [`Contents::values`] gives this tensor's values, once they are contiguous.
pub fn is_readable(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && matches!(tensor.dtype(), DType::F32 | DType::BF16)
}

/// A new tensor on the CPU, of float32 or bfloat16, of which `write` sets every value.
///
/// # Errors
/// Another type.
pub fn written(shape: impl Into<Shape>, dtype: DType, write: impl FnOnce(ValuesMut<'_>)) -> Result<Tensor> {
    let shape = shape.into();
    match dtype {
        DType::F32 => {
            let mut y = vec![0f32; shape.elem_count()];
            write(ValuesMut::Float32(&mut y));
            Ok(Tensor::from_vec(y, shape, &Device::Cpu)?)
        }
        DType::BF16 => {
            let mut y = vec![0u16; shape.elem_count()];
            write(ValuesMut::Bfloat16(&mut y));
            Ok(Tensor::from_vec(y.reinterpret_into::<half::bf16>(), shape, &Device::Cpu)?)
        }
        other => Err(CONTRACT.broken("a result", "type F32 or BF16", format!("{other:?}"))),
    }
}
