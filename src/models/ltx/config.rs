//! The sizes of the transformer, as diffusers and as Lightricks' single files write them.

use super::config_fields::{Fields, MOST, MOST_LAYERS};
use crate::error::Result;

/// Fields that describe the file, its making or its training, or that this architecture never reads.
const KNOWN: [&str; 11] = [
    "_class_name",
    "_diffusers_version",
    "_name_or_path",
    "dropout",
    "norm_num_groups",
    "num_embeds_ada_norm",
    "num_vector_embeds",
    "project_to_2d_pos",
    // Softmax is always computed in float32 here.
    "upcast_attention",
    "use_linear_projection",
    "use_tpu_flash_attention",
];
/// Diffusers has no field for these three; Lightricks' files usually say the same.
const MAX_POSITIONS: [f64; 3] = [20.0, 2048.0, 2048.0];
const THETA: f64 = 10_000.0;
const TIMESTEP_SCALE: f64 = 1000.0;

/// What tells one transformer of the family from another.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerConfig {
    /// Channels of the latents, in and out.
    pub channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Blocks.
    pub layers: usize,
    /// Width of the text encoder's output.
    pub caption_channels: usize,
    /// Added to the mean square in the norms of the blocks.
    pub norm_epsilon: f64,
    /// Seconds, rows and columns (in pixels) that rotary positions are divided by.
    pub max_positions: [f64; 3],
    /// Ratio of the slowest to the fastest rotary frequency.
    pub theta: f64,
    /// What noise levels in 0 to 1 are multiplied by before they are embedded.
    pub timestep_scale: f64,
    /// Whether latent frame 1 lies one pixel frame after frame 0, as the causal VAE sees it (releases 0.9.5 and later), rather than eight.
    pub causal_time: bool,
}

impl TransformerConfig {
    /// The 2B model.
    pub const RELEASED: Self = Self {
        channels: 128,
        heads: 32,
        head_dim: 64,
        layers: 28,
        caption_channels: 4096,
        norm_epsilon: 1e-6,
        max_positions: MAX_POSITIONS,
        theta: THETA,
        timestep_scale: TIMESTEP_SCALE,
        causal_time: true,
    };

    /// The width of the hidden state, `D`.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Reads `transformer/config.json` of a diffusers folder; `thing` is what messages call it. The file does not say `causal_time`: it
    /// follows from the release, which the VAE of the same folder tells.
    ///
    /// # Errors
    /// A field that is missing, misshapen, or has a value that is not implemented.
    pub fn from_diffusers(thing: &str, json: &str, causal_time: bool) -> Result<Self> {
        let mut fields = Fields::parse(thing, json)?;
        fields.only("patch_size", 1)?;
        fields.only("patch_size_t", 1)?;
        fields.only("attention_out_bias", true)?;
        fields.only("qk_norm", "rms_norm_across_heads")?;
        Self::read(fields, causal_time)
    }

    /// Reads the object `transformer` in the metadata `config` of a single file; `thing` is what messages call it.
    ///
    /// # Errors
    /// As [`Self::from_diffusers`].
    pub fn from_single_file(thing: &str, json: &str) -> Result<Self> {
        let mut fields = Fields::parse(thing, json)?;
        fields.only("adaptive_norm", "single_scale_shift")?;
        fields.only("attention_type", "default")?;
        fields.only("double_self_attention", false)?;
        fields.only("only_cross_attention", false)?;
        fields.only("positional_embedding_type", "rope")?;
        fields.only("qk_norm", "rms_norm")?;
        fields.only("standardization_norm", "rms_norm")?;
        let causal_time = fields.take_optional("causal_temporal_positioning")?.unwrap_or(false);
        let max_positions = fields.take_optional("positional_embedding_max_pos")?.unwrap_or(MAX_POSITIONS);
        if max_positions.iter().any(|most| *most <= 0.0) {
            let (wanted, found) = ("three numbers above 0", format!("{max_positions:?}"));
            let hint = "fetch the configuration again";
            return Err(fields.refusal("positional_embedding_max_pos", wanted, &found, hint));
        }
        let theta = fields.positive("positional_embedding_theta", Some(THETA))?;
        let timestep_scale = fields.positive("timestep_scale_multiplier", Some(TIMESTEP_SCALE))?;
        Ok(Self { max_positions, theta, timestep_scale, ..Self::read(fields, causal_time)? })
    }

    /// What both formats have in common.
    fn read(mut fields: Fields, causal_time: bool) -> Result<Self> {
        fields.only("activation_fn", "gelu-approximate")?;
        fields.only("attention_bias", true)?;
        fields.only("norm_elementwise_affine", false)?;
        let config = Self {
            channels: fields.size("in_channels", MOST)?,
            heads: fields.size("num_attention_heads", MOST)?,
            head_dim: fields.size("attention_head_dim", MOST)?,
            layers: fields.size("num_layers", MOST_LAYERS)?,
            caption_channels: fields.size("caption_channels", MOST)?,
            norm_epsilon: fields.positive("norm_eps", None)?,
            max_positions: MAX_POSITIONS,
            theta: THETA,
            timestep_scale: TIMESTEP_SCALE,
            causal_time,
        };
        fields.only("out_channels", config.channels)?;
        // The text is projected to the width of the hidden state before attention reads it.
        fields.only("cross_attention_dim", config.width())?;
        if !(12..=MOST).contains(&config.width()) || config.width() % 2 == 1 {
            let hint = "rotary positions need at least two frequencies an axis, and turn pairs of channels";
            let found = format!("{} heads", config.heads);
            let wanted = format!("heads of {} that make an even width from 12 to {MOST}", config.head_dim);
            return Err(fields.refusal("num_attention_heads", &wanted, &found, hint));
        }
        fields.finish(&KNOWN);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFUSERS: &str = r#"{"_class_name": "LTXVideoTransformer3DModel", "_diffusers_version": "0.32.0.dev0",
        "activation_fn": "gelu-approximate", "attention_bias": true, "attention_head_dim": 64, "attention_out_bias": true,
        "caption_channels": 4096, "cross_attention_dim": 2048, "in_channels": 128, "norm_elementwise_affine": false, "norm_eps": 1e-06,
        "num_attention_heads": 32, "num_layers": 28, "out_channels": 128, "patch_size": 1, "patch_size_t": 1,
        "qk_norm": "rms_norm_across_heads"}"#;
    const SINGLE_FILE: &str = r#"{"_class_name": "Transformer3DModel", "activation_fn": "gelu-approximate", "attention_bias": true,
        "attention_head_dim": 64, "attention_type": "default", "caption_channels": 4096, "cross_attention_dim": 2048,
        "double_self_attention": false, "dropout": 0.0, "in_channels": 128, "norm_elementwise_affine": false, "norm_eps": 1e-06,
        "norm_num_groups": 32, "num_attention_heads": 32, "num_embeds_ada_norm": 1000, "num_layers": 28, "num_vector_embeds": null,
        "only_cross_attention": false, "out_channels": 128, "project_to_2d_pos": true, "upcast_attention": false,
        "use_linear_projection": false, "qk_norm": "rms_norm", "standardization_norm": "rms_norm",
        "positional_embedding_type": "rope", "positional_embedding_theta": 10000.0, "positional_embedding_max_pos": [20, 2048, 2048],
        "timestep_scale_multiplier": 1000, "causal_temporal_positioning": true}"#;

    #[test]
    fn both_formats_describe_the_same_network() {
        let diffusers = TransformerConfig::from_diffusers("config.json", DIFFUSERS, true).unwrap();
        assert_eq!(diffusers, TransformerConfig::from_single_file("metadata", SINGLE_FILE).unwrap());
        assert_eq!((diffusers.width(), diffusers.layers, diffusers.channels), (2048, 28, 128));
        assert_eq!((diffusers.caption_channels, diffusers.timestep_scale), (4096, 1000.0));
    }

    #[test]
    fn a_single_file_says_how_positions_and_timesteps_are_counted() {
        let other = SINGLE_FILE
            .replace("[20, 2048, 2048]", "[10, 512, 256]")
            .replace("multiplier\": 1000", "multiplier\": 500")
            .replace("theta\": 10000.0", "theta\": 100")
            .replace(", \"causal_temporal_positioning\": true", "");
        let config = TransformerConfig::from_single_file("metadata", &other).unwrap();
        assert_eq!(config.max_positions, [10.0, 512.0, 256.0]);
        assert_eq!((config.timestep_scale, config.theta, config.causal_time), (500.0, 100.0, false));
    }

    #[test]
    fn what_is_not_implemented_is_refused_by_field_and_value() {
        let diffusers = |json: &str| TransformerConfig::from_diffusers("config.json", json, true);
        let single_file = |json: &str| TransformerConfig::from_single_file("metadata", json);
        let refusals = [
            (diffusers(&DIFFUSERS.replace("\"patch_size\": 1", "\"patch_size\": 2")), "`patch_size`", "found 2"),
            (diffusers(&DIFFUSERS.replace("gelu-approximate", "geglu")), "`activation_fn`", "geglu"),
            (diffusers(&DIFFUSERS.replace("_across_heads", "")), "`qk_norm`", "\"rms_norm\""),
            (diffusers(&DIFFUSERS.replace("dim\": 2048", "dim\": 4096")), "`cross_attention_dim`", "4096"),
            (diffusers(&DIFFUSERS.replace("out_channels\": 128", "out_channels\": 256")), "`out_channels`", "256"),
            (diffusers(&DIFFUSERS.replace("\"caption_channels\": 4096,", "")), "`caption_channels`", "none"),
            (single_file(&SINGLE_FILE.replace("\"rope\"", "\"absolute\"")), "embedding_type`", "absolute"),
            (
                single_file(&SINGLE_FILE.replace("attention\": false, \"out", "attention\": true, \"out")),
                "only_cross",
                "true",
            ),
            (single_file(&SINGLE_FILE.replace("norm\": \"rms_norm\"", "norm\": null")), "`qk_norm`", "null"),
            (single_file(&SINGLE_FILE.replace("[20, 2048", "[0, 2048")), "max_pos`", "found [0.0, 2048.0"),
            (single_file(&SINGLE_FILE.replace("10000.0", "-1.0")), "theta`", "found -1"),
            (diffusers(&DIFFUSERS.replace("1e-06", "0.0")), "`norm_eps`", "found 0"),
            (diffusers(&DIFFUSERS.replace("layers\": 28", "layers\": 0")), "`num_layers`", "found 0"),
            (diffusers(&DIFFUSERS.replace("layers\": 28", "layers\": 1000000000")), "`num_layers`", "1 to 1024"),
            (
                diffusers(&DIFFUSERS.replace("in_channels\": 128", "in_channels\": 1099511627776")),
                "`in_channels`",
                "1 to 1048576, found 1099511627776",
            ),
        ];
        for (index, (result, field, value)) in refusals.into_iter().enumerate() {
            let message = result.expect_err(&index.to_string()).to_string();
            assert!(message.contains(field) && message.contains(value), "{message}");
        }
    }

    #[test]
    fn a_width_that_rotary_positions_do_not_fit_is_refused() {
        for (heads, head_dim) in [(1usize, 15usize), (1, 10), (1 << 20, 1 << 20)] {
            let json = DIFFUSERS
                .replace("heads\": 32", &format!("heads\": {heads}"))
                .replace("head_dim\": 64", &format!("head_dim\": {head_dim}"))
                .replace("dim\": 2048", &format!("dim\": {}", heads * head_dim));
            let message = TransformerConfig::from_diffusers("config.json", &json, true).unwrap_err().to_string();
            assert!(message.contains(&format!("heads of {head_dim}")), "{message}");
        }
    }
}
