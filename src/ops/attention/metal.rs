//! Attention on Metal, by candle's kernel.

use candle_core::Tensor;

use crate::backend::metal::attention::takes;
use crate::error::Result;

/// `query: [B, heads, L, D]`, `key` and `value: [B, heads, S, D]` to `[B, heads, L, D]`; `None` for other devices, types and widths.
pub(super) fn attention([query, key, value]: [&Tensor; 3], scale: f64) -> Result<Option<Tensor>> {
    let (_, _, queries, width) = query.dims4()?;
    if !query.device().is_metal() || !takes(query.dtype(), queries, width) {
        return Ok(None);
    }
    // The kernel reads heads and tokens at any strides, and the values of a head one after the other.
    let readable = |tensor: &Tensor| if tensor.stride()[3] == 1 { Ok(tensor.clone()) } else { tensor.contiguous() };
    let [query, key, value] = [readable(query)?, readable(key)?, readable(value)?];
    // Without a mask, not causal, and with scores as they are.
    Ok(Some(candle_nn::ops::sdpa(&query, &key, &value, None, false, scale as f32, 1.0)?))
}
