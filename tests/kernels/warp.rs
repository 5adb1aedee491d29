//! The warp against the CPU's, bit for bit.

use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::warp::{Warp, plan};
use stir::ops::warp::{DisplacementGrid, SplinePicture, warp};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::pictures::noise;

/// `[3, height, width]` by the CPU.
fn warped(picture: &SplinePicture, grid: &DisplacementGrid) -> Vec<f32> {
    let (width, height) = (picture.picture().width(), picture.picture().height());
    let planes = Mutex::new(vec![0.0; 3 * width * height]);
    warp(picture, grid, |row, _, colours, _| {
        let mut planes = planes.lock().unwrap();
        for column in 0..width {
            for (lane, value) in colours.pixel(column).into_iter().enumerate() {
                planes[(lane * height + row) * width + column] = value;
            }
        }
    });
    planes.into_inner().unwrap()
}

fn memory(values: Vec<f32>) -> Memory {
    Memory::of(&Tensor::new(values, &Device::Cpu).unwrap())
}

/// The same by the kernel.
fn computed(picture: &SplinePicture, grid: &DisplacementGrid) -> Vec<f32> {
    let (width, height) = (picture.picture().width(), picture.picture().height());
    let coefficients = memory(picture.coefficients().as_flattened().to_vec());
    let pixels = Memory::of(&Tensor::new(picture.picture().pixels(), &Device::Cpu).unwrap());
    let nodes = memory(grid.values.as_flattened().to_vec());
    let colours = Memory::poisoned(3 * width * height, DType::F32);
    Emulated::kernel("warp").run(&plan(&Warp {
        coefficients: coefficients.address(),
        pixels: pixels.address(),
        nodes: nodes.address(),
        colours: colours.address(),
        width,
        height,
    }));
    colours.tensor(3 * width * height).to_vec1().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Some pixels rest, and some come from beyond the border, or far beyond it.
    #[test]
    fn pixels_have_the_bits_of_the_cpu(
        (width, height) in prop_oneof![(1..40_usize, 1..24_usize), (120..140_usize, 1..4_usize)],
        reach in prop_oneof![Just(0.0_f32), 0.1..5.0_f32, 5.0..60.0_f32, 100.0..10_000.0_f32],
        resting in 0.0..1.0_f32,
    ) {
        let spline = SplinePicture::new(noise(width, height));
        let grid = DisplacementGrid::from_fn(width, height, |x, y| {
            if x < resting * width as f32 { [0.0; 2] } else { [reach * (0.7 * y).sin(), reach * (0.3 * x).cos()] }
        });
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        prop_assert_eq!(bits(computed(&spline, &grid)), bits(warped(&spline, &grid)));
    }
}
