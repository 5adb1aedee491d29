//! Whole runs of LTX-Video from the library's parts against diffusers, on tiny checkpoints.

use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use stir::diffusion::guidance::{Guidance, Predictions};
use stir::diffusion::sampler;
use stir::diffusion::schedule::{Schedule, Spacing};
use stir::error::Result;
use stir::latents::{Constraint, Latents};
use stir::models::Offload;
use stir::models::ltx::checkpoint::{Checkpoint, Files, VaeDecoder, VaeEncoder};
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::{Context, TransformerInputs};
use stir::units::Fps;
use stir::weights::store::Placement;

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

    fn words(&self, name: &str) -> &str {
        self.request[name].as_str().unwrap()
    }

    fn number(&self, name: &str) -> f64 {
        self.request[name].as_f64().unwrap()
    }
}

const PLACEMENT: Placement = Placement { dtype: DType::F32, device: Device::Cpu };

/// Opens a folder of the fixtures, with the text side that the first generation lacks.
fn open(checkpoint: &str) -> Checkpoint {
    let folder = |name: &str| repository("tests/fixtures/ltx").join(name);
    let text = Some(folder("checkpoint"));
    let files = Files { model: folder(checkpoint), text_encoder: text.clone(), tokenizer: text, ..Files::default() };
    Checkpoint::open(&files).unwrap()
}

/// `[1, tokens, channels]` of a text.
fn embedded(model: &Checkpoint, words: &str) -> Tensor {
    let tokens = model.tokenizer().unwrap().encode(words).unwrap();
    assert_eq!(tokens.cut, "");
    model.encode_text(&PLACEMENT, &[&tokens.ids]).unwrap().remove(0)
}

/// `[1, C, 1, H, W]`, normalised, of the fixtures' picture.
fn image_latents(model: &Checkpoint) -> Tensor {
    let picture = image::open(repository("tests/fixtures/ltx/runs/picture.png")).unwrap().to_rgb32f();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = Tensor::from_vec(picture.into_raw(), (height, width, 3), &Device::Cpu).unwrap();
    let pixels = pixels.affine(2.0, -1.0).unwrap().permute((2, 0, 1)).unwrap();
    let VaeEncoder { encoder, statistics } = model.vae_encoder(&PLACEMENT).unwrap();
    let posterior = encoder.encode(&pixels.reshape((1, 3, 1, height, width)).unwrap()).unwrap();
    statistics.normalise(&posterior.mean).unwrap()
}

/// Every so many values of the frames, 0 to 255, in the order of the fixture.
fn frames(model: &Checkpoint, latents: &Tensor) -> Vec<f64> {
    let VaeDecoder { decoder, statistics } = model.vae_decoder(&PLACEMENT).unwrap();
    let raw = statistics.denormalise(latents).unwrap();
    let pixels = decoder.prepare(DECODE_TIMESTEP, &[]).unwrap().decode(&raw).unwrap();
    let frames = pixels.squeeze(0).unwrap().permute((1, 2, 3, 0)).unwrap();
    let to_bytes = |value: f64| (127.5 * (value + 1.0)).clamp(0.0, 255.0).round_ties_even();
    values(&frames).into_iter().step_by(KEPT_EVERY).map(to_bytes).collect()
}

/// The levels of a run by the checkpoint's own scheduler.
fn levels(model: &Checkpoint, run: &Run) -> Vec<f64> {
    let own = model.scheduler();
    assert!(!own.stochastic);
    let mut schedule: Schedule = own.schedule.clone();
    if let Some(levels) = run.request["sigmas"].as_array() {
        schedule.spacing = Spacing::Explicit(levels.iter().map(|level| level.as_f64().unwrap()).collect());
    }
    schedule.levels(run.request["steps"].as_u64().unwrap_or(0) as usize, GRID.tokens())
}

/// The final latents of a run.
fn sampled(model: &Checkpoint, run: &Run, image_latents: &Tensor) -> Tensor {
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

    let network = model.transformer(&PLACEMENT, Offload::None).unwrap();
    let rope = Rope::new(network.config(), GRID, FPS, &Device::Cpu).unwrap();
    let context = |words: &str| network.context(&embedded(model, run.words(words))).unwrap();
    let guidance =
        Guidance { scale: run.number("guidance_scale"), rescale: run.number("guidance_rescale"), ..Guidance::NONE };
    let prompt = context("prompt");
    let negative = (guidance.scale > 1.0).then(|| context("negative_prompt"));
    let start = Latents { parts: [("latents", constraint.value.clone())].into() };
    let sampled = sampler::euler(start, &levels(model, run), &[constraint], |x, sigma, _| {
        let levels = FrameLevels::held(&[strength, 0.0, 0.0], sigma);
        let predict = |context: &Context| -> Result<Latents> {
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
    let model = open(checkpoint);
    compare("prompt", &values(&embedded(&model, run.words("prompt"))));
    if run.number("guidance_scale") > 1.0 {
        compare("negative_prompt", &values(&embedded(&model, run.words("negative_prompt"))));
    }
    compare("sigmas", &levels(&model, &run));
    let image_latents = image_latents(&model);
    compare("image_latents", &values(&image_latents));
    let latents = sampled(&model, &run, &image_latents);
    compare("latents", &values(&latents));
    let (found, expected) = (frames(&model, &latents), run.reference.values("frames"));
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
