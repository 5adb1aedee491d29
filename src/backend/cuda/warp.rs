//! A picture re-sampled along a grid of displacements.

use super::launch::Launch;
use crate::backend::cpu::warp::{MARGIN, PADDING, STEP};

/// A picture on the device and where its pixels are to come from.
#[derive(Debug, Clone, Copy)]
pub struct Warp {
    /// Address of the [spline's coefficients](crate::backend::cpu::warp::SplinePicture::coefficients).
    pub coefficients: u64,
    /// Address of the picture, `[height, width, 3]`, bytes.
    pub pixels: u64,
    /// Address of the [grid's values](crate::backend::cpu::warp::DisplacementGrid).
    pub nodes: u64,
    /// Address of `[3, height, width]`, float32, for the colours: 0 to 255 and slightly beyond.
    pub colours: u64,
    /// Pixels, below 2^16.
    pub width: usize,
    /// Pixels, below 2^16.
    pub height: usize,
}

/// `WarpParameters` of `warp.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct WarpParameters {
    coefficients: u64,
    pixels: u64,
    nodes: u64,
    colours: u64,
    width: i32,
    height: i32,
    stride: i32,
    columns: i32,
}

/// Threads of a block, a pixel each.
pub(super) const BLOCK: usize = 128;

/// One pass over the pixels.
///
/// # Panics
/// If a side is not within the bounds that [`Warp`] states.
pub fn plan(warp: &Warp) -> Launch<WarpParameters> {
    let Warp { coefficients, pixels, nodes, colours, width, height } = *warp;
    let parameters = WarpParameters {
        coefficients,
        pixels,
        nodes,
        colours,
        width: width as i32,
        height: height as i32,
        stride: (width + 2 * PADDING) as i32,
        columns: (width.div_ceil(STEP) + 2 * MARGIN) as i32,
    };
    Launch { kernel: "warp", grid: grid_of_pixels(width, height), block: BLOCK as u32, shared_bytes: 0, parameters }
}

/// The blocks of kernels that take parts of rows along x and rows along y.
pub(super) fn grid_of_pixels(width: usize, height: usize) -> [u32; 3] {
    assert!(width < 1 << 16 && height < 1 << 16, "sides of a picture");
    [width.div_ceil(BLOCK) as u32, height as u32, 1]
}
