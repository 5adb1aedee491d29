//! Memory of LTX-Video as it is computed beforehand, against the tensors of the released files.

use candle_core::{DType, Device};
use stir::models::ltx::checkpoint::{Checkpoint, Files};
use stir::models::ltx::memory::Given;
use stir::models::ltx::synthetic::Sizes;
use stir::models::{Memory, Offload, TextTokens, Tiles, VaeTiling};
use stir::units::{Clip, Fps, PixelFrames};
use stir::weights::store::Placement;

use crate::ltx_layouts::write_text;
use crate::ltx_released::{self, write_hollow};
use crate::scratch::Scratch;

fn on_cpu(dtype: DType) -> Placement {
    Placement { dtype, device: Device::Cpu }
}

/// Values of all tensors whose names `counts`.
fn values(tensors: &[(String, Vec<usize>)], counts: impl Fn(&str) -> bool) -> u64 {
    let counted = tensors.iter().filter(|(name, _)| counts(name));
    counted.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}

#[track_caller]
fn assert_near(found: u64, expected: u64) {
    let ratio = found as f64 / expected as f64;
    assert!((ratio - 1.0).abs() < 2e-3, "{found} and {expected}: ratio {ratio}");
}

/// Biases and tables may be kept in float32: less than two thousandths.
#[test]
fn weights_of_released_files_stay_as_small_as_they_are() {
    let scratch = Scratch::new("memory-released");
    let text_encoder = scratch.path("t5xxl_fp16.safetensors");
    let (text, vae) = (ltx_released::text_encoder(), ltx_released::vae());
    write_hollow(&text_encoder, &text);
    write_text(scratch.folder());
    for (name, width, layers) in [("ltx-2b", 2048, 28), ("ltx-13b", 4096, 48)] {
        let model = scratch.path(&format!("{name}.safetensors"));
        let transformer = ltx_released::transformer(width, layers);
        write_hollow(&model, &[transformer.clone(), vae.clone()].concat());
        let files = Files { model, text_encoder: Some(text_encoder.clone()), ..Files::default() };
        let checkpoint = Checkpoint::open(&files).unwrap();
        for dtype in [DType::BF16, DType::F32] {
            let bytes = checkpoint.weight_bytes(&on_cpu(dtype)).unwrap();
            assert_near(bytes.transformer, 2 * values(&transformer, |_| true));
            let layers = values(&text, |name| name.contains("block"));
            assert_near(bytes.text_layer, 2 * layers / 24);
            assert_near(bytes.encoder, 2 * values(&vae, |name| name.contains("encoder")));
            assert_near(bytes.decoder, 2 * values(&vae, |name| name.contains("decoder")));
        }
    }
}

#[test]
fn made_up_weights_have_the_type_that_is_computed_in() {
    let checkpoint = Checkpoint::synthetic(Sizes::of("ltx-2b").unwrap()).unwrap();
    let of = |dtype| checkpoint.weight_bytes(&on_cpu(dtype)).unwrap();
    let transformer = 2 * values(&ltx_released::transformer(2048, 28), |_| true);
    assert_near(of(DType::BF16).transformer, transformer);
    assert_near(of(DType::F32).transformer, 2 * transformer);
}

fn memory(tiling: VaeTiling, clips: &[(usize, usize, usize)]) -> Memory {
    let checkpoint = Checkpoint::synthetic(Sizes::of("ltx-2b").unwrap()).unwrap();
    let given = Given { checkpoint: &checkpoint, placement: &on_cpu(DType::BF16), tiling };
    let clip = |&(width, height, frames): &(usize, usize, usize)| Clip {
        width,
        height,
        frames: PixelFrames(frames),
        fps: Fps(25.0),
    };
    let text = TextTokens { prompt: 128, negative: None };
    given.memory(Some(text), &clips.iter().map(clip).collect::<Vec<_>>()).unwrap()
}

/// 6,600 tokens of 2,048 values of two bytes are 27 MB.
#[test]
fn activations_grow_with_tokens() {
    let [short, long] = [73, 153].map(|frames| memory(VaeTiling::Off, &[(704, 480, frames)]).denoise[0]);
    assert_eq!(short.weights, long.weights);
    let state = 6600 * 2048 * 2;
    assert!((8 * state..16 * state).contains(&long.activations), "{long:?}");
    let ratio = long.activations as f64 / short.activations as f64;
    assert!((1.8..2.0).contains(&ratio), "twice as many latent frames take {ratio} times as much");
}

/// The CPU holds one block at a time.
#[test]
fn a_denoiser_on_disk_holds_one_block() {
    let memory = memory(VaeTiling::Off, &[(704, 480, 153)]);
    let offloaded = memory.offloaded.unwrap();
    let transformer = ltx_released::transformer(2048, 28);
    // What modulates a block stays.
    let waits = |name: &str| name.contains("transformer_blocks") && !name.ends_with("scale_shift_table");
    assert_near(offloaded.waiting, 2 * values(&transformer, waits));
    let ends = 2 * values(&transformer, |name| !waits(name));
    assert_near(offloaded.held, ends + offloaded.waiting / 28);
    let [there, away] = [Offload::None, Offload::Disk].map(|offload| memory.clone().with(offload).denoise[0]);
    assert_eq!(there.weights - away.weights, offloaded.waiting / 28 * 27);
    assert_eq!(there.activations, away.activations);
}

#[test]
fn every_pass_is_counted_and_tiles_take_less() {
    let whole = memory(VaeTiling::Off, &[(608, 352, 153), (1216, 704, 153)]);
    let tiled = memory(VaeTiling::On, &[(608, 352, 153), (1216, 704, 153)]);
    assert_eq!((whole.tiles, tiled.tiles), (None, Some(Tiles { side: 640, reason: "--vae-tiling is on" })));
    assert!(whole.denoise.len() == 2 && whole.denoise[0].activations < whole.denoise[1].activations);
    assert_eq!(whole.denoise, tiled.denoise);
    let streamed = |memory: &Memory| memory.decode.activations;
    // Tiles share borders, and whole frames wait for the last of them: of 1216x704 they save less than half.
    assert_ne!(streamed(&tiled), streamed(&whole));
}
