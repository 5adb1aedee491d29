//! The layers of the upsampler, on clips that are lists of frames `[1, H, W, C]`.

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::convolution::{FrameConvolution, FrameShape};
use crate::ops::conv3d::ClipEpilogue;
use crate::ops::group_norm::{GroupNorm, group_norm};
use crate::weights::store::Scope;

/// Groups of channels that are normalised together.
pub const GROUPS: usize = 32;
/// PyTorch's default.
const NORM_EPSILON: f64 = 1e-5;

/// A 3 by 3 by 3 convolution of a whole clip that sees zeros beyond its ends, in time as in space.
#[derive(Debug, Clone)]
pub struct ClipConvolution(FrameConvolution);

impl ClipConvolution {
    /// Takes `weight: [to, from, 3, 3, 3]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        Ok(Self(FrameConvolution::load(weights, FrameShape { from, to, depth: 3, side: 3, stride: 1 })?))
    }

    /// Frames `[1, H, W, from]` to as many frames `[1, H, W, to]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, clip: &[Tensor]) -> Result<Vec<Tensor>> {
        let window = |frame: usize| [frame.checked_sub(1), Some(frame), Some(frame + 1)];
        let seen = |frame: Option<usize>| frame.and_then(|frame| clip.get(frame));
        let windows: Vec<_> = (0..clip.len()).map(|frame| window(frame).map(seen)).collect();
        let windows: Vec<_> = windows.iter().map(<[_; 3]>::as_slice).collect();
        self.0.windows(&windows, ClipEpilogue::default())
    }
}

/// Group norm over all frames of a clip.
#[derive(Debug, Clone)]
pub struct ClipNorm {
    /// `[C]`.
    weight: Tensor,
    /// `[C]`.
    bias: Tensor,
}

impl ClipNorm {
    /// Takes `weight` and `bias`, `[channels]`, where `channels` is a multiple of [`GROUPS`].
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, channels: usize) -> Result<Self> {
        let take = |name| weights.take(name, &[channels]);
        Ok(Self { weight: take("weight")?, bias: take("bias")? })
    }

    /// Frames `[1, H, W, C]` to the same: `residual` is added to the normalised ones, and `silu` comes last where it is asked for.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, clip: &[Tensor], residual: Option<&[Tensor]>, silu: bool) -> Result<Vec<Tensor>> {
        let Self { weight, bias } = self;
        group_norm(clip, &GroupNorm { groups: GROUPS, epsilon: NORM_EPSILON, weight, bias, silu }, residual)
    }
}

/// A residual block: `silu(x + norm(conv(silu(norm(conv(x))))))`.
#[derive(Debug, Clone)]
pub struct Block {
    conv_1: ClipConvolution,
    norm_1: ClipNorm,
    conv_2: ClipConvolution,
    norm_2: ClipNorm,
}

impl Block {
    /// Takes its weights.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, channels: usize) -> Result<Self> {
        Ok(Self {
            conv_1: ClipConvolution::load(&weights.at("conv1"), channels, channels)?,
            norm_1: ClipNorm::load(&weights.at("norm1"), channels)?,
            conv_2: ClipConvolution::load(&weights.at("conv2"), channels, channels)?,
            norm_2: ClipNorm::load(&weights.at("norm2"), channels)?,
        })
    }

    /// Frames `[1, H, W, C]` to the same.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, clip: &[Tensor]) -> Result<Vec<Tensor>> {
        let h = self.norm_1.forward(&self.conv_1.forward(clip)?, None, true)?;
        self.norm_2.forward(&self.conv_2.forward(&h)?, Some(clip), true)
    }
}
