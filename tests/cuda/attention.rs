//! Attention, with a bias and without.

use candle_core::{DType, Tensor};
use stir::ops::attention::{Inputs, attention, biased_attention, definition};

use crate::harness::Operation;
use crate::samples::random;

/// Queries, keys, heads and a head's width.
const SIZES: [[usize; 4]; 9] = [
    [1, 1, 1, 64],
    [130, 257, 3, 64],
    [64, 64, 2, 128],
    [200, 77, 2, 128],
    [33, 19, 2, 20],
    [17, 40, 1, 40],
    [129, 65, 2, 96],
    [5, 300, 1, 256],
    [1000, 1000, 2, 64],
];

fn inputs(operands: &[Tensor]) -> Inputs<'_> {
    Inputs { query: &operands[0], key: &operands[1], value: &operands[2] }
}

#[test]
fn attention_is_its_definition() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for [queries, keys, heads, width] in SIZES {
            let scale = (width as f64).powf(-0.5);
            let operands = vec![
                random(&[2, queries, heads, width], 1, dtype),
                random(&[2, keys, heads, width], 2, dtype),
                random(&[2, keys, heads, width], 3, dtype),
                random(&[heads, queries, keys], 4, DType::F32),
            ];
            Operation {
                name: &format!("attention, {queries} queries, {keys} keys, {heads} heads of {width}, {dtype:?}"),
                operands,
                run: &|operands| {
                    let plain = attention(&inputs(operands), scale)?;
                    Ok(vec![plain, biased_attention(&inputs(operands), scale, &operands[3])?])
                },
                definition: &|operands| {
                    let plain = definition(&inputs(operands), scale, None)?;
                    Ok(vec![plain, definition(&inputs(operands), scale, Some(&operands[3]))?])
                },
            }
            .check();
        }
    }
}
