//! Convolutions with everything that can be chosen, and what they are computed from.

use candle_core::{DType, Tensor};
use stir::ops::conv3d::{Epilogue, Noise, definition, planes};

use crate::samples::{largest_difference, random, values};

/// A convolution with everything that can be chosen.
#[derive(Debug, Clone)]
pub struct Case {
    pub size: [usize; 2],
    pub inputs: usize,
    pub outputs: usize,
    pub depth: usize,
    pub side: usize,
    pub stride: usize,
    /// How many frames come out.
    pub results: usize,
    /// Of the frames.
    pub dtype: DType,
    pub weight: DType,
    pub with_bias: bool,
    pub with_noise: bool,
    pub with_residual: bool,
    /// A frame of each window that is not there, where there are others.
    pub missing: usize,
    pub seed: u64,
}

/// What a case is computed from.
pub struct Operands {
    /// Of each result.
    pub windows: Vec<Vec<Option<Tensor>>>,
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub noise: Option<[Tensor; 2]>,
    pub residuals: Vec<Tensor>,
}

impl Case {
    pub fn result_shape(&self) -> [usize; 4] {
        let [height, width] = self.size.map(|side| side.div_ceil(self.stride));
        [1, height, width, self.outputs]
    }

    pub fn operands(&self) -> Operands {
        let frame = |result: usize, index: usize| {
            let there = self.depth == 1 || index != self.missing;
            let shape = [1, self.size[0], self.size[1], self.inputs];
            there.then(|| random(&shape, self.seed + 100 + (result * self.depth + index) as u64, self.dtype))
        };
        let [_, height, width, outputs] = self.result_shape();
        let noise =
            || [random(&[height, width], self.seed + 2, DType::F32), random(&[outputs], self.seed + 3, DType::F32)];
        let weight = [outputs, self.inputs, self.depth, self.side, self.side];
        let residuals = if self.with_residual { self.results } else { 0 };
        Operands {
            windows: (0..self.results)
                .map(|result| (0..self.depth).map(|index| frame(result, index)).collect())
                .collect(),
            weight: random(&weight, self.seed + 1, self.weight),
            bias: self.with_bias.then(|| random(&[outputs], self.seed + 4, DType::F32)),
            noise: self.with_noise.then(noise),
            residuals: (0..residuals as u64)
                .map(|z| random(&self.result_shape(), self.seed + 50 + z, self.dtype))
                .collect(),
        }
    }

    /// One result by the definition, computed in `dtype`; of magnitudes where `absolute` says so.
    pub fn defined(&self, operands: &Operands, result: usize, (dtype, absolute): (DType, bool)) -> Tensor {
        let convert = |tensor: &Tensor| {
            let tensor = tensor.to_dtype(dtype).unwrap();
            if absolute { tensor.abs().unwrap() } else { tensor }
        };
        let frames: Vec<Option<Tensor>> =
            operands.windows[result].iter().map(|frame| frame.as_ref().map(convert)).collect();
        let frames: Vec<Option<&Tensor>> = frames.iter().map(Option::as_ref).collect();
        let weight = planes(&convert(&operands.weight)).unwrap();
        let bias = operands.bias.as_ref().map(convert);
        let noise = operands.noise.as_ref().map(|noise| noise.each_ref().map(convert));
        let residual = operands.residuals.get(result).map(convert);
        let epilogue =
            Epilogue { noise: noise.as_ref().map(|[map, scale]| Noise { map, scale }), residual: residual.as_ref() };
        definition(&frames, (&weight, bias.as_ref()), self.stride, epilogue).unwrap()
    }

    /// Whether `found` has at most twice the error of the definition in float32, rounded to the result's type, plus 2^-22 of the largest sum of products:
    /// both round as often, but sums have other orders, and a lucky small case has no error at all.
    pub fn expect_exact(&self, operands: &Operands, result: usize, found: &Tensor) -> Result<(), String> {
        let exact = values(&self.defined(operands, result, (DType::F64, false)));
        let naive = self.defined(operands, result, (DType::F32, false)).to_dtype(self.dtype).unwrap();
        let naive = largest_difference(&naive, &exact);
        let magnitude = values(&self.defined(operands, result, (DType::F64, true))).into_iter().fold(0.0, f64::max);
        let error = largest_difference(found, &exact);
        let allowed = 2.0 * naive + magnitude * 2_f64.powi(-22);
        if error <= allowed { Ok(()) } else { Err(format!("result {result}: {error:e}, allowed {allowed:e}")) }
    }
}
