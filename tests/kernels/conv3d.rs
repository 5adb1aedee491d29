//! Convolutions against their definition in float64, with every tile.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::backend::cpu::conv::{Geometry, KernelShape};
use stir::backend::cuda::conv3d::{
    CHANNELS_TOGETHER, Convolution, Gather, TILES, Tile, batch, gather_for, plan, plan_with,
};
use stir::backend::cuda::launch::Element;

use crate::conv_cases::{Case, Operands};
use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::values;

/// Convolutions, and by how many values frames and results miss an address that is a multiple of 16.
fn cases() -> impl Strategy<Value = (Case, usize)> {
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
            |((height, width, inputs, outputs, results), (depth, side, stride), dtype, more, (off, seed))| {
                let case = Case {
                    size: [height, width],
                    inputs,
                    outputs,
                    depth,
                    side,
                    stride,
                    results,
                    dtype,
                    weight: dtype,
                    with_bias: more.0,
                    with_noise: more.1,
                    with_residual: more.2,
                    missing: more.3,
                    seed,
                };
                (case, off)
            },
        )
}

/// As a kernel reads the weight.
fn packed(weight: &Tensor) -> Tensor {
    let inputs = weight.dims()[1];
    let missing = inputs.next_multiple_of(CHANNELS_TOGETHER) - inputs;
    weight.permute([0, 2, 3, 4, 1]).unwrap().pad_with_zeros(4, 0, missing).unwrap().contiguous().unwrap()
}

fn geometry(case: &Case) -> Geometry {
    let [height, width] = case.size;
    Geometry { height, width, kernel: [case.side; 2], stride: case.stride }
}

/// All results by the kernel, with this tile or with the one that the plan chooses, and how it gathered.
fn computed(case: &Case, off: usize, operands: &Operands, tile: Option<Tile>) -> (Vec<Tensor>, Gather) {
    let moved = |address: u64| address + (off * case.dtype.size_in_bytes()) as u64;
    let before = |tensor: &Tensor| {
        // What lies before the values is NaN, as what lies behind them.
        let flat = tensor.flatten_all().unwrap();
        let around = (Tensor::zeros(off, case.dtype, tensor.device()).unwrap() + f64::NAN).unwrap();
        Memory::of(&Tensor::cat(&[&around, &flat], 0).unwrap())
    };
    let frames: Vec<Option<Memory>> =
        operands.windows.iter().flatten().map(|frame| frame.as_ref().map(before)).collect();
    let weight = Memory::of(&packed(&operands.weight));
    let bias = operands.bias.as_ref().map(Memory::of);
    let noise = operands.noise.as_ref().map(|noise| noise.each_ref().map(Memory::of));
    let residuals: Vec<Memory> = operands.residuals.iter().map(before).collect();
    let count: usize = case.result_shape().iter().product();
    let results: Vec<Memory> = (0..case.results).map(|_| Memory::poisoned(off + count, case.dtype)).collect();

    let addresses = |memories: &[Memory]| memories.iter().map(|memory| moved(memory.address())).collect::<Vec<_>>();
    let convolution = Convolution {
        element: Element::of(case.dtype).unwrap(),
        shape: KernelShape { outputs: case.outputs, inputs: case.inputs, taps: [case.depth, case.side, case.side] },
        geometry: geometry(case),
        weight: weight.address(),
        bias: bias.as_ref().map_or(0, Memory::address),
        noise: noise.as_ref().map_or([0; 2], |noise| noise.each_ref().map(Memory::address)),
        frames: &frames
            .iter()
            .map(|frame| frame.as_ref().map_or(0, |frame| moved(frame.address())))
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
        let all = memory.tensor(off + count);
        assert!(values(&all.narrow(0, 0, off).unwrap()).iter().all(|value| value.is_nan()));
        all.narrow(0, off, count).unwrap().reshape(&case.result_shape()).unwrap()
    };
    (results.iter().map(result).collect(), gather_for(&convolution))
}

fn expect_exact(case: &Case, off: usize, tile: Option<Tile>) -> Result<Gather, TestCaseError> {
    let operands = case.operands();
    let (found, gather) = computed(case, off, &operands, tile);
    for (result, found) in found.iter().enumerate() {
        let exact = case.expect_exact(&operands, result, found);
        prop_assert!(exact.is_ok(), "{tile:?}, {gather:?}: {exact:?}");
    }
    Ok(gather)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_tile_is_as_exact_as_the_definition((case, off) in cases(), tile in 0..TILES.len()) {
        expect_exact(&case, off, Some(TILES[tile]))?;
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
    weight: DType::BF16,
    with_bias: true,
    with_noise: true,
    with_residual: true,
    missing: 2,
    seed: 1,
};

#[test]
fn every_kernel_computes_several_tiles() {
    for tile in TILES {
        for dtype in [DType::BF16, DType::F16] {
            let lines = Case { dtype, weight: dtype, ..LARGE };
            let taps = Case { side: 5, depth: 1, ..lines.clone() };
            let unaligned = Case { inputs: 20, ..lines.clone() };
            for (case, gather) in [(lines, Gather::Lines), (taps, Gather::Taps), (unaligned, Gather::Values)] {
                assert_eq!(expect_exact(&case, 0, Some(tile)).unwrap(), gather);
            }
        }
    }
}

#[test]
fn the_tile_changes_no_bit() {
    let operands = LARGE.operands();
    let results = |tile| computed(&LARGE, 0, &operands, tile).0.iter().map(values).collect::<Vec<_>>();
    let chosen = results(None);
    for tile in TILES {
        assert_eq!(results(Some(tile)), chosen, "{tile:?}");
    }
}

/// A full launch, and all frames but one missing.
#[test]
fn a_launch_takes_as_many_results_as_it_says() {
    let case = Case { size: [2, 3], inputs: 8, outputs: 8, results: batch(2), depth: 2, missing: 1, ..LARGE };
    expect_exact(&case, 0, None).unwrap();
}
