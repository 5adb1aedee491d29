//! Light on a warped picture, rounded to bytes.

use super::launch::Launch;
use super::warp::{BLOCK, grid_of_pixels};

/// A warped picture on the device and the light on it.
#[derive(Debug, Clone, Copy)]
pub struct Relight {
    /// Address of the colours, `[3, height, width]`, float32.
    pub colours: u64,
    /// Address of what each pixel's gain is multiplied by, `[height, width]`, float32.
    pub strengths: u64,
    /// Address of `[height, width, 3]`, for the bytes.
    pub bytes: u64,
    /// Pixels, below 2^16.
    pub width: usize,
    /// Pixels, below 2^16.
    pub height: usize,
    /// Gain where the strength is 1, as a share of a pixel's light.
    pub gain: f32,
    /// What is added to the gain of red and taken from that of blue.
    pub warmth: f32,
}

/// `RelightParameters` of `relight.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct RelightParameters {
    colours: u64,
    strengths: u64,
    bytes: u64,
    width: i32,
    height: i32,
    gain: f32,
    warmth: f32,
}

/// One pass over the pixels.
///
/// # Panics
/// If a side is not within the bounds that [`Relight`] states.
pub fn plan(relight: &Relight) -> Launch<RelightParameters> {
    let Relight { colours, strengths, bytes, width, height, gain, warmth } = *relight;
    let grid = grid_of_pixels(width, height);
    let parameters =
        RelightParameters { colours, strengths, bytes, width: width as i32, height: height as i32, gain, warmth };
    Launch { kernel: "relight", grid, block: BLOCK as u32, shared_bytes: 0, parameters }
}
