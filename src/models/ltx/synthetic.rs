//! Models with the sizes of the released ones and random weights: for measuring, with nothing to fetch. What they make shows nothing.
//!
//! Everything but the numbers in the weights is real: the same code loads and runs the transformer, the autoencoder of release 0.9.8 and all 24
//! layers of T5 v1.1 XXL. Only the tokenizer, which is not made of numbers, is missing: every text becomes the same [`TEXT_TOKENS`] tokens.

use super::config::TransformerConfig;
use super::text::config::Config as TextConfig;
use super::text::tokenizer::Tokens;
use super::vae::config::Config as VaeConfig;
use crate::error::{Error, Result};
use crate::models::ModelRequest;

/// Tokens that every text has.
pub const TEXT_TOKENS: usize = 128;
/// Seed of all weights; each network's name goes in too.
pub const SEED: u64 = 42;
/// What there is to say about every clip.
pub const NOTE: &str = "the model's weights are random: the clip shows nothing, and the prompt is not read";

/// What `--model synthetic:NAME` takes.
pub const NAMES: [&str; 2] = ["ltx-2b", "ltx-13b"];

/// T5 v1.1 XXL.
const TEXT: TextConfig = TextConfig {
    vocabulary: 32_128,
    width: 4096,
    head_width: 64,
    heads: 64,
    feed_forward: 10_240,
    layers: 24,
    buckets: 32,
    max_distance: 128,
    epsilon: 1e-6,
};
/// The autoencoder of releases 0.9.5 to 0.9.8.
const VAE: &str = r#"{
    "latent_channels": 128, "patch_size": 4, "timestep_conditioning": true, "encoder_causal": true, "decoder_causal": false,
    "block_out_channels": [128, 256, 512, 1024, 2048], "layers_per_block": [4, 6, 6, 2, 2],
    "down_block_types": ["LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D"],
    "spatio_temporal_scaling": [true, true, true, true],
    "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
    "decoder_block_out_channels": [256, 512, 1024], "decoder_layers_per_block": [5, 5, 5, 5],
    "decoder_spatio_temporal_scaling": [true, true, true], "decoder_inject_noise": [false, false, false, false],
    "upsample_residual": [true, true, true], "upsample_factor": [2, 2, 2],
    "spatial_compression_ratio": 32, "temporal_compression_ratio": 8
}"#;

/// What such a model is made of.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// What messages call it.
    pub name: String,
    /// The release whose recipe it is sampled by.
    pub release: &'static str,
    /// The denoiser.
    pub transformer: TransformerConfig,
    /// The autoencoder.
    pub vae: VaeConfig,
    /// The text encoder.
    pub text: TextConfig,
}

impl Sizes {
    /// Those of the model `name`, one of [`NAMES`].
    ///
    /// # Errors
    /// Another name.
    pub fn of(name: &str) -> Result<Self> {
        let (release, transformer) = match name {
            "ltx-2b" => ("2b-0.9.8-distilled", TransformerConfig::RELEASED),
            "ltx-13b" => {
                ("13b-0.9.8-distilled", TransformerConfig { head_dim: 128, layers: 48, ..TransformerConfig::RELEASED })
            }
            _ => {
                let wanted = NAMES.map(|name| format!("synthetic:{name}")).join(" or ");
                let found = format!("\"synthetic:{name}\"");
                let hint =
                    "models with random weights have the sizes of the released ones; `stir models` lists the real ones";
                return Err(Error::input("--model", wanted, found, hint));
            }
        };
        let vae = VaeConfig::parse(VAE, "the autoencoder of 0.9.8")?;
        Ok(Self { name: format!("synthetic:{name}"), release, transformer, vae, text: TEXT })
    }
}

/// Refuses parts that are given beside a model that has all of its own.
///
/// # Errors
/// The first option that names a part.
pub fn check(request: &ModelRequest) -> Result<()> {
    let parts = [
        ("--vae", request.vae.is_some()),
        ("--text-encoder", request.text_encoder.is_some()),
        ("--tokenizer", request.tokenizer.is_some()),
        ("--latent-upsampler", request.upsampler.is_some()),
        ("--variant", request.variant.is_some()),
    ];
    match parts.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => {
            let wanted = format!("it left out: all parts of {} are made up", request.model);
            Err(Error::input(option, wanted, "a value", format!("leave {option} out, or name a real model")))
        }
    }
}

/// What every text becomes.
pub fn tokens(config: &TextConfig) -> Tokens {
    // Spread over the vocabulary, as real ones are: neighbours would share pages of the embedding.
    let spread = |index: usize| (index * 7919 + 3) % config.vocabulary;
    Tokens { ids: (0..TEXT_TOKENS).map(|index| spread(index) as u32).collect(), cut: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_releases() {
        let sizes = NAMES.map(|name| Sizes::of(name).unwrap());
        assert_eq!(sizes.each_ref().map(|sizes| sizes.transformer.width()), [2048, 4096]);
        assert_eq!(sizes.each_ref().map(|sizes| sizes.transformer.layers), [28, 48]);
        for Sizes { transformer, vae, text, .. } in &sizes {
            assert_eq!((vae.spatial_ratio(), vae.temporal_ratio()), (32, 8));
            assert_eq!((vae.latent_channels, text.width), (transformer.channels, transformer.caption_channels));
        }
        let error = Sizes::of("ltx-1b").unwrap_err().to_string();
        assert!(error.contains("synthetic:ltx-2b or synthetic:ltx-13b") && error.contains("ltx-1b"), "{error}");
    }

    #[test]
    fn tokens_are_rows_of_the_embedding() {
        let small = TextConfig { vocabulary: 32, ..TEXT };
        assert_eq!(tokens(&small).ids.len(), TEXT_TOKENS);
        assert!(tokens(&small).ids.iter().all(|token| *token < 32));
    }

    #[test]
    fn other_parts_are_refused() {
        let plain = ModelRequest::named("synthetic:ltx-2b");
        check(&plain).unwrap();
        let error = check(&ModelRequest { vae: Some("vae".into()), ..plain }).unwrap_err().to_string();
        assert!(error.starts_with("--vae: wanted it left out"), "{error}");
    }
}
