//! A picture on a device that draws frames of it.
//!
//! A frame is what its rows are on the CPU by [`warp`](super::warp), [`soften_row`](super::soften::soften_row) and
//! [`relight_row`](super::relight::relight_row), one after the other: the same bytes. Only they leave the device.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Device;

use super::soften::BlurredPicture;
use super::warp::{DisplacementGrid, ReplacedRows, SplinePicture};
use crate::error::Result;
use crate::picture::Picture;

/// What a canvas is made for.
#[derive(Clone, Copy)]
pub struct CanvasPicture<'a> {
    /// The picture, each side of less than 2^16 pixels.
    pub picture: &'a SplinePicture,
    /// What the gain of light is multiplied by at each pixel, `[height, width]`.
    pub strengths: &'a [f32],
}

/// How a frame is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// From where each pixel is taken.
    pub grid: &'a DisplacementGrid,
    /// What is seen beyond the borders, if that is out of focus; the same for all frames that have it.
    pub blurred: Option<&'a BlurredPicture>,
    /// Gain of light where its strength is 1, as a share of a pixel's light.
    pub gain: f32,
    /// What is added to the gain of red and taken from that of blue.
    pub warm: f32,
}

/// A picture on a device. Frames come in the order in which they are begun.
pub trait Canvas {
    /// Takes rows over that have changed in `picture`, for the frames that are begun from now on.
    ///
    /// # Errors
    /// A device that fails.
    fn refresh(&mut self, picture: &SplinePicture, rows: &ReplacedRows) -> Result<()>;

    /// Begins with a frame.
    ///
    /// # Errors
    /// Too little memory, or a device that fails.
    fn begin(&mut self, drawing: &Drawing<'_>) -> Result<()>;

    /// Whether it is worth to begin with a further frame before the first is finished.
    fn takes_more(&self) -> bool;

    /// The frame that was begun first; `None` where there is none.
    ///
    /// # Errors
    /// A device that fails.
    fn finish(&mut self) -> Result<Option<Picture>>;
}

/// A canvas of this device; `None` where there is none, and the CPU draws.
///
/// # Errors
/// Too little memory, or a device that fails.
#[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
pub fn on(device: &Device, picture: &CanvasPicture<'_>) -> Result<Option<Box<dyn Canvas>>> {
    #[cfg(feature = "cuda")]
    if let Some(canvas) = cuda::CudaCanvas::new(device, picture)? {
        return Ok(Some(Box::new(canvas)));
    }
    Ok(None)
}
