//! The autoencoder of LTX-Video against diffusers, for each of its three generations.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use stir::models::ltx::vae::config::Config;
use stir::models::ltx::vae::decoder::{Decoder, LatentSize, PreparedDecoder};
use stir::models::ltx::vae::encoder::Encoder;
use stir::models::ltx::vae::memory::DecodeMemory;
use stir::models::ltx::vae::statistics::Statistics;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

use crate::fixture::{Fixture, assert_close, fixture, repository, values};

const GENERATIONS: [&str; 3] = ["0.9.0", "0.9.1", "0.9.5"];
/// float32 on both sides, summed in another order.
const TOLERANCE: f64 = 1e-5;
/// As in `scripts/ltx/golden_vae.py`.
const DECODE_TIMESTEP: f64 = 0.05;
const KEEP_EVERY: usize = 7;

/// A tiny random autoencoder with what diffusers makes with it.
struct Golden {
    config: Config,
    encoder: Encoder,
    decoder: Decoder,
    statistics: Statistics,
    reference: Fixture,
}

fn golden(generation: &str) -> Golden {
    golden_in(generation, DType::F32, |text| text)
}

fn golden_in(generation: &str, dtype: DType, edit: impl Fn(String) -> String) -> Golden {
    let folder = repository("tests/fixtures/ltx").join(format!("vae_{generation}"));
    let text = edit(std::fs::read_to_string(folder.join("config.json")).unwrap());
    let config = Config::parse(&text, "config.json").unwrap();
    let bytes = std::fs::read(folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    let placement = Placement { dtype, device: Device::Cpu };
    let store = Store::new("vae", &bytes, KeyMap::IDENTITY, &placement).unwrap();
    let encoder = Encoder::load(&store.root().at("encoder"), &config).unwrap();
    let decoder = Decoder::load(&store.root().at("decoder"), &config).unwrap();
    let statistics = Statistics::load(&store.root(), config.latent_channels).unwrap();
    store.finish().unwrap();
    let reference = fixture(&format!("ltx/vae_{generation}/golden.safetensors"));
    Golden { config, encoder, decoder, statistics, reference }
}

impl Golden {
    /// The maps of noise that the reference drew for `latents`.
    fn noise(&self) -> Vec<Tensor> {
        let size = LatentSize::of(&self.reference.get("latents")).unwrap();
        let maps = self.decoder.noise_sizes(size);
        let get = |(index, size): (usize, &LatentSize)| {
            let map = self.reference.get(&format!("noise.{index}"));
            assert_eq!(map.dims(), [size.height, size.width]);
            map
        };
        maps.iter().enumerate().map(get).collect()
    }

    fn prepared(&self, noise: &[Tensor]) -> PreparedDecoder {
        self.decoder.prepare(DECODE_TIMESTEP, noise).unwrap()
    }
}

fn every_seventh(pixels: &Tensor) -> Vec<f64> {
    values(pixels).into_iter().step_by(KEEP_EVERY).collect()
}

fn random(seed: u64, shape: (usize, usize, usize, usize, usize)) -> Tensor {
    use stir::diffusion::noise::{Purpose, normals};
    let count = shape.0 * shape.1 * shape.2 * shape.3 * shape.4;
    Tensor::from_vec(normals(seed, Purpose::Initial, 0, count), shape, &Device::Cpu).unwrap()
}

#[test]
fn posteriors_are_those_of_the_reference() {
    for generation in GENERATIONS {
        let Golden { encoder, reference, .. } = golden(generation);
        let pixels = reference.get("pixels").to_dtype(DType::F32).unwrap();
        let posterior = encoder.encode(&pixels).unwrap();
        let close = |name: &str, found: &Tensor| {
            assert_eq!(found.dims(), reference.get(name).dims());
            assert_close(&format!("{generation} {name}"), &values(found), &reference.values(name), TOLERANCE);
        };
        close("mean", &posterior.mean);
        close("log_variance", &posterior.log_variance);
        let image = encoder.encode(&pixels.narrow(2, 0, 1).unwrap()).unwrap();
        close("image_mean", &image.mean);
    }
}

#[test]
fn decoded_clips_are_those_of_the_reference() {
    for generation in GENERATIONS {
        let golden = golden(generation);
        for (latents, decoded, noise) in [
            ("latents", "decoded", golden.noise()),
            (
                "latent_frame",
                "decoded_frame",
                golden
                    .decoder
                    .noise_sizes(LatentSize { height: 2, width: 1 })
                    .iter()
                    .map(|size| Tensor::zeros((size.height, size.width), DType::F32, &Device::Cpu).unwrap())
                    .collect(),
            ),
        ] {
            let latents = golden.statistics.denormalise(&golden.reference.get(latents)).unwrap();
            let pixels = golden.prepared(&noise).decode(&latents).unwrap();
            let (_, _, frames, height, width) = latents.dims5().unwrap();
            assert_eq!(pixels.dims(), [1, 3, 8 * (frames - 1) + 1, 32 * height, 32 * width]);
            let expected = golden.reference.values(decoded);
            assert_close(&format!("{generation} {decoded}"), &every_seventh(&pixels), &expected, TOLERANCE);
        }
    }
}
