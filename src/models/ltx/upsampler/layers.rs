//! The layers of the upsampler, on clips `[T, C, H, W]`.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::models::ltx::vae::convolution::{Convolution, SPAN, Shape, Sight};
use crate::weights::store::Scope;

/// Groups of channels that are normalised together.
pub const GROUPS: usize = 32;
/// PyTorch's default.
const NORM_EPSILON: f64 = 1e-5;

/// A 3 by 3 by 3 convolution of a whole clip that sees zeros beyond its ends, in time as in space.
#[derive(Debug, Clone)]
pub struct ClipConvolution(Convolution);

impl ClipConvolution {
    /// Takes `weight: [to, from, 3, 3, 3]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        Ok(Self(Convolution::load(weights, Shape { from, to, stride: 1, sight: Sight::Symmetric })?))
    }

    /// `[T, from, H, W]` to `[T, to, H, W]`, frame by frame: what a convolution unfolds on its way is many times its input.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let padded = x.pad_with_zeros(0, 1, 1)?;
        let seen = |frame: usize, offset: usize| padded.narrow(0, frame + offset, 1);
        let frame = |frame: usize| -> Result<Tensor> {
            let window: [Tensor; SPAN] = [seen(frame, 0)?, seen(frame, 1)?, seen(frame, 2)?];
            self.0.window(&window)
        };
        Ok(Tensor::cat(&(0..x.dim(0)?).map(frame).collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// Group norm over all frames of a clip, in float32 whatever the type of its input is.
///
/// # Source
/// Wu and He, "Group Normalization" (ECCV 2018), equations 1 to 6, with time as one more axis of space.
#[derive(Debug, Clone)]
pub struct ClipNorm {
    /// `[1, C, 1, 1]`, float32.
    weight: Tensor,
    /// `[1, C, 1, 1]`, float32.
    bias: Tensor,
}

impl ClipNorm {
    /// Takes `weight` and `bias`, `[channels]`, where `channels` is a multiple of [`GROUPS`].
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, channels: usize) -> Result<Self> {
        let take = |name| -> Result<_> {
            Ok(weights.take(name, &[channels])?.to_dtype(DType::F32)?.reshape((1, channels, 1, 1))?)
        };
        Ok(Self { weight: take("weight")?, bias: take("bias")? })
    }

    /// `[T, C, H, W]` to the same.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let groups = x.to_dtype(DType::F32)?.reshape((x.dim(0)?, GROUPS, ()))?;
        // First of each frame, then of the frames, which are of one size: shorter sums round less.
        let mean = |x: &Tensor| x.mean_keepdim(2)?.mean_keepdim(0);
        let centred = groups.broadcast_sub(&mean(&groups)?)?;
        let scale = (mean(&centred.sqr()?)? + NORM_EPSILON)?.sqrt()?.recip()?;
        let normed = centred.broadcast_mul(&scale)?.reshape(x.shape())?;
        Ok(normed.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?.to_dtype(x.dtype())?)
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

    /// `[T, C, H, W]` to the same.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.norm_1.forward(&self.conv_1.forward(x)?)?.silu()?;
        let h = self.norm_2.forward(&self.conv_2.forward(&h)?)?;
        Ok((h + x)?.silu()?)
    }
}
