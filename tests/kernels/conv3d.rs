//! Convolutions against their definition in float64, with every tile.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::backend::cpu::conv::{Geometry, KernelShape};
use stir::backend::cuda::conv3d::{
    CHANNELS_TOGETHER, Convolution, Gather, TILES, Tile, batch, gather_for, plan, plan_with,
};
use stir::backend::cuda::launch::Element;
use stir::ops::conv3d::{Epilogue, Noise, definition, planes};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{largest_difference, random, values};

/// A convolution with everything that can be chosen.
#[derive(Debug, Clone)]
struct Case {
    size: [usize; 2],
    inputs: usize,
    outputs: usize,
    depth: usize,
    side: usize,
    stride: usize,
    results: usize,
    dtype: DType,
    with_bias: bool,
    with_noise: bool,
    with_residual: bool,
    /// A frame of each window that is not there, where there are others.
    missing: usize,
    /// Values by which frames and results miss an address that is a multiple of 16.
    off: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let kernel = (1..=3_usize, prop_oneof![1 => Just(1_usize), 3 => Just(3), 1 => Just(5)], 1..=2_usize);
    let inputs = prop_oneof![3 => (1..=9_usize).prop_map(|vectors| vectors * 8), 1 => 1..=20_usize];
    let outputs = prop_oneof![(1..=18_usize).prop_map(|vectors| vectors * 8), 1..=140_usize];
    (
        (1..=12_usize, 1..=14_usize, inputs, outputs, 1..=2_usize),
        kernel,
        prop_oneof![Just(DType::BF16), Just(DType::F16)],
        (any::<bool>(), any::<bool>(), any::<bool>(), 0..4_usize),
        (prop_oneof![4 => Just(0_usize), 1 => 1..8_usize], 0..1000_u64),
    )
        .prop_map(
            |((height, width, inputs, outputs, results), (depth, side, stride), dtype, more, (off, seed))| Case {
                size: [height, width],
                inputs,
                outputs,
                depth,
                side,
                stride,
                results,
                dtype,
                with_bias: more.0,
                with_noise: more.1,
                with_residual: more.2,
                missing: more.3,
                off,
                seed,
            },
        )
}

/// What a case is computed from.
struct Operands {
    /// Of each result.
    windows: Vec<Vec<Option<Tensor>>>,
    weight: Tensor,
    bias: Option<Tensor>,
    noise: Option<[Tensor; 2]>,
    residuals: Vec<Tensor>,
}

/// As a kernel reads the weight.
fn packed(weight: &Tensor) -> Tensor {
    let inputs = weight.dims()[1];
    let missing = inputs.next_multiple_of(CHANNELS_TOGETHER) - inputs;
    weight.permute([0, 2, 3, 4, 1]).unwrap().pad_with_zeros(4, 0, missing).unwrap().contiguous().unwrap()
}

impl Case {
    fn geometry(&self) -> Geometry {
        let [height, width] = self.size;
        Geometry { height, width, kernel: [self.side; 2], stride: self.stride }
    }

    fn result_shape(&self) -> [usize; 4] {
        let [height, width] = self.geometry().result();
        [1, height, width, self.outputs]
    }

    fn operands(&self) -> Operands {
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
            weight: random(&weight, self.seed + 1, self.dtype),
            bias: self.with_bias.then(|| random(&[outputs], self.seed + 4, DType::F32)),
            noise: self.with_noise.then(noise),
            residuals: (0..residuals as u64)
                .map(|z| random(&self.result_shape(), self.seed + 50 + z, self.dtype))
                .collect(),
        }
    }

    /// One result by the definition, computed in `dtype`; of magnitudes where `absolute` says so.
    fn defined(&self, operands: &Operands, result: usize, (dtype, absolute): (DType, bool)) -> Tensor {
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

    /// All results by the kernel, with this tile or with the one that the plan chooses, and how it gathered.
    fn computed(&self, operands: &Operands, tile: Option<Tile>) -> (Vec<Tensor>, Gather) {
        let off = |address: u64| address + (self.off * self.dtype.size_in_bytes()) as u64;
        let before = |tensor: &Tensor| {
            // What lies before the values is NaN, as what lies behind them.
            let flat = tensor.flatten_all().unwrap();
            let around = (Tensor::zeros(self.off, self.dtype, tensor.device()).unwrap() + f64::NAN).unwrap();
            Memory::of(&Tensor::cat(&[&around, &flat], 0).unwrap())
        };
        let frames: Vec<Option<Memory>> =
            operands.windows.iter().flatten().map(|frame| frame.as_ref().map(before)).collect();
        let weight = Memory::of(&packed(&operands.weight));
        let bias = operands.bias.as_ref().map(Memory::of);
        let noise = operands.noise.as_ref().map(|noise| noise.each_ref().map(Memory::of));
        let residuals: Vec<Memory> = operands.residuals.iter().map(before).collect();
        let count: usize = self.result_shape().iter().product();
        let results: Vec<Memory> = (0..self.results).map(|_| Memory::poisoned(self.off + count, self.dtype)).collect();

        let addresses = |memories: &[Memory]| memories.iter().map(|memory| off(memory.address())).collect::<Vec<_>>();
        let convolution = Convolution {
            element: Element::of(self.dtype).unwrap(),
            shape: KernelShape { outputs: self.outputs, inputs: self.inputs, taps: [self.depth, self.side, self.side] },
            geometry: self.geometry(),
            weight: weight.address(),
            bias: bias.as_ref().map_or(0, Memory::address),
            noise: noise.as_ref().map_or([0; 2], |noise| noise.each_ref().map(Memory::address)),
            frames: &frames
                .iter()
                .map(|frame| frame.as_ref().map_or(0, |frame| off(frame.address())))
                .collect::<Vec<_>>(),
            results: &addresses(&results),
            residuals: &addresses(&residuals),
        };
        let launch = match tile {
            Some(tile) => plan_with(tile, &convolution),
            None => plan(132, &convolution),
        };
        Emulated::kernel("conv3d").run(&launch);
        let result = |memory: &Memory| {
            let all = memory.tensor(self.off + count);
            assert!(values(&all.narrow(0, 0, self.off).unwrap()).iter().all(|value| value.is_nan()));
            all.narrow(0, self.off, count).unwrap().reshape(&self.result_shape()).unwrap()
        };
        (results.iter().map(result).collect(), gather_for(&convolution))
    }
}

/// At most twice the error of the definition in float32, rounded to the result's type, plus 2^-22 of the largest sum of products: both round as often, but
/// a lucky small case has no error at all.
fn expect_exact(case: &Case, tile: Option<Tile>) -> std::result::Result<Gather, TestCaseError> {
    let operands = case.operands();
    let (found, gather) = case.computed(&operands, tile);
    for (result, found) in found.iter().enumerate() {
        let exact = values(&case.defined(&operands, result, (DType::F64, false)));
        let naive = case.defined(&operands, result, (DType::F32, false)).to_dtype(case.dtype).unwrap();
        let naive = largest_difference(&naive, &exact);
        let magnitude = values(&case.defined(&operands, result, (DType::F64, true))).into_iter().fold(0.0, f64::max);
        let error = largest_difference(found, &exact);
        let allowed = 2.0 * naive + magnitude * 2_f64.powi(-22);
        prop_assert!(error <= allowed, "{tile:?}, {gather:?}, result {result}: {error:e}, allowed {allowed:e}");
    }
    Ok(gather)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_tile_is_as_exact_as_the_definition(case in cases(), tile in 0..TILES.len()) {
        expect_exact(&case, Some(TILES[tile]))?;
    }
}

/// A convolution of several tiles in every direction, and of more steps than stages.
const LARGE: Case = Case {
    size: [19, 18],
    inputs: 40,
    outputs: 136,
    depth: 2,
    side: 3,
    stride: 1,
    results: 1,
    dtype: DType::BF16,
    with_bias: true,
    with_noise: true,
    with_residual: true,
    missing: 2,
    off: 0,
    seed: 1,
};

#[test]
fn every_kernel_computes_several_tiles() {
    for tile in TILES {
        for dtype in [DType::BF16, DType::F16] {
            let lines = Case { dtype, ..LARGE };
            let taps = Case { side: 5, depth: 1, ..lines.clone() };
            let unaligned = Case { inputs: 20, ..lines.clone() };
            for (case, gather) in [(lines, Gather::Lines), (taps, Gather::Taps), (unaligned, Gather::Values)] {
                assert_eq!(expect_exact(&case, Some(tile)).unwrap(), gather);
            }
        }
    }
}

#[test]
fn the_tile_changes_no_bit() {
    let operands = LARGE.operands();
    let results = |tile| LARGE.computed(&operands, tile).0.iter().map(values).collect::<Vec<_>>();
    let chosen = results(None);
    for tile in TILES {
        assert_eq!(results(Some(tile)), chosen, "{tile:?}");
    }
}

/// A full launch, and all frames but one missing.
#[test]
fn a_launch_takes_as_many_results_as_it_says() {
    let case = Case { size: [2, 3], inputs: 8, outputs: 8, results: batch(2), depth: 2, missing: 1, ..LARGE };
    expect_exact(&case, None).unwrap();
}
