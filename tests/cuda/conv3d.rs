//! Convolutions over time and space.

use candle_core::{DType, Tensor};
use stir::error::Result;
use stir::ops::conv3d::{ClipEpilogue, Epilogue, Noise, PackedKernel, conv3d, conv3d_clip, definition, planes};

use crate::harness::Operation;
use crate::samples::random;

/// A convolution, but for its frames' type.
struct Case {
    size: [usize; 2],
    inputs: usize,
    outputs: usize,
    /// Frames that the kernel spans, its side and its step.
    depth: usize,
    side: usize,
    stride: usize,
}

/// Lines of pixels, taps one by one, values one by one; in small and large tiles.
const CASES: [Case; 8] = [
    Case { size: [1, 1], inputs: 8, outputs: 8, depth: 3, side: 3, stride: 1 },
    Case { size: [17, 19], inputs: 40, outputs: 136, depth: 3, side: 3, stride: 1 },
    Case { size: [61, 83], inputs: 128, outputs: 48, depth: 3, side: 3, stride: 1 },
    Case { size: [150, 180], inputs: 64, outputs: 256, depth: 1, side: 3, stride: 1 },
    Case { size: [31, 18], inputs: 72, outputs: 65, depth: 3, side: 3, stride: 2 },
    Case { size: [40, 50], inputs: 256, outputs: 128, depth: 1, side: 1, stride: 1 },
    Case { size: [20, 33], inputs: 16, outputs: 24, depth: 2, side: 5, stride: 2 },
    Case { size: [30, 21], inputs: 12, outputs: 10, depth: 1, side: 3, stride: 1 },
];

/// Of the operands: weight, bias, map, scale, residual; the frames are behind them.
const FRAMES: usize = 5;

/// Two windows: all frames, and all but the first with nothing behind.
fn windows(operands: &[Tensor]) -> [Vec<Option<&Tensor>>; 2] {
    let frames: Vec<Option<&Tensor>> = operands[FRAMES..].iter().map(Some).collect();
    let (depth, last) = (frames.len() - 1, frames.len() - 2);
    let mut second = frames[1..].to_vec();
    if depth > 1 {
        second[last] = None;
    }
    [frames[..depth].to_vec(), second]
}

fn epilogue(operands: &[Tensor]) -> Epilogue<'_> {
    let [_, _, map, scale, residual, ..] = operands else { panic!("operands of a convolution") };
    Epilogue { noise: Some(Noise { map, scale }), residual: Some(residual) }
}

#[test]
fn frames_are_convolved() {
    for dtype in [DType::BF16, DType::F16] {
        for Case { size: [height, width], inputs, outputs, depth, side, stride } in CASES {
            let result = [height.div_ceil(stride), width.div_ceil(stride)];
            let mut operands = vec![
                random(&[outputs, inputs, depth, side, side], 1, dtype),
                random(&[outputs], 2, dtype),
                random(&result, 3, dtype),
                random(&[outputs], 4, dtype),
                random(&[1, result[0], result[1], outputs], 5, dtype),
            ];
            operands.extend((0..=depth).map(|index| random(&[1, height, width, inputs], 6 + index as u64, dtype)));
            let run = |operands: &[Tensor]| -> Result<Vec<Tensor>> {
                let kernel = PackedKernel::new(&operands[0], Some(&operands[1]))?;
                let windows = windows(operands);
                let mut results = vec![conv3d(&windows[0], &kernel, stride, epilogue(operands))?];
                let windows = windows.each_ref().map(Vec::as_slice);
                results.extend(conv3d_clip(&windows, &kernel, stride, ClipEpilogue::default())?);
                let Epilogue { noise, residual } = epilogue(operands);
                let residuals: Vec<Tensor> = residual.into_iter().chain(residual).cloned().collect();
                let all = ClipEpilogue { noise, residuals: Some(&residuals) };
                results.extend(conv3d_clip(&windows, &kernel, stride, all)?);
                Ok(results)
            };
            let defined = |operands: &[Tensor]| -> Result<Vec<Tensor>> {
                let weight = planes(&operands[0])?.contiguous()?;
                let weight = (&weight, Some(&operands[1]));
                let windows = windows(operands);
                let mut results = vec![definition(&windows[0], weight, stride, epilogue(operands))?];
                for epilogue in [Epilogue::default(), epilogue(operands)] {
                    for window in &windows {
                        results.push(definition(window, weight, stride, epilogue)?);
                    }
                }
                Ok(results)
            };
            Operation {
                name: &format!(
                    "convolution, {depth}x{side}x{side} by {stride}, {inputs} to {outputs} channels, {height}x{width}, {dtype:?}"
                ),
                operands,
                run: &run,
                definition: &defined,
            }
            .check();
        }
    }
}

/// A kernel of one tap is packed as it lies, wherever that is.
#[test]
fn a_weight_may_begin_between_two_vectors() {
    let (outputs, inputs) = (24, 16);
    let weight = |all: &Tensor| all.narrow(0, 3, outputs * inputs)?.reshape((outputs, inputs, 1, 1, 1));
    Operation {
        name: "convolution with a weight at an odd address",
        operands: vec![random(&[outputs * inputs + 3], 1, DType::BF16), random(&[1, 20, 30, inputs], 2, DType::BF16)],
        run: &|operands| {
            let kernel = PackedKernel::new(&weight(&operands[0])?, None)?;
            Ok(vec![conv3d(&[Some(&operands[1])], &kernel, 1, Epilogue::default())?])
        },
        definition: &|operands| {
            let weight = planes(&weight(&operands[0])?.force_contiguous()?)?;
            Ok(vec![definition(&[Some(&operands[1])], (&weight, None), 1, Epilogue::default())?])
        },
    }
    .check();
}
