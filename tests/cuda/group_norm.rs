//! Group norm over a clip.

use candle_core::{DType, Tensor};
use stir::ops::group_norm::{GroupNorm, definition, group_norm};

use crate::harness::Operation;
use crate::samples::random;

#[test]
fn a_clip_is_normalised_by_groups() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for ([frames, height, width, channels], groups) in
            [([1, 1, 1, 4], 2), ([2, 3, 5, 32], 32), ([3, 17, 9, 128], 32), ([70, 3, 40, 6], 3)]
        {
            let clip =
                |seed: u64| (0..frames).map(move |at| random(&[1, height, width, channels], seed + at as u64, dtype));
            let mut operands = vec![random(&[channels], 1, dtype), random(&[channels], 2, dtype)];
            operands.extend(clip(10));
            operands.extend(clip(20));
            let ways = |operands: &[Tensor], way: &dyn Fn(&GroupNorm<'_>, Option<&[Tensor]>) -> _| {
                let [weight, bias] = [&operands[0], &operands[1]];
                let norm = GroupNorm { groups, epsilon: 1e-6, weight, bias, silu: false };
                let mut results: Vec<Tensor> = way(&norm, None)?;
                results.extend(way(&GroupNorm { silu: true, ..norm }, Some(&operands[2 + frames..]))?);
                stir::error::Result::Ok(results)
            };
            Operation {
                name: &format!("group norm, {frames} frames of {height}x{width}, {channels} channels of {dtype:?}"),
                operands,
                run: &|x| ways(x, &|norm, residual| group_norm(&x[2..2 + frames], norm, residual)),
                definition: &|x| ways(x, &|norm, residual| definition(&x[2..2 + frames], norm, residual)),
            }
            .check();
        }
    }
}
