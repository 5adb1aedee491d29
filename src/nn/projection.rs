//! Fully connected layers whose weight stays as small as it is stored.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::ops::dense_gemm::{DenseWeight, dense_gemm};
use crate::ops::float8::widened;
use crate::ops::gemm::{Epilogue, PackedWeight, WeightBytes, gemm, gemm_stored};
use crate::weights::store::{MappedValues, Placement, Scope, Weight};

/// `[..., from] -> [..., to]`, in the input's type. Clones share the weight.
///
/// On the CPU the weight is packed while it is loaded, from where its file is mapped; sums are float32, and the result is rounded once. Elsewhere see
/// [`dense_gemm`].
#[derive(Debug, Clone)]
pub struct Projection {
    weight: Kept,
    bias: Option<Tensor>,
}

#[derive(Debug, Clone)]
enum Kept {
    /// With the bias.
    Packed(Arc<PackedWeight>),
    /// On the CPU, in a type that is packed anew for every product: it takes a fraction of the product's time, and the weight stays small.
    Small(Small),
    /// On other devices, where it may still be on its way, and where nothing was read.
    Dense(Tensor),
    /// On other devices, widened for every product.
    Float8(Tensor),
    /// On other devices, widened for every product: candle's own product with blocks rounds the activations to 8 bits on CUDA, and is faster only for a few
    /// rows of them.
    Quantized(Arc<QTensor>),
}

#[derive(Debug, Clone)]
enum Small {
    Float8 { bytes: Arc<[u8]>, shape: [usize; 2] },
    Blocks(Arc<QTensor>),
}

/// The widest type of activations that a projection takes: float32 on the CPU, whatever the weights are, and the weights' type elsewhere. For small
/// networks whose results reach every token.
pub fn exact_dtype(placement: &Placement) -> DType {
    if placement.device.is_cpu() { DType::F32 } else { placement.dtype }
}

impl Projection {
    /// With `weight: [to, from]` and no bias.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn load(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        Self::of(weights, [to, from], None)
    }

    /// With `weight: [to, from]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load_with_bias(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        Self::of(weights, [to, from], Some(weights.take("bias", &[to])?))
    }

    fn of(weights: &Scope, shape: [usize; 2], bias: Option<Tensor>) -> Result<Self> {
        let weight = weights.take_weight("weight", &shape)?;
        Self::kept(weight, shape, bias, weights.placement().device.is_cpu())
    }

    pub(super) fn kept(weight: Weight<'_>, shape: [usize; 2], bias: Option<Tensor>, on_cpu: bool) -> Result<Self> {
        let weight = match weight {
            Weight::Mapped(MappedValues { dtype: DType::F8E4M3, bytes }) => {
                Kept::Small(Small::Float8 { bytes: bytes.into(), shape })
            }
            Weight::Mapped(MappedValues { dtype, bytes }) => {
                let packed = PackedWeight::from_bytes(&WeightBytes { dtype, bytes, shape }, bias.as_ref())?;
                Kept::Packed(Arc::new(packed))
            }
            Weight::Dense(weight) if on_cpu => Kept::Packed(Arc::new(PackedWeight::new(&weight, bias.as_ref())?)),
            Weight::Quantized(weight) if on_cpu => Kept::Small(Small::Blocks(weight)),
            Weight::Dense(weight) | Weight::Carried(weight) | Weight::Outline(weight) => Kept::Dense(weight),
            Weight::Float8(weight) => Kept::Float8(weight),
            Weight::Quantized(weight) => Kept::Quantized(weight),
        };
        Ok(Self { weight, bias })
    }

    /// Of a weight on a device other than the CPU.
    pub(super) fn dense(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight: Kept::Dense(weight), bias }
    }

    /// `x: [..., from]` to `[..., to]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, Epilogue::None)
    }

    /// `x: [..., from]` to `[..., to]`, with `epilogue` applied before the result is rounded.
    ///
    /// # Errors
    /// A residual or a gate that does not fit, or a failed tensor operation.
    pub fn forward_with(&self, x: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        match &self.weight {
            Kept::Packed(weight) => gemm(x, weight, epilogue, x.dtype()),
            Kept::Small(weight) => gemm(x, &weight.packed(bias, x.dtype())?, epilogue, x.dtype()),
            Kept::Dense(weight) => dense_gemm(x, &DenseWeight { weight, bias }, epilogue),
            // The converted weight lives for this one product.
            Kept::Float8(weight) => {
                let weight = &widened(weight, x.dtype())?;
                dense_gemm(x, &DenseWeight { weight, bias }, epilogue)
            }
            Kept::Quantized(weight) => {
                let weight = &weight.dequantize(x.device())?.to_dtype(x.dtype())?;
                dense_gemm(x, &DenseWeight { weight, bias }, epilogue)
            }
        }
    }
}

impl Small {
    /// For activations in `dtype`.
    fn packed(&self, bias: Option<&Tensor>, dtype: DType) -> Result<PackedWeight> {
        match self {
            Self::Float8 { bytes, shape } => {
                PackedWeight::from_bytes(&WeightBytes { dtype: DType::F8E4M3, bytes, shape: *shape }, bias)
            }
            Self::Blocks(weight) => PackedWeight::from_blocks(weight, bias, dtype),
        }
    }
}

/// `[..., from] -> [..., to]`, in the input's type and without a bias, for a weight that is used once: on the CPU it is multiplied from where its file is
/// mapped, and takes no memory of its own. Otherwise as [`Projection`], and with its results.
#[derive(Debug)]
pub enum PassingProjection<'data> {
    /// In the file.
    Stored {
        /// `[to, from]`.
        shape: [usize; 2],
        /// Row by row.
        values: MappedValues<'data>,
    },
    /// In memory.
    Kept(Projection),
}

impl<'data> PassingProjection<'data> {
    /// With `weight: [to, from]`.
    ///
    /// # Errors
    /// A missing or misshapen weight.
    pub fn load(weights: &Scope<'data>, from: usize, to: usize) -> Result<Self> {
        let shape = [to, from];
        Self::of(weights.take_weight("weight", &shape)?, shape, weights.placement().device.is_cpu())
    }

    pub(super) fn of(weight: Weight<'data>, shape: [usize; 2], on_cpu: bool) -> Result<Self> {
        match weight {
            Weight::Mapped(values) => Ok(Self::Stored { shape, values }),
            other => Ok(Self::Kept(Projection::kept(other, shape, None, on_cpu)?)),
        }
    }

    /// As [`Projection::forward_with`].
    ///
    /// # Errors
    /// A residual or a gate that does not fit, or a failed tensor operation.
    pub fn forward_with(&self, x: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor> {
        match self {
            Self::Kept(projection) => projection.forward_with(x, epilogue),
            Self::Stored { shape, values: MappedValues { dtype, bytes } } => {
                gemm_stored(x, &WeightBytes { dtype: *dtype, bytes, shape: *shape }, epilogue, x.dtype())
            }
        }
    }

    /// As [`Projection::forward`].
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, Epilogue::None)
    }
}
