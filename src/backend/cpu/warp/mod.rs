//! Warping on the CPU: cubic spline coefficients made once per picture, then 16 taps a pixel.
//!
//! Four coefficients in a row are the 16 values of a vector: a pixel is four loads and sums of vectors down, then a sum of four quarters. Loops are
//! plain Rust that every instruction set compiles for itself, without fused multiply-add, so all give the same bits.
//!
//! Bound by loads: 256 bytes a pixel, most of them from the second cache.

mod grid;
mod sample;
mod spline;

pub use grid::{DisplacementGrid, MARGIN, RowDisplacements, STEP};
pub use spline::{PADDING, PixelRectangle, Replaced, ReplacedRows, SplinePicture};

use super::gemm::{Kernels, Loops};
use super::pixels::{RowColours, block, starts};

/// A row to be warped.
pub struct WarpedRow<'a> {
    /// Its number.
    pub row: usize,
    /// Where its pixels come from, as it was used; overwritten.
    pub displacements: &'a mut RowDisplacements,
    /// Its colours: 0 to 255 and slightly beyond; where nothing is displaced, the pixels themselves. Overwritten.
    pub colours: &'a mut RowColours,
}

/// Warps one row.
///
/// # Panics
/// If the row is none of the picture's, or has another width.
pub fn warp_row(picture: &SplinePicture, grid: &DisplacementGrid, kernels: &Kernels, row: WarpedRow<'_>) {
    assert_eq!(row.colours.width(), picture.picture().width(), "width of the row");
    assert!(row.row < picture.picture().height(), "row of the picture");
    kernels.run(Warping { picture, grid, row });
}

struct Warping<'a> {
    picture: &'a SplinePicture,
    grid: &'a DisplacementGrid,
    row: WarpedRow<'a>,
}

impl Loops for Warping<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { picture, grid, row: WarpedRow { row, displacements, colours } } = self;
        let width = colours.width();
        grid.interpolate_row(row, width, displacements);
        let [along_x, along_y] = displacements.values();
        for start in starts(width) {
            let [x, y] = [block(along_x, start), block(along_y, start)];
            let moving = x.iter().zip(y).fold(0, |count, (x, y)| count + u32::from((*x != 0.0) | (*y != 0.0)));
            let sampled = if moving > 0 { picture.sample_block(start, row, [x, y]) } else { None };
            if let Some(sampled) = &sampled {
                for (lane, plane) in colours.block_mut(start).into_iter().enumerate() {
                    for (value, colour) in plane.iter_mut().zip(sampled) {
                        *value = colour[lane];
                    }
                }
                if moving as usize == x.len() {
                    continue;
                }
            }
            for (index, (&x, &y)) in x.iter().zip(y).enumerate().take(width - start) {
                let column = start + index;
                if [x, y] == [0.0, 0.0] {
                    colours.set_pixel(column, picture.picture().pixel(column, row).map(f32::from));
                } else if sampled.is_none() {
                    colours.set_pixel(column, picture.sample(column, row, [x, y]));
                }
            }
        }
    }
}
