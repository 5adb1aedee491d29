//! The LTX transformer against diffusers, on tiny checkpoints with heads of 64 and of 20 channels.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use stir::error::Result;
use stir::models::ltx::block::PerturbationMode;
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::keys;
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::{Perturbation, Transformer, TransformerInputs};
use stir::units::Fps;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

use crate::fixture::{Fixture, assert_close, fixture, repository, values};

/// float32 on both sides, summed in another order: measured 1.7e-6.
const TOLERANCE: f64 = 5e-6;
pub const NAMES: [&str; 2] = ["transformer_64", "transformer_20"];
/// Of all cases.
pub const GRID: LatentGrid = LatentGrid { frames: 3, height: 2, width: 4 };
/// Of all cases.
pub const FPS: Fps = Fps(25.0);

pub fn bytes(name: &str) -> Vec<u8> {
    let path = repository("tests/fixtures/ltx").join(name);
    std::fs::read(&path).unwrap_or_else(|problem| panic!("fixture {}: {problem}", path.display()))
}

pub fn config(name: &str, causal: bool) -> TransformerConfig {
    let json = String::from_utf8(bytes(&format!("{name}.json"))).unwrap();
    TransformerConfig::from_diffusers(name, &json, causal).unwrap()
}

fn load(config: &TransformerConfig, weights: &[u8], keys: KeyMap, dtype: DType) -> Transformer<'static> {
    let store = Store::new("tiny", weights, keys, &Placement { dtype, device: Device::Cpu }).unwrap();
    let network = Transformer::load(&store.root(), config).unwrap();
    store.finish().unwrap();
    network
}

/// A checkpoint of the fixtures.
pub fn tiny(name: &str, dtype: DType) -> Transformer<'static> {
    load(&config(name, true), &bytes(&format!("{name}.safetensors")), KeyMap::IDENTITY, dtype)
}

/// The fixture's inputs: frame 0 is clean, the others are at its noise level.
fn try_velocity(network: &Transformer, cases: &Fixture, perturbation: Option<&Perturbation>) -> Result<Tensor> {
    let sigma = cases.values("sigma")[0];
    let rope = Rope::new(network.config(), GRID, FPS, &Device::Cpu)?;
    let inputs = TransformerInputs {
        latents: &cases.get("latents"),
        levels: &FrameLevels::new(&[0.0, sigma, sigma]),
        context: &network.context(&cases.get("text"))?,
        rope: &rope,
        perturbation,
    };
    network.forward(&inputs)
}

pub fn velocity(network: &Transformer, cases: &Fixture, perturbation: Option<&Perturbation>) -> Tensor {
    try_velocity(network, cases, perturbation).unwrap()
}

pub fn cases(name: &str) -> Fixture {
    fixture(&format!("ltx/{name}_cases.safetensors"))
}

/// The reference saw padded text and its mask; here there are real tokens only.
#[test]
fn velocities_are_those_of_diffusers() {
    for name in NAMES {
        let found = velocity(&tiny(name, DType::F32), &cases(name), None);
        assert_close(name, &values(&found), &cases(name).values("velocity"), TOLERANCE);
    }
}

#[test]
fn positions_of_the_older_releases_are_those_of_diffusers() {
    for name in NAMES {
        let weights = bytes(&format!("{name}.safetensors"));
        let network = load(&config(name, false), &weights, KeyMap::IDENTITY, DType::F32);
        let found = velocity(&network, &cases(name), None);
        assert_close(name, &values(&found), &cases(name).values("velocity_not_causal"), TOLERANCE);
    }
}

#[test]
fn perturbed_blocks_do_what_the_reference_does() {
    for name in NAMES {
        let network = tiny(name, DType::F32);
        let last = network.config().layers - 1;
        let modes = [
            (PerturbationMode::AttentionValues, vec![0, last], "velocity_attention_values"),
            (PerturbationMode::AttentionSkip, vec![last], "velocity_attention_skip"),
            (PerturbationMode::TransformerBlock, vec![last], "velocity_transformer_block"),
        ];
        for (mode, blocks, expected) in modes {
            let found = velocity(&network, &cases(name), Some(&Perturbation { blocks, mode }));
            assert_close(expected, &values(&found), &cases(name).values(expected), TOLERANCE);
        }
        let none = Perturbation { blocks: vec![], mode: PerturbationMode::AttentionValues };
        let found = velocity(&network, &cases(name), Some(&none));
        assert_close("no block perturbed", &values(&found), &cases(name).values("velocity"), TOLERANCE);
    }
}

#[test]
fn rotary_tables_are_those_of_diffusers() {
    for name in NAMES {
        let rope = Rope::new(&config(name, true), GRID, FPS, &Device::Cpu).unwrap();
        // Diffusers repeats every value for both channels of a pair.
        let every_other = |values: Vec<f64>| values.into_iter().step_by(2).collect::<Vec<_>>();
        assert_close(name, &values(rope.cosines()), &every_other(cases(name).values("cosines")), 1e-6);
        assert_close(name, &values(rope.sines()), &every_other(cases(name).values("sines")), 1e-6);
    }
}

/// At 832x480, 153 frames. PyTorch's power is one float32 rounding off at 4 of the 341 frequencies, of which the fastest is 2298: measured
/// 2.4e-4.
#[test]
fn rotary_tables_of_the_real_width_are_those_of_diffusers() {
    let expected = fixture("ltx/rope_2048.safetensors");
    let rows = expected.get("rows").to_dtype(DType::U32).unwrap();
    let mut config = config("transformer_64", true);
    config.heads = 32;
    for (causal, name) in [(true, "causal"), (false, "not_causal")] {
        config.causal_time = causal;
        let grid = LatentGrid { frames: 20, height: 15, width: 26 };
        let rope = Rope::new(&config, grid, FPS, &Device::Cpu).unwrap();
        for (table, part) in [(rope.cosines(), "cosines"), (rope.sines(), "sines")] {
            let found = values(&table.index_select(&rows, 0).unwrap());
            assert_close(name, &found, &expected.values(&format!("{name}.{part}")), 3e-4);
        }
    }
}

/// The same tensors under the names of Lightricks' files, by replacing substrings as the specification of those files has it.
#[test]
fn a_single_file_loads_by_its_own_names() {
    let name = "transformer_20";
    let renames =
        [("proj_in", "patchify_proj"), ("time_embed", "adaln_single"), ("norm_q", "q_norm"), ("norm_k", "k_norm")];
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load_buffer(&bytes(&format!("{name}.safetensors")), &Device::Cpu)
            .unwrap()
            .into_iter()
            .map(|(name, tensor)| {
                let name = renames.iter().fold(name, |name, (ours, theirs)| name.replace(ours, theirs));
                (format!("model.diffusion_model.{name}"), tensor)
            })
            .collect();
    let file = safetensors::serialize(&tensors, None).unwrap();
    let network = load(&config(name, true), &file, keys::TRANSFORMER, DType::F32);
    assert_close(name, &values(&velocity(&network, &cases(name), None)), &cases(name).values("velocity"), TOLERANCE);
}

/// Weights are bfloat16 numbers, so that these errors are those of the arithmetic. Measured: bfloat16 5.6e-3, float16 9.9e-4.
#[test]
fn half_precision_stays_near_float32() {
    for name in NAMES {
        for (dtype, tolerance) in [(DType::BF16, 1.1e-2), (DType::F16, 2e-3)] {
            let found = velocity(&tiny(name, dtype), &cases(name), None);
            assert_eq!(found.dtype(), DType::F32);
            assert_close(&format!("{name} {dtype:?}"), &values(&found), &cases(name).values("velocity"), tolerance);
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let network = tiny("transformer_20", DType::F32);
    let cases = cases("transformer_20");
    let (latents, context) = (cases.get("latents"), network.context(&cases.get("text")).unwrap());
    let rope = |grid| Rope::new(network.config(), grid, FPS, &Device::Cpu).unwrap();
    let (fitting, other) = (rope(GRID), rope(LatentGrid { frames: 2, ..GRID }));
    let beyond = Perturbation { blocks: vec![1, 19], mode: PerturbationMode::AttentionValues };
    let weights = bytes("transformer_20.safetensors");
    let store = Store::new("tiny", &weights, KeyMap::IDENTITY, &Placement { dtype: DType::F32, device: Device::Cpu });
    let shorter = TransformerConfig { layers: 1, ..network.config().clone() };
    let other_context =
        Transformer::load(&store.unwrap().root(), &shorter).unwrap().context(&cases.get("text")).unwrap();
    let inputs = TransformerInputs {
        latents: &latents,
        levels: &FrameLevels::new(&[0.0, 0.5, 0.5]),
        context: &other_context,
        rope: &fitting,
        perturbation: None,
    };
    let message = network.forward(&inputs).unwrap_err().to_string();
    assert!(message.contains("one for each of 3 blocks, found 1"), "{message}");
    let refused = |levels: &[f64], rope: &Rope, perturbation: Option<&Perturbation>| {
        let levels = &FrameLevels::new(levels);
        let inputs = TransformerInputs { latents: &latents, levels, context: &context, rope, perturbation };
        network.forward(&inputs).unwrap_err().to_string()
    };
    let message = refused(&[0.0, 0.5], &fitting, None);
    assert!(message.contains("3 latent frames, found 2"), "{message}");
    let message = refused(&[0.0, 0.5, 0.5], &other, None);
    assert!(message.contains("rotary positions") && message.contains("[16, 20]"), "{message}");
    let message = refused(&[0.0, 0.5, 0.5], &fitting, Some(&beyond));
    assert!(message.contains("from 0 to 2, found 19"), "{message}");
}

/// The last block's weights are spoilt, and before it everything is finite.
#[test]
fn a_velocity_that_is_not_finite_names_the_block_where_that_began() {
    let name = "transformer_20";
    let mut tensors =
        candle_core::safetensors::load_buffer(&bytes(&format!("{name}.safetensors")), &Device::Cpu).unwrap();
    let spoilt = tensors.get_mut("transformer_blocks.2.ff.net.2.bias").unwrap();
    *spoilt = (&*spoilt * f64::NAN).unwrap();
    let network =
        load(&config(name, true), &safetensors::serialize(&tensors, None).unwrap(), KeyMap::IDENTITY, DType::F32);
    let error = try_velocity(&network, &cases(name), None).unwrap_err();
    assert!(error.to_string().contains("after block 2: wanted finite values"), "{error}");
    assert_eq!(error.exit_code(), 1);
}
