//! Convolutions over time and space.

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::convolution::{FrameConvolution, FrameShape};
use crate::ops::conv3d::ClipEpilogue;
use crate::weights::store::Scope;

/// Frames that a kernel spans.
pub const SPAN: usize = 3;

/// The frames that a kernel spans, `[1, H, W, C]` each.
pub type Window = [Tensor; SPAN];

/// Which frames a convolution over time sees. Beyond the clip's ends it sees the first or the last frame again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// A frame and the two before it.
    Causal,
    /// A frame, the one before and the one after it.
    Symmetric,
}

impl Sight {
    /// As a configuration says it.
    pub fn from_causal(causal: bool) -> Self {
        if causal { Self::Causal } else { Self::Symmetric }
    }

    /// Frames before the one that is computed.
    pub fn before(self) -> usize {
        match self {
            Self::Causal => SPAN - 1,
            Self::Symmetric => (SPAN - 1) / 2,
        }
    }
}

/// What a convolution does to its input, apart from the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels in.
    pub from: usize,
    /// Channels out.
    pub to: usize,
    /// Step in time, height and width.
    pub stride: usize,
    /// Which frames it sees.
    pub sight: Sight,
}

/// A 3 by 3 by 3 convolution. Space is padded with zeros.
#[derive(Debug, Clone)]
pub struct Convolution {
    frames: FrameConvolution,
    shape: Shape,
}

impl Convolution {
    /// Takes `weight: [to, from, 3, 3, 3]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, shape: Shape) -> Result<Self> {
        let Shape { from, to, stride, .. } = shape;
        let frames = FrameConvolution::load(weights, FrameShape { from, to, depth: SPAN, side: SPAN, stride })?;
        Ok(Self { frames, shape })
    }

    /// What it does, apart from the weights.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What each frame of the result sees of a whole clip: `ceil(T / stride)` windows.
    pub fn windows(&self, frames: &[Tensor]) -> Vec<Window> {
        let seen = |frame: usize, offset: usize| {
            frames[(frame + offset).saturating_sub(self.shape.sight.before()).min(frames.len() - 1)].clone()
        };
        let window = |frame| std::array::from_fn(|offset| seen(frame, offset));
        (0..frames.len()).step_by(self.shape.stride).map(window).collect()
    }

    /// A whole clip: frames `[1, H, W, from]` to `ceil(T / stride)` frames `[1, ceil(H / stride), ceil(W / stride), to]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, frames: &[Tensor]) -> Result<Vec<Tensor>> {
        self.convolve(&self.windows(frames), ClipEpilogue::default())
    }

    /// As many frames `[1, H, W, to]` as there are windows, each from the three that it sees, `[1, H, W, from]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn convolve(&self, windows: &[Window], epilogue: ClipEpilogue<'_>) -> Result<Vec<Tensor>> {
        let windows: Vec<_> = windows.iter().map(|window| window.each_ref().map(Some)).collect();
        self.frames.windows(&windows.iter().map(<[_; SPAN]>::as_slice).collect::<Vec<_>>(), epilogue)
    }

    /// Whether several windows at once take less time than one after the other.
    pub fn gains_from_clips(&self) -> bool {
        self.frames.gains_from_clips()
    }
}

/// A 1 by 1 by 1 convolution: the same for every frame and place.
#[derive(Debug, Clone)]
pub struct Pointwise(FrameConvolution);

impl Pointwise {
    /// Takes `weight: [to, from, 1, 1, 1]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        Ok(Self(FrameConvolution::load(weights, FrameShape { from, to, depth: 1, side: 1, stride: 1 })?))
    }

    /// A frame `[1, H, W, from]` to `[1, H, W, to]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, frame: &Tensor) -> Result<Tensor> {
        self.0.forward(frame)
    }
}
