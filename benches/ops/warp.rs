//! The warp of a frame: `cargo bench --bench warp`.
//!
//! 1280x720, every pixel displaced: 16 taps of 4 lanes a pixel are 118 million multiply-adds.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use stir::ops::warp::{DisplacementGrid, SplinePicture, round_row, warp};
use stir::picture::Picture;

fn frame(criterion: &mut Criterion) {
    let pixels = (0..1280 * 720 * 3).map(|index| (index * 7919 / 64) as u8).collect();
    let picture = Picture::new(1280, 720, pixels);
    let mut group = criterion.benchmark_group("warp");
    group.sample_size(20);
    group.bench_function("coefficients of 1280x720", |bench| {
        bench.iter(|| SplinePicture::new(black_box(picture.clone())));
    });
    let spline = SplinePicture::new(picture.clone());
    let grid = DisplacementGrid::from_fn(1280, 720, |x, y| [8.0 * (0.01 * y).sin(), 6.0 * (0.013 * x).cos()]);
    group.bench_function("1280x720, displaced everywhere", |bench| {
        bench.iter(|| warp(&spline, black_box(&grid), |_, _, colours, bytes| round_row(colours, bytes)));
    });
    let still = DisplacementGrid::from_fn(1280, 720, |_, _| [0.0, 0.0]);
    group.bench_function("1280x720, displaced nowhere", |bench| {
        bench.iter(|| warp(&spline, black_box(&still), |_, _, colours, bytes| round_row(colours, bytes)));
    });
    group.finish();
}

criterion_group!(benches, frame);
criterion_main!(benches);
