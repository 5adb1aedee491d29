//! The layers of the upsampler, on clips that are lists of frames `[1, H, W, C]`.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::nn::convolution::{FrameConvolution, FrameShape};
use crate::ops::conv3d::Epilogue;
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
        (0..clip.len()).map(|frame| self.0.window(&window(frame).map(seen), Epilogue::default())).collect()
    }
}

/// Group norm over all frames of a clip, in float32 whatever the type of its input is.
///
/// # Source
/// Wu and He, "Group Normalization" (ECCV 2018), equations 1 to 6, with time as one more axis of space.
#[derive(Debug, Clone)]
pub struct ClipNorm {
    /// `[C]`, float32.
    weight: Tensor,
    /// `[C]`, float32.
    bias: Tensor,
}

impl ClipNorm {
    /// Takes `weight` and `bias`, `[channels]`, where `channels` is a multiple of [`GROUPS`].
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, channels: usize) -> Result<Self> {
        let take = |name| -> Result<_> { Ok(weights.take(name, &[channels])?.to_dtype(DType::F32)?) };
        Ok(Self { weight: take("weight")?, bias: take("bias")? })
    }

    /// Frames `[1, H, W, C]` to the normalised clip `[T, H, W, C]`, float32.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, clip: &[Tensor]) -> Result<Tensor> {
        let x = Tensor::cat(clip, 0)?;
        let (t, h, w, c) = x.dims4()?;
        let groups = x.to_dtype(DType::F32)?.reshape((t, h * w, GROUPS, c / GROUPS))?;
        // First of each place, then of a frame, then of all frames: shorter sums round less.
        let mean = |x: &Tensor| x.mean_keepdim(3)?.mean_keepdim(1)?.mean_keepdim(0);
        let centred = groups.broadcast_sub(&mean(&groups)?)?;
        let scale = (mean(&centred.sqr()?)? + NORM_EPSILON)?.sqrt()?.recip()?;
        let normed = centred.broadcast_mul(&scale)?.reshape((t, h, w, c))?;
        Ok(normed.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }

    /// `silu` of the normalised clip, to which `residual` is added before; frames `[1, H, W, C]` to the same.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn activate(&self, clip: &[Tensor], residual: Option<&[Tensor]>) -> Result<Vec<Tensor>> {
        let normed = self.forward(clip)?;
        let normed = match residual {
            Some(residual) => (normed + Tensor::cat(residual, 0)?.to_dtype(DType::F32)?)?,
            None => normed,
        };
        let activated = normed.silu()?;
        let frame = |(index, x): (usize, &Tensor)| Ok(activated.narrow(0, index, 1)?.to_dtype(x.dtype())?);
        clip.iter().enumerate().map(frame).collect()
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
        let h = self.norm_1.activate(&self.conv_1.forward(clip)?, None)?;
        self.norm_2.activate(&self.conv_2.forward(&h)?, Some(clip))
    }
}
