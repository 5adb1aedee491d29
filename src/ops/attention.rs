//! Attention; on the CPU, in float32 and bfloat16, without the matrix of scores: any width of heads, any numbers of queries and keys.
//!
//! `softmax(scale q k^T) v` for each head. Scores, softmax and sums are float32; the exponentials are rounded to bfloat16 for the second product where
//! the inputs are bfloat16 and the processor multiplies pairs of them. A query's result depends on nothing but its head's keys and values: not on
//! other queries, nor on the number of threads.

use candle_core::{DType, Device, Tensor};
use half::vec::HalfBitsVecExt;

use super::contents::Contents;
use super::sliced_attention::sliced_attention;
use crate::backend::cpu::attention::{Attention, AttentionShape, attend};
use crate::backend::cpu::gemm::{Kernels, ValuesMut};
use crate::error::{Error, Result};

/// Queries, keys and values, all of one type: tokens before heads, as projections write them.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// `[B, L, heads, D]`.
    pub query: &'a Tensor,
    /// `[B, S, heads, D]`, `S` at least 1.
    pub key: &'a Tensor,
    /// `[B, S, heads, D]`.
    pub value: &'a Tensor,
}

/// `softmax(scale query key^T) value: [B, L, heads, D]`, of the inputs' type; `scale` is positive.
///
/// On other devices and in float16 candle's operations compute it: see [`sliced_attention`].
///
/// # Errors
/// Shapes or types that do not fit each other, or a failed tensor operation.
///
/// # Source
/// Dao et al., "FlashAttention" (2022), algorithm 1, with queries outside of keys.
pub fn attention(inputs: &Inputs<'_>, scale: f64) -> Result<Tensor> {
    let Inputs { query, key, value } = inputs;
    if query.device().is_cpu() && matches!(query.dtype(), DType::F32 | DType::BF16) {
        return attention_with(inputs, scale, Kernels::fastest());
    }
    let heads_first = |tensor: &Tensor| tensor.transpose(1, 2);
    let gathered = sliced_attention(&heads_first(query)?, &heads_first(key)?, &heads_first(value)?, scale)?;
    Ok(gathered.transpose(1, 2)?.contiguous()?)
}

/// The same on the CPU, in float32 or bfloat16, with one of the [instruction sets](Kernels::available) of this machine.
///
/// # Errors
/// Other types or shapes, or tensors that are not on the CPU.
pub fn attention_with(inputs: &Inputs<'_>, scale: f64, kernels: &'static Kernels) -> Result<Tensor> {
    let Inputs { query, key, value } = inputs;
    let (batch, queries, heads, width) = query.dims4()?;
    let keys = key.dims4()?.1;
    for (name, tensor) in [("key", key), ("value", value)] {
        if tensor.dims() != [batch, keys, heads, width] || tensor.dtype() != query.dtype() || keys == 0 {
            let wanted = format!("{:?} [{batch}, 1 or more, {heads}, {width}]", query.dtype());
            return Err(misused(name, &wanted, format!("{:?} {:?}", tensor.dtype(), tensor.dims())));
        }
    }
    if scale.is_nan() || scale <= 0.0 {
        return Err(misused("scale", "a positive number", scale.to_string()));
    }
    let [q, k, v] = [query.contiguous()?, key.contiguous()?, value.contiguous()?];
    let [q, k, v] = [Contents::of(&q)?, Contents::of(&k)?, Contents::of(&v)?];
    let shape = AttentionShape { batch, queries, keys, heads, width };
    let [q, k, v] = [q.values("query")?, k.values("key")?, v.values("value")?];
    let attention = Attention { q, k, v, shape, scale: scale as f32 };
    let size = query.elem_count();
    if query.dtype() == DType::F32 {
        let mut y = vec![0_f32; size];
        attend(&attention, kernels, ValuesMut::Float32(&mut y));
        return Ok(Tensor::from_vec(y, query.dims(), &Device::Cpu)?);
    }
    let mut y = vec![0_u16; size];
    attend(&attention, kernels, ValuesMut::Bfloat16(&mut y));
    Ok(Tensor::from_vec(y.reinterpret_into::<half::bf16>(), query.dims(), &Device::Cpu)?)
}

/// What [`attention`] computes, in plain tensor operations of the inputs' type.
///
/// # Errors
/// A failed tensor operation.
pub fn definition(inputs: &Inputs<'_>, scale: f64) -> Result<Tensor> {
    let heads_first = |tensor: &Tensor| tensor.transpose(1, 2)?.contiguous();
    let [q, k, v] = [heads_first(inputs.query)?, heads_first(inputs.key)?, heads_first(inputs.value)?];
    let scores = (q.matmul(&k.t()?.contiguous()?)? * scale)?;
    let shares = candle_nn::ops::softmax(&scores, 3)?;
    Ok(shares.matmul(&v)?.transpose(1, 2)?.contiguous()?)
}

/// What only a defect in the caller brings about.
fn misused(name: &str, wanted: &str, found: String) -> Error {
    Error::run(format!("`{name}` of attention"), wanted, found, "please report this: it is a defect of stir")
}
