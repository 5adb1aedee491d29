//! Group norm against its definition in float64, on every instruction set of this machine.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::ops::gemm::Kernels;
use stir::ops::group_norm::{GroupNorm, definition, group_norm, group_norm_with};

use crate::samples::{largest_difference, random, values};

const EPSILON: f64 = 1e-5;

#[derive(Debug, Clone)]
struct Case {
    frames: usize,
    size: [usize; 2],
    groups: usize,
    /// Channels of a group.
    width: usize,
    with_residual: bool,
    silu: bool,
    dtype: DType,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16)];
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
struct Operands {
    clip: Vec<Tensor>,
    residual: Option<Vec<Tensor>>,
    weight: Tensor,
    bias: Tensor,
}

impl Case {
    fn operands(&self) -> Operands {
        let channels = self.groups * self.width;
        // Far from 0, where a variance is the small difference of large numbers.
        let clip = |seed: u64, offset: f64| -> Vec<Tensor> {
            let frame = |index: usize| {
                let shape = [1, self.size[0], self.size[1], channels];
                (random(&shape, seed + index as u64, self.dtype) + offset).unwrap()
            };
            (0..self.frames).map(frame).collect()
        };
        Operands {
            clip: clip(self.seed, 5.0),
            residual: self.with_residual.then(|| clip(self.seed + 10, 0.0)),
            weight: random(&[channels], self.seed + 20, DType::F32),
            bias: random(&[channels], self.seed + 21, DType::F32),
        }
    }

    fn norm<'a>(&self, operands: &'a Operands) -> GroupNorm<'a> {
        let Operands { weight, bias, .. } = operands;
        GroupNorm { groups: self.groups, epsilon: EPSILON, weight, bias, silu: self.silu }
    }

    fn defined(&self, operands: &Operands, dtype: DType) -> Tensor {
        let convert = |clip: &Vec<Tensor>| clip.iter().map(|x| x.to_dtype(dtype).unwrap()).collect::<Vec<_>>();
        let residual = operands.residual.as_ref().map(convert);
        Tensor::cat(&definition(&convert(&operands.clip), &self.norm(operands), residual.as_deref()).unwrap(), 0)
            .unwrap()
    }

    fn computed(&self, operands: &Operands, kernels: &'static Kernels) -> Tensor {
        let residual = operands.residual.as_deref();
        Tensor::cat(&group_norm_with(&operands.clip, &self.norm(operands), residual, kernels).unwrap(), 0).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// At most twice the error of the definition in float32, rounded to the result's type, plus a few roundings of the largest value.
    #[test]
    fn every_instruction_set_is_as_exact_as_the_definition(case in cases()) {
        let operands = case.operands();
        let exact = values(&case.defined(&operands, DType::F64));
        let naive = case.defined(&operands, DType::F32).to_dtype(case.dtype).unwrap();
        let naive = largest_difference(&naive, &exact);
        let largest = exact.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        for kernels in Kernels::available() {
            let found = case.computed(&operands, kernels);
            prop_assert_eq!(found.dtype(), case.dtype);
            let error = largest_difference(&found, &exact);
            let allowed = 2.0 * naive + (1.0 + largest) * 2_f64.powi(-21);
            prop_assert!(error <= allowed, "{}: {error:e}, allowed {allowed:e}", kernels.name());
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let case = Case {
        frames: 3,
        size: [40, 50],
        groups: 4,
        width: 6,
        with_residual: true,
        silu: true,
        dtype: DType::F32,
        seed: 1,
    };
    let operands = case.operands();
    for kernels in Kernels::available() {
        let with_threads = |count| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| values(&case.computed(&operands, kernels)))
        };
        let one = with_threads(1);
        assert!(one == with_threads(2) && one == with_threads(5), "{}", kernels.name());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let frame = random(&[1, 2, 2, 6], 1, DType::F32);
    let [six, five] = [6, 5].map(|count| random(&[count], 2, DType::F32));
    let norm = GroupNorm { groups: 3, epsilon: EPSILON, weight: &six, bias: &six, silu: false };
    let clip = [frame.clone()];
    let message = |clip: &[Tensor], norm: GroupNorm<'_>, residual: Option<&[Tensor]>| {
        group_norm(clip, &norm, residual).unwrap_err().to_string()
    };
    assert!(message(&clip, GroupNorm { groups: 4, ..norm }, None).contains("C a multiple of 4"));
    assert!(message(&clip, GroupNorm { weight: &five, ..norm }, None).contains("wanted [6]"));
    assert!(message(&clip, norm, Some(&[])).contains("wanted 1 frames, found 0"));
    let other = [frame.to_dtype(DType::BF16).unwrap()];
    assert!(message(&clip, norm, Some(&other)).contains("found BF16"));
    assert!(group_norm(&[], &norm, None).unwrap().is_empty());
}
