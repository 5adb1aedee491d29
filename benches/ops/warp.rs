//! The warp of a frame, and the light on it: `cargo bench --bench warp`.
//!
//! 1280x720, every pixel displaced: 16 taps of 4 lanes a pixel are 59 million multiply-adds. Beside each instruction set stands the spline pixel by pixel.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rayon::prelude::*;
use stir::ops::gemm::Kernels;
use stir::ops::relight::{Light, LightGains, relight_row_with};
use stir::ops::warp::{DisplacementGrid, SplinePicture, round_row, warp_with};
use stir::picture::Picture;

const SIZE: [usize; 2] = [1280, 720];

fn frame(criterion: &mut Criterion) {
    let [width, height] = SIZE;
    let pixels = (0..width * height * 3).map(|index| (index * 7919 / 64) as u8).collect();
    let picture = Picture::new(width, height, pixels);
    let mut group = criterion.benchmark_group("warp");
    group.sample_size(20);
    group.bench_function("coefficients of 1280x720", |bench| {
        bench.iter(|| SplinePicture::new(black_box(picture.clone())));
    });
    let spline = SplinePicture::new(picture.clone());
    let place = |x: f32, y: f32| [8.0 * (0.01 * y).sin(), 6.0 * (0.013 * x).cos()];
    let grid = DisplacementGrid::from_fn(width, height, place);
    group.bench_function("1280x720, pixel by pixel", |bench| {
        bench.iter(|| {
            let mut pixels = vec![0_u8; width * height * 3];
            pixels.par_chunks_exact_mut(width * 3).enumerate().for_each(|(row, bytes)| {
                for (column, pixel) in bytes.chunks_exact_mut(3).enumerate() {
                    let colour = spline.sample(column, row, place(column as f32 + 0.5, row as f32 + 0.5));
                    pixel.copy_from_slice(&colour.map(|value| (value + 0.5) as u8));
                }
            });
            pixels
        });
    });
    let still = DisplacementGrid::from_fn(width, height, |_, _| [0.0, 0.0]);
    for kernels in Kernels::available() {
        for (name, grid) in [("everywhere", &grid), ("nowhere", &still)] {
            group.bench_function(format!("1280x720, displaced {name}, {}", kernels.name()), |bench| {
                bench.iter(|| {
                    warp_with(&spline, black_box(grid), kernels, |_, _, colours, bytes| round_row(colours, bytes))
                });
            });
        }
        let gains = LightGains::new((0..width).map(|column| 0.1 + column as f32 * 1e-5).collect());
        group.bench_function(format!("1280x720, displaced everywhere and lit, {}", kernels.name()), |bench| {
            bench.iter(|| {
                warp_with(&spline, black_box(&grid), kernels, |row, _, colours, bytes| {
                    relight_row_with(colours, &Light { gains: &gains, warm: 0.02, row }, kernels, bytes);
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frame);
criterion_main!(benches);
