//! Attention, with a bias and without.

use candle_core::{DType, Device, IndexOp, Tensor};
use stir::ops::attention::{Inputs, attention, biased_attention, definition};

use crate::harness::Operation;
use crate::samples::random;

/// Queries, keys, heads and a head's width.
const SIZES: [[usize; 4]; 10] = [
    [1, 1, 1, 64],
    [130, 257, 3, 64],
    [64, 64, 2, 128],
    [200, 77, 2, 128],
    [33, 19, 2, 20],
    [17, 40, 1, 40],
    [129, 65, 2, 96],
    [5, 300, 1, 256],
    [1000, 1000, 2, 64],
    [300, 1060, 2, 128],
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

/// Queries, keys and values of one product, which is not copied; queries so large that most keys vanish.
#[test]
fn attention_reads_parts_of_a_product() {
    for (dtype, width) in [(DType::BF16, 64), (DType::F16, 64), (DType::BF16, 128), (DType::F16, 128)] {
        let spread = Tensor::new(&[8f32, 1.0, 1.0], &Device::Cpu).unwrap().reshape((1, 1, 3, 1, 1)).unwrap();
        let product = random(&[2, 300, 3, 2, width], 5, DType::F32).broadcast_mul(&spread).unwrap();
        let scale = (width as f64).powf(-0.5);
        let parts = |operands: &[Tensor]| [0, 1, 2].map(|part| operands[0].i((.., .., part)).unwrap());
        Operation {
            name: &format!("attention in a product, heads of {width}, {dtype:?}"),
            operands: vec![product.to_dtype(dtype).unwrap()],
            run: &|operands| Ok(vec![attention(&inputs(&parts(operands)), scale)?]),
            definition: &|operands| Ok(vec![definition(&inputs(&parts(operands)), scale, None)?]),
        }
        .check();
    }
}
