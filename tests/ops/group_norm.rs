//! Group norm against its definition in float64, on every instruction set of this machine.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::ops::gemm::Kernels;
use stir::ops::group_norm::{GroupNorm, group_norm, group_norm_with};

use crate::group_norm_cases::{Case, EPSILON, Operands, cases};
use crate::samples::{random, values};

fn computed(case: &Case, operands: &Operands, kernels: &'static Kernels) -> Tensor {
    let residual = case.with_residual.then_some(operands.residual.as_slice());
    Tensor::cat(&group_norm_with(&operands.clip, &case.norm(operands), residual, kernels).unwrap(), 0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instruction_set_is_as_exact_as_the_definition(case in cases(prop_oneof![Just(DType::F32), Just(DType::BF16)])) {
        let operands = case.operands();
        for kernels in Kernels::available() {
            let found = computed(&case, &operands, kernels);
            prop_assert_eq!(found.dtype(), case.dtype);
            case.expect_exact(&operands, &found)?;
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
            pool.install(|| values(&computed(&case, &operands, kernels)))
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
