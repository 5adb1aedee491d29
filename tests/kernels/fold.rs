//! Folding against its definition: values move, and sums are rounded once, so that every bit has to agree.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::fold::{Added, Direction, Fold, plan};
use stir::backend::cuda::launch::Element;
use stir::ops::fold::{definition_of_fold, definition_of_unfold};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{random, values};

#[derive(Debug, Clone)]
struct Case {
    /// Rows and columns of a folded frame.
    size: [usize; 2],
    channels: usize,
    /// Frames, rows and columns of a block.
    block: [usize; 3],
    /// Channels of what is added, where it is: those of the unfolded frame are a multiple of them.
    added: Option<usize>,
    dtype: DType,
}

fn cases() -> impl Strategy<Value = Case> {
    let channels = prop_oneof![(1..=5_usize, 1..=4_usize), (100..=140_usize, 10..=12_usize)];
    let sizes = (1..=4_usize, prop_oneof![1..=7_usize, 40..=60_usize], channels);
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)];
    (sizes, (1..=3_usize, 1..=3_usize, 1..=3_usize), any::<bool>(), dtype)
        .prop_filter("too slow to emulate", |((_, width, (channels, _)), ..)| width * channels < 1000)
        .prop_map(|((height, width, (channels, times)), (t, h, w), with_addend, dtype)| Case {
            size: [height, width],
            channels: channels * times,
            block: [t, h, w],
            added: with_addend.then_some(channels),
            dtype,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_go_where_the_definition_says(case in cases()) {
        let Case { size: [height, width], channels, block: [t, h, w], added, dtype } = case;
        let frame = [1, height * h, width * w, channels];
        let frames: Vec<Tensor> = (0..t as u64).map(|index| random(&frame, index, dtype)).collect();
        let folded = definition_of_fold(&frames.iter().collect::<Vec<_>>(), [h, w]).unwrap();
        let element = Element::of(dtype).unwrap();

        let read: Vec<Memory> = frames.iter().map(Memory::of).collect();
        let written = Memory::poisoned(folded.elem_count(), dtype);
        let fold = Fold {
            element,
            frames: &read.iter().map(Memory::address).collect::<Vec<_>>(),
            folded: written.address(),
            added: None,
            size: [height, width],
            channels,
            block: [h, w],
        };
        Emulated::kernel("fold").run(&plan(Direction::Fold, &fold).unwrap());
        prop_assert_eq!(values(&written.tensor(folded.shape())), values(&folded));

        let addend = added.map(|channels| random(&[1, height, width, channels * t * h * w], 9, dtype));
        let expected = definition_of_unfold(&folded, [t, h, w], addend.as_ref()).unwrap();
        let read = Memory::of(&folded);
        let also = addend.as_ref().map(Memory::of);
        let written: Vec<Memory> = frames.iter().map(|frame| Memory::poisoned(frame.elem_count(), dtype)).collect();
        let unfold = Fold {
            frames: &written.iter().map(Memory::address).collect::<Vec<_>>(),
            folded: read.address(),
            added: also.as_ref().zip(added).map(|(also, channels)| Added { values: also.address(), channels }),
            ..fold
        };
        Emulated::kernel("fold").run(&plan(Direction::Unfold, &unfold).unwrap());
        for (written, expected) in written.iter().zip(expected) {
            prop_assert_eq!(values(&written.tensor(expected.shape())), values(&expected));
        }
    }
}
