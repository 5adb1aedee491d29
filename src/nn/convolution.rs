//! Convolutions over images and over frames of clips.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::error::{Error, Result};
use crate::ops::conv3d::{
    ClipEpilogue, Epilogue, PackedKernel, conv3d, conv3d_clip, definition, gains_from_clips, is_packable,
};
use crate::ops::float8::widened;
use crate::weights::store::{MappedValues, Placement, Scope, Weight};

/// What a convolution over frames does to its input, apart from the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameShape {
    /// Channels in.
    pub from: usize,
    /// Channels out.
    pub to: usize,
    /// Frames that the kernel spans.
    pub depth: usize,
    /// Side of the kernel in space: odd; frames are surrounded by zeros by half of it.
    pub side: usize,
    /// Step of the kernel in space.
    pub stride: usize,
}

/// A convolution over frames whose channels are innermost. Clones share the weights.
///
/// Where there are kernels for it the weight is packed while it is loaded; on the CPU it keeps its type. Elsewhere candle convolves.
#[derive(Debug, Clone)]
pub struct FrameConvolution {
    kept: Kept,
    shape: FrameShape,
    gains_from_clips: bool,
}

#[derive(Debug, Clone)]
enum Kept {
    /// With the bias.
    Packed(Arc<PackedKernel>),
    /// As [`definition`] takes it.
    Planes { planes: Tensor, bias: Tensor },
}

impl FrameConvolution {
    /// With `weight: [to, from, depth, side, side]` and `bias: [to]`.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, shape: FrameShape) -> Result<Self> {
        Self::of(weights, shape, &[shape.to, shape.from, shape.depth, shape.side, shape.side], &[0, 2, 1, 3, 4])
    }

    /// With `weight: [to, from, side, side]` and `bias: [to]`: the depth has to be 1.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load_flat(weights: &Scope, shape: FrameShape) -> Result<Self> {
        Self::of(
            weights,
            FrameShape { depth: 1, ..shape },
            &[shape.to, shape.from, shape.side, shape.side],
            &[0, 1, 2, 3],
        )
    }

    /// `stored`: the weight's shape; `axes`: their order with time before the channels.
    fn of(weights: &Scope, shape: FrameShape, stored: &[usize], axes: &[usize]) -> Result<Self> {
        let FrameShape { from, to, depth, side, .. } = shape;
        let bias = weights.take("bias", &[to])?;
        let Placement { dtype, device } = weights.placement();
        let gains_from_clips = gains_from_clips(device, *dtype);
        let planes = [to, depth * from, side, side];
        if !is_packable(device, *dtype) {
            let planes = weights.take_permuted("weight", stored, axes, &planes)?;
            return Ok(Self { kept: Kept::Planes { planes, bias }, shape, gains_from_clips });
        }
        let full = [to, from, depth, side, side];
        let packed = |weight: &Tensor| PackedKernel::new(&weight.to_dtype(*dtype)?.reshape(&full)?, Some(&bias));
        let kernel = match weights.take_weight("weight", stored)? {
            // Never computed with.
            Weight::Outline(_) => {
                let planes = Tensor::zeros((), *dtype, device)?.broadcast_as(&planes)?;
                return Ok(Self { kept: Kept::Planes { planes, bias }, shape, gains_from_clips });
            }
            // On the CPU bfloat16 stays what it is, whatever the type of what is convolved.
            Weight::Mapped(MappedValues { dtype: own @ (DType::F32 | DType::BF16), bytes }) if device.is_cpu() => {
                PackedKernel::from_bytes((bytes, own), full, Some(&bias))?
            }
            Weight::Mapped(MappedValues { dtype: own, bytes }) => {
                packed(&Tensor::from_raw_buffer(bytes, own, stored, device)?)?
            }
            Weight::Dense(weight) => packed(&weight)?,
            Weight::Float8(weight) => packed(&widened(&weight, *dtype)?)?,
            Weight::Quantized(weight) => packed(&weight.dequantize(device)?)?,
            Weight::Carried(_) => {
                let hint = "report it with the exact command";
                return Err(Error::run("a kernel", "a weight to pack", "one that is still on its way", hint));
            }
        };
        Ok(Self { kept: Kept::Packed(Arc::new(kernel)), shape, gains_from_clips })
    }

    /// What it does, apart from the weights.
    pub fn shape(&self) -> FrameShape {
        self.shape
    }

    /// One frame `[1, ceil(H / stride), ceil(W / stride), to]` from the frames that the kernel spans, `[1, H, W, from]` each, zeros where there is
    /// none.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn window(&self, frames: &[Option<&Tensor>], epilogue: Epilogue<'_>) -> Result<Tensor> {
        match &self.kept {
            Kept::Packed(kernel) => conv3d(frames, kernel, self.shape.stride, epilogue),
            Kept::Planes { planes, bias } => definition(frames, (planes, Some(bias)), self.shape.stride, epilogue),
        }
    }

    /// As many frames at once as there are `windows`: what [`window`](Self::window) gives for one after the other.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn windows(&self, windows: &[&[Option<&Tensor>]], epilogue: ClipEpilogue<'_>) -> Result<Vec<Tensor>> {
        match &self.kept {
            Kept::Packed(kernel) => conv3d_clip(windows, kernel, self.shape.stride, epilogue),
            Kept::Planes { .. } => {
                let one = |(index, frames): (usize, &&[_])| self.window(frames, epilogue.of(index));
                windows.iter().enumerate().map(one).collect()
            }
        }
    }

    /// Whether [`windows`](Self::windows) takes less time than one window after the other.
    pub fn gains_from_clips(&self) -> bool {
        self.gains_from_clips
    }

    /// A frame of the result from one frame, where the kernel spans one.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn forward(&self, frame: &Tensor) -> Result<Tensor> {
        self.window(&[Some(frame)], Epilogue::default())
    }
}
