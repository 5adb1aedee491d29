//! A tensor in its file, bytes of the map, or one that is made up: converted or made when somebody takes it.

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::Arc;

use candle_core::quantized::gguf_file::TensorInfo;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, View};

use super::scaled::Scaled;
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
    /// In float8 in a safetensors file, with a scale.
    Scaled(Scaled<'data>),
    /// In no file.
    Synthetic(SyntheticTensor),
}

/// A weight as it is best kept until it is used.
#[derive(Debug, Clone)]
pub enum Weight<'data> {
    /// On the CPU, in the file: float32, bfloat16, float16 or float8.
    Mapped(MappedValues<'data>),
    /// In the store's type, or float16 or bfloat16 on the CPU.
    Dense(Tensor),
    /// On other devices, in float8 (e4m3), a quarter of float32's memory: to be converted whenever it is used.
    Float8(Tensor),
    /// In blocks of GGUF's types.
    Quantized(Arc<QTensor>),
    /// On its way to the device: whole once it has been brought there, and not to be computed with, split or joined before.
    Carried(Tensor),
    /// Zeros that take no memory, of a store that reads nothing.
    Outline(Tensor),
}

/// A tensor in its file.
#[derive(Debug, Clone, Copy)]
pub struct MappedValues<'data> {
    /// Their type.
    pub dtype: DType,
    /// Row by row, at any address.
    pub bytes: &'data [u8],
}

/// What was found instead of what was wanted.
type Found<T> = Result<T, String>;

fn found(error: candle_core::Error) -> String {
    error.to_string()
}

impl<'data> Stored<'data> {
    /// The types of tensors that are read.
    pub const TYPES: &'static str =
        "float32, float16, bfloat16, float8 (e4m3, scaled or not) or a quantised type of GGUF, complete";

    /// The tensor's shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Plain(view) => view.shape(),
            Self::Gguf { info, .. } => info.shape.dims(),
            Self::Scaled(tensor) => tensor.shape(),
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
            Self::Scaled(_) => "scaled float8 (e4m3)".to_owned(),
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
            Self::Scaled(_) | Self::Synthetic(_) => Ok(()),
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
            Self::Scaled(tensor) => tensor.dense(dtype).map_err(found),
            Self::Synthetic(tensor) => tensor.dense(dtype).map_err(found),
        }
    }

    /// The tensor as it is best kept on `device` for products with activations in `dtype`.
    pub fn compact(&self, dtype: DType, device: &Device) -> Found<Weight<'data>> {
        match self {
            Self::Gguf { info, .. } if info.ggml_dtype.block_size() > 1 => {
                return Ok(Weight::Quantized(Arc::new(self.quantized(device)?)));
            }
            Self::Plain(view) if view.dtype() == Dtype::F8_E4M3 && !device.is_cpu() => {
                let tensor = plain(view.dtype(), view.data(), view.shape(), DType::F8E4M3)?;
                return Ok(Weight::Float8(tensor.to_device(device).map_err(found)?));
            }
            _ => {}
        }
        let mapped = self.mapped()?.filter(|_| device.is_cpu());
        let dtype = match mapped {
            Some(mapped) if kept_on_cpu(mapped.dtype, dtype) == mapped.dtype => return Ok(Weight::Mapped(mapped)),
            Some(mapped) => kept_on_cpu(mapped.dtype, dtype),
            None => dtype,
        };
        Ok(Weight::Dense(self.dense(dtype)?.to_device(device).map_err(found)?))
    }

    /// The type of [`carried`](Self::carried) values for products with activations in `dtype`; `None` for blocks, which the device is given as they are.
    pub fn carried_type(&self, dtype: DType) -> Option<DType> {
        match self {
            Self::Gguf { info, .. } if info.ggml_dtype.block_size() > 1 => None,
            Self::Plain(view) if view.dtype() == Dtype::F8_E4M3 => Some(DType::F8E4M3),
            _ => Some(dtype),
        }
    }

    /// The values in `dtype`, row by row; where they are stored so, they are in the file.
    pub fn carried(&self, dtype: DType) -> Found<Cow<'data, [u8]>> {
        match self.mapped()? {
            Some(mapped) if mapped.dtype == dtype => Ok(Cow::Borrowed(mapped.bytes)),
            _ => Ok(Cow::Owned(self.dense(dtype)?.data().into_owned())),
        }
    }

    /// The values in the file, where they are no blocks.
    fn mapped(&self) -> Found<Option<MappedValues<'data>>> {
        Ok(match self {
            Self::Plain(view) => Some(MappedValues { dtype: candle_type(view.dtype())?, bytes: view.data() }),
            Self::Gguf { info, file, data } => {
                let kind = match info.ggml_dtype {
                    GgmlDType::F32 => DType::F32,
                    GgmlDType::F16 => DType::F16,
                    GgmlDType::BF16 => DType::BF16,
                    _ => return Ok(None),
                };
                let start = (data + info.offset) as usize;
                let size = info.shape.elem_count() * kind.size_in_bytes();
                let bytes = file.get(start..start + size).ok_or("an end beyond that of the file")?;
                Some(MappedValues { dtype: kind, bytes })
            }
            Self::Scaled(_) | Self::Synthetic(_) => None,
        })
    }

    /// Bytes that [`compact`](Self::compact) keeps.
    pub fn compact_bytes(&self, dtype: DType, device: &Device) -> usize {
        let values: usize = self.shape().iter().product();
        match self {
            Self::Gguf { info, .. } if info.ggml_dtype.block_size() > 1 => {
                values / info.ggml_dtype.block_size() * info.ggml_dtype.type_size()
            }
            Self::Plain(view) if view.dtype() == Dtype::F8_E4M3 => values,
            _ => {
                let mapped = self.mapped().ok().flatten().filter(|_| device.is_cpu());
                values * mapped.map_or(dtype, |mapped| kept_on_cpu(mapped.dtype, dtype)).size_in_bytes()
            }
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
            Self::Scaled(tensor) => tensor.rows(rows, dtype).map_err(found),
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

/// The type in which the CPU keeps a weight for products with activations in `dtype`. Two bytes stay two bytes, whatever the activations are: to
/// widen them in the product changes no result. float16 is not multiplied with bfloat16, though.
fn kept_on_cpu(stored: DType, dtype: DType) -> DType {
    match (stored, dtype) {
        (DType::BF16 | DType::F8E4M3, _) | (DType::F16, DType::F32) => stored,
        _ => dtype,
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
