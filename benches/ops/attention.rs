//! Attention beside candle's products and softmax: `cargo bench --bench attention`.
//!
//! 1,320 tokens, 32 heads of 64 features, as in LTX-Video's transformer: 14.3 GFLOP.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stir::ops::attention::{Inputs, attention, definition};

const TOKENS: usize = 1320;
const HEADS: usize = 32;
const WIDTH: usize = 64;

fn heads(criterion: &mut Criterion) {
    for (name, dtype) in [("float32", DType::F32), ("bfloat16", DType::BF16)] {
        let random = || {
            let values = Tensor::randn(0_f32, 1.0, (1, TOKENS, HEADS, WIDTH), &Device::Cpu).unwrap();
            values.to_dtype(dtype).unwrap()
        };
        let (query, key, value) = (random(), random(), random());
        let inputs = Inputs { query: &query, key: &key, value: &value };
        let mut group = criterion.benchmark_group(format!("attention {name}"));
        group.sample_size(10);
        group.throughput(Throughput::Elements((4 * TOKENS * TOKENS * HEADS * WIDTH) as u64));
        group.bench_function("32 heads of 64", |bench| bench.iter(|| attention(black_box(&inputs), 0.125).unwrap()));
        group.bench_function("32 heads of 64, candle", |bench| {
            bench.iter(|| definition(black_box(&inputs), 0.125, None).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, heads);
criterion_main!(benches);
