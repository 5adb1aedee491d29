//! Multi-head attention with the weights written out, for a bounded number of queries at a time: by candle's operations, on any device and in any
//! type. [`attention`](super::attention) is the faster one where it runs.

use candle_core::{DType, Tensor};

use crate::error::Result;

/// Weights that are in memory at once, at most: 512 MiB of float32. Sequences as short as those of `sway` take far fewer and stay whole.
const WEIGHTS: usize = 1 << 27;

/// `softmax(scale query key^T) value`: `query: [N, heads, L, D]`, `key` and `value: [N, heads, S, D]`, to `[N, heads, L, D]`.
///
/// The softmax is computed in float32, whatever the type of the inputs.
///
/// # Errors
/// A failed tensor operation.
///
/// # Source
/// Vaswani et al., "Attention Is All You Need" (2017), equation 1.
pub fn sliced_attention(query: &Tensor, key: &Tensor, value: &Tensor, scale: f64) -> Result<Tensor> {
    let (count, heads, queries, _) = query.dims4()?;
    let most = (WEIGHTS / (count * heads * key.dim(2)?)).clamp(1, queries);
    in_parts([query, key, value], scale, most)
}

/// At most `most` queries at a time.
fn in_parts([query, key, value]: [&Tensor; 3], scale: f64, most: usize) -> Result<Tensor> {
    let queries = query.dim(2)?;
    let keys = key.transpose(2, 3)?.contiguous()?;
    let values = value.contiguous()?;
    let part = |first: usize| attend(&query.narrow(2, first, most.min(queries - first))?, &keys, &values, scale);
    let parts = (0..queries).step_by(most).map(part).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&parts, 2)?)
}

/// `query: [N, heads, L, D]`, `keys: [N, heads, D, S]`, `values: [N, heads, S, D]`, the last two contiguous.
fn attend(query: &Tensor, keys: &Tensor, values: &Tensor, scale: f64) -> Result<Tensor> {
    if query.dtype() == DType::F32 {
        let scores = (query.contiguous()? * scale)?.matmul(keys)?;
        return Ok(candle_nn::ops::softmax_last_dim(&scores)?.matmul(values)?);
    }
    let scores = (query.contiguous()?.matmul(keys)?.to_dtype(DType::F32)? * scale)?;
    Ok(candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(values.dtype())?.matmul(values)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// By hand: scores of the one query are 0 and ln 3, so the shares are 1/4 and 3/4.
    #[test]
    fn two_keys_by_hand() {
        let tensor = |values: &[f32]| Tensor::from_slice(values, (1, 1, values.len(), 1), &Device::Cpu).unwrap();
        let result = sliced_attention(&tensor(&[1.0]), &tensor(&[0.0, 3f32.ln()]), &tensor(&[4.0, 8.0]), 1.0).unwrap();
        let value = result.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!((value[0] - 7.0).abs() < 1e-5, "{value:?}");
    }

    /// The order of summation may differ, which is worth a few roundings of values near 1.
    #[test]
    fn parts_make_the_whole() {
        let tensor = |seed, length| {
            let values = (0..2 * 3 * length * 4).map(|index| ((index * 37 + seed) % 101) as f32 / 50.0 - 1.0);
            Tensor::from_iter(values, &Device::Cpu).unwrap().reshape((2, 3, length, 4)).unwrap()
        };
        let (query, key, value) = (tensor(1, 7), tensor(2, 5), tensor(3, 5));
        let whole = in_parts([&query, &key, &value], 0.5, 7).unwrap();
        for most in [1, 3] {
            let parts = in_parts([&query, &key, &value], 0.5, most).unwrap();
            let difference = (&whole - parts).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference < 1e-6, "{difference}");
        }
    }
}
