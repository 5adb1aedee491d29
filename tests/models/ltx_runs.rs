//! Whole runs of LTX-Video from the library's parts against diffusers, on tiny checkpoints.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use stir::diffusion::guidance::{Guidance, Predictions};
use stir::diffusion::sampler;
use stir::diffusion::schedule::{Schedule, Spacing};
use stir::error::Result;
use stir::latents::{Constraint, Latents};
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::scheduler;
use stir::models::ltx::text::config::Config as TextConfig;
use stir::models::ltx::text::t5::{Encoder as TextEncoder, Residency};
use stir::models::ltx::text::tokenizer::Tokenizer;
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::{Transformer, TransformerInputs};
use stir::models::ltx::vae::config::Config as VaeConfig;
use stir::models::ltx::vae::decoder::Decoder;
use stir::models::ltx::vae::encoder::Encoder;
use stir::models::ltx::vae::statistics::Statistics;
use stir::units::Fps;
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

use crate::fixture::{Fixture, assert_close, fixture, repository, values};

/// float32 on both sides, summed in another order: measured 2.3e-6.
const TOLERANCE: f64 = 1e-5;
/// As in `scripts/ltx/golden_runs.py`, like all that follows.
const DECODE_TIMESTEP: f64 = 0.05;
const GRID: LatentGrid = LatentGrid { frames: 3, height: 2, width: 3 };
const FPS: Fps = Fps(25.0);
const KEPT_EVERY: usize = 7;

/// What the reference was asked for, and what it made.
struct Run {
    reference: Fixture,
    request: Value,
}

impl Run {
    fn open(name: &str) -> Self {
        let path = format!("ltx/runs/{name}.safetensors");
        let bytes = std::fs::read(repository("tests/fixtures").join(&path)).unwrap();
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let request = &metadata.metadata().as_ref().unwrap()["request"];
        Self { reference: fixture(&path), request: serde_json::from_str(request).unwrap() }
    }

    fn number(&self, name: &str) -> f64 {
        self.request[name].as_f64().unwrap()
    }
}

fn folder(checkpoint: &str) -> PathBuf {
    repository("tests/fixtures/ltx").join(checkpoint)
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

fn with_store<T>(part: PathBuf, load: impl FnOnce(&Store) -> T) -> T {
    let files = WeightFiles::open(&part).unwrap();
    let store = Store::open(&files, KeyMap::IDENTITY, &Placement { dtype: DType::F32, device: Device::Cpu }).unwrap();
    let loaded = load(&store);
    store.finish().unwrap();
    loaded
}

/// `[tokens, channels]` of a text.
fn embedded(words: &str) -> Tensor {
    let tokenizer = Tokenizer::open(&folder("checkpoint/tokenizer")).unwrap();
    let tokens = tokenizer.encode(words).unwrap();
    assert_eq!(tokens.cut, "");
    let path = folder("checkpoint/text_encoder");
    with_store(path.clone(), |store| {
        let config = TextConfig::open(&path, store).unwrap();
        let encoder = TextEncoder::load(store, config, Residency::Whole).unwrap();
        encoder.forward(&[&tokens.ids]).unwrap().remove(0)
    })
}

/// The autoencoder of a checkpoint.
struct Vae {
    config: VaeConfig,
    encoder: Encoder,
    decoder: Decoder,
    statistics: Statistics,
}

impl Vae {
    fn open(checkpoint: &str) -> Self {
        let path = folder(checkpoint).join("vae");
        let config = VaeConfig::parse(&text(path.join("config.json")), "config.json").unwrap();
        with_store(path, |store| Self {
            encoder: Encoder::load(&store.root().at("encoder"), &config).unwrap(),
            decoder: Decoder::load(&store.root().at("decoder"), &config).unwrap(),
            statistics: Statistics::load(&store.root(), config.latent_channels).unwrap(),
            config: config.clone(),
        })
    }

    /// `[1, C, 1, H, W]`, normalised, of the fixtures' picture.
    fn image_latents(&self) -> Tensor {
        let picture = image::open(folder("runs/picture.png")).unwrap().to_rgb32f();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let pixels = Tensor::from_vec(picture.into_raw(), (height, width, 3), &Device::Cpu).unwrap();
        let pixels = ((pixels * 2.0).unwrap() - 1.0).unwrap().permute((2, 0, 1)).unwrap();
        let pixels = pixels.reshape((1, 3, 1, height, width)).unwrap();
        self.statistics.normalise(&self.encoder.encode(&pixels).unwrap().mean).unwrap()
    }

    /// Every so many values of the frames, 0 to 255, in the order of the fixture.
    fn frames(&self, latents: &Tensor) -> Vec<f64> {
        let raw = self.statistics.denormalise(latents).unwrap();
        let pixels = self.decoder.prepare(DECODE_TIMESTEP, &[]).unwrap().decode(&raw).unwrap();
        let frames = pixels.squeeze(0).unwrap().permute((1, 2, 3, 0)).unwrap();
        values(&frames)
            .into_iter()
            .step_by(KEPT_EVERY)
            .map(|value| (127.5 * (value + 1.0)).clamp(0.0, 255.0).round_ties_even())
            .collect()
    }
}

/// The levels of a run by the checkpoint's own scheduler.
fn levels(checkpoint: &str, run: &Run) -> Vec<f64> {
    let index: Value = serde_json::from_str(&text(folder(checkpoint).join("model_index.json"))).unwrap();
    let json = text(folder(checkpoint).join("scheduler/scheduler_config.json"));
    let own = scheduler::from_diffusers("scheduler", &json, index["_class_name"].as_str().unwrap()).unwrap();
    assert!(!own.stochastic);
    let given = run.request["sigmas"].as_array();
    let given = given.map(|levels| levels.iter().map(|level| level.as_f64().unwrap()).collect());
    let schedule = match given {
        Some(levels) => Schedule { spacing: Spacing::Explicit(levels), ..own.schedule },
        None => own.schedule,
    };
    schedule.levels(run.request["steps"].as_u64().unwrap_or(0) as usize, GRID.tokens())
}

fn transformer(checkpoint: &str, causal_time: bool) -> Transformer {
    let path = folder(checkpoint).join("transformer");
    let json = text(path.join("config.json"));
    let config = TransformerConfig::from_diffusers("config.json", &json, causal_time).unwrap();
    with_store(path, |store| Transformer::load(&store.root(), &config).unwrap())
}

/// The final latents of a run.
fn sampled(checkpoint: &str, run: &Run, image_latents: &Tensor) -> Tensor {
    let noise = fixture("ltx/runs/noise.safetensors").get("noise");
    let strength = run.number("strength");
    let [first, rest] = [noise.narrow(2, 0, 1).unwrap(), noise.narrow(2, 1, GRID.frames - 1).unwrap()];
    let first = ((first * (1.0 - strength)).unwrap() + (image_latents * strength).unwrap()).unwrap();
    let mask = [(first.ones_like().unwrap() * strength).unwrap(), rest.zeros_like().unwrap()];
    let constraint = Constraint {
        part: "latents",
        mask: Tensor::cat(&mask, 2).unwrap(),
        value: Tensor::cat(&[first, rest], 2).unwrap(),
    };

    let network = transformer(checkpoint, checkpoint == "checkpoint");
    let rope = Rope::new(network.config(), GRID, FPS, &Device::Cpu).unwrap();
    let context = |words: &str| network.context(&embedded(words).unsqueeze(0).unwrap()).unwrap();
    let guidance =
        Guidance { scale: run.number("guidance_scale"), rescale: run.number("guidance_rescale"), ..Guidance::NONE };
    let prompt = context(run.request["prompt"].as_str().unwrap());
    let negative = (guidance.scale > 1.0).then(|| context(run.request["negative_prompt"].as_str().unwrap()));
    let start = Latents { parts: [("latents", constraint.value.clone())].into() };
    let sampled = sampler::euler(start, &levels(checkpoint, run), &[constraint], |x, sigma, _| {
        let levels = FrameLevels::held(&[strength, 0.0, 0.0], sigma);
        let predict = |context: &Tensor| -> Result<Latents> {
            let latents = &x.parts["latents"];
            let inputs = TransformerInputs { latents, levels: &levels, context, rope: &rope, perturbation: None };
            Ok(Latents { parts: [("latents", network.forward(&inputs)?)].into() })
        };
        let unconditional = negative.as_ref().map(predict).transpose()?;
        guidance.combine(&Predictions { prompt: predict(&prompt)?, unconditional, perturbed: None })
    });
    sampled.unwrap().parts["latents"].clone()
}

fn check(name: &str, checkpoint: &str) {
    let run = Run::open(name);
    let compare = |part: &str, found: &[f64]| {
        assert_close(&format!("{name}, {part}"), found, &run.reference.values(part), TOLERANCE);
    };
    compare("prompt", &values(&embedded(run.request["prompt"].as_str().unwrap())));
    if run.number("guidance_scale") > 1.0 {
        compare("negative_prompt", &values(&embedded(run.request["negative_prompt"].as_str().unwrap())));
    }
    compare("sigmas", &levels(checkpoint, &run));
    let vae = Vae::open(checkpoint);
    assert_eq!((vae.config.spatial_ratio(), vae.config.temporal_ratio()), (32, 8));
    let image_latents = vae.image_latents();
    compare("image_latents", &values(&image_latents));
    let latents = sampled(checkpoint, &run, &image_latents);
    compare("latents", &values(&latents));
    let (found, expected) = (vae.frames(&latents), run.reference.values("frames"));
    assert_eq!(found.len(), expected.len());
    let off = found.iter().zip(&expected).filter(|(found, expected)| found != expected).count();
    println!("{name}: {off} of {} colours differ", found.len());
    assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() <= 1.0));
    // A rounding to the other side here and there.
    assert!(off * 1000 < found.len(), "{name}: {off} of {} colours differ", found.len());
}

#[test]
fn guided_runs_end_where_diffusers_ends() {
    check("guided", "checkpoint");
    check("rescaled", "checkpoint");
}

#[test]
fn runs_at_given_levels_end_where_diffusers_ends() {
    check("distilled", "checkpoint");
    check("weak", "checkpoint");
}

#[test]
fn runs_of_the_first_generation_end_where_diffusers_ends() {
    check("first_generation", "checkpoint_0.9.0");
}
