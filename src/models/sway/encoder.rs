//! The image encoder's network: a U-Net with attention in the middle that labels every pixel of an illustration.
//!
//! # Source
//! `scripts/sway/encoder.py`; Ronneberger et al., "U-Net" (2015).

use candle_core::{IndexOp, Module, Tensor};

use super::class_map::class;
use crate::error::{Error, Result};
use crate::nn::convolution::{Conv2d, Convolution, convolution};
use crate::nn::norm::{GroupNorm, group_norm};
use crate::ops::sliced_attention::sliced_attention;
use crate::weights::store::Scope;

const WIDTHS: [usize; 4] = [24, 48, 96, 160];
const GROUPS: usize = 4;
const HEADS: usize = 4;

/// The picture's sides must be multiples of this: a pixel-unshuffle by 2 and three strides of 2.
pub const MULTIPLE: usize = 1 << WIDTHS.len();

/// RGB in, class logits at half the resolution out.
pub struct Encoder {
    stem: Conv2d,
    encoder: Vec<ResidualBlock>,
    attention_before: SelfAttention,
    middle: ResidualBlock,
    attention_after: SelfAttention,
    /// The first is the coarsest: it joins the deepest features with those of `encoder[2]`.
    decoder: Vec<ResidualBlock>,
    head: Conv2d,
}

impl Encoder {
    /// Takes its weights.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope) -> Result<Self> {
        let [finest, .., deepest] = WIDTHS;
        let block = |group: &str, index: usize, from: usize, to: usize, stride: usize| {
            ResidualBlock::load(&weights.at(group).at(index), from, to, stride)
        };
        let mut encoder = vec![block("encoder", 0, finest, finest, 1)?];
        let mut decoder = Vec::new();
        for (index, pair) in WIDTHS.windows(2).enumerate() {
            encoder.push(block("encoder", index + 1, pair[0], pair[1], 2)?);
        }
        for (index, pair) in WIDTHS.windows(2).rev().enumerate() {
            decoder.push(block("decoder", index, pair[1] + pair[0], pair[0], 1)?);
        }
        Ok(Self {
            stem: convolution(&weights.at("stem"), Convolution { from: 12, to: finest, kernel: 3, stride: 1 })?,
            encoder,
            attention_before: SelfAttention::load(&weights.at("attention_before"), deepest)?,
            middle: ResidualBlock::load(&weights.at("middle"), deepest, deepest, 1)?,
            attention_after: SelfAttention::load(&weights.at("attention_after"), deepest)?,
            decoder,
            head: convolution(
                &weights.at("head"),
                Convolution { from: finest, to: class::COUNT, kernel: 1, stride: 1 },
            )?,
        })
    }

    /// `picture: [B, 3, H, W]`, sRGB in [-1, 1], sides that are multiples of [`MULTIPLE`] -> logits `[B, 10, H / 2, W / 2]`.
    ///
    /// # Errors
    /// Other sides, or a failed tensor operation.
    pub fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = picture.dims4()?;
        if height % MULTIPLE != 0 || width % MULTIPLE != 0 {
            return Err(Error::input(
                "picture for the encoder",
                format!("sides that are multiples of {MULTIPLE}"),
                format!("{width}x{height}"),
                "resize it first",
            ));
        }
        let mut x = self.stem.forward(&candle_nn::ops::pixel_unshuffle(picture, 2)?)?;
        let mut skips = Vec::new();
        for block in &self.encoder {
            x = block.forward(&x)?;
            skips.push(x.clone());
        }
        skips.pop();
        x = self.attention_before.forward(&x)?;
        x = self.middle.forward(&x)?;
        x = self.attention_after.forward(&x)?;
        for (block, skip) in self.decoder.iter().zip(skips.iter().rev()) {
            let (_, _, height, width) = skip.dims4()?;
            let up = x.upsample_bilinear2d(height, width, false)?;
            x = block.forward(&Tensor::cat(&[&up, skip], 1)?)?;
        }
        Ok(self.head.forward(&x)?)
    }
}

/// Two 3x3 convolutions with group norm, and a shortcut.
struct ResidualBlock {
    convolution_1: Conv2d,
    norm_1: GroupNorm,
    convolution_2: Conv2d,
    norm_2: GroupNorm,
    /// Where shape changes; elsewhere the input itself is added.
    shortcut: Option<Conv2d>,
}

impl ResidualBlock {
    fn load(weights: &Scope, from: usize, to: usize, stride: usize) -> Result<Self> {
        let shortcut = Convolution { from, to, kernel: 1, stride };
        let shortcut =
            (from != to || stride != 1).then(|| convolution(&weights.at("shortcut"), shortcut)).transpose()?;
        Ok(Self {
            convolution_1: convolution(&weights.at("convolution_1"), Convolution { from, to, kernel: 3, stride })?,
            norm_1: group_norm(&weights.at("norm_1"), to, GROUPS)?,
            convolution_2: convolution(
                &weights.at("convolution_2"),
                Convolution { from: to, to, kernel: 3, stride: 1 },
            )?,
            norm_2: group_norm(&weights.at("norm_2"), to, GROUPS)?,
            shortcut,
        })
    }

    /// `[B, from, H, W] -> [B, to, H / stride, W / stride]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.norm_1.forward(&self.convolution_1.forward(x)?)?.silu()?;
        let hidden = self.norm_2.forward(&self.convolution_2.forward(&hidden)?)?;
        let sum = match &self.shortcut {
            Some(shortcut) => (hidden + shortcut.forward(x)?)?,
            None => (hidden + x)?,
        };
        Ok(sum.silu()?)
    }
}

/// Multi-head self-attention over all positions, added to its input.
struct SelfAttention {
    norm: GroupNorm,
    query_key_value: Conv2d,
    projection: Conv2d,
}

impl SelfAttention {
    fn load(weights: &Scope, channels: usize) -> Result<Self> {
        let layer =
            |name: &str, to| convolution(&weights.at(name), Convolution { from: channels, to, kernel: 1, stride: 1 });
        Ok(Self {
            norm: group_norm(&weights.at("norm"), channels, GROUPS)?,
            query_key_value: layer("query_key_value", 3 * channels)?,
            projection: layer("projection", channels)?,
        })
    }

    /// `[B, C, H, W]` to the same.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let heads = self.query_key_value.forward(&self.norm.forward(x)?)?;
        let heads = heads.reshape((batch, 3, HEADS, channels / HEADS, height * width))?.transpose(3, 4)?;
        let scale = 1.0 / ((channels / HEADS) as f64).sqrt();
        let attended = sliced_attention(&heads.i((.., 0))?, &heads.i((.., 1))?, &heads.i((.., 2))?, scale)?;
        let attended = attended.transpose(2, 3)?.reshape((batch, channels, height, width))?;
        Ok((x + self.projection.forward(&attended)?)?)
    }
}
