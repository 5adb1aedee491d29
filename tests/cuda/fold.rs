//! Blocks of space and time to channels, and back.

use candle_core::DType;
use stir::ops::fold::{definition_of_fold, definition_of_unfold, fold, unfold};

use crate::harness::Operation;
use crate::samples::random;

#[test]
fn blocks_are_folded_and_unfolded() {
    for dtype in [DType::F32, DType::BF16] {
        for [height, width, channels] in [[1, 1, 1], [3, 5, 6], [2, 7, 32], [9, 4, 128]] {
            for block in [[1, 4, 4], [2, 1, 1], [2, 2, 2]] {
                let volume: usize = block.iter().product();
                let [times, rows, columns] = block;
                let mut operands = vec![
                    random(&[1, height, width, 2 * channels * volume], 1, dtype),
                    random(&[1, height, width, channels * volume], 2, dtype),
                ];
                let frame =
                    |time: usize| random(&[1, height * rows, width * columns, channels], 3 + time as u64, dtype);
                operands.extend((0..times).map(frame));
                Operation {
                    name: &format!("folding {block:?}, {height}x{width}, {channels} channels of {dtype:?}"),
                    operands,
                    run: &|operands| {
                        let frames: Vec<_> = operands[2..].iter().collect();
                        let mut results = vec![fold(&frames, [rows, columns])?];
                        results.extend(unfold(&operands[0], block, None)?);
                        results.extend(unfold(&operands[0], block, Some(&operands[1]))?);
                        Ok(results)
                    },
                    definition: &|operands| {
                        let frames: Vec<_> = operands[2..].iter().collect();
                        let mut results = vec![definition_of_fold(&frames, [rows, columns])?];
                        results.extend(definition_of_unfold(&operands[0], block, None)?);
                        results.extend(definition_of_unfold(&operands[0], block, Some(&operands[1]))?);
                        Ok(results)
                    },
                }
                .check();
            }
        }
    }
}
