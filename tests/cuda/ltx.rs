//! LTX-Video's networks on a GPU against diffusers and transformers, on the tiny checkpoints of the other tests. All in float32, summed in other orders:
//! the tolerances are those of the CPU.

use candle_core::{DType, Device, Tensor};
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::text::config::Config as TextConfig;
use stir::models::ltx::text::t5::{Encoder as TextEncoder, Residency};
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::{Transformer, TransformerInputs};
use stir::models::ltx::upsampler::Upsampler;
use stir::models::ltx::vae::config::Config;
use stir::models::ltx::vae::decoder::{Decoder, LatentSize};
use stir::models::ltx::vae::encoder::Encoder;
use stir::models::ltx::vae::statistics::Statistics;
use stir::units::Fps;
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

use crate::fixture::{Fixture, assert_close, fixture, repository, values};
use crate::harness::{bits, device};

fn placement() -> Placement {
    Placement { dtype: DType::F32, device: device().clone() }
}

fn bytes(path: &str) -> Vec<u8> {
    let path = repository("tests/fixtures/ltx").join(path);
    std::fs::read(&path).unwrap_or_else(|problem| panic!("fixture {}: {problem}", path.display()))
}

/// A tensor of a fixture, on the GPU.
fn get(fixture: &Fixture, name: &str) -> Tensor {
    fixture.get(name).to_dtype(DType::F32).unwrap().to_device(device()).unwrap()
}

#[test]
fn velocities_are_those_of_diffusers() {
    for name in ["transformer_64", "transformer_20"] {
        let json = String::from_utf8(bytes(&format!("{name}.json"))).unwrap();
        let config = TransformerConfig::from_diffusers(name, &json, true).unwrap();
        let weights = bytes(&format!("{name}.safetensors"));
        let store = Store::new(name, &weights, KeyMap::IDENTITY, &placement()).unwrap();
        let network = Transformer::load(&store.root(), &config).unwrap();
        let cases = fixture(&format!("ltx/{name}_cases.safetensors"));
        let sigma = cases.values("sigma")[0];
        let grid = LatentGrid { frames: 3, height: 2, width: 4 };
        let inputs = TransformerInputs {
            latents: &get(&cases, "latents"),
            levels: &FrameLevels::new(&[0.0, sigma, sigma]),
            context: &network.context(&get(&cases, "text")).unwrap(),
            rope: &Rope::new(&config, grid, Fps(25.0), device()).unwrap(),
            perturbation: None,
        };
        let found = network.forward(&inputs).unwrap();
        assert_close(name, &values(&found), &cases.values("velocity"), 5e-6);
        for _ in 1..10 {
            assert!(bits(&network.forward(&inputs).unwrap()) == bits(&found), "{name}: another run, other bits");
        }
    }
}

#[test]
fn pictures_are_encoded_and_clips_decoded_as_by_diffusers() {
    for generation in ["0.9.0", "0.9.1", "0.9.5"] {
        let folder = format!("vae_{generation}");
        let config = String::from_utf8(bytes(&format!("{folder}/config.json"))).unwrap();
        let config = Config::parse(&config, "config.json").unwrap();
        let weights = bytes(&format!("{folder}/diffusion_pytorch_model.safetensors"));
        let store = Store::new("vae", &weights, KeyMap::IDENTITY, &placement()).unwrap();
        let encoder = Encoder::load(&store.root().at("encoder"), &config).unwrap();
        let decoder = Decoder::load(&store.root().at("decoder"), &config).unwrap();
        let statistics = Statistics::load(&store.root(), config.latent_channels).unwrap();
        let golden = fixture(&format!("ltx/{folder}/golden.safetensors"));

        let mean = encoder.encode(&get(&golden, "pixels")).unwrap().mean;
        assert_close(&format!("{generation} mean"), &values(&mean), &golden.values("mean"), 1e-5);

        let latents = get(&golden, "latents");
        let maps = decoder.noise_sizes(LatentSize::of(&latents).unwrap()).len();
        let noise: Vec<Tensor> = (0..maps).map(|index| get(&golden, &format!("noise.{index}"))).collect();
        let prepared = decoder.prepare(0.05, &noise).unwrap();
        let latents = statistics.denormalise(&latents).unwrap();
        let pixels = prepared.decode(&latents).unwrap();
        let kept: Vec<f64> = values(&pixels).into_iter().step_by(7).collect();
        assert_close(&format!("{generation} decoded"), &kept, &golden.values("decoded"), 1e-5);
        for _ in 1..10 {
            let again = prepared.decode(&latents).unwrap();
            assert!(bits(&again) == bits(&pixels), "{generation}: another run, other bits");
        }
    }
}

/// Through the kernels of convolutions, which there are in half precision only. The tolerances are those of the CPU.
#[test]
fn half_precision_stays_near_diffusers_and_streams_give_the_same_bits() {
    for generation in ["0.9.0", "0.9.1", "0.9.5"] {
        for (dtype, tolerances) in [(DType::F16, [5e-3, 2e-3]), (DType::BF16, [3e-2, 1.6e-2])] {
            let folder = format!("vae_{generation}");
            let config = String::from_utf8(bytes(&format!("{folder}/config.json"))).unwrap();
            let config = Config::parse(&config, "config.json").unwrap();
            let weights = bytes(&format!("{folder}/diffusion_pytorch_model.safetensors"));
            let placement = Placement { dtype, device: device().clone() };
            let store = Store::new("vae", &weights, KeyMap::IDENTITY, &placement).unwrap();
            let encoder = Encoder::load(&store.root().at("encoder"), &config).unwrap();
            let decoder = Decoder::load(&store.root().at("decoder"), &config).unwrap();
            let statistics = Statistics::load(&store.root(), config.latent_channels).unwrap();
            let golden = fixture(&format!("ltx/{folder}/golden.safetensors"));

            let mean = encoder.encode(&get(&golden, "pixels").to_dtype(dtype).unwrap()).unwrap().mean;
            assert_close(
                &format!("{generation} {dtype:?} mean"),
                &values(&mean),
                &golden.values("mean"),
                tolerances[1],
            );

            let latents = get(&golden, "latents");
            let maps = decoder.noise_sizes(LatentSize::of(&latents).unwrap()).len();
            let noise: Vec<Tensor> = (0..maps).map(|index| get(&golden, &format!("noise.{index}"))).collect();
            let prepared = decoder.prepare(0.05, &noise).unwrap();
            let latents = statistics.denormalise(&latents).unwrap().to_dtype(dtype).unwrap();
            let pixels = prepared.decode(&latents).unwrap();
            let kept: Vec<f64> = values(&pixels).into_iter().step_by(7).collect();
            assert_close(&format!("{generation} {dtype:?} decoded"), &kept, &golden.values("decoded"), tolerances[0]);
            for together in [false, true] {
                let mut stream = prepared.clone().together(together).stream(&latents).unwrap();
                let frames = std::iter::from_fn(|| stream.next().unwrap()).collect::<Vec<_>>();
                let frames = Tensor::stack(&frames, 1).unwrap();
                assert!(bits(&frames) == bits(&pixels), "{generation} {dtype:?}, together: {together}");
            }
        }
    }
}

#[test]
fn texts_are_encoded_as_by_transformers() {
    let folder = repository("tests/fixtures/ltx/text_encoder");
    let files = WeightFiles::open(&folder).unwrap();
    let store = Store::open(&files, KeyMap::IDENTITY, &placement()).unwrap();
    let config = TextConfig::open(&folder, &store).unwrap();
    let golden = fixture("ltx/text.safetensors");
    for name in ["one", "short", "long"] {
        let tokens: Vec<u32> = golden.get(&format!("{name}.tokens")).to_vec1().unwrap();
        for residency in [Residency::Whole, Residency::Layer] {
            let encoder = TextEncoder::load(&store, config, residency).unwrap();
            let output = encoder.forward(&[&tokens]).unwrap().remove(0);
            assert_close(name, &values(&output), &golden.values(&format!("{name}.output")), 5e-6);
        }
    }
}

#[test]
fn latents_are_upsampled_as_by_diffusers() {
    let upsampler = Upsampler::open(&repository("tests/fixtures/ltx/upsampler"), &placement()).unwrap();
    let golden = fixture("ltx/upsampler.safetensors");
    let found = upsampler.forward(&get(&golden, "latents")).unwrap();
    assert_close("upsampled", &values(&found), &golden.values("forward"), 1e-5);
    // The file's kernels are float8, which the GPU widens to pack them.
    for (dtype, tolerance) in [(DType::F16, 2e-3), (DType::BF16, 1e-2)] {
        let placement = Placement { dtype, device: device().clone() };
        let upsampler = Upsampler::open(&repository("tests/fixtures/ltx/upsampler"), &placement).unwrap();
        let found = upsampler.forward(&get(&golden, "latents").to_dtype(dtype).unwrap()).unwrap();
        assert_close(&format!("upsampled in {dtype:?}"), &values(&found), &golden.values("forward"), tolerance);
    }
}

/// Latents of a run wait in the CPU's memory.
#[test]
fn latents_are_denormalised_where_they_are() {
    let weights = bytes("vae_0.9.5/diffusion_pytorch_model.safetensors");
    let config = String::from_utf8(bytes("vae_0.9.5/config.json")).unwrap();
    let channels = Config::parse(&config, "config.json").unwrap().latent_channels;
    let [on_gpu, on_cpu] = [device(), &Device::Cpu].map(|device| {
        let placement = Placement { dtype: DType::F32, device: device.clone() };
        let store = Store::new("vae", &weights, KeyMap::IDENTITY, &placement).unwrap();
        Statistics::load(&store.root(), channels).unwrap()
    });
    let latents = Tensor::ones((1, channels, 2, 3, 1), DType::F32, &Device::Cpu).unwrap();
    let found = on_gpu.denormalise(&latents).unwrap();
    assert!(found.device().is_cpu() && bits(&found) == bits(&on_cpu.denormalise(&latents).unwrap()));
    assert_eq!(bits(&on_gpu.normalise(&latents).unwrap()), bits(&on_cpu.normalise(&latents).unwrap()));
}
