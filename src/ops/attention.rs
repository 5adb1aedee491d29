//! Attention without the matrix of scores: any numbers of queries and keys; on the CPU, in float32 and bfloat16, any width of heads; by CUDA, in bfloat16
//! and float16, widths that are multiples of 8 up to 256.
//!
//! `softmax(scale q k^T + bias) v` for each head. Scores, softmax and sums are float32; the exponentials are rounded to the inputs' type for the second
//! product by CUDA, and on the CPU where that is bfloat16 and the processor multiplies pairs of them. A query's result depends on nothing but its head's
//! keys, values and biases: not on other queries, nor on the number of threads.

#[cfg(feature = "metal")]
mod metal;

use candle_core::{DType, Tensor};

use super::contents::{Contents, is_readable, written};
use super::contract::Contract;
use super::sliced_attention::sliced_attention;
use crate::backend::cpu::attention::{Attention, AttentionShape, attend};
use crate::backend::cpu::gemm::Kernels;
#[cfg(feature = "cuda")]
use crate::backend::cuda::{
    attention::{HeadStrides, Heads},
    device::{aligned, first_value},
};
use crate::error::Result;

/// Of the operands.
const CONTRACT: Contract = Contract("attention");

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
/// Where there is no kernel for it candle's operations compute it: see [`sliced_attention`].
///
/// # Errors
/// Shapes or types that do not fit each other, or a failed tensor operation.
///
/// # Source
/// Dao et al., "FlashAttention" (2022), algorithm 1, with queries outside of keys.
pub fn attention(inputs: &Inputs<'_>, scale: f64) -> Result<Tensor> {
    let Inputs { query, key, value } = inputs;
    if is_readable(query) {
        return attention_with(inputs, scale, None, Kernels::fastest());
    }
    #[cfg(feature = "cuda")]
    if let Some(output) = by_cuda(inputs, scale, None)? {
        return Ok(output);
    }
    let heads_first = |tensor: &Tensor| tensor.transpose(1, 2);
    let gathered = by_candle([&heads_first(query)?, &heads_first(key)?, &heads_first(value)?], scale)?;
    Ok(gathered.transpose(1, 2)?.contiguous()?)
}

/// `softmax(scale query key^T + bias) value: [B, L, heads, D]`, of the inputs' type; `bias: [heads, L, S]` is float32 and finite.
///
/// Where there is no kernel for it candle's operations compute it, with all scores in memory.
///
/// # Errors
/// As for [`attention`].
pub fn biased_attention(inputs: &Inputs<'_>, scale: f64, bias: &Tensor) -> Result<Tensor> {
    if is_readable(inputs.query) {
        return attention_with(inputs, scale, Some(bias), Kernels::fastest());
    }
    #[cfg(feature = "cuda")]
    if let Some(output) = by_cuda(inputs, scale, Some(bias))? {
        return Ok(output);
    }
    definition(inputs, scale, Some(bias))
}

/// `query: [B, heads, L, D]`, `key` and `value: [B, heads, S, D]` to `[B, heads, L, D]`: on Metal by candle's kernel, where it takes them.
fn by_candle([query, key, value]: [&Tensor; 3], scale: f64) -> Result<Tensor> {
    #[cfg(feature = "metal")]
    if let Some(output) = metal::attention([query, key, value], scale)? {
        return Ok(output);
    }
    sliced_attention(query, key, value, scale)
}

/// The same, with a bias or without, on the CPU, in float32 or bfloat16, with one of the [instruction sets](Kernels::available) of this machine.
///
/// # Errors
/// Other types or shapes, or tensors that are not on the CPU.
pub fn attention_with(
    inputs: &Inputs<'_>,
    scale: f64,
    bias: Option<&Tensor>,
    kernels: &'static Kernels,
) -> Result<Tensor> {
    let Inputs { query, key, value } = inputs;
    let shape = checked_shape(inputs, scale, bias)?;
    let [q, k, v] = [query.contiguous()?, key.contiguous()?, value.contiguous()?];
    let [q, k, v] = [Contents::of(&q)?, Contents::of(&k)?, Contents::of(&v)?];
    let bias = bias.map(Tensor::contiguous).transpose()?;
    let bias = bias.as_ref().map(Contents::of).transpose()?;
    let attention = Attention {
        q: q.values("query")?,
        k: k.values("key")?,
        v: v.values("value")?,
        shape,
        scale: scale as f32,
        bias: bias.as_ref().map(|bias| bias.float32("bias")).transpose()?,
    };
    written(query.shape(), query.dtype(), |y| attend(&attention, kernels, y))
}

/// The dimensions of inputs that fit each other.
fn checked_shape(inputs: &Inputs<'_>, scale: f64, bias: Option<&Tensor>) -> Result<AttentionShape> {
    let Inputs { query, key, value } = inputs;
    let (batch, queries, heads, width) = query.dims4()?;
    let keys = key.dims4()?.1;
    for (name, tensor) in [("key", key), ("value", value)] {
        if tensor.dims() != [batch, keys, heads, width] || tensor.dtype() != query.dtype() || keys == 0 {
            let wanted = format!("{:?} [{batch}, 1 or more, {heads}, {width}]", query.dtype());
            return Err(CONTRACT.broken(name, &wanted, format!("{:?} {:?}", tensor.dtype(), tensor.dims())));
        }
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [heads, queries, keys] || bias.dtype() != DType::F32) {
        let wanted = format!("F32 [{heads}, {queries}, {keys}]");
        return Err(CONTRACT.broken("bias", &wanted, format!("{:?} {:?}", bias.dtype(), bias.dims())));
    }
    if scale.is_nan() || scale <= 0.0 {
        return Err(CONTRACT.broken("scale", "a positive number", scale.to_string()));
    }
    Ok(AttentionShape { batch, queries, keys, heads, width })
}

/// By a kernel, if the queries are on a GPU and there is one for them.
#[cfg(feature = "cuda")]
fn by_cuda(inputs: &Inputs<'_>, scale: f64, bias: Option<&Tensor>) -> Result<Option<Tensor>> {
    use crate::backend::cuda::attention::{Attention, plan};
    use crate::backend::cuda::attention_sm90;
    use crate::backend::cuda::device::{Gpu, empty, encode_tensor_map, pointer};
    use crate::backend::cuda::launch::Element;

    let Inputs { query, key, value } = inputs;
    let Some(gpu) = Gpu::of(query.device())? else { return Ok(None) };
    let Some(element @ (Element::Bfloat16 | Element::Float16)) = Element::of(query.dtype()) else { return Ok(None) };
    let shape = checked_shape(inputs, scale, bias)?;
    // The tensors are kept until the kernel is started; their memory is then given back in the stream's order.
    let (_queries, query_heads) = readable_heads(query)?;
    let (_keys, key_heads) = readable_heads(key)?;
    let (_values, value_heads) = readable_heads(value)?;
    let bias = bias.map(Tensor::contiguous).transpose()?;
    let output = empty(query.shape(), query.dtype(), query.device())?;
    let attention = Attention {
        element,
        shape,
        query: query_heads,
        key: key_heads,
        value: value_heads,
        bias: bias.as_ref().map(pointer).transpose()?,
        output: pointer(&output)?,
        scale,
    };
    if let Some(plan) = attention_sm90::plan(&attention, gpu.architecture()) {
        gpu.launch(&plan.launch(encode_tensor_map)?)?;
        return Ok(Some(output));
    }
    let Some(launch) = plan(&attention, gpu.architecture()) else { return Ok(None) };
    gpu.launch(&launch)?;
    Ok(Some(output))
}

/// A tensor as it lies, such as in a product that holds queries, keys and values, or a contiguous copy if kernels cannot read it there.
#[cfg(feature = "cuda")]
fn readable_heads(tensor: &Tensor) -> Result<(Tensor, Heads)> {
    let heads_of = |tensor: &Tensor| -> Result<Option<Heads>> {
        let address = first_value(tensor)?;
        Ok(HeadStrides::of(tensor.dims(), tensor.stride()).map(|strides| Heads { address, strides }))
    };
    if let Some(heads) = heads_of(tensor)?.filter(Heads::is_aligned) {
        return Ok((tensor.clone(), heads));
    }
    let copy = aligned(tensor)?;
    let heads =
        heads_of(&copy)?.ok_or_else(|| CONTRACT.broken("an input", "four axes", format!("{:?}", copy.dims())))?;
    Ok((copy, heads))
}

/// What [`attention`] and [`biased_attention`] compute, in plain tensor operations of the inputs' type; a bias and the softmax of two-byte types are
/// computed in float32.
///
/// # Errors
/// A failed tensor operation.
pub fn definition(inputs: &Inputs<'_>, scale: f64, bias: Option<&Tensor>) -> Result<Tensor> {
    let heads_first = |tensor: &Tensor| tensor.transpose(1, 2)?.contiguous();
    let [q, k, v] = [heads_first(inputs.query)?, heads_first(inputs.key)?, heads_first(inputs.value)?];
    let wide = if q.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let scores = (q.matmul(&k.t()?.contiguous()?)?.to_dtype(wide)? * scale)?;
    let scores = match bias {
        Some(bias) => scores.broadcast_add(&bias.to_dtype(wide)?)?,
        None => scores,
    };
    let shares = candle_nn::ops::softmax(&scores, 3)?.to_dtype(v.dtype())?;
    Ok(shares.matmul(&v)?.transpose(1, 2)?.contiguous()?)
}
