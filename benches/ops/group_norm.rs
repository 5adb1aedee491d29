//! Group norm beside its definition: `cargo bench --bench group_norm`.
//!
//! 20 frames of 15 by 22 with 512 channels in 32 groups, as in LTX-Video's latent upsampler, and SiLU.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stir::ops::group_norm::{GroupNorm, definition, group_norm};

const FRAMES: usize = 20;
const SHAPE: [usize; 4] = [1, 15, 22, 512];

fn random(shape: &[usize], dtype: DType) -> Tensor {
    Tensor::randn(0_f32, 1.0, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn norms(criterion: &mut Criterion) {
    for (name, dtype) in [("float32", DType::F32), ("bfloat16", DType::BF16)] {
        let mut group = criterion.benchmark_group(format!("group norm {name}"));
        group.sample_size(10);
        let clip: Vec<Tensor> = (0..FRAMES).map(|_| random(&SHAPE, dtype)).collect();
        let [weight, bias] = [(); 2].map(|()| random(&SHAPE[3..], DType::F32));
        let norm = GroupNorm { groups: 32, epsilon: 1e-5, weight: &weight, bias: &bias, silu: true };
        let values = FRAMES * SHAPE.iter().product::<usize>();
        // Read twice, written once.
        group.throughput(Throughput::Bytes((3 * values * dtype.size_in_bytes()) as u64));
        group.bench_function("32 groups", |bench| bench.iter(|| group_norm(black_box(&clip), &norm, None).unwrap()));
        group.bench_function("32 groups, definition", |bench| {
            bench.iter(|| definition(black_box(&clip), &norm, None).unwrap());
        });
    }
}

criterion_group!(benches, norms);
criterion_main!(benches);
