//! Convolutions over time and space.

use candle_core::Tensor;
use candle_nn::{Conv2d, Conv2dConfig};

use crate::error::Result;
use crate::ops::conv2d::conv2d;
use crate::weights::store::Scope;

/// Frames that a kernel spans.
pub const SPAN: usize = 3;

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

/// A 3 by 3 by 3 convolution, as a 2-D convolution over three frames whose channels are put side by side. Space is padded with zeros.
#[derive(Debug, Clone)]
pub struct Convolution {
    planes: Conv2d,
    shape: Shape,
}

impl Convolution {
    /// Takes `weight: [to, from, 3, 3, 3]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, shape: Shape) -> Result<Self> {
        let Shape { from, to, stride, .. } = shape;
        let planes = [to, SPAN * from, SPAN, SPAN];
        let weight = weights.take_permuted("weight", &[to, from, SPAN, SPAN, SPAN], &[0, 2, 1, 3, 4], &planes)?;
        let config = Conv2dConfig { padding: 1, stride, ..Conv2dConfig::default() };
        Ok(Self { planes: Conv2d::new(weight, Some(weights.take("bias", &[to])?), config), shape })
    }

    /// What it does, apart from the weights.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A whole clip: `[T, from, H, W]` to `[ceil(T / stride), to, ceil(H / stride), ceil(W / stride)]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let frames = x.dim(0)?;
        let seen = |offset: usize| {
            let indexes: Vec<u32> = (0..frames)
                .step_by(self.shape.stride)
                .map(|frame| (frame + offset).saturating_sub(self.shape.sight.before()).min(frames - 1) as u32)
                .collect();
            x.index_select(&Tensor::new(indexes, x.device())?, 0)
        };
        self.window(&[seen(0)?, seen(1)?, seen(2)?])
    }

    /// One frame from the three that it sees, `[1, from, H, W]` each, to `[1, to, H, W]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn window(&self, frames: &[Tensor; SPAN]) -> Result<Tensor> {
        conv2d(&self.planes, &Tensor::cat(frames, 1)?)
    }
}

/// A 1 by 1 by 1 convolution: the same for every frame and place.
#[derive(Debug, Clone)]
pub struct Pointwise(Conv2d);

impl Pointwise {
    /// Takes `weight: [to, from, 1, 1, 1]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, from: usize, to: usize) -> Result<Self> {
        let weight = weights.take_permuted("weight", &[to, from, 1, 1, 1], &[0, 1, 2, 3, 4], &[to, from, 1, 1])?;
        Ok(Self(Conv2d::new(weight, Some(weights.take("bias", &[to])?), Conv2dConfig::default())))
    }

    /// `[T, from, H, W]` to `[T, to, H, W]`.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv2d(&self.0, x)
    }
}
