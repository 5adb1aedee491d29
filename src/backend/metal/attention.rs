//! What candle's attention on Metal takes.

use candle_core::DType;

/// Whether candle 0.11's `sdpa` computes the attention of so many queries with heads of this width: one query goes to a kernel of another kind, and the
/// others keep queries, keys and values of a tile in the 32 KiB that threads of a group share, which float32 at a width of 256 exceeds.
///
/// # Source
/// candle-nn 0.11.1, `Sdpa::metal_fwd`, and the tiles of candle-metal-kernels 0.11.1, `scaled_dot_product_attention.metal`.
pub fn takes(dtype: DType, queries: usize, width: usize) -> bool {
    let fits = match dtype {
        DType::F32 => matches!(width, 32 | 64 | 72 | 80 | 96 | 128),
        DType::F16 | DType::BF16 => matches!(width, 32 | 64 | 72 | 80 | 96 | 128 | 256),
        _ => false,
    };
    fits && queries > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32 queries, and 32 keys or values (16 of wide heads), each row or column padded by 16 bytes.
    fn shared_bytes(bytes: usize, width: usize) -> usize {
        let (padding, keys) = (16 / bytes, if width < 128 { 32 } else { 16 });
        let larger = ((keys + padding) * width).max(keys * (width + padding));
        (32 * (width + padding) + larger) * bytes
    }

    #[test]
    fn tiles_fit_into_shared_memory() {
        for width in 1..=512 {
            for dtype in [DType::F32, DType::BF16, DType::F16] {
                assert!(!takes(dtype, 2, width) || shared_bytes(dtype.size_in_bytes(), width) <= 32 << 10, "{width}");
            }
        }
        assert!(shared_bytes(4, 256) > 32 << 10);
    }

    #[test]
    fn other_shapes_and_types_are_not_taken() {
        assert!(takes(DType::BF16, 2, 64) && !takes(DType::BF16, 1, 64));
        assert!(!takes(DType::BF16, 2, 63) && !takes(DType::F64, 2, 64));
    }
}
