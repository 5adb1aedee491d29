//! Folding against its definition: values only move, so that every bit has to agree.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::ops::fold::{definition_of_fold, definition_of_unfold, fold, unfold};

use crate::samples::{random, values};

#[derive(Debug, Clone)]
struct Case {
    /// Rows and columns of a folded frame.
    size: [usize; 2],
    channels: usize,
    /// Frames, rows and columns of a block.
    block: [usize; 3],
    /// Channels of what is added, where it is: those of the unfolded frame are a multiple of them.
    addend: Option<usize>,
    dtype: DType,
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1..=5_usize, 1..=5_usize, 1..=3_usize, 1..=4_usize);
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16)];
    (sizes, (1..=3_usize, 1..=3_usize, 1..=3_usize), any::<bool>(), dtype).prop_map(
        |((height, width, channels, times), (t, h, w), with_addend, dtype)| Case {
            size: [height, width],
            channels: channels * times,
            block: [t, h, w],
            addend: with_addend.then_some(channels),
            dtype,
        },
    )
}

fn bits(frames: &[Tensor]) -> Vec<u64> {
    frames.iter().flat_map(values).map(f64::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_unfold_as_defined_and_fold_back(case in cases()) {
        let [height, width] = case.size;
        let volume: usize = case.block.iter().product();
        let frame = random(&[1, height, width, case.channels * volume], 1, case.dtype);
        let addend = case.addend.map(|channels| random(&[1, height, width, channels * volume], 2, case.dtype));
        let unfolded = unfold(&frame, case.block, addend.as_ref()).unwrap();
        let defined = definition_of_unfold(&frame, case.block, addend.as_ref()).unwrap();
        prop_assert_eq!(unfolded.len(), case.block[0]);
        for (found, expected) in unfolded.iter().zip(&defined) {
            prop_assert_eq!(found.dims(), [1, height * case.block[1], width * case.block[2], case.channels]);
            prop_assert_eq!((found.dims(), found.dtype()), (expected.dims(), expected.dtype()));
        }
        prop_assert!(bits(&unfolded) == bits(&defined));

        let frames: Vec<&Tensor> = unfolded.iter().collect();
        let folded = fold(&frames, [case.block[1], case.block[2]]).unwrap();
        let defined = definition_of_fold(&frames, [case.block[1], case.block[2]]).unwrap();
        prop_assert_eq!(folded.dims(), frame.dims());
        prop_assert!(bits(std::slice::from_ref(&folded)) == bits(&[defined]));
        if addend.is_none() {
            prop_assert!(bits(&[folded]) == bits(&[frame]));
        }
    }
}

/// By hand: one pixel of two channels unfolds to 2 by 2.
#[test]
fn neighbours_lie_next_to_each_other_in_the_channels() {
    let values: Vec<f32> = (0..8).map(|value| value as f32).collect();
    let frame = Tensor::from_vec(values, (1, 1, 1, 8), &candle_core::Device::Cpu).unwrap();
    let unfolded = unfold(&frame, [1, 2, 2], None).unwrap().remove(0);
    assert_eq!(unfolded.dims(), [1, 2, 2, 2]);
    let found = unfolded.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(found, [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let frame = random(&[1, 2, 3, 8], 1, DType::F32);
    let other = random(&[1, 2, 2, 8], 2, DType::F32);
    assert!(fold(&[&frame, &other], [2, 1]).unwrap_err().to_string().contains("multiples of 2 and 1"));
    assert!(fold(&[&frame], [1, 2]).is_err());
    assert!(unfold(&frame, [1, 3, 1], None).unwrap_err().to_string().contains("C a multiple of 3"));
    assert!(unfold(&frame, [1, 2, 1], Some(&other)).is_err());
    assert!(unfold(&frame, [1, 2, 1], Some(&frame.narrow(3, 0, 6).unwrap())).is_err());
}
