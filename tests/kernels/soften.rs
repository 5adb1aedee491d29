//! What lies beyond the borders against the CPU's, bit for bit.

use std::sync::Mutex;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::soften::{Soften, plan};
use stir::ops::soften::{BlurredPicture, soften_row};
use stir::ops::warp::{DisplacementGrid, SplinePicture, warp};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::pictures::noise;

fn memory(values: &[f32]) -> Memory {
    Memory::of(&Tensor::new(values, &Device::Cpu).unwrap())
}

/// `[3, height, width]` by the CPU, before and after.
fn softened(picture: &SplinePicture, grid: &DisplacementGrid, blurred: &BlurredPicture) -> [Vec<f32>; 2] {
    let (width, height) = (blurred.width, blurred.height);
    let planes = Mutex::new([(); 2].map(|()| vec![0.0; 3 * width * height]));
    warp(picture, grid, |row, displacements, colours, _| {
        let mut planes = planes.lock().unwrap();
        for (index, planes) in planes.iter_mut().enumerate() {
            if index == 1 {
                soften_row(blurred, row, displacements, colours);
            }
            for column in 0..width {
                for (lane, value) in colours.pixel(column).into_iter().enumerate() {
                    planes[(lane * height + row) * width + column] = value;
                }
            }
        }
    });
    planes.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Some pixels come from inside, some from near the border, and some from several pictures away.
    #[test]
    fn pixels_have_the_bits_of_the_cpu(
        (width, height) in prop_oneof![(1..40_usize, 1..24_usize), (120..140_usize, 1..4_usize)],
        reach in prop_oneof![Just(0.0_f32), 0.1..5.0_f32, 5.0..60.0_f32, 100.0..10_000.0_f32],
        depth in 0.5..30.0_f32,
    ) {
        let spline = SplinePicture::new(noise(width, height));
        let grid = DisplacementGrid::from_fn(width, height, |x, y| [reach * (0.7 * y).sin(), reach * (0.3 * x).cos()]);
        let cells = noise(width.div_ceil(4), height.div_ceil(4));
        let planes = [0, 1, 2].map(|lane| cells.pixels().iter().skip(lane).step_by(3).map(|level| f32::from(*level) + 0.3).collect());
        let blurred = BlurredPicture { width, height, planes, depth };
        let [before, after] = softened(&spline, &grid, &blurred);
        let (planes, nodes, colours) = (memory(&blurred.planes.concat()), memory(grid.values.as_flattened()), memory(&before));
        Emulated::kernel("soften").run(&plan(&Soften {
            planes: planes.address(),
            nodes: nodes.address(),
            colours: colours.address(),
            width,
            height,
            depth,
        }));
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        prop_assert_eq!(bits(colours.tensor(3 * width * height).to_vec1().unwrap()), bits(after));
    }
}
