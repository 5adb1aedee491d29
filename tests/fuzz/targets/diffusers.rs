//! The configurations in a folder of diffusers, and those of the same networks in other files: no size is believed that nothing could have.

use candle_core::{DType, Device};
use stir::models::inspect::inspect;
use stir::models::ltx::checkpoint::Checkpoint;
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::scheduler;
use stir::models::ltx::synthetic::Sizes;
use stir::models::ltx::text::config::Config as TextConfig;
use stir::models::ltx::upsampler::config::UpsamplerConfig;
use stir::models::ltx::vae::config::Config as VaeConfig;
use stir::weights::store::Placement;

#[path = "../scratch.rs"]
mod scratch;

const THING: &str = "fuzzed configuration";
/// Networks of more layers are not laid out: that takes time, and is refused as soon as a file is held against it.
const MOST_LAYERS: usize = 32;
const PIPELINES: [&str; 3] = ["LTXPipeline", "LTXImageToVideoPipeline", "LTXConditionPipeline"];

/// One input: a text that every reader is given.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let schedulers = PIPELINES.map(|pipeline| scheduler::from_diffusers(THING, text, pipeline));
    for scheduler in schedulers.into_iter().chain([scheduler::from_single_file(THING, text)]).flatten() {
        for steps in [1, 8] {
            assert_eq!(scheduler.schedule.levels(steps, 4096).len(), steps + 1);
        }
    }
    let _ = UpsamplerConfig::parse(THING, text);
    let transformers =
        [TransformerConfig::from_diffusers(THING, text, true), TransformerConfig::from_single_file(THING, text)];
    for transformer in transformers.into_iter().flatten() {
        lay_out(|sizes| sizes.transformer = transformer);
    }
    for vae in [VaeConfig::parse(text, THING), VaeConfig::from_single_file(text, THING)].into_iter().flatten() {
        assert!(vae.spatial_ratio() > 0 && vae.temporal_ratio() > 0);
        lay_out(|sizes| sizes.vae = vae);
    }
    if let Ok(config) = TextConfig::parse(THING, text) {
        lay_out(|sizes| sizes.text = config);
    }
    let scratch = scratch::Scratch::new();
    let index = scratch.write("model_index.json", bytes);
    let _ = inspect(index.parent().expect("a folder"));
}

/// Lays out a model with a network of these sizes: every shape, and how much memory it takes.
fn lay_out(change: impl FnOnce(&mut Sizes)) {
    let mut sizes = Sizes::of("ltx-2b").expect("a known name");
    (sizes.transformer.layers, sizes.text.layers) = (1, 1);
    change(&mut sizes);
    let vae = &sizes.vae;
    let stages = vae.down.iter().map(|stage| stage.layers).chain(vae.up.iter().map(|stage| stage.layers));
    let layers = stages.sum::<usize>() + vae.encoder_middle + vae.decoder_middle.layers;
    if layers.max(sizes.transformer.layers).max(sizes.text.layers) > MOST_LAYERS {
        return;
    }
    let placement = Placement { dtype: DType::F32, device: Device::Cpu };
    let checkpoint = Checkpoint::synthetic(sizes).expect("sizes alone");
    let _ = checkpoint.weight_bytes(&placement);
}
