//! Weights in float8 that a number beside them scales: `weight = float8 * scale`.
//!
//! Of a layer `x`, the file holds `x.weight` in float8 (e4m3), `x.scale_weight`, and sometimes `x.scale_input`, which is for products in float8 and not needed
//! here. A tensor `scaled_fp8` says that there are such layers.
//!
//! # Source
//! ComfyUI, `comfy/ops.py`, `scaled_fp8_ops`: files whose names end in `fp8_scaled` or `fp8_e4m3fn_scaled`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, WithDType};
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::stored::Stored;

const WEIGHT: &str = "weight";
const SCALE: &str = "scale_weight";
const INPUT_SCALE: &str = "scale_input";
const MARK: &str = "scaled_fp8";

/// A tensor in float8 and its scale.
pub struct Scaled<'data> {
    values: TensorView<'data>,
    scale: f32,
}

/// A scale that cannot be used: of which tensor, and what it is.
pub(super) struct BadScale {
    pub tensor: String,
    pub found: String,
}

/// Joins scales with what they scale. What has no partner stays what it is, and is then unknown to whoever takes weights.
pub(super) fn join(tensors: &mut BTreeMap<String, Stored<'_>>) -> Result<(), BadScale> {
    let stem = |name: &String| Some(name.strip_suffix(SCALE)?.to_owned());
    let stems: Vec<String> = tensors.keys().filter_map(stem).collect();
    let mut joined = false;
    for stem in stems {
        let (weight, scale) = (format!("{stem}{WEIGHT}"), format!("{stem}{SCALE}"));
        let values = match (tensors.get(&weight), tensors.get(&scale)) {
            (Some(Stored::Plain(values)), Some(stored)) if values.dtype() == Dtype::F8_E4M3 => {
                let bad = |found| BadScale { tensor: scale.clone(), found };
                Scaled { values: values.clone(), scale: one_number(stored).map_err(bad)? }
            }
            _ => continue,
        };
        tensors.insert(weight, Stored::Scaled(values));
        tensors.remove(&scale);
        tensors.remove(&format!("{stem}{INPUT_SCALE}"));
        joined = true;
    }
    if joined {
        tensors.retain(|name, stored| {
            let is_mark = name.rsplit('.').next() == Some(MARK);
            !(is_mark && matches!(stored, Stored::Plain(view) if view.dtype() == Dtype::F8_E4M3))
        });
    }
    Ok(())
}

fn one_number(stored: &Stored<'_>) -> Result<f32, String> {
    let count: usize = stored.shape().iter().product();
    if count != 1 {
        return Err(format!("{count} values"));
    }
    let values = stored.dense(DType::F32)?.flatten_all().and_then(|values| values.to_vec1::<f32>());
    match values.map_err(|error| error.to_string())?.as_slice() {
        [scale] if scale.is_finite() => Ok(*scale),
        other => Err(format!("{other:?}")),
    }
}

impl<'data> Scaled<'data> {
    pub(super) fn shape(&self) -> &[usize] {
        self.values.shape()
    }

    /// All values in `dtype`, on the CPU; each product is rounded to float32, and then once to `dtype`.
    pub(super) fn dense(&self, dtype: DType) -> candle_core::Result<Tensor> {
        self.of(self.values.data(), self.shape(), dtype)
    }

    /// Rows of a matrix, which are there.
    pub(super) fn rows(&self, rows: &[u32], dtype: DType) -> candle_core::Result<Tensor> {
        let columns = self.shape()[1];
        let row = |row: &u32| &self.values.data()[*row as usize * columns..][..columns];
        let bytes: Vec<u8> = rows.iter().flat_map(row).copied().collect();
        self.of(&bytes, &[rows.len(), columns], dtype)
    }

    fn of(&self, bytes: &[u8], shape: &[usize], dtype: DType) -> candle_core::Result<Tensor> {
        match dtype {
            DType::BF16 => self.looked_up::<bf16>(bytes, shape),
            DType::F16 => self.looked_up::<f16>(bytes, shape),
            _ => self.looked_up::<f32>(bytes, shape)?.to_dtype(dtype),
        }
    }

    /// There are 256 different values: a table of them is quicker than the product.
    fn looked_up<T: WithDType>(&self, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let all = Tensor::from_raw_buffer(&all, DType::F8E4M3, &[all.len()], &Device::Cpu)?;
        let table = (all.to_dtype(DType::F32)?.to_vec1::<f32>()?.into_iter())
            .map(|value| T::from_f64(f64::from(value * self.scale)))
            .collect::<Vec<T>>();
        let values: Vec<T> = bytes.par_iter().map(|byte| table[usize::from(*byte)]).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }
}
