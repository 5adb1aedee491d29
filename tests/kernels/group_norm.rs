//! Group norm against its definition in float64.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::group_norm::{Clip, MOST_FRAMES, Sizes, plan};
use stir::backend::cuda::launch::Element;

use crate::emulated::Emulated;
use crate::group_norm_cases::{Case, EPSILON, Operands, cases};
use crate::memory::Memory;
use crate::samples::{largest_difference, values};

/// By the kernels.
fn computed(case: &Case, operands: &Operands) -> Tensor {
    let [height, width] = case.size;
    let channels = case.groups * case.width;
    let sizes = Sizes {
        element: Element::of(case.dtype).unwrap(),
        frames: case.frames,
        pixels: height * width,
        channels,
        groups: case.groups,
    };
    let memories = |clip: &[Tensor]| clip.iter().map(Memory::of).collect::<Vec<_>>();
    let addresses = |memories: &[Memory]| memories.iter().map(Memory::address).collect::<Vec<_>>();
    let (frames, residuals) = (memories(&operands.clip), memories(&operands.residual));
    let (weight, bias) = (Memory::of(&operands.weight), Memory::of(&operands.bias));
    let count = height * width * channels;
    let results: Vec<Memory> = frames.iter().map(|_| Memory::poisoned(count, case.dtype)).collect();
    let partials = Memory::poisoned(sizes.partials(), DType::F32);
    let measured = Memory::poisoned(sizes.measured(), DType::F32);
    let launches = plan(&Clip {
        sizes,
        epsilon: EPSILON as f32,
        silu: case.silu,
        weight: weight.address(),
        bias: bias.address(),
        partials: partials.address(),
        measured: measured.address(),
        frames: &addresses(&frames),
        residuals: &addresses(&residuals),
        results: &addresses(&results),
    });
    let kernels = Emulated::kernel("group_norm");
    launches.iter().for_each(|launch| kernels.run(launch));
    // That nothing was written beside them.
    partials.tensor(sizes.partials());
    measured.tensor(sizes.measured());
    let results: Vec<Tensor> = results.iter().map(|result| result.tensor((1, height, width, channels))).collect();
    Tensor::cat(&results, 0).unwrap()
}

fn expect_exact(case: &Case) -> std::result::Result<(), TestCaseError> {
    let operands = case.operands();
    case.expect_exact(&operands, &computed(case, &operands))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kernels_are_as_exact_as_the_definition(case in cases(prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)])) {
        expect_exact(&case)?;
    }
}

const PLAIN: Case =
    Case { frames: 2, size: [3, 4], groups: 4, width: 6, with_residual: true, silu: true, dtype: DType::BF16, seed: 1 };

/// More frames than a launch takes, several stretches of a frame, and more channels than a block goes over.
#[test]
fn large_clips_are_divided() {
    let long = Case { frames: MOST_FRAMES + 3, ..PLAIN };
    let tall = Case { size: [70, 40], ..PLAIN };
    let deep = Case { groups: 3, width: 700, ..PLAIN };
    for (case, launches) in [(&long, 5), (&tall, 3), (&deep, 3)] {
        let [height, width] = case.size;
        let sizes = Sizes {
            element: Element::Bfloat16,
            frames: case.frames,
            pixels: height * width,
            channels: case.groups * case.width,
            groups: case.groups,
        };
        let addresses = vec![0; case.frames];
        let clip = Clip {
            sizes,
            epsilon: 0.0,
            silu: false,
            weight: 0,
            bias: 0,
            partials: 0,
            measured: 0,
            frames: &addresses,
            residuals: &[],
            results: &addresses,
        };
        let planned = plan(&clip);
        assert_eq!(planned.len(), launches);
        let [stretches, across, _] = planned[0].grid;
        assert_eq!(stretches > 1, case.size == tall.size, "{stretches}");
        assert_eq!(across > 1, case.width == deep.width, "{across}");
        expect_exact(case).unwrap();
    }
}

/// Where the variance is a millionth of the mean's square, and of one place.
#[test]
fn nothing_cancels() {
    for (size, dtype) in [([20, 20], DType::F32), ([1, 1], DType::F32), ([1, 1], DType::F16)] {
        let case = Case { size, dtype, ..PLAIN };
        let mut operands = case.operands();
        operands.clip.iter_mut().for_each(|frame| *frame = (&*frame + 1000.0).unwrap());
        let exact = values(&case.defined(&operands, DType::F64));
        let naive = largest_difference(&case.defined(&operands, DType::F32).to_dtype(dtype).unwrap(), &exact);
        let error = largest_difference(&computed(&case, &operands), &exact);
        // A mean is rounded to 2^-24 of itself, and the deviation is about 1.
        assert!(error <= 2.0 * naive + 1005.0 * 2_f64.powi(-23), "{size:?}: {error:e}, {naive:e}");
    }
}
