//! Group norms with everything that can be chosen, and what they are computed from.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::ops::group_norm::{GroupNorm, definition};

use crate::samples::{largest_difference, random, values};

pub const EPSILON: f64 = 1e-5;

#[derive(Debug, Clone)]
pub struct Case {
    pub frames: usize,
    pub size: [usize; 2],
    pub groups: usize,
    /// Channels of a group.
    pub width: usize,
    pub with_residual: bool,
    pub silu: bool,
    pub dtype: DType,
    pub seed: u64,
}

pub fn cases(dtype: impl Strategy<Value = DType>) -> impl Strategy<Value = Case> {
    let sizes = (1..=3_usize, 1..=20_usize, 1..=20_usize, 1..=8_usize, 1..=30_usize);
    (sizes, any::<bool>(), any::<bool>(), dtype, 0..1000_u64).prop_map(
        |((frames, height, width, groups, each), with_residual, silu, dtype, seed)| Case {
            frames,
            size: [height, width],
            groups,
            width: each,
            with_residual,
            silu,
            dtype,
            seed,
        },
    )
}

/// What a case is computed from.
pub struct Operands {
    pub clip: Vec<Tensor>,
    pub residual: Vec<Tensor>,
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Case {
    pub fn operands(&self) -> Operands {
        let channels = self.groups * self.width;
        // Far from 0, where a variance is the small difference of large numbers.
        let clip = |frames: usize, seed: u64, offset: f64| -> Vec<Tensor> {
            let frame = |index: usize| {
                let shape = [1, self.size[0], self.size[1], channels];
                (random(&shape, seed + index as u64, self.dtype) + offset).unwrap()
            };
            (0..frames).map(frame).collect()
        };
        Operands {
            clip: clip(self.frames, self.seed, 5.0),
            residual: clip(if self.with_residual { self.frames } else { 0 }, self.seed + 1000, 0.0),
            weight: random(&[channels], self.seed + 20, DType::F32),
            bias: random(&[channels], self.seed + 21, DType::F32),
        }
    }

    pub fn norm<'a>(&self, operands: &'a Operands) -> GroupNorm<'a> {
        let Operands { weight, bias, .. } = operands;
        GroupNorm { groups: self.groups, epsilon: EPSILON, weight, bias, silu: self.silu }
    }

    /// By the definition, computed in `dtype`.
    pub fn defined(&self, operands: &Operands, dtype: DType) -> Tensor {
        let convert = |clip: &[Tensor]| clip.iter().map(|x| x.to_dtype(dtype).unwrap()).collect::<Vec<_>>();
        let residual = convert(&operands.residual);
        let residual = self.with_residual.then_some(residual.as_slice());
        Tensor::cat(&definition(&convert(&operands.clip), &self.norm(operands), residual).unwrap(), 0).unwrap()
    }

    /// Whether `found` has at most twice the error of the definition in float32, rounded to the result's type, plus a few roundings of the largest value.
    pub fn expect_exact(&self, operands: &Operands, found: &Tensor) -> Result<(), TestCaseError> {
        let exact = values(&self.defined(operands, DType::F64));
        let naive = self.defined(operands, DType::F32).to_dtype(self.dtype).unwrap();
        let naive = largest_difference(&naive, &exact);
        let largest = exact.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let error = largest_difference(found, &exact);
        let allowed = 2.0 * naive + (1.0 + largest) * 2_f64.powi(-21);
        prop_assert!(error <= allowed, "{error:e}, allowed {allowed:e}");
        Ok(())
    }
}
