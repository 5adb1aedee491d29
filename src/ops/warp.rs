//! Warp: shows every pixel of a picture from another place.
//!
//! `out(p) = spline(p + d(p))`, where `d` interpolates a coarse grid of displacements and `spline` is the cubic spline through the picture's
//! pixels, mirrored at the borders, less `0.046 (4 t (1 - t))^3` of its second derivative along each axis at the share `t` of the way between pixels; where `d` is exactly zero, `out(p)` is the pixel itself. Runs on the CPU: fast enough for every device.

use rayon::prelude::*;

pub use crate::backend::cpu::warp::{DisplacementGrid, MARGIN, PixelRectangle, Replaced, STEP, Scratch, SplinePicture};
use crate::picture::Picture;

/// The warped picture. `finish(row, displacements, values, bytes)` turns a row of values (0 to 255 and slightly beyond, `[width, 4]`) into bytes (`[width, 3]`);
/// `displacements` (`[width, 2]`) are where they came from.
pub fn warp(
    picture: &SplinePicture,
    grid: &DisplacementGrid,
    finish: impl Fn(usize, &[[f32; 2]], &mut [[f32; 4]], &mut [u8]) + Sync,
) -> Picture {
    let (width, height) = (picture.picture().width(), picture.picture().height());
    let mut pixels = vec![0; width * height * 3];
    pixels.par_chunks_mut(width * 3).enumerate().for_each_init(
        || (Scratch::default(), vec![[0.0; 4]; width]),
        |(scratch, values), (row, bytes)| {
            picture.warp_row(grid, row, scratch, values);
            finish(row, &scratch.displacements, values, bytes);
        },
    );
    Picture::new(width, height, pixels)
}

/// Rounds values to bytes: what `finish` is where nothing else is to be done.
pub fn round_row(values: &[[f32; 4]], bytes: &mut [u8]) {
    for (value, pixel) in values.iter().zip(bytes.chunks_exact_mut(3)) {
        for (byte, &lane) in pixel.iter_mut().zip(value) {
            *byte = (lane + 0.5) as u8; // the conversion saturates
        }
    }
}
