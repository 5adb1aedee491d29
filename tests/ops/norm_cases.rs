//! Norms with everything that can be chosen, and what they are computed from.

use candle_core::{DType, Tensor};
use stir::ops::norm::{Affine, Norm, Then, definition};

use crate::samples::random;

/// Everything that can be chosen.
#[derive(Debug, Clone)]
pub struct Case {
    pub batch: usize,
    pub frames: usize,
    /// Of a frame.
    pub tokens: usize,
    pub width: usize,
    pub layer: bool,
    pub affine: usize,
    pub then: usize,
    pub dtype: DType,
    /// Of the factors and shifts.
    pub affine_dtype: DType,
    pub seed: u64,
}

/// What a case is computed from.
pub struct Operands {
    pub x: Tensor,
    pub weight: Tensor,
    pub bias: Tensor,
    pub rows: Tensor,
    pub cosines: Tensor,
    pub sines: Tensor,
}

impl Case {
    pub fn operands(&self) -> Operands {
        let tokens = self.frames * self.tokens;
        let angles = (random(&[tokens, self.width / 2], self.seed + 1, DType::F32) * 3.0).unwrap();
        Operands {
            x: random(&[self.batch, tokens, self.width], self.seed + 2, self.dtype),
            weight: random(&[self.width], self.seed + 3, self.affine_dtype),
            bias: random(&[self.width], self.seed + 4, self.affine_dtype),
            rows: random(&[self.frames, 6, self.width], self.seed + 5, self.affine_dtype),
            cosines: angles.cos().unwrap(),
            sines: angles.sin().unwrap(),
        }
    }

    pub fn norm<'a>(&self, operands: &'a Operands) -> Norm<'a> {
        let Operands { weight, bias, rows, cosines, sines, .. } = operands;
        let norm = if self.layer { Norm::layer(1e-5) } else { Norm::root_mean_square(1e-6) };
        Norm {
            affine: [
                Affine::Nothing,
                Affine::Weight(weight),
                Affine::WeightAndBias(weight, bias),
                Affine::Modulation { rows, first: 3 },
            ][self.affine],
            then: [Then::Nothing, Then::Silu, Then::Rotation { cosines, sines }][self.then],
            ..norm
        }
    }

    /// By the definition, computed in `dtype`.
    pub fn defined(&self, operands: &Operands, dtype: DType) -> Tensor {
        definition(&operands.x.to_dtype(dtype).unwrap(), &self.norm(operands)).unwrap()
    }
}
