//! Matrix products beside candle's: `cargo bench --bench gemm`.
//!
//! 1,320 tokens through a layer of LTX-Video's transformer, 2,048 to 2,048 features: 11.1 GFLOP each; and its first half of an MLP, with GELU.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stir::ops::gelu::gelu;
use stir::ops::gemm::{Epilogue, PackedWeight, gemm};

const TOKENS: usize = 1320;
const WIDTH: usize = 2048;

fn random(shape: (usize, usize), dtype: DType) -> Tensor {
    Tensor::randn(0_f32, 1.0, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn products(criterion: &mut Criterion) {
    for (name, dtype) in [("float32", DType::F32), ("bfloat16", DType::BF16)] {
        let mut group = criterion.benchmark_group(format!("gemm {name}"));
        group.sample_size(10);
        let x = random((TOKENS, WIDTH), dtype);
        let square = random((WIDTH, WIDTH), dtype);
        let packed = PackedWeight::new(&square, None).unwrap();
        group.throughput(Throughput::Elements((2 * TOKENS * WIDTH * WIDTH) as u64));
        group.bench_function("2048 to 2048", |bench| {
            bench.iter(|| gemm(black_box(&x), &packed, Epilogue::None, dtype).unwrap());
        });
        group.bench_function("2048 to 2048, candle", |bench| {
            bench.iter(|| black_box(&x).matmul(&square.t().unwrap()).unwrap());
        });
        let wide = random((4 * WIDTH, WIDTH), dtype);
        let packed = PackedWeight::new(&wide, None).unwrap();
        group.throughput(Throughput::Elements((8 * TOKENS * WIDTH * WIDTH) as u64));
        group.bench_function("2048 to 8192 with GELU", |bench| {
            bench.iter(|| gemm(black_box(&x), &packed, Epilogue::Gelu, dtype).unwrap());
        });
        group.bench_function("2048 to 8192 with GELU, candle's product", |bench| {
            bench.iter(|| gelu(&black_box(&x).matmul(&wide.t().unwrap()).unwrap()).unwrap());
        });
        group.throughput(Throughput::Elements((2 * WIDTH * WIDTH) as u64));
        group.bench_function("packing of 2048 to 2048", |bench| {
            bench.iter(|| PackedWeight::new(black_box(&square), None).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
