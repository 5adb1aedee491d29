//! Autoencoders as Lightricks' single files describe them: a list of blocks for each side, in place of diffusers' fields.

use serde_json::{Map, Value};

use super::config::{Config, FOLDED_BLOCK, Fields, Refusal, STRIDED_BLOCK, refuse};
use crate::error::{Error, Result};
use crate::models::ltx::config_fields::Fields as Object;

/// Fields that describe the file or its training.
const KNOWN: [&str; 4] = ["_class_name", "_diffusers_version", "double_z", "dropout"];
const HINT: &str = "this variant of the autoencoder is not supported; use one that `models/ltx/manifest.toml` lists";

/// What a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Residual blocks that keep the channels.
    Residuals,
    /// A residual block that changes the channels.
    Change,
    /// In the encoder a strided convolution; in the decoder the doubling of everything.
    Scale,
    /// Folds `spatial`, `temporal` or `spatiotemporal` neighbours into channels.
    Fold(&'static str),
}

/// An entry of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// What it does.
    pub kind: Kind,
    /// How many residual blocks there are.
    pub layers: usize,
    /// Whether they add noise.
    pub inject_noise: bool,
    /// Whether the unfolded input is added where everything doubles.
    pub residual: bool,
    /// What the channels are multiplied by in the encoder, and divided by in the decoder.
    pub multiplier: usize,
}

impl Block {
    /// One layer that changes nothing else.
    pub fn new(kind: Kind) -> Self {
        Self { kind, layers: 1, inject_noise: false, residual: false, multiplier: 1 }
    }
}

/// An autoencoder as its blocks, both sides in the order of computation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The encoder's; its middle is the last.
    pub encoder: Vec<Block>,
    /// The decoder's; its middle is the first.
    pub decoder: Vec<Block>,
    /// Channels that the encoder begins with.
    pub encoder_channels: usize,
    /// Channels that the decoder ends with.
    pub decoder_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Side of the squares of pixels that are folded into channels.
    pub patch: usize,
    /// Whether the decoder is told how noisy the latents are.
    pub timestep_conditioning: bool,
    /// Whether the decoder sees no later frames.
    pub decoder_causal: bool,
}

impl Config {
    /// Reads the object `vae` in the metadata `config` of a single file; `thing` is what messages call it.
    ///
    /// # Errors
    /// Text that is no JSON object, fields of another type, and blocks, options and values that stir does not implement, by name and value.
    pub fn from_single_file(json: &str, thing: &str) -> Result<Self> {
        let mut fields = Object::parse(thing, json)?;
        for (name, value) in [
            ("_class_name", Value::from("CausalVideoAutoencoder")),
            ("dims", Value::from(3)),
            ("in_channels", Value::from(3)),
            ("out_channels", Value::from(3)),
            ("latent_log_var", Value::from("uniform")),
            ("norm_layer", Value::from("pixel_norm")),
            ("normalize_latent_channels", Value::from(false)),
            ("patch_size_t", Value::from(1)),
            ("scaling_factor", Value::from(1.0)),
            ("spatial_padding_mode", Value::from("zeros")),
            ("use_quant_conv", Value::from(false)),
        ] {
            fields.only(name, value)?;
        }
        let both: Option<Vec<Value>> = fields.take_optional("blocks")?;
        let mut side = |name: &str| -> Result<Vec<Block>> {
            let own: Option<Vec<Value>> = fields.take_optional(name)?;
            let Some(list) = own.or_else(|| both.clone()) else {
                return Err(fields.refusal(name, "a list of blocks", "none", HINT));
            };
            list.iter().map(|block| parse(block, &format!("`{name}` of {thing}"))).collect()
        };
        let (encoder, mut decoder) = (side("encoder_blocks")?, side("decoder_blocks")?);
        // Files list the output side first.
        decoder.reverse();
        let blocks = Blocks {
            encoder,
            decoder,
            encoder_channels: fields.take_optional("encoder_base_channels")?.unwrap_or(128),
            decoder_channels: fields.take_optional("decoder_base_channels")?.unwrap_or(128),
            latent_channels: fields.take("latent_channels")?,
            patch: fields.take_optional("patch_size")?.unwrap_or(4),
            timestep_conditioning: fields.take_optional("timestep_conditioning")?.unwrap_or(false),
            decoder_causal: fields.take_optional("causal_decoder")?.unwrap_or(false),
        };
        fields.finish(&KNOWN);
        blocks.config(thing)
    }
}

/// `[kind, options]`, where a number for the options is the number of layers.
fn parse(block: &Value, thing: &str) -> Result<Block> {
    let (kind, options) = match block.as_array().map(Vec::as_slice) {
        Some([Value::String(kind), Value::Object(options)]) => (kind.as_str(), options.clone()),
        Some([Value::String(kind), Value::Number(layers)]) => {
            (kind.as_str(), Map::from_iter([("num_layers".to_owned(), Value::Number(layers.clone()))]))
        }
        _ => return Err(Error::input(thing, "blocks `[kind, options]`", block.to_string(), HINT)),
    };
    let (kind, multiplier) = match kind {
        "res_x" => (Kind::Residuals, 1),
        "res_x_y" => (Kind::Change, 2),
        "compress_all" => (Kind::Scale, 1),
        "compress_space_res" => (Kind::Fold("spatial"), 2),
        "compress_time_res" => (Kind::Fold("temporal"), 2),
        "compress_all_res" => (Kind::Fold("spatiotemporal"), 2),
        other => {
            let wanted = "res_x, res_x_y, compress_all, or compress_space_res, compress_time_res, compress_all_res";
            return Err(Error::input(format!("block of {thing}"), wanted, other, HINT));
        }
    };
    let thing = format!("block {block} of {thing}");
    let mut options = Object::parse(&thing, &Value::Object(options).to_string())?;
    let layers: Option<u16> = options.take_optional("num_layers")?;
    let inject_noise: Option<bool> = options.take_optional("inject_noise")?;
    let residual: Option<bool> = options.take_optional("residual")?;
    let given: Option<u16> = options.take_optional("multiplier")?;
    // An option of another kind of block would be ignored by the reference, or do something that is not known here.
    for (name, is_given, is_known) in [
        ("inject_noise", inject_noise == Some(true), kind == Kind::Residuals),
        ("residual", residual == Some(true), kind == Kind::Scale),
        ("multiplier", given.is_some_and(|given| given != 1), kind != Kind::Residuals),
        ("num_layers", layers.is_some_and(|layers| layers != 1), kind == Kind::Residuals),
    ] {
        if is_given && !is_known {
            return Err(Error::input(&thing, format!("no option `{name}`"), "one", HINT));
        }
    }
    if let Some(name) = options.rest().next() {
        return Err(Error::input(&thing, "options that stir knows", format!("`{name}`"), HINT));
    }
    if given == Some(0) || (kind == Kind::Residuals && layers.is_none()) {
        let wanted = "`num_layers` for res_x, and no `multiplier` of 0";
        return Err(Error::input(&thing, wanted, "neither", HINT));
    }
    Ok(Block {
        kind,
        layers: usize::from(layers.unwrap_or(1)),
        inject_noise: inject_noise.unwrap_or(false),
        residual: residual.unwrap_or(false),
        multiplier: given.map_or(multiplier, usize::from),
    })
}

impl Blocks {
    /// The configuration that diffusers would write; `thing` is what messages call the description.
    ///
    /// # Errors
    /// Blocks in an order or of sizes that make no autoencoder.
    pub fn config(&self, thing: &str) -> Result<Config> {
        self.fields().and_then(Fields::check).map_err(|Refusal { field, wanted, found }| {
            let side = match field {
                "decoder_blocks" | "encoder_blocks" => field.to_owned(),
                _ if field.starts_with("decoder") || field.starts_with("upsample") => {
                    format!("decoder_blocks ({field})")
                }
                _ => format!("encoder_blocks ({field})"),
            };
            Error::input(format!("{side} of {thing}"), wanted, found, HINT)
        })
    }

    fn fields(&self) -> Result<Fields, Refusal> {
        let mut fields = Fields {
            latent_channels: self.latent_channels,
            patch_size: self.patch,
            timestep_conditioning: self.timestep_conditioning,
            decoder_causal: self.decoder_causal,
            ..Fields::default()
        };
        self.encoder(&mut fields)?;
        self.decoder(&mut fields)?;
        Ok(fields)
    }

    /// A stage is its residual blocks, then what makes it smaller, then what changes its channels: each may be missing.
    fn encoder(&self, fields: &mut Fields) -> Result<(), Refusal> {
        #[derive(Default)]
        struct Stage {
            from: usize,
            layers: usize,
            scaling: Option<Kind>,
            changed: bool,
        }
        let Some((Block { kind: Kind::Residuals, layers: middle, inject_noise: false, .. }, blocks)) =
            self.encoder.split_last()
        else {
            return refuse("encoder_blocks", "res_x at the end, without noise", self.encoder.last());
        };
        let folded = blocks.iter().any(|block| matches!(block.kind, Kind::Fold(_)));
        let mut stages: Vec<Stage> = Vec::new();
        let mut channels = self.encoder_channels;
        for block in blocks {
            let last = stages.last();
            let opens = match block.kind {
                Kind::Residuals => true,
                Kind::Scale | Kind::Fold(_) => last.is_none_or(|stage| stage.scaling.is_some() || stage.changed),
                Kind::Change => last.is_none_or(|stage| stage.changed),
            };
            if opens {
                stages.push(Stage { from: channels, ..Stage::default() });
            }
            let stage = stages.last_mut().expect("there is one, or one was added");
            let mismatch = match block.kind {
                Kind::Residuals => block.inject_noise,
                Kind::Scale => block.multiplier != 1 || block.residual || folded,
                Kind::Change => folded,
                Kind::Fold(_) => false,
            };
            if mismatch {
                return refuse("encoder_blocks", "a block that an encoder has", block);
            }
            match block.kind {
                Kind::Residuals => stage.layers = block.layers,
                Kind::Scale | Kind::Fold(_) => stage.scaling = Some(block.kind),
                Kind::Change => stage.changed = true,
            }
            channels = channels.saturating_mul(block.multiplier);
        }
        fields.block_out_channels = stages.iter().map(|stage| stage.from).collect();
        if folded {
            fields.block_out_channels.push(channels);
        } else if stages.last().is_some_and(|stage| stage.from != channels) {
            return refuse("encoder_blocks", "no change of channels in the last stage", channels);
        }
        let block_type = if folded { FOLDED_BLOCK } else { STRIDED_BLOCK };
        fields.down_block_types = vec![block_type.to_owned(); stages.len()];
        fields.layers_per_block = stages.iter().map(|stage| stage.layers).chain([*middle]).collect();
        fields.spatio_temporal_scaling = stages.iter().map(|stage| stage.scaling.is_some()).collect();
        fields.downsample_type = stages
            .iter()
            .map(|stage| if let Some(Kind::Fold(kind)) = stage.scaling { kind } else { "conv" }.to_owned())
            .collect();
        Ok(())
    }

    /// A stage is what changes its channels, then what doubles everything, then its residual blocks: each may be missing.
    fn decoder(&self, fields: &mut Fields) -> Result<(), Refusal> {
        #[derive(Default)]
        struct Stage {
            changed: bool,
            scaling: Option<Block>,
            blocks: Option<Block>,
            /// Before the doubling.
            channels: usize,
        }
        let Some((middle @ Block { kind: Kind::Residuals, .. }, blocks)) = self.decoder.split_first() else {
            return refuse("decoder_blocks", "res_x on the side of the latents", self.decoder.first());
        };
        let multiply = |channels: usize, block: &Block| channels.saturating_mul(block.multiplier);
        let first = blocks.iter().fold(self.decoder_channels, multiply);
        let mut channels = first;
        let mut stages: Vec<Stage> = Vec::new();
        for block in blocks {
            let last = stages.last();
            let opens = match block.kind {
                Kind::Change => true,
                Kind::Scale => last.is_none_or(|stage| stage.scaling.is_some() || stage.blocks.is_some()),
                Kind::Residuals => last.is_none_or(|stage| stage.blocks.is_some()),
                Kind::Fold(_) => return refuse("decoder_blocks", "a block that a decoder has", block),
            };
            if opens {
                stages.push(Stage { channels, ..Stage::default() });
            }
            let stage = stages.last_mut().expect("there is one, or one was added");
            channels /= block.multiplier;
            match block.kind {
                Kind::Change => (stage.changed, stage.channels) = (true, channels),
                Kind::Scale => stage.scaling = Some(*block),
                Kind::Residuals | Kind::Fold(_) => stage.blocks = Some(*block),
            }
            if stage.changed && stage.channels != channels {
                return refuse("decoder_blocks", "one change of channels in a stage", block);
            }
        }
        // The fields of diffusers begin with the last stage.
        stages.reverse();
        fields.decoder_block_out_channels = stages.iter().map(|stage| stage.channels).collect();
        if fields.decoder_block_out_channels.last() != Some(&first) {
            return refuse(
                "decoder_blocks",
                "a first stage that keeps the channels",
                &fields.decoder_block_out_channels,
            );
        }
        let layers = |stage: &Stage| stage.blocks.map_or(0, |block| block.layers);
        fields.decoder_layers_per_block = stages.iter().map(layers).chain([middle.layers]).collect();
        let noisy = |stage: &Stage| stage.blocks.is_some_and(|block| block.inject_noise);
        fields.decoder_inject_noise = stages.iter().map(noisy).chain([middle.inject_noise]).collect();
        fields.decoder_spatio_temporal_scaling = stages.iter().map(|stage| stage.scaling.is_some()).collect();
        fields.upsample_residual =
            stages.iter().map(|stage| stage.scaling.is_some_and(|block| block.residual)).collect();
        fields.upsample_factor = stages.iter().map(|stage| stage.scaling.map_or(1, |block| block.multiplier)).collect();
        Ok(())
    }
}
