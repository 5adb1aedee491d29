//! Norms against their definition in float64, on every instruction set of this machine.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::ops::gemm::Kernels;
use stir::ops::norm::{Affine, Norm, Then, definition, norm, norm_with};

use crate::norm_cases::Case;
use crate::samples::{largest_difference, random, values};

fn cases() -> impl Strategy<Value = Case> {
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16)];
    let width = prop_oneof![1..=150_usize, 2040..=2056_usize];
    (
        (1..=2_usize, 1..=3_usize, 1..=20_usize, width),
        (any::<bool>(), 0..4_usize, 0..3_usize),
        (dtype.clone(), dtype),
        0..1000_u64,
    )
        .prop_map(|((batch, frames, tokens, width), (layer, affine, then), (dtype, affine_dtype), seed)| Case {
            batch,
            frames,
            tokens,
            // A rotation takes pairs.
            width: if then == 2 { width.next_multiple_of(2) } else { width },
            layer,
            affine,
            then,
            dtype,
            affine_dtype,
            seed,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// At most twice the error of the definition in float32, rounded to the inputs' type, plus 2^-21 of the largest result: two roundings, where a
    /// lucky small case has next to none.
    #[test]
    fn every_instruction_set_is_as_exact_as_the_definition(case in cases()) {
        let operands = case.operands();
        let exact = values(&case.defined(&operands, DType::F64));
        let naive = case.defined(&operands, DType::F32).to_dtype(case.dtype).unwrap();
        let naive = largest_difference(&naive, &exact);
        let largest = exact.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        for kernels in Kernels::available() {
            let found = norm_with(&operands.x, &case.norm(&operands), kernels).unwrap();
            prop_assert_eq!(found.dtype(), case.dtype);
            prop_assert_eq!(found.dims(), operands.x.dims());
            let error = largest_difference(&found, &exact);
            let most = 2.0 * naive + largest * 2_f64.powi(-21);
            prop_assert!(error <= most, "{}: {error:e}, at most {most:e}", kernels.name());
        }
    }
}

/// Enough rows for several tasks.
#[test]
fn neither_threads_nor_other_rows_change_a_bit() {
    for (kernels, dtype) in Kernels::available().flat_map(|kernels| [(kernels, DType::F32), (kernels, DType::BF16)]) {
        let case = Case {
            batch: 2,
            frames: 3,
            tokens: 70,
            width: 530,
            layer: true,
            affine: 3,
            then: 2,
            dtype,
            affine_dtype: DType::F32,
            seed: 5,
        };
        let operands = case.operands();
        let with_threads = |count| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| norm_with(&operands.x, &case.norm(&operands), kernels).unwrap())
        };
        let all = with_threads(1);
        assert!(values(&all) == values(&with_threads(3)), "{}", kernels.name());
        let last = operands.x.narrow(0, 1, 1).unwrap();
        let last = norm_with(&last, &case.norm(&operands), kernels).unwrap();
        assert!(values(&last) == values(&all.narrow(0, 1, 1).unwrap()), "{}", kernels.name());
    }
}

/// By hand: two frames of one token each, whose squares have the mean 12.5 and 1; rows are shift and scale of each frame.
#[test]
fn every_frame_has_its_own_modulation() {
    let x = Tensor::new(&[[[3_f32, 4.0], [1.0, -1.0]]], &Device::Cpu).unwrap();
    let rows = Tensor::new(&[[[0_f32, 0.5], [1.0, 0.0]], [[10.0, 20.0], [0.0, -1.0]]], &Device::Cpu).unwrap();
    let modulated = Norm { affine: Affine::Modulation { rows: &rows, first: 0 }, ..Norm::root_mean_square(0.0) };
    let root = 12.5_f64.sqrt();
    let expected = [3.0 / root * 2.0, 4.0 / root + 0.5, 11.0, 20.0];
    assert!(largest_difference(&norm(&x, &modulated).unwrap(), &expected) < 1e-6);
    assert!(largest_difference(&definition(&x, &modulated).unwrap(), &expected) < 1e-6);
}

/// By hand: a quarter turn takes (a, b) to (-b, a).
#[test]
fn pairs_of_neighbours_turn() {
    let x = Tensor::new(&[[3_f32, 4.0, 1.0, 2.0]], &Device::Cpu).unwrap();
    let (cosines, sines) = (Tensor::new(&[[1_f32, 0.0]], &Device::Cpu), Tensor::new(&[[0_f32, 1.0]], &Device::Cpu));
    let then = Then::Rotation { cosines: &cosines.unwrap(), sines: &sines.unwrap() };
    let turned = norm(&x, &Norm { then, ..Norm::root_mean_square(0.0) }).unwrap();
    let root = 7.5_f64.sqrt();
    assert!(largest_difference(&turned, &[3.0 / root, 4.0 / root, -2.0 / root, 1.0 / root]) < 1e-6);
}

/// Half of the width of another tensor, and a type that has no code of its own.
#[test]
fn strides_and_other_types_are_computed_too() {
    let x = random(&[4, 6], 3, DType::F32);
    let plain = Norm::layer(1e-5);
    let part = x.narrow(1, 3, 3).unwrap();
    let expected = values(&definition(&part, &plain).unwrap());
    assert!(largest_difference(&norm(&part, &plain).unwrap(), &expected) < 1e-6);
    let half = norm(&part.to_dtype(DType::F16).unwrap(), &plain).unwrap();
    assert_eq!(half.dtype(), DType::F16);
    assert!(largest_difference(&half, &expected) < 2e-3);
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = random(&[6, 5], 1, DType::F32);
    let message = |norm: Norm<'_>| norm_with(&x, &norm, Kernels::fastest()).unwrap_err().to_string();
    let plain = Norm::root_mean_square(1e-6);
    let weight = random(&[4], 1, DType::F32);
    assert!(message(Norm { affine: Affine::Weight(&weight), ..plain }).contains("`weight` of a norm"));
    let rows = random(&[4, 6, 5], 1, DType::F32);
    let modulation = |first| Norm { affine: Affine::Modulation { rows: &rows, first }, ..plain };
    assert!(message(modulation(0)).contains("F a divisor of 6"));
    let rows = random(&[3, 6, 5], 1, DType::F32);
    assert!(message(Norm { affine: Affine::Modulation { rows: &rows, first: 5 }, ..plain }).contains("7 or more"));
    let then = Then::Rotation { cosines: &rows, sines: &rows };
    assert!(message(Norm { then, ..plain }).contains("an even number of values"));
    let half = x.to_dtype(DType::F16).unwrap();
    assert!(norm_with(&half, &plain, Kernels::fastest()).is_err());
}
