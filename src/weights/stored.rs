//! A tensor in its file, bytes of the map, or one that is made up: converted or made when somebody takes it.

use std::io::Cursor;
use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::TensorInfo;
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::store::Weight;
use super::synthetic::SyntheticTensor;

/// Where the bytes of a tensor are and how they are to be read.
pub enum Stored<'data> {
    /// Row by row in a safetensors file.
    Plain(TensorView<'data>),
    /// In a GGUF file.
    Gguf {
        /// Its type and place; the offset counts from the start of the file's data.
        info: TensorInfo,
        /// The whole file.
        file: &'data [u8],
        /// Where the data starts.
        data: u64,
    },
    /// In no file.
    Synthetic(SyntheticTensor),
}

/// What was found instead of what was wanted.
type Found<T> = Result<T, String>;

fn found(error: candle_core::Error) -> String {
    error.to_string()
}

impl Stored<'_> {
    /// The types of tensors that are read.
    pub const TYPES: &'static str = "float32, float16, bfloat16, float8 (e4m3) or a quantised type of GGUF, complete";

    /// The tensor's shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Plain(view) => view.shape(),
            Self::Gguf { info, .. } => info.shape.dims(),
            Self::Synthetic(tensor) => tensor.shape(),
        }
    }

    /// What its type is called.
    pub fn type_name(&self) -> String {
        match self {
            Self::Plain(view) => match view.dtype() {
                Dtype::F32 => "float32".to_owned(),
                Dtype::F16 => "float16".to_owned(),
                Dtype::BF16 => "bfloat16".to_owned(),
                Dtype::F8_E4M3 => "float8 (e4m3)".to_owned(),
                other => format!("{other:?}"),
            },
            Self::Gguf { info, .. } => format!("GGUF {:?}", info.ggml_dtype),
            Self::Synthetic(_) => "random".to_owned(),
        }
    }

    /// Whether it is of a type that is read, and complete; without reading it.
    pub fn check(&self) -> Found<()> {
        match self {
            Self::Plain(view) => candle_type(view.dtype()).map(|_| ()),
            Self::Gguf { info, file, data } => {
                let kind = info.ggml_dtype;
                let values = info.shape.elem_count();
                if !values.is_multiple_of(kind.block_size()) {
                    return Err(format!("{values} values in blocks of {}", kind.block_size()));
                }
                let bytes = (values / kind.block_size()) as u128 * kind.type_size() as u128;
                let end = u128::from(*data) + u128::from(info.offset) + bytes;
                if end > file.len() as u128 {
                    return Err(format!("an end at byte {end} of a file of {}", file.len()));
                }
                Ok(())
            }
            Self::Synthetic(_) => Ok(()),
        }
    }

    /// The tensor in `dtype`, on the CPU: not every device can convert every type.
    pub fn dense(&self, dtype: DType) -> Found<Tensor> {
        match self {
            Self::Plain(view) => plain(view.dtype(), view.data(), view.shape(), dtype),
            Self::Gguf { .. } => {
                let tensor = self.quantized(&Device::Cpu)?.dequantize(&Device::Cpu).map_err(found)?;
                tensor.to_dtype(dtype).map_err(found)
            }
            Self::Synthetic(tensor) => tensor.dense(dtype).map_err(found),
        }
    }

    /// The tensor with what is stored in float8 or quantised left so, on `device`.
    pub fn compact(&self, dtype: DType, device: &Device) -> Found<Weight> {
        match self {
            Self::Plain(view) if view.dtype() == Dtype::F8_E4M3 => {
                let tensor = plain(view.dtype(), view.data(), view.shape(), DType::F8E4M3)?;
                Ok(Weight::Float8(tensor.to_device(device).map_err(found)?))
            }
            Self::Gguf { info, .. } if info.ggml_dtype.block_size() > 1 => {
                Ok(Weight::Quantized(Arc::new(self.quantized(device)?)))
            }
            _ => Ok(Weight::Dense(self.dense(dtype)?.to_device(device).map_err(found)?)),
        }
    }

    /// The bytes of what [`compact`](Self::compact) leaves as it is stored; `None` where it converts.
    pub fn compact_bytes(&self) -> Option<usize> {
        match self {
            Self::Plain(view) if view.dtype() == Dtype::F8_E4M3 => Some(view.data().len()),
            Self::Gguf { info, .. } if info.ggml_dtype.block_size() > 1 => {
                Some(info.shape.elem_count() / info.ggml_dtype.block_size() * info.ggml_dtype.type_size())
            }
            _ => None,
        }
    }

    /// Rows of a matrix in `dtype`, on the CPU. `rows` are there.
    pub fn rows(&self, rows: &[u32], dtype: DType) -> Found<Tensor> {
        match self {
            Self::Plain(view) => {
                let row_bytes = view.data().len() / view.shape()[0].max(1);
                let bytes: Vec<u8> = rows
                    .iter()
                    .flat_map(|row| &view.data()[*row as usize * row_bytes..][..row_bytes])
                    .copied()
                    .collect();
                plain(view.dtype(), &bytes, &[rows.len(), view.shape()[1]], dtype)
            }
            Self::Gguf { .. } => {
                let index = Tensor::new(rows, &Device::Cpu).map_err(found)?;
                self.dense(dtype)?.index_select(&index, 0).map_err(found)
            }
            Self::Synthetic(tensor) => tensor.rows(rows, dtype).map_err(found),
        }
    }

    fn quantized(&self, device: &Device) -> Found<QTensor> {
        let Self::Gguf { info, file, data } = self else {
            return Err("no GGUF tensor".to_owned());
        };
        info.read(&mut Cursor::new(file), *data, device).map_err(found)
    }
}

fn plain(stored: Dtype, bytes: &[u8], shape: &[usize], dtype: DType) -> Found<Tensor> {
    let tensor = Tensor::from_raw_buffer(bytes, candle_type(stored)?, shape, &Device::Cpu).map_err(found)?;
    tensor.to_dtype(dtype).map_err(found)
}

fn candle_type(stored: Dtype) -> Found<DType> {
    match stored {
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::BF16),
        Dtype::F8_E4M3 => Ok(DType::F8E4M3),
        other => Err(format!("{other:?}")),
    }
}
