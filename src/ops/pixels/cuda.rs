//! Frames on CUDA.

use candle_core::{DType, Tensor};

use crate::backend::cuda::device::{Gpu, empty, first_value, pointer};
use crate::backend::cuda::launch::Element;
use crate::backend::cuda::pixels::{DecodedFrame, PixelPlan};
use crate::error::Result;

/// A frame's bytes on the device, with what the kernel saw.
pub(super) struct Written {
    pub plan: PixelPlan,
    pub bytes: Tensor,
}

impl Written {
    /// The pixels, unless a value was not finite.
    pub(super) fn finite(self) -> Result<Option<Vec<u8>>> {
        Ok(self.plan.pixels(self.bytes.to_vec1()?))
    }
}

/// `frame: [3, H, W]` to the bytes of its pixels; `None` for other devices, types and sizes.
pub(super) fn write(frame: &Tensor) -> Result<Option<Written>> {
    let (Some(gpu), Some(element)) = (Gpu::of(frame.device())?, Element::of(frame.dtype())) else { return Ok(None) };
    let (_, height, width) = frame.dims3()?;
    let strides = frame.stride();
    let decoded = DecodedFrame {
        element,
        values: first_value(frame)?,
        size: [height, width],
        strides: [strides[0], strides[1], strides[2]],
    };
    let Some(plan) = PixelPlan::new(&decoded) else { return Ok(None) };
    let bytes = empty(plan.bytes(), DType::U8, frame.device())?;
    gpu.launch(&plan.launch(pointer(&bytes)?))?;
    Ok(Some(Written { plan, bytes }))
}
