//! Models with made-up weights: they are those of the releases but for the numbers, and what they make is finite.

use candle_core::{DType, Device, Tensor};
use stir::models::Offload;
use stir::models::ltx::checkpoint::{Checkpoint, Files, VaeDecoder, VaeEncoder};
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::synthetic::{Sizes, TEXT_TOKENS};
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::TransformerInputs;
use stir::models::ltx::vae::config::Config as VaeConfig;
use stir::units::Fps;
use stir::weights::store::Placement;

use crate::fixture::{repository, values};
use crate::ltx_layouts::write_text;
use crate::ltx_released::{self, write_hollow};
use crate::scratch::Scratch;

/// A single file of a release, with nothing in it, leads to the same networks.
#[test]
fn sizes_are_those_of_the_released_files() {
    let scratch = Scratch::new("synthetic-released");
    let text_encoder = scratch.path("t5xxl_fp16.safetensors");
    write_hollow(&text_encoder, &ltx_released::text_encoder());
    write_text(scratch.folder());
    for (name, width, layers) in [("ltx-2b", 2048, 28), ("ltx-13b", 4096, 48)] {
        let model = scratch.path(&format!("{name}.safetensors"));
        write_hollow(&model, &[ltx_released::transformer(width, layers), ltx_released::vae()].concat());
        let files = Files { model, text_encoder: Some(text_encoder.clone()), ..Files::default() };
        let released = Checkpoint::open(&files).unwrap();
        let made_up = Checkpoint::synthetic(Sizes::of(name).unwrap()).unwrap();
        assert_eq!(made_up.transformer_config(), released.transformer_config());
        assert_eq!(made_up.vae_config(), released.vae_config());
        assert_eq!(made_up.text_config(), released.text_config());
        assert_eq!(made_up.scheduler(), released.scheduler());
        assert!(made_up.is_synthetic() && !released.is_synthetic());
    }
}

/// The networks of the fixtures' size.
fn small() -> Checkpoint {
    let sizes = Sizes::of("ltx-2b").unwrap();
    let config = std::fs::read_to_string(repository("tests/fixtures/ltx/checkpoint/vae/config.json")).unwrap();
    let transformer =
        TransformerConfig { channels: 8, heads: 2, head_dim: 16, layers: 2, caption_channels: 24, ..sizes.transformer };
    let text = stir::models::ltx::text::config::Config {
        vocabulary: 512,
        width: 24,
        head_width: 8,
        heads: 4,
        feed_forward: 48,
        layers: 2,
        ..sizes.text
    };
    let vae = VaeConfig::parse(&config, "config").unwrap();
    Checkpoint::synthetic(Sizes { transformer, vae, text, ..sizes }).unwrap()
}

/// What all networks make of something, one after the other.
fn outputs(dtype: DType, offload: Offload) -> Vec<(&'static str, Tensor)> {
    let model = small();
    let placement = Placement { dtype, device: Device::Cpu };
    let grid = LatentGrid { frames: 3, height: 2, width: 3 };
    let pixels = Tensor::full(0.5f32, (1, 3, 1, 64, 96), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    let VaeEncoder { encoder, statistics } = model.vae_encoder(&placement).unwrap();
    let picture = statistics.normalise(&encoder.encode(&pixels).unwrap().mean).unwrap();
    let tokens = model.tokenizer().unwrap().encode("any words").unwrap();
    assert_eq!(tokens.ids.len(), TEXT_TOKENS);
    let text = model.encode_text(&placement, &[&tokens.ids]).unwrap().remove(0);
    let transformer = model.transformer(&placement, offload).unwrap();
    let rope = Rope::new(transformer.config(), grid, Fps(25.0), &Device::Cpu).unwrap();
    let latents = picture.repeat((1, 1, 3, 1, 1)).unwrap();
    let velocity = transformer
        .forward(&TransformerInputs {
            latents: &latents,
            levels: &FrameLevels::new(&[0.0, 1.0, 1.0]),
            context: &transformer.context(&text).unwrap(),
            rope: &rope,
            perturbation: None,
        })
        .unwrap();
    let VaeDecoder { decoder, statistics } = model.vae_decoder(&placement).unwrap();
    let latents = statistics.denormalise(&velocity).unwrap().to_dtype(dtype).unwrap();
    let frames = decoder.prepare(0.05, &[]).unwrap().decode(&latents).unwrap();
    vec![("picture", picture), ("text", text), ("velocity", velocity), ("frames", frames)]
}

#[test]
fn what_is_made_of_random_weights_is_finite_and_always_the_same() {
    for dtype in [DType::F32, DType::BF16] {
        // Blocks that are made anew when their turn comes are the same.
        let again = outputs(dtype, Offload::Disk);
        for ((name, output), (_, again)) in outputs(dtype, Offload::None).iter().zip(&again) {
            let found = values(output);
            assert!(found.iter().all(|value| value.is_finite() && value.abs() < 1e3), "{name} in {dtype:?}");
            assert!(found.iter().any(|value| value.abs() > 1e-3), "{name} in {dtype:?}");
            assert_eq!(found, values(again), "{name} in {dtype:?}");
        }
    }
}
