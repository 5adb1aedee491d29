//! Folding of time and space into channels and back, and the layers that change resolution by it.

use candle_core::{DType, Tensor};

use super::config::{Stride, Upsampling};
use super::convolution::{Convolution, Shape, Sight, Window};
use crate::error::Result;
use crate::ops::conv3d::ClipEpilogue;
use crate::ops::fold::{fold, unfold};
use crate::weights::store::Scope;

/// The only stride of the decoder.
const DOUBLE: Stride = Stride { time: 2, height: 2, width: 2 };

/// Pixels into channels, `[T, C, H, W]` to frames `[1, H / p, W / p, C p p]`; the channel is `(c p + w offset) p + h offset`.
///
/// # Errors
/// A failed tensor operation, such as sides that do not divide.
pub fn fold_patches(x: &Tensor, patch: usize) -> Result<Vec<Tensor>> {
    let (t, c, h, w) = x.dims4()?;
    let x = x.reshape(&[t, c, h / patch, patch, w / patch, patch][..])?;
    let x = x.permute([0, 2, 4, 1, 5, 3])?.reshape((t, h / patch, w / patch, c * patch * patch))?;
    (0..t).map(|frame| Ok(x.narrow(0, frame, 1)?.force_contiguous()?)).collect()
}

/// The inverse of [`fold_patches`] for one frame: `[1, H, W, C p p]` to `[1, C, p H, p W]`.
///
/// # Errors
/// A failed tensor operation, such as channels that do not divide.
pub fn unfold_patches(x: &Tensor, patch: usize) -> Result<Tensor> {
    let (_, h, w, c) = x.dims4()?;
    let c = c / (patch * patch);
    let x = x.reshape(&[h, w, c, patch, patch][..])?;
    Ok(x.permute([2, 0, 4, 1, 3])?.reshape((1, c, h * patch, w * patch))?)
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

    /// Frames `[1, H, W, from]` to `ceil(T / t)` frames `[1, H / h, W / w, to]`; where time is folded, `T` is odd and the first frame counts twice.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, frames: &[Tensor]) -> Result<Vec<Tensor>> {
        let Stride { time, height, width } = self.stride;
        let frames = [&frames[..time - 1], frames].concat();
        let convolved = self.convolution.forward(&frames)?;
        let folded = |frames: &[Tensor]| fold(&frames.iter().collect::<Vec<_>>(), [height, width]);
        let pairs = frames.chunks_exact(time).zip(convolved.chunks_exact(time));
        let one = |(frames, convolved): (&[Tensor], &[Tensor])| {
            let inputs = folded(frames)?;
            let (one, h, w, c) = inputs.dims4()?;
            let averages = inputs.to_dtype(DType::F32)?.reshape((one, h, w, self.to, c / self.to))?.mean(4)?;
            let convolved = folded(convolved)?;
            Ok((convolved.to_dtype(DType::F32)? + averages)?.to_dtype(convolved.dtype())?)
        };
        pairs.map(one).collect()
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

    /// A whole clip: frames `[1, H, W, C]` to `2 T - 1` frames `[1, 2 H, 2 W, C / factor]`: the first of the doubled ones is left out.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, frames: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut doubled = self.double(&self.convolution.windows(frames))?;
        doubled.remove(0);
        Ok(doubled)
    }

    /// Which frames it sees.
    pub fn sight(&self) -> Sight {
        self.convolution.shape().sight
    }

    /// Two frames `[1, 2 H, 2 W, C / factor]` for each window of the three that the convolution sees, `[1, H, W, C]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn double(&self, windows: &[Window]) -> Result<Vec<Tensor>> {
        let Stride { time, height, width } = DOUBLE;
        let mut doubled = Vec::with_capacity(time * windows.len());
        for (window, convolved) in windows.iter().zip(self.convolution.convolve(windows, ClipEpilogue::default())?) {
            let due = self.upsampling.residual.then(|| &window[self.sight().before()]);
            doubled.extend(unfold(&convolved, [time, height, width], due)?);
        }
        Ok(doubled)
    }
}
