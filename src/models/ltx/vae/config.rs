//! What an autoencoder is made of: the `config.json` of diffusers' `AutoencoderKLLTXVideo`, checked and laid out in stages.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::ltx::config_fields::{MOST, MOST_LAYERS};

/// The largest side of the squares of pixels that are folded: the released ones have 4.
const MOST_PATCH: usize = 64;
/// The most stages of an encoder or decoder: the released ones have 4, and each may double what one latent position stands for.
const MOST_STAGES: usize = 16;

/// Colours of a pixel.
pub const COLOURS: usize = 3;

/// Fields that say nothing about the mathematics.
const DESCRIPTIVE: [&str; 3] = ["_class_name", "_diffusers_version", "_name_or_path"];

/// The block of 0.9.0 and 0.9.1: a strided convolution, then a residual block that changes the channels.
pub(super) const STRIDED_BLOCK: &str = "LTXVideoDownBlock3D";
/// The block of 0.9.5 and later: space and time are folded into channels.
pub(super) const FOLDED_BLOCK: &str = "LTXVideo095DownBlock3D";

/// The fields as they are written; what is left out has the value of the first release, as in diffusers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) latent_channels: usize,
    pub(super) block_out_channels: Vec<usize>,
    pub(super) down_block_types: Vec<String>,
    pub(super) decoder_block_out_channels: Vec<usize>,
    pub(super) layers_per_block: Vec<usize>,
    pub(super) decoder_layers_per_block: Vec<usize>,
    pub(super) spatio_temporal_scaling: Vec<bool>,
    pub(super) decoder_spatio_temporal_scaling: Vec<bool>,
    pub(super) decoder_inject_noise: Vec<bool>,
    pub(super) downsample_type: Vec<String>,
    pub(super) upsample_residual: Vec<bool>,
    pub(super) upsample_factor: Vec<usize>,
    pub(super) timestep_conditioning: bool,
    pub(super) patch_size: usize,
    pub(super) patch_size_t: usize,
    pub(super) resnet_norm_eps: f64,
    pub(super) scaling_factor: f64,
    pub(super) encoder_causal: bool,
    pub(super) decoder_causal: bool,
    pub(super) spatial_compression_ratio: Option<usize>,
    pub(super) temporal_compression_ratio: Option<usize>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            in_channels: COLOURS,
            out_channels: COLOURS,
            latent_channels: 128,
            block_out_channels: vec![128, 256, 512, 512],
            down_block_types: vec![STRIDED_BLOCK.to_owned(); 4],
            decoder_block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: vec![4, 3, 3, 3, 4],
            decoder_layers_per_block: vec![4, 3, 3, 3, 4],
            spatio_temporal_scaling: vec![true, true, true, false],
            decoder_spatio_temporal_scaling: vec![true, true, true, false],
            decoder_inject_noise: vec![false; 5],
            downsample_type: vec!["conv".to_owned(); 4],
            upsample_residual: vec![false; 4],
            upsample_factor: vec![1; 4],
            timestep_conditioning: false,
            patch_size: 4,
            patch_size_t: 1,
            resnet_norm_eps: 1e-6,
            scaling_factor: 1.0,
            encoder_causal: true,
            decoder_causal: false,
            spatial_compression_ratio: None,
            temporal_compression_ratio: None,
        }
    }
}

/// Steps in time, height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stride {
    /// Frames.
    pub time: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Stride {
    /// How many positions become one.
    pub fn volume(self) -> usize {
        self.time * self.height * self.width
    }
}

/// How an encoder stage makes its input smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downsampling {
    /// It does not.
    None,
    /// A convolution that steps by 2 in time and space.
    Strided,
    /// A convolution whose result is folded into channels, plus the folded input averaged over groups of channels.
    Folded(Stride),
}

/// A stage of the encoder, in the order of computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownStage {
    /// Channels of its residual blocks.
    pub from: usize,
    /// Channels that it gives.
    pub to: usize,
    /// Residual blocks before the downsampling.
    pub layers: usize,
    /// How it makes its input smaller.
    pub downsampling: Downsampling,
}

/// How a decoder stage doubles time, height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upsampling {
    /// Whether the unfolded input is added.
    pub residual: bool,
    /// What the channels are divided by.
    pub factor: usize,
}

/// A stage of the decoder, in the order of computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpStage {
    /// Channels that it gets.
    pub from: usize,
    /// Channels of its residual blocks, which it gives.
    pub to: usize,
    /// Residual blocks after the upsampling.
    pub layers: usize,
    /// How it makes its input larger, if it does.
    pub upsampling: Option<Upsampling>,
    /// Whether its residual blocks add noise.
    pub inject_noise: bool,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Side of the squares of pixels that are folded into channels before anything else.
    pub patch: usize,
    /// Epsilon of the layer norms where residual blocks change the channels.
    pub norm_epsilon: f64,
    /// Whether the encoder sees no later frames.
    pub encoder_causal: bool,
    /// Whether the decoder sees no later frames.
    pub decoder_causal: bool,
    /// Whether the decoder is told how noisy the latents are.
    pub timestep_conditioning: bool,
    /// The encoder's stages before its middle.
    pub down: Vec<DownStage>,
    /// Residual blocks in the middle of the encoder.
    pub encoder_middle: usize,
    /// Channels, residual blocks and noise of the decoder's beginning; it does not upsample.
    pub decoder_middle: UpStage,
    /// The decoder's stages after it.
    pub up: Vec<UpStage>,
}

/// The releases' autoencoders, by what tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// 0.9.0: a strided encoder, and a decoder that is not told the timestep.
    First,
    /// 0.9.1: the same encoder, and a decoder that is told the timestep.
    Timed,
    /// 0.9.5 and later: an encoder that folds space and time into channels.
    Folded,
}

impl Config {
    /// Which releases' autoencoder it is like.
    pub fn generation(&self) -> Generation {
        if self.down.iter().any(|stage| matches!(stage.downsampling, Downsampling::Folded(_))) {
            Generation::Folded
        } else if self.timestep_conditioning {
            Generation::Timed
        } else {
            Generation::First
        }
    }

    /// Reads the text of a `config.json`; `thing` is what messages call it.
    ///
    /// # Errors
    /// Text that is no JSON object, fields of another type, and values that stir does not implement, by field and value.
    pub fn parse(text: &str, thing: &str) -> Result<Self> {
        let hint =
            "fetch the config.json that belongs to the weights; stir runs the autoencoders of LTX-Video 0.9.0 to 0.9.8";
        let no_config = |problem: serde_json::Error| {
            Error::input(thing, "the configuration of an LTX-Video autoencoder in JSON", problem.to_string(), hint)
        };
        let object: Map<String, Value> = serde_json::from_str(text).map_err(no_config)?;
        if let Some(class) = object.get("_class_name")
            && class != "AutoencoderKLLTXVideo"
        {
            return Err(Error::input(thing, "`_class_name` AutoencoderKLLTXVideo", class.to_string(), hint));
        }
        let known = |name: &&String| Fields::NAMES.contains(&name.as_str()) || DESCRIPTIVE.contains(&name.as_str());
        if !object.is_empty() && !object.keys().any(|name| known(&name)) {
            let wanted = "the configuration of an LTX-Video autoencoder";
            return Err(Error::input(thing, wanted, "fields of none", hint));
        }
        let fields: Fields = serde_json::from_value(Value::Object(object.clone())).map_err(no_config)?;
        for name in object.keys().filter(|name| !known(name)) {
            tracing::warn!("{thing}: stir does not know the field `{name}` and goes on without it");
        }
        fields.check().map_err(|Refusal { field, wanted, found }| {
            Error::input(format!("`{field}` in {thing}"), wanted, found, hint)
        })
    }

    /// Pixels across one latent position, in height and in width.
    pub fn spatial_ratio(&self) -> usize {
        self.up.iter().fold(self.patch, |ratio, stage| if stage.upsampling.is_some() { 2 * ratio } else { ratio })
    }

    /// Frames of pixels from one latent frame to the next.
    pub fn temporal_ratio(&self) -> usize {
        1 << self.up.iter().filter(|stage| stage.upsampling.is_some()).count()
    }

    /// Channels of a frame whose pixels are folded.
    pub fn folded_channels(&self) -> usize {
        COLOURS * self.patch * self.patch
    }

    /// Channels of the encoder's middle.
    pub fn encoder_width(&self) -> usize {
        self.down.last().expect("checked: there is a stage").to
    }

    /// Channels of the decoder's last stage.
    pub fn decoder_width(&self) -> usize {
        self.up.last().expect("checked: there is a stage").to
    }
}

/// A value that cannot be used.
pub(super) struct Refusal {
    pub(super) field: &'static str,
    pub(super) wanted: String,
    pub(super) found: String,
}

pub(super) fn refuse<T>(
    field: &'static str,
    wanted: impl Into<String>,
    found: impl std::fmt::Debug,
) -> Result<T, Refusal> {
    Err(Refusal { field, wanted: wanted.into(), found: format!("{found:?}") })
}

fn expect_length<T: std::fmt::Debug>(field: &'static str, list: &[T], wanted: usize) -> Result<(), Refusal> {
    if list.len() == wanted { Ok(()) } else { refuse(field, format!("{wanted} values"), list) }
}

impl Fields {
    const NAMES: [&str; 23] = [
        "in_channels",
        "out_channels",
        "latent_channels",
        "block_out_channels",
        "down_block_types",
        "decoder_block_out_channels",
        "layers_per_block",
        "decoder_layers_per_block",
        "spatio_temporal_scaling",
        "decoder_spatio_temporal_scaling",
        "decoder_inject_noise",
        "downsample_type",
        "upsample_residual",
        "upsample_factor",
        "timestep_conditioning",
        "patch_size",
        "patch_size_t",
        "resnet_norm_eps",
        "scaling_factor",
        "encoder_causal",
        "decoder_causal",
        "spatial_compression_ratio",
        "temporal_compression_ratio",
    ];

    pub(super) fn check(self) -> Result<Config, Refusal> {
        for (field, value, only) in [
            ("in_channels", self.in_channels, COLOURS),
            ("out_channels", self.out_channels, COLOURS),
            ("patch_size_t", self.patch_size_t, 1),
        ] {
            if value != only {
                return refuse(field, only.to_string(), value);
            }
        }
        if self.scaling_factor != 1.0 {
            return refuse("scaling_factor", "1", self.scaling_factor);
        }
        for (field, value, most) in
            [("latent_channels", self.latent_channels, MOST), ("patch_size", self.patch_size, MOST_PATCH)]
        {
            if !(1..=most).contains(&value) {
                return refuse(field, format!("1 to {most}"), value);
            }
        }
        for (field, channels) in [
            ("block_out_channels", &self.block_out_channels),
            ("decoder_block_out_channels", &self.decoder_block_out_channels),
        ] {
            let sizes = channels.iter().all(|size| (1..=MOST).contains(size));
            if !(1..=MOST_STAGES).contains(&channels.len()) || !sizes {
                return refuse(field, format!("1 to {MOST_STAGES} numbers of channels from 1 to {MOST}"), channels);
            }
        }
        for (field, layers) in
            [("layers_per_block", &self.layers_per_block), ("decoder_layers_per_block", &self.decoder_layers_per_block)]
        {
            if layers.iter().any(|layers| *layers > MOST_LAYERS) {
                return refuse(field, format!("at most {MOST_LAYERS} in a block"), layers);
            }
        }
        if !(self.resnet_norm_eps.is_finite() && self.resnet_norm_eps > 0.0) {
            return refuse("resnet_norm_eps", "a small positive number", self.resnet_norm_eps);
        }
        let (decoder_middle, up) = self.up_stages()?;
        let config = Config {
            latent_channels: self.latent_channels,
            patch: self.patch_size,
            norm_epsilon: self.resnet_norm_eps,
            encoder_causal: self.encoder_causal,
            decoder_causal: self.decoder_causal,
            timestep_conditioning: self.timestep_conditioning,
            down: self.down_stages()?,
            encoder_middle: *self.layers_per_block.last().expect("checked: one more than stages"),
            decoder_middle,
            up,
        };
        self.check_ratios(&config)?;
        Ok(config)
    }

    /// The encoder's stages. The blocks of 0.9.5 list the channels that the last stage gives too.
    fn down_stages(&self) -> Result<Vec<DownStage>, Refusal> {
        let folded = match self.down_block_types.first().map(String::as_str) {
            Some(STRIDED_BLOCK) => false,
            Some(FOLDED_BLOCK) => true,
            _ => {
                return refuse(
                    "down_block_types",
                    format!("{STRIDED_BLOCK} or {FOLDED_BLOCK}"),
                    &self.down_block_types,
                );
            }
        };
        if self.down_block_types.iter().any(|kind| *kind != self.down_block_types[0]) {
            return refuse("down_block_types", "one kind of block", &self.down_block_types);
        }
        let channels = &self.block_out_channels;
        let stages = channels.len() - usize::from(folded);
        if stages == 0 {
            return refuse("block_out_channels", "the channels of two stages or more", channels);
        }
        expect_length("down_block_types", &self.down_block_types, stages)?;
        expect_length("layers_per_block", &self.layers_per_block, stages + 1)?;
        expect_length("spatio_temporal_scaling", &self.spatio_temporal_scaling, stages)?;
        if folded {
            expect_length("downsample_type", &self.downsample_type, stages)?;
        }
        let mut down = Vec::new();
        for index in 0..stages {
            let (from, to) = (channels[index], channels.get(index + 1).copied().unwrap_or(channels[index]));
            let downsampling = match (self.spatio_temporal_scaling[index], folded) {
                (false, _) => Downsampling::None,
                (true, false) => Downsampling::Strided,
                (true, true) => Downsampling::Folded(folding(&self.downsample_type[index])?),
            };
            match downsampling {
                Downsampling::Folded(stride) if to % stride.volume() != 0 || from * stride.volume() % to != 0 => {
                    let wanted = format!("channels that fold by {} from {from} to {to}", stride.volume());
                    return refuse("block_out_channels", wanted, channels);
                }
                Downsampling::None if folded && from != to => {
                    return refuse("block_out_channels", format!("{from} after a stage that scales nothing"), to);
                }
                _ => {}
            }
            down.push(DownStage { from, to, layers: self.layers_per_block[index], downsampling });
        }
        Ok(down)
    }

    /// The decoder's beginning and its stages. The lists begin with the last stage.
    fn up_stages(&self) -> Result<(UpStage, Vec<UpStage>), Refusal> {
        let channels = &self.decoder_block_out_channels;
        let stages = channels.len();
        expect_length("decoder_layers_per_block", &self.decoder_layers_per_block, stages + 1)?;
        expect_length("decoder_spatio_temporal_scaling", &self.decoder_spatio_temporal_scaling, stages)?;
        expect_length("decoder_inject_noise", &self.decoder_inject_noise, stages + 1)?;
        expect_length("upsample_residual", &self.upsample_residual, stages)?;
        expect_length("upsample_factor", &self.upsample_factor, stages)?;
        let first = channels[stages - 1];
        let middle = UpStage {
            from: first,
            to: first,
            layers: self.decoder_layers_per_block[stages],
            upsampling: None,
            inject_noise: self.decoder_inject_noise[stages],
        };
        let mut up = Vec::new();
        let mut from = first;
        for index in (0..stages).rev() {
            let (factor, residual) = (self.upsample_factor[index], self.upsample_residual[index]);
            if !channels[index].is_multiple_of(factor) || !8usize.is_multiple_of(factor) {
                return refuse("upsample_factor", "divisors of 8 and of the channels", &self.upsample_factor);
            }
            let to = channels[index] / factor;
            let scaled = self.decoder_spatio_temporal_scaling[index];
            if factor != 1 && (!scaled || channels[index] != from) {
                return refuse("upsample_factor", format!("1 in a stage from {from} channels to {to}"), factor);
            }
            if scaled && residual && !channels[index].is_multiple_of(8) {
                return refuse("upsample_residual", "false where the channels are no multiple of 8", residual);
            }
            let changes = factor == 1 && from != to;
            let inject_noise = self.decoder_inject_noise[index];
            // In diffusers neither works in the residual block that changes the channels.
            if changes && inject_noise {
                return refuse("decoder_inject_noise", format!("false in a stage from {from} channels to {to}"), true);
            }
            if changes && self.timestep_conditioning {
                return refuse(
                    "timestep_conditioning",
                    format!("false with a stage from {from} channels to {to}"),
                    true,
                );
            }
            let upsampling = scaled.then_some(Upsampling { residual, factor });
            up.push(UpStage { from, to, layers: self.decoder_layers_per_block[index], upsampling, inject_noise });
            from = to;
        }
        Ok((middle, up))
    }

    /// Encoder and decoder must scale alike, and as the configuration says where it says so.
    fn check_ratios(&self, config: &Config) -> Result<(), Refusal> {
        let (mut time, mut space) = (1, self.patch_size);
        for stage in &config.down {
            let stride = match stage.downsampling {
                Downsampling::None => continue,
                Downsampling::Strided => Stride { time: 2, height: 2, width: 2 },
                Downsampling::Folded(stride) => stride,
            };
            (time, space) = (time * stride.time, space * stride.height);
        }
        for (field, said, encoder, decoder) in [
            ("spatial_compression_ratio", self.spatial_compression_ratio, space, config.spatial_ratio()),
            ("temporal_compression_ratio", self.temporal_compression_ratio, time, config.temporal_ratio()),
        ] {
            if encoder != decoder {
                return refuse(
                    "decoder_spatio_temporal_scaling",
                    format!("{field} {encoder}, as the encoder's"),
                    decoder,
                );
            }
            if let Some(said) = said
                && said != encoder
            {
                return refuse(field, format!("{encoder}, as its stages make it"), said);
            }
        }
        Ok(())
    }
}

fn folding(kind: &str) -> Result<Stride, Refusal> {
    match kind {
        "spatial" => Ok(Stride { time: 1, height: 2, width: 2 }),
        "temporal" => Ok(Stride { time: 2, height: 1, width: 1 }),
        "spatiotemporal" => Ok(Stride { time: 2, height: 2, width: 2 }),
        _ => refuse("downsample_type", "spatial, temporal or spatiotemporal", kind),
    }
}
