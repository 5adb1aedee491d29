//! The latent upsampler of LTX-Video against diffusers: the network, what surrounds it, and a whole run of two passes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use stir::diffusion::instance_norm::adaptive_instance_norm;
use stir::diffusion::noise::{Purpose, normals};
use stir::diffusion::renoise::renoise;
use stir::diffusion::sampler;
use stir::diffusion::tone_map::tone_map;
use stir::latents::{Constraint, Latents};
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::{Transformer, TransformerInputs};
use stir::models::ltx::upsampler::Upsampler;
use stir::models::ltx::upsampler::config::UpsamplerConfig;
use stir::models::ltx::upsampler::layers::ClipNorm;
use stir::models::ltx::vae::config::Config;
use stir::models::ltx::vae::encoder::Encoder;
use stir::models::ltx::vae::statistics::Statistics;
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

use crate::fixture::{Fixture, assert_close, fixture, repository, values};
use crate::ltx_transformer::FPS;
use crate::scratch::Scratch;

/// float32 on both sides, summed in another order: measured 1.2e-6 for the network, and 2.9e-6 for runs, which add up many of them.
const TOLERANCE: f64 = 1e-5;
/// As in `scripts/ltx/golden_upsampler.py`.
const TONE_MAP_COMPRESSION: f64 = 0.6;
/// Of 17 frames.
const LATENT_FRAMES: usize = 3;

fn folder() -> PathBuf {
    repository("tests/fixtures/ltx/upsampler")
}

fn placement(dtype: DType) -> Placement {
    Placement { dtype, device: Device::Cpu }
}

fn open(path: &Path) -> Upsampler {
    Upsampler::open(path, &placement(DType::F32)).unwrap()
}

/// What opening it says, which is what the check before it says too.
fn refusal(path: &Path) -> String {
    let error = Upsampler::open(path, &placement(DType::F32)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(Upsampler::check(path).unwrap_err().to_string(), error.to_string());
    error.to_string()
}

fn reference() -> Fixture {
    fixture("ltx/upsampler.safetensors")
}

/// The encoder and the statistics of the autoencoder that takes part.
struct Vae {
    encoder: Encoder,
    statistics: Statistics,
}

impl Vae {
    fn load() -> Self {
        let folder = repository("tests/fixtures/ltx/checkpoint/vae");
        let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
        let config = Config::parse(&text, "config.json").unwrap();
        let bytes = std::fs::read(folder.join("diffusion_pytorch_model.safetensors")).unwrap();
        let store = Store::new("vae", &bytes, KeyMap::IDENTITY, &placement(DType::F32)).unwrap();
        Self {
            encoder: Encoder::load(&store.root().at("encoder"), &config).unwrap(),
            statistics: Statistics::load(&store.root(), config.latent_channels).unwrap(),
        }
    }

    /// `picture: [1, 3, H, W]`, -1 to 1, to the normalised latents of one frame.
    fn encode(&self, picture: &Tensor) -> Tensor {
        let posterior = self.encoder.encode(&picture.unsqueeze(2).unwrap()).unwrap();
        self.statistics.normalise(&posterior.mean).unwrap()
    }
}

#[test]
fn the_network_is_that_of_the_reference() {
    let reference = reference();
    let found = open(&folder()).forward(&reference.get("latents")).unwrap();
    assert_eq!(found.dims(), [1, 8, 3, 4, 6]);
    assert_close("forward", &values(&found), &reference.values("forward"), TOLERANCE);
}

#[test]
fn upsampled_latents_are_those_of_the_pipeline() {
    let (reference, vae, network) = (reference(), Vae::load(), open(&folder()));
    for (name, share) in [("as_they_are", 0.0), ("half", 0.5), ("whole", 1.0)] {
        let name = format!("upsampled.{name}");
        let found = network.upsample(&reference.get("latents"), &vae.statistics, share).unwrap();
        assert_close(&name, &values(&found), &reference.values(&name), TOLERANCE);
    }
}

/// Two channels a group, which the network of the fixtures is too small for.
#[test]
fn the_norm_is_over_all_frames_of_a_group_of_channels() {
    let bytes = std::fs::read(repository("tests/fixtures/ltx/upsampler.safetensors")).unwrap();
    let store = Store::new("norm", &bytes, KeyMap::IDENTITY, &placement(DType::F32)).unwrap();
    let norm = ClipNorm::load(&store.root().at("norm"), 64).unwrap();
    let reference = reference();
    let clip = |tensor: Tensor| tensor.squeeze(0).unwrap().permute((1, 2, 3, 0)).unwrap().contiguous().unwrap();
    let input = clip(reference.get("norm.input"));
    let frames = input.chunk(input.dim(0).unwrap(), 0).unwrap();
    let found = Tensor::cat(&norm.forward(&frames, None, false).unwrap(), 0).unwrap();
    assert_close("norm", &values(&found), &values(&clip(reference.get("norm.output"))), TOLERANCE);
}

#[test]
fn channels_are_matched_and_tones_mapped_as_by_the_pipeline() {
    let reference = reference();
    let latents = reference.get("latents");
    let mapped = tone_map(&latents, TONE_MAP_COMPRESSION).unwrap();
    assert_close("tone_mapped", &values(&mapped), &reference.values("tone_mapped"), TOLERANCE);
    for (name, share) in [("upsampled.half", 0.5), ("upsampled.whole", 1.0)] {
        let found = adaptive_instance_norm(&reference.get("upsampled.as_they_are"), &latents, share).unwrap();
        assert_close(name, &values(&found), &reference.values(name), TOLERANCE);
    }
}

/// The largest difference from float32, as a share of the largest magnitude.
fn error_of(dtype: DType) -> f64 {
    let latents = reference().get("latents");
    let found = Upsampler::open(&folder(), &placement(dtype)).unwrap().forward(&latents).unwrap();
    assert_eq!(found.dtype(), DType::F32);
    let expected = reference().values("forward");
    let largest = expected.iter().fold(0f64, |most, value| most.max(value.abs()));
    let difference = values(&found).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f64, f64::max);
    println!("{dtype:?}: {:.2e}", difference / largest);
    difference / largest
}

/// Measured 8.3e-4 and 4.8e-3: every layer rounds its result, by 4.9e-4 of it at most, or 3.9e-3.
#[test]
fn half_precision_errs_as_far_as_it_rounds() {
    for (dtype, most) in [(DType::F16, 2.2e-3), (DType::BF16, 1e-2)] {
        let error = error_of(dtype);
        assert!((1e-5..most).contains(&error), "{dtype:?}: {error}");
    }
}

/// The fixture's tensors by name, as float32.
fn tensors() -> HashMap<String, Tensor> {
    let path = folder().join("diffusion_pytorch_model.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    tensors.into_iter().map(|(name, tensor)| (name, tensor.to_dtype(DType::F32).unwrap())).collect()
}

/// Writes a single file as Lightricks does, with `config` in its metadata where there is one.
fn write_single_file(path: &Path, tensors: &HashMap<String, Tensor>, config: Option<&str>) {
    let metadata = config.map(|config| HashMap::from([("config".to_owned(), config.to_owned())]));
    std::fs::write(path, safetensors::serialize(tensors, metadata).unwrap()).unwrap();
}

const SINGLE_FILE_CONFIG: &str = r#"{"_class_name": "LatentUpsampler", "in_channels": 8, "mid_channels": 32,
    "num_blocks_per_stage": 1, "dims": 3, "spatial_upsample": true, "temporal_upsample": false}"#;

#[test]
fn single_files_and_folders_of_folders_open_alike() {
    let scratch = Scratch::new("upsampler-layouts");
    let (described, bare, nested) =
        (scratch.path("described.safetensors"), scratch.path("bare.safetensors"), scratch.path("nested"));
    write_single_file(&described, &tensors(), Some(SINGLE_FILE_CONFIG));
    write_single_file(&bare, &tensors(), None);
    std::fs::create_dir_all(nested.join("latent_upsampler")).unwrap();
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(folder().join(name), nested.join("latent_upsampler").join(name)).unwrap();
    }
    let latents = reference().get("latents");
    let expected = values(&open(&folder()).forward(&latents).unwrap());
    let config = UpsamplerConfig { channels: 8, width: 32, blocks: 1 };
    for path in [folder(), described, bare, nested] {
        assert_eq!(Upsampler::check(&path).unwrap(), config);
        assert_eq!(values(&open(&path).forward(&latents).unwrap()), expected, "{}", path.display());
    }
}

#[test]
fn every_tensor_is_accounted_for() {
    let scratch = Scratch::new("upsampler-tensors");
    let path = scratch.path("upsampler.safetensors");
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let refused = |edit: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let mut tensors = tensors();
        edit(&mut tensors);
        write_single_file(&path, &tensors, Some(SINGLE_FILE_CONFIG));
        refusal(&path)
    };
    let message = refused(&|tensors| drop(tensors.remove("upsampler.0.bias")));
    assert!(message.contains("`upsampler.0.bias`") && message.ends_with("found no such tensor"), "{message}");
    let message = refused(&|tensors| drop(tensors.insert("final_conv.bias".to_owned(), zeros(&[9]))));
    assert!(message.contains("`final_conv.bias`") && message.ends_with("wanted shape [8], found [9]"), "{message}");
    let message = refused(&|tensors| drop(tensors.insert("res_blocks.1.norm1.bias".to_owned(), zeros(&[32]))));
    assert!(message.ends_with("unknown tensors: res_blocks.1.norm1.bias"), "{message}");
}

#[test]
fn what_is_no_upsampler_is_refused_by_name() {
    let message = refusal(&repository("tests/fixtures/ltx/vae_0.9.5"));
    assert!(message.contains("`_class_name`") && message.contains("AutoencoderKLLTXVideo"), "{message}");
    let message = refusal(&repository("tests/fixtures/ltx/transformer_20.safetensors"));
    assert!(message.contains("an LTX-Video latent upsampler") && message.contains("initial_conv.weight"), "{message}");

    let scratch = Scratch::new("upsampler-refused");
    let path = scratch.path("upsampler.safetensors");
    write_single_file(&path, &tensors(), Some(&SINGLE_FILE_CONFIG.replace("\"dims\": 3", "\"dims\": 2")));
    let message = refusal(&path);
    assert!(message.contains("`dims`") && message.ends_with("wanted 3, found 2"), "{message}");
    std::fs::copy(folder().join("diffusion_pytorch_model.safetensors"), scratch.path("upsampler.safetensors")).unwrap();
    let message = refusal(scratch.folder());
    assert!(
        message.contains("config.json") && message.contains("the configuration of a latent upsampler"),
        "{message}"
    );
}

#[test]
fn latents_of_another_model_are_refused() {
    let latents = Tensor::zeros((1, 7, 2, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let message = open(&folder()).forward(&latents).unwrap_err().to_string();
    assert!(message.contains("shape [1, 8, 2, 2, 2]") && message.ends_with("found [1, 7, 2, 2, 2]"), "{message}");
}

/// The transformer of the fixtures' checkpoint.
fn transformer() -> Transformer<'static> {
    let folder = repository("tests/fixtures/ltx/checkpoint/transformer");
    let json = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let config = TransformerConfig::from_diffusers("config.json", &json, true).unwrap();
    let files = WeightFiles::open(&folder).unwrap();
    let store = Store::open(&files, KeyMap::IDENTITY, &placement(DType::F32)).unwrap();
    let network = Transformer::load(&store.root(), &config).unwrap();
    store.finish().unwrap();
    network
}

#[test]
fn what_is_not_finite_stops_there() {
    let latents = Tensor::full(f32::NAN, (1, 8, 2, 2, 2), &Device::Cpu).unwrap();
    let error = open(&folder()).upsample(&latents, &Vae::load().statistics, 1.0).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().starts_with("latents after the upsampler"), "{error}");
}

/// What both passes of a run share.
struct TwoPasses {
    reference: Fixture,
    vae: Vae,
    transformer: Transformer<'static>,
    upsampler: Upsampler,
}

impl TwoPasses {
    fn load() -> Self {
        Self {
            reference: fixture("ltx/upsampler_two_passes/run.safetensors"),
            vae: Vae::load(),
            transformer: transformer(),
            upsampler: open(&folder()),
        }
    }

    /// Denoises `noise` at the levels of the pass `which`; frame 0 is `picture: [1, 3, H, W]`, -1 to 1.
    fn denoise(&self, which: &str, noise: &Tensor, picture: &Tensor) -> Tensor {
        let clean = self.vae.encode(picture);
        let (_, _, _, height, width) = clean.dims5().unwrap();
        let grid = LatentGrid { frames: LATENT_FRAMES, height, width };
        let rope = Rope::new(self.transformer.config(), grid, FPS, &Device::Cpu).unwrap();
        let context = self.transformer.context(&self.reference.get("prompt").unsqueeze(0).unwrap()).unwrap();
        let rest = noise.narrow(2, 1, LATENT_FRAMES - 1).unwrap();
        let mask = Tensor::cat(&[clean.ones_like().unwrap(), rest.zeros_like().unwrap()], 2).unwrap();
        let held = [Constraint { part: "latents", mask, value: Tensor::cat(&[clean, rest], 2).unwrap() }];
        let sigmas = self.reference.values(&format!("{which}.sigmas"));
        let start = Latents { parts: [("latents", noise.clone())].into() };
        let denoised = sampler::euler(start, &sigmas, &held, |x, sigma, _| {
            let velocity = self.transformer.forward(&TransformerInputs {
                latents: &x.parts["latents"],
                levels: &FrameLevels::held(&[1.0, 0.0, 0.0], sigma),
                context: &context,
                rope: &rope,
                perturbation: None,
            })?;
            Ok(Latents { parts: [("latents", velocity)].into() })
        });
        denoised.unwrap().parts["latents"].clone()
    }

    /// Runs both passes from the picture of this name.
    fn check(&self, name: &str) {
        let close = |part: &str, found: &Tensor| {
            let part = format!("{name}.{part}");
            assert_close(&part, &values(found), &self.reference.values(&part), TOLERANCE);
        };
        let picture = picture(&format!("ltx/upsampler_two_passes/{name}.png"));
        let noise = |which: &str| fixture(&format!("ltx/upsampler_two_passes/{which}_noise.safetensors")).get("noise");

        let first = self.denoise("first", &noise("first"), &picture.avg_pool2d(2).unwrap());
        close("first.latents", &first);
        let upsampled = self.upsampler.upsample(&first, &self.vae.statistics, 1.0).unwrap();
        close("upsampled", &upsampled);
        let level = self.reference.values("second.sigmas")[0];
        let second = self.denoise("second", &renoise(&upsampled, &noise("second"), level).unwrap(), &picture);
        close("second.latents", &second);
        assert_eq!(values(&second.narrow(2, 0, 1).unwrap()), values(&self.vae.encode(&picture)), "frame 0 is kept");
    }
}

/// The picture at this path below the fixtures: `[1, 3, H, W]`, -1 to 1.
fn picture(path: &str) -> Tensor {
    let image = image::open(repository("tests/fixtures").join(path)).unwrap().to_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = Tensor::from_vec(image.into_raw(), (1, height, width, 3), &Device::Cpu).unwrap();
    let pixels = pixels.permute((0, 3, 1, 2)).unwrap().to_dtype(DType::F32).unwrap();
    pixels.contiguous().unwrap().affine(2.0 / 255.0, -1.0).unwrap()
}

/// The reference begins with them, so that a whole run of the program can be compared with it too.
#[test]
fn the_noise_of_both_passes_is_that_of_seed_42() {
    for (which, purpose) in [("first", Purpose::Initial), ("second", Purpose::SecondPass)] {
        let expected = fixture(&format!("ltx/upsampler_two_passes/{which}_noise.safetensors")).values("noise");
        let drawn: Vec<f64> = normals(42, purpose, 0, expected.len()).into_iter().map(f64::from).collect();
        assert_close(which, &drawn, &expected, f64::from(f32::EPSILON));
    }
}

#[test]
fn two_passes_end_where_diffusers_ends() {
    let run = TwoPasses::load();
    run.check("drawn");
    run.check("plain");
}
