//! The image encoder's network: a U-Net with attention in the middle that labels every pixel of an illustration.
//!
//! # Source
//! `scripts/sway/encoder.py`; Ronneberger et al., "U-Net" (2015).

use candle_core::{IndexOp, Tensor};

use super::class_map::class;
use crate::error::{Error, Result};
use crate::nn::convolution::{FrameConvolution, FrameShape};
use crate::ops::attention::{Inputs, attention};
use crate::ops::conv3d::Epilogue;
use crate::ops::group_norm::{GroupNorm, group_norm};
use crate::weights::store::Scope;

pub(super) const WIDTHS: [usize; 4] = [24, 48, 96, 160];
const GROUPS: usize = 4;
const HEADS: usize = 4;
/// PyTorch's default for group norm.
const NORM_EPSILON: f64 = 1e-5;

/// The picture's sides must be multiples of this: a pixel-unshuffle by 2 and three strides of 2.
pub const MULTIPLE: usize = 1 << WIDTHS.len();

/// RGB in, class logits at half the resolution out.
pub struct Encoder {
    stem: FrameConvolution,
    encoder: Vec<ResidualBlock>,
    attention_before: SelfAttention,
    middle: ResidualBlock,
    attention_after: SelfAttention,
    /// The first is the coarsest: it joins the deepest features with those of `encoder[2]`.
    decoder: Vec<ResidualBlock>,
    head: FrameConvolution,
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
            stem: convolution(&weights.at("stem"), [12, finest], 3, 1)?,
            encoder,
            attention_before: SelfAttention::load(&weights.at("attention_before"), deepest)?,
            middle: ResidualBlock::load(&weights.at("middle"), deepest, deepest, 1)?,
            attention_after: SelfAttention::load(&weights.at("attention_after"), deepest)?,
            decoder,
            head: convolution(&weights.at("head"), [finest, class::COUNT], 1, 1)?,
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
        let pictures = candle_nn::ops::pixel_unshuffle(picture, 2)?.permute((0, 2, 3, 1))?;
        // Each on its own: a norm is over one picture.
        let logits = (0..pictures.dim(0)?)
            .map(|index| self.look(&pictures.narrow(0, index, 1)?.contiguous()?))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&logits, 0)?.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// `[1, H, W, 12] -> [1, H, W, 10]`, channels innermost.
    fn look(&self, picture: &Tensor) -> Result<Tensor> {
        let mut x = self.stem.forward(picture)?;
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
            let (_, height, width, _) = skip.dims4()?;
            let planes = x.permute((0, 3, 1, 2))?.contiguous()?;
            let up = planes.upsample_bilinear2d(height, width, false)?.permute((0, 2, 3, 1))?;
            x = block.forward(&Tensor::cat(&[&up, skip], 3)?)?;
        }
        self.head.forward(&x)
    }
}

/// `[1, H, W, from] -> [1, ceil(H / stride), ceil(W / stride), to]` with `weight: [to, from, side, side]` and `bias: [to]`.
fn convolution(weights: &Scope, [from, to]: [usize; 2], side: usize, stride: usize) -> Result<FrameConvolution> {
    FrameConvolution::load_flat(weights, FrameShape { from, to, depth: 1, side, stride })
}

/// Group norm of a picture.
struct Norm {
    /// `[C]`.
    weight: Tensor,
    /// `[C]`.
    bias: Tensor,
}

impl Norm {
    fn load(weights: &Scope, channels: usize) -> Result<Self> {
        Ok(Self { weight: weights.take("weight", &[channels])?, bias: weights.take("bias", &[channels])? })
    }

    /// `[1, H, W, C]` to the same: then `residual` is added, and SiLU comes last where it is asked for.
    fn forward(&self, x: &Tensor, residual: Option<&Tensor>, silu: bool) -> Result<Tensor> {
        let Self { weight, bias } = self;
        let norm = GroupNorm { groups: GROUPS, epsilon: NORM_EPSILON, weight, bias, silu };
        let mut normed = group_norm(std::slice::from_ref(x), &norm, residual.map(std::slice::from_ref))?;
        Ok(normed.remove(0))
    }
}

/// Two 3x3 convolutions with group norm, and a shortcut.
struct ResidualBlock {
    convolution_1: FrameConvolution,
    norm_1: Norm,
    convolution_2: FrameConvolution,
    norm_2: Norm,
    /// Where shape changes; elsewhere the input itself is added.
    shortcut: Option<FrameConvolution>,
}

impl ResidualBlock {
    fn load(weights: &Scope, from: usize, to: usize, stride: usize) -> Result<Self> {
        let changes = from != to || stride != 1;
        Ok(Self {
            shortcut: changes.then(|| convolution(&weights.at("shortcut"), [from, to], 1, stride)).transpose()?,
            convolution_1: convolution(&weights.at("convolution_1"), [from, to], 3, stride)?,
            norm_1: Norm::load(&weights.at("norm_1"), to)?,
            convolution_2: convolution(&weights.at("convolution_2"), [to, to], 3, 1)?,
            norm_2: Norm::load(&weights.at("norm_2"), to)?,
        })
    }

    /// `[1, H, W, from] -> [1, H / stride, W / stride, to]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let shortcut = self.shortcut.as_ref().map(|shortcut| shortcut.forward(x)).transpose()?;
        let hidden = self.norm_1.forward(&self.convolution_1.forward(x)?, None, true)?;
        self.norm_2.forward(&self.convolution_2.forward(&hidden)?, Some(shortcut.as_ref().unwrap_or(x)), true)
    }
}

/// Multi-head self-attention over all positions, added to its input.
struct SelfAttention {
    norm: Norm,
    query_key_value: FrameConvolution,
    projection: FrameConvolution,
}

impl SelfAttention {
    fn load(weights: &Scope, channels: usize) -> Result<Self> {
        Ok(Self {
            norm: Norm::load(&weights.at("norm"), channels)?,
            query_key_value: convolution(&weights.at("query_key_value"), [channels, 3 * channels], 1, 1)?,
            projection: convolution(&weights.at("projection"), [channels, channels], 1, 1)?,
        })
    }

    /// `[1, H, W, C]` to the same.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, height, width, channels) = x.dims4()?;
        let heads = self.query_key_value.forward(&self.norm.forward(x, None, false)?)?;
        let heads = heads.reshape((1, height * width, 3, HEADS, channels / HEADS))?;
        let [query, key, value] = [0, 1, 2].map(|part| heads.i((.., .., part)));
        let scale = 1.0 / ((channels / HEADS) as f64).sqrt();
        let attended = attention(&Inputs { query: &query?, key: &key?, value: &value? }, scale)?;
        let attended = attended.reshape((1, height, width, channels))?;
        self.projection.window(&[Some(&attended)], Epilogue { residual: Some(x), ..Epilogue::default() })
    }
}
