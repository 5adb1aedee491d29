//! Norms, and T5's gate, beside candle's operations: `cargo bench --bench norm`.
//!
//! 1,320 tokens of 2,048 features, as in LTX-Video's transformer, in 3 frames; and as many values as pixels of 128 channels, as in its decoder. All are
//! bound by memory: the throughput is that of reading and writing each value once.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stir::ops::gelu::gated_gelu;
use stir::ops::norm::{Affine, Norm, Then, definition, norm};

const FRAMES: usize = 3;
const TOKENS: usize = 1320;
const WIDTH: usize = 2048;

fn random(shape: &[usize], dtype: DType) -> Tensor {
    Tensor::randn(0_f32, 1.0, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn norms(criterion: &mut Criterion) {
    let weight = random(&[WIDTH], DType::F32);
    let rows = random(&[FRAMES, 6, WIDTH], DType::F32);
    let tables = random(&[TOKENS, WIDTH / 2], DType::F32);
    let channels = random(&[1, 4, 128], DType::F32);
    let root_mean_square = Norm::root_mean_square(1e-6);
    let cases = [
        ("RMS norm, modulated", Norm { affine: Affine::Modulation { rows: &rows, first: 0 }, ..root_mean_square }),
        ("layer norm, weight", Norm { affine: Affine::Weight(&weight), ..Norm::layer(1e-5) }),
        (
            "RMS norm, weight, rotation",
            Norm {
                affine: Affine::Weight(&weight),
                then: Then::Rotation { cosines: &tables, sines: &tables },
                ..root_mean_square
            },
        ),
        (
            "pixel norm, modulated, SiLU",
            Norm {
                affine: Affine::Modulation { rows: &channels, first: 2 },
                then: Then::Silu,
                ..Norm::root_mean_square(1e-8)
            },
        ),
    ];
    for (type_name, dtype) in [("float32", DType::F32), ("bfloat16", DType::BF16)] {
        let mut group = criterion.benchmark_group(format!("norm {type_name}"));
        group.sample_size(20);
        group.throughput(Throughput::Bytes((2 * TOKENS * WIDTH * dtype.size_in_bytes()) as u64));
        let tokens = random(&[1, TOKENS, WIDTH], dtype);
        let pixels = tokens.reshape((1, TOKENS * WIDTH / 128, 128)).unwrap();
        for (name, case) in &cases {
            let x = if name.starts_with("pixel") { &pixels } else { &tokens };
            group.bench_function(*name, |bench| bench.iter(|| norm(black_box(x), case).unwrap()));
            group.bench_function(format!("{name}, candle"), |bench| {
                bench.iter(|| {
                    let wide = black_box(x).to_dtype(DType::F32).unwrap();
                    definition(&wide, case).unwrap().to_dtype(dtype).unwrap()
                });
            });
        }
        group.bench_function("gated GELU", |bench| {
            bench.iter(|| gated_gelu(black_box(&tokens), &tokens).unwrap());
        });
        group.bench_function("gated GELU, candle", |bench| {
            bench.iter(|| (black_box(&tokens).gelu().unwrap() * &tokens).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, norms);
criterion_main!(benches);
