//! Folding of time and space into channels and back, and the layers that change resolution by it.

use candle_core::Tensor;

use super::config::{Stride, Upsampling};
use super::convolution::{Convolution, Shape, Sight};
use crate::error::Result;
use crate::weights::store::Scope;

/// The only stride of the decoder.
const DOUBLE: Stride = Stride { time: 2, height: 2, width: 2 };

/// `[T, C, H, W]` to `[T / t, C t h w, H / h, W / w]`; the channel is `((c t + t offset) h + h offset) w + w offset`.
///
/// # Errors
/// A failed tensor operation, such as sides that do not divide.
pub fn fold(x: &Tensor, stride: Stride) -> Result<Tensor> {
    let Stride { time, height, width } = stride;
    let (t, c, h, w) = x.dims4()?;
    let x = x.reshape(&[t / time, time, c, h / height, height, w / width, width][..])?;
    let x = x.permute([0, 2, 1, 4, 6, 3, 5])?;
    Ok(x.reshape((t / time, c * stride.volume(), h / height, w / width))?)
}

/// The inverse of [`fold`].
///
/// # Errors
/// A failed tensor operation, such as channels that do not divide.
pub fn unfold(x: &Tensor, stride: Stride) -> Result<Tensor> {
    let Stride { time, height, width } = stride;
    let (t, c, h, w) = x.dims4()?;
    let c = c / stride.volume();
    let x = x.reshape(&[t, c, time, height, width, h, w][..])?;
    let x = x.permute([0, 2, 1, 5, 3, 6, 4])?;
    Ok(x.reshape((t * time, c, h * height, w * width))?)
}

/// Pixels into channels, `[T, C, H, W]` to `[T, C p p, H / p, W / p]`; the channel is `(c p + w offset) p + h offset`.
///
/// # Errors
/// A failed tensor operation, such as sides that do not divide.
pub fn fold_patches(x: &Tensor, patch: usize) -> Result<Tensor> {
    let (t, c, h, w) = x.dims4()?;
    let x = x.reshape(&[t, c, h / patch, patch, w / patch, patch][..])?;
    Ok(x.permute([0, 1, 5, 3, 2, 4])?.reshape((t, c * patch * patch, h / patch, w / patch))?)
}

/// The inverse of [`fold_patches`].
///
/// # Errors
/// A failed tensor operation, such as channels that do not divide.
pub fn unfold_patches(x: &Tensor, patch: usize) -> Result<Tensor> {
    let (t, c, h, w) = x.dims4()?;
    let c = c / (patch * patch);
    let x = x.reshape(&[t, c, patch, patch, h, w][..])?;
    Ok(x.permute([0, 1, 4, 3, 5, 2])?.reshape((t, c, h * patch, w * patch))?)
}

/// A convolution folded by a stride, plus the folded input averaged over groups of neighbouring channels.
#[derive(Debug, Clone)]
pub struct Downsampler {
    convolution: Convolution,
    stride: Stride,
    to: usize,
}

impl Downsampler {
    /// Takes its weights: `from` channels in, `to` out, `to` a multiple of the stride's volume.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, from: usize, to: usize, (stride, sight): (Stride, Sight)) -> Result<Self> {
        let shape = Shape { from, to: to / stride.volume(), stride: 1, sight };
        Ok(Self { convolution: Convolution::load(&weights.at("conv").at("conv"), shape)?, stride, to })
    }

    /// `[T, from, H, W]` to `[ceil(T / t), to, H / h, W / w]`; where time is folded, `T` is odd and the first frame counts twice.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = match self.stride.time {
            1 => x.clone(),
            time => Tensor::cat(&[&x.narrow(0, 0, time - 1)?, x], 0)?,
        };
        let folded = fold(&x, self.stride)?;
        let (t, c, h, w) = folded.dims4()?;
        let averages = folded.reshape((t, self.to, c / self.to, h, w))?.mean(2)?;
        Ok((fold(&self.convolution.forward(&x)?, self.stride)? + averages)?)
    }
}

/// A convolution whose channels unfold to twice the frames, rows and columns; the unfolded input may be added.
#[derive(Debug, Clone)]
pub struct Upsampler {
    convolution: Convolution,
    upsampling: Upsampling,
}

impl Upsampler {
    /// Takes its weights: `from` channels in, `from / factor` out.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, from: usize, (upsampling, sight): (Upsampling, Sight)) -> Result<Self> {
        let shape = Shape { from, to: from * DOUBLE.volume() / upsampling.factor, stride: 1, sight };
        Ok(Self { convolution: Convolution::load(&weights.at("conv").at("conv"), shape)?, upsampling })
    }

    /// A whole clip, `[T, C, H, W]` to `[2 T - 1, C / factor, 2 H, 2 W]`: the first of the doubled frames is left out.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let doubled = self.double(&self.convolution.forward(x)?, x)?;
        Ok(doubled.narrow(0, 1, doubled.dim(0)? - 1)?)
    }

    /// Its convolution.
    pub fn convolution(&self) -> &Convolution {
        &self.convolution
    }

    /// What comes after the convolution, with its input `x`: `[T, 8 C / factor, H, W]` to `[2 T, C / factor, 2 H, 2 W]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn double(&self, convolved: &Tensor, x: &Tensor) -> Result<Tensor> {
        let doubled = unfold(convolved, DOUBLE)?;
        if !self.upsampling.residual {
            return Ok(doubled);
        }
        let copies = DOUBLE.volume() / self.upsampling.factor;
        Ok((doubled + unfold(x, DOUBLE)?.repeat((1, copies, 1, 1))?)?)
    }
}
