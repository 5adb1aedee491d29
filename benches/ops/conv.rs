//! Convolutions beside candle's: `cargo bench --bench conv`.
//!
//! A frame of 120 by 176 through a layer of LTX-Video's decoder, 3 by 3 by 3, 128 to 128 channels: 18.7 GFLOP. Candle has no convolution in bfloat16 on
//! the CPU.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stir::ops::conv3d::{Epilogue, PackedKernel, conv3d, definition, planes};

const HEIGHT: usize = 120;
const WIDTH: usize = 176;
const CHANNELS: usize = 128;

fn random(shape: &[usize], dtype: DType) -> Tensor {
    Tensor::randn(0_f32, 1.0, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn convolutions(criterion: &mut Criterion) {
    for (name, dtype) in [("float32", DType::F32), ("bfloat16", DType::BF16)] {
        let mut group = criterion.benchmark_group(format!("conv3d {name}"));
        group.sample_size(10);
        let frames = [(); 3].map(|()| random(&[1, HEIGHT, WIDTH, CHANNELS], dtype));
        let frames = frames.each_ref().map(Some);
        let weight = random(&[CHANNELS, CHANNELS, 3, 3, 3], dtype);
        let packed = PackedKernel::new(&weight, None).unwrap();
        group.throughput(Throughput::Elements((2 * 27 * HEIGHT * WIDTH * CHANNELS * CHANNELS) as u64));
        group.bench_function("128 to 128", |bench| {
            bench.iter(|| conv3d(black_box(&frames), &packed, 1, Epilogue::default()).unwrap());
        });
        if dtype == DType::F32 {
            let planes = planes(&weight).unwrap();
            group.bench_function("128 to 128, definition", |bench| {
                bench.iter(|| definition(black_box(&frames), (&planes, None), 1, Epilogue::default()).unwrap());
            });
        }
    }
}

criterion_group!(benches, convolutions);
criterion_main!(benches);
