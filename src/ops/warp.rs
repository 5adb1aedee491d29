//! Warp: shows every pixel of a picture from another place.
//!
//! `out(p) = spline(p + d(p))`, where `d` interpolates a coarse grid of displacements and `spline` is the cubic spline through the picture's
//! pixels, mirrored at the borders, less `0.046 (4 t (1 - t))^3` of its second derivative along each axis at the share `t` of the way between
//! pixels; where `d` is exactly zero, `out(p)` is the pixel itself. Here it runs on the CPU; [`canvas`](super::canvas) is the same on a device.

use rayon::prelude::*;

use super::gemm::Kernels;
pub use crate::backend::cpu::pixels::RowColours;
pub use crate::backend::cpu::warp::{
    DisplacementGrid, MARGIN, PixelRectangle, Replaced, ReplacedRows, RowDisplacements, STEP, SplinePicture,
};
use crate::backend::cpu::{pixels, warp};
use crate::picture::Picture;

/// What makes bytes of a warped row: its number, where its colours came from, the colours, and the bytes, `[width, 3]`.
pub trait Finish: Fn(usize, &RowDisplacements, &mut RowColours, &mut [u8]) + Sync {}

impl<F: Fn(usize, &RowDisplacements, &mut RowColours, &mut [u8]) + Sync> Finish for F {}

/// The warped picture. Every row is warped on its own: the result does not depend on threads, nor on the processor's instructions.
pub fn warp(picture: &SplinePicture, grid: &DisplacementGrid, finish: impl Finish) -> Picture {
    warp_with(picture, grid, Kernels::fastest(), finish)
}

/// [`warp`] on the instruction set of one's choice.
pub fn warp_with(
    picture: &SplinePicture,
    grid: &DisplacementGrid,
    kernels: &'static Kernels,
    finish: impl Finish,
) -> Picture {
    let (width, height) = (picture.picture().width(), picture.picture().height());
    let mut pixels = vec![0; width * height * 3];
    pixels.par_chunks_mut(width * 3).enumerate().for_each_init(
        || (RowDisplacements::default(), RowColours::new(width)),
        |(displacements, colours), (row, bytes)| {
            warp::warp_row(picture, grid, kernels, warp::WarpedRow { row, displacements, colours });
            finish(row, displacements, colours, bytes);
        },
    );
    Picture::new(width, height, pixels)
}

/// Rounds a row to bytes: what `finish` is where nothing else is to be done.
pub fn round_row(colours: &RowColours, bytes: &mut [u8]) {
    pixels::round_row(colours, Kernels::fastest(), bytes);
}
