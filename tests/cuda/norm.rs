//! Norms of the last axis, with all that they can be fused with.

use candle_core::{DType, Tensor};
use stir::ops::norm::{Affine, Norm, Then, definition, norm};

use crate::harness::Operation;
use crate::samples::random;

/// Tokens of a frame, frames, and features.
const SIZES: [[usize; 3]; 5] = [[1, 1, 2], [3, 2, 128], [5, 3, 2048], [2, 1, 4096], [7, 2, 1022]];

fn norms(operands: &[Tensor]) -> Vec<Norm<'_>> {
    let [_, weight, bias, rows, cosines, sines] = operands else { panic!("there are six operands") };
    let affine = [
        Affine::Nothing,
        Affine::Weight(weight),
        Affine::WeightAndBias(weight, bias),
        Affine::Modulation { rows, first: 1 },
    ];
    let then = [Then::Nothing, Then::Silu, Then::Rotation { cosines, sines }];
    let norms = [Norm::root_mean_square(1e-6), Norm::layer(1e-5)];
    norms
        .iter()
        .flat_map(|norm| affine.iter().map(move |&affine| Norm { affine, ..*norm }))
        .flat_map(|norm| then.map(|then| Norm { then, ..norm }))
        .collect()
}

#[test]
fn norms_are_their_definition() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for [tokens, frames, width] in SIZES {
            let angles = (random(&[tokens * frames, width / 2], 5, DType::F32) * 3.0).unwrap();
            let operands = vec![
                random(&[2, tokens * frames, width], 1, dtype),
                random(&[width], 2, dtype),
                random(&[width], 3, dtype),
                random(&[frames, 3, width], 4, dtype),
                angles.cos().unwrap(),
                angles.sin().unwrap(),
            ];
            Operation {
                name: &format!("norm, {tokens} tokens of {frames} frames, {width} features of {dtype:?}"),
                operands,
                run: &|operands| norms(operands).iter().map(|way| norm(&operands[0], way)).collect(),
                definition: &|operands| norms(operands).iter().map(|way| definition(&operands[0], way)).collect(),
            }
            .check();
        }
    }
}

/// Parts of a wider last axis are read where they are: as vectors, and where the part begins between two of them.
#[test]
fn parts_of_a_wider_axis_are_normalised_in_place() {
    for (dtype, width) in [(DType::BF16, 2048), (DType::F16, 36), (DType::F32, 128)] {
        let part = |operands: &[Tensor]| -> stir::error::Result<Vec<Tensor>> {
            let plain = Norm::root_mean_square(1e-6);
            (0..3).map(|part| norm(&operands[0].narrow(2, part * width, width)?, &plain)).collect()
        };
        Operation {
            name: &format!("parts of {width}, {dtype:?}"),
            operands: vec![random(&[2, 5, 3 * width], 1, dtype)],
            run: &part,
            definition: &|operands| {
                let plain = Norm::root_mean_square(1e-6);
                (0..3).map(|part| definition(&operands[0].narrow(2, part * width, width)?, &plain)).collect()
            },
        }
        .check();
    }
}
