//! What lies beyond the borders of a warped picture, out of focus.

use super::launch::Launch;
use super::warp::{BLOCK, grid_of_pixels};
use crate::backend::cpu::soften::CELL;
use crate::backend::cpu::warp::{MARGIN, STEP};

/// A warped picture on the device, and the same out of focus.
#[derive(Debug, Clone, Copy)]
pub struct Soften {
    /// Address of the [planes out of focus](crate::backend::cpu::soften::BlurredPicture), one after the other.
    pub planes: u64,
    /// Address of the [grid's values](crate::backend::cpu::warp::DisplacementGrid) that the picture was warped by.
    pub nodes: u64,
    /// Address of the colours, `[3, height, width]`, float32, which are changed.
    pub colours: u64,
    /// Pixels, below 2^16.
    pub width: usize,
    /// Pixels, below 2^16.
    pub height: usize,
    /// Pixels beyond the border over which the focus is lost.
    pub depth: f32,
}

/// `SoftenParameters` of `soften.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct SoftenParameters {
    planes: u64,
    nodes: u64,
    colours: u64,
    width: i32,
    height: i32,
    columns: i32,
    cell_columns: i32,
    cell_rows: i32,
    depth: f32,
}

/// One pass over the pixels.
///
/// # Panics
/// If a side is not within the bounds that [`Soften`] states.
pub fn plan(soften: &Soften) -> Launch<SoftenParameters> {
    let Soften { planes, nodes, colours, width, height, depth } = *soften;
    let parameters = SoftenParameters {
        planes,
        nodes,
        colours,
        width: width as i32,
        height: height as i32,
        columns: (width.div_ceil(STEP) + 2 * MARGIN) as i32,
        cell_columns: width.div_ceil(CELL) as i32,
        cell_rows: height.div_ceil(CELL) as i32,
        depth,
    };
    Launch { kernel: "soften", grid: grid_of_pixels(width, height), block: BLOCK as u32, shared_bytes: 0, parameters }
}
