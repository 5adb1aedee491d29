//! The networks of `sway`: `cargo bench --bench sway`.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use stir::diffusion::noise;
use stir::models::sway::denoiser::Known;
use stir::models::sway::image_encoder::ImageEncoder;
use stir::models::sway::weights::Weights;
use stir::models::{ImageEncoder as _, PictureHints};
use stir::picture::Picture;

fn networks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sway");
    group.sample_size(10);

    let network = Weights::embedded().unwrap().encoder(&Device::Cpu).unwrap();
    let pair = Tensor::zeros((2, 3, 192, 192), DType::F32, &Device::Cpu).unwrap();
    group.bench_function("encoder, a picture of 192x192 and its mirror image", |bench| {
        bench.iter(|| network.forward(black_box(&pair)).unwrap());
    });

    let encoder = ImageEncoder::new(network, Device::Cpu);
    let pixels = (0..1280 * 720 * 3).map(|index| (index * 7919 / 64) as u8).collect();
    let picture = Picture::new(1280, 720, pixels);
    group.bench_function("image encoder, 1280x720", |bench| {
        bench.iter(|| encoder.encode(black_box(&picture), &PictureHints::default()).unwrap());
    });

    let denoiser = Weights::embedded().unwrap().denoiser(&Device::Cpu).unwrap();
    let shapes = [("latents", vec![1, 4, 25, 6, 6]), ("control", vec![1, 25, 26])].into();
    let x = noise::initial(1, &shapes).unwrap();
    let features = Tensor::zeros((1, 6, 6, 16), DType::F32, &Device::Cpu).unwrap();
    let plan = Tensor::zeros((1, 20), DType::F32, &Device::Cpu).unwrap();
    group.bench_function("denoiser, one prediction of 925 tokens", |bench| {
        bench.iter(|| denoiser.clean(black_box(&x), &Known { features: &features, plan: &plan, sigma: 0.5 }).unwrap());
    });
    group.finish();
}

criterion_group!(benches, networks);
criterion_main!(benches);
