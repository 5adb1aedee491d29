//! Multi-head attention with the weights written out: made for the short sequences of `sway` (144 tokens at most).

use candle_core::{D, Tensor};

use crate::error::Result;

/// `softmax(query key^T / sqrt(D)) value`, each `[N, heads, L, D]`, to `[N, heads, L, D]`.
///
/// # Errors
/// A failed tensor operation.
///
/// # Source
/// Vaswani et al., "Attention Is All You Need" (2017), equation 1.
pub fn attention(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
    let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
    let query = (query.contiguous()? * scale)?;
    let scores = query.matmul(&key.transpose(2, 3)?.contiguous()?)?;
    let shares = candle_nn::ops::softmax_last_dim(&scores)?;
    Ok(shares.matmul(&value.contiguous()?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// By hand: scores of the one query are 0 and ln 3 (the scale is 1 at D = 1), so the shares are 1/4 and 3/4.
    #[test]
    fn two_keys_by_hand() {
        let tensor = |values: &[f32]| Tensor::from_slice(values, (1, 1, values.len(), 1), &Device::Cpu).unwrap();
        let result = attention(&tensor(&[1.0]), &tensor(&[0.0, 3f32.ln()]), &tensor(&[4.0, 8.0])).unwrap();
        let value = result.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!((value[0] - 7.0).abs() < 1e-5, "{value:?}");
    }
}
