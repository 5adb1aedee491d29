//! Group norm against its definition in float64.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::group_norm::{Clip, MOST_FRAMES, Sizes, plan};
use stir::backend::cuda::launch::Element;
use stir::ops::group_norm::{GroupNorm, definition};

use crate::emulated::Emulated;
use crate::memory::Memory;
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
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)];
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
    residual: Vec<Tensor>,
    weight: Tensor,
    bias: Tensor,
}

impl Case {
    fn operands(&self) -> Operands {
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

    fn defined(&self, operands: &Operands, dtype: DType) -> Tensor {
        let convert = |clip: &[Tensor]| clip.iter().map(|x| x.to_dtype(dtype).unwrap()).collect::<Vec<_>>();
        let Operands { weight, bias, .. } = operands;
        let norm = GroupNorm { groups: self.groups, epsilon: EPSILON, weight, bias, silu: self.silu };
        let residual = convert(&operands.residual);
        let residual = self.with_residual.then_some(residual.as_slice());
        Tensor::cat(&definition(&convert(&operands.clip), &norm, residual).unwrap(), 0).unwrap()
    }

    fn computed(&self, operands: &Operands) -> Tensor {
        let [height, width] = self.size;
        let channels = self.groups * self.width;
        let sizes = Sizes {
            element: Element::of(self.dtype).unwrap(),
            frames: self.frames,
            pixels: height * width,
            channels,
            groups: self.groups,
        };
        let memories = |clip: &[Tensor]| clip.iter().map(Memory::of).collect::<Vec<_>>();
        let addresses = |memories: &[Memory]| memories.iter().map(Memory::address).collect::<Vec<_>>();
        let (frames, residuals) = (memories(&operands.clip), memories(&operands.residual));
        let (weight, bias) = (Memory::of(&operands.weight), Memory::of(&operands.bias));
        let count = height * width * channels;
        let results: Vec<Memory> = frames.iter().map(|_| Memory::poisoned(count, self.dtype)).collect();
        let partials = Memory::poisoned(sizes.partials(), DType::F32);
        let measured = Memory::poisoned(sizes.measured(), DType::F32);
        let launches = plan(&Clip {
            sizes,
            epsilon: EPSILON as f32,
            silu: self.silu,
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

    /// At most twice the error of the definition in float32, rounded to the result's type, plus a few roundings of the largest value.
    fn expect_exact(&self) -> std::result::Result<(), TestCaseError> {
        let operands = self.operands();
        let exact = values(&self.defined(&operands, DType::F64));
        let naive = self.defined(&operands, DType::F32).to_dtype(self.dtype).unwrap();
        let naive = largest_difference(&naive, &exact);
        let largest = exact.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let error = largest_difference(&self.computed(&operands), &exact);
        let allowed = 2.0 * naive + (1.0 + largest) * 2_f64.powi(-21);
        prop_assert!(error <= allowed, "{error:e}, allowed {allowed:e}");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kernels_are_as_exact_as_the_definition(case in cases()) {
        case.expect_exact()?;
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
        case.expect_exact().unwrap();
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
        let error = largest_difference(&case.computed(&operands), &exact);
        // A mean is rounded to 2^-24 of itself, and the deviation is about 1.
        assert!(error <= 2.0 * naive + 1005.0 * 2_f64.powi(-23), "{size:?}: {error:e}, {naive:e}");
    }
}
