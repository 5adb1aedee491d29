//! Light on a row of colours, rounded to bytes.
//!
//! Bound by arithmetic: a division and about 20 other operations a value.

use super::gemm::{Kernels, Loops};
use super::pixels::{BLOCK, RowColours, block, floor, padded, starts, store};

/// How the light on a row changes.
#[derive(Debug, Clone, Copy)]
pub struct Light<'a> {
    /// Gain of each pixel, as a share of its light: `[width]`.
    pub gains: &'a LightGains,
    /// What is added to the gain of red and taken from that of blue.
    pub warm: f32,
    /// The row's number: the dither differs from row to row.
    pub row: usize,
}

/// Gains of a row of pixels.
#[derive(Debug, Clone)]
pub struct LightGains {
    values: Vec<f32>,
    width: usize,
}

impl LightGains {
    /// One gain a pixel.
    pub fn new(mut gains: Vec<f32>) -> Self {
        let width = gains.len();
        gains.resize(padded(width), 0.0);
        Self { values: gains, width }
    }
}

/// Lights a row and rounds it to bytes, `[width, 3]`.
///
/// # Panics
/// If a width differs.
pub fn relight_row(colours: &RowColours, light: &Light<'_>, kernels: &Kernels, bytes: &mut [u8]) {
    assert_eq!(light.gains.width, colours.width(), "gains of the row");
    assert_eq!(bytes.len(), 3 * colours.width(), "bytes of the row");
    kernels.run(Relighting { colours, light, bytes });
}

struct Relighting<'a> {
    colours: &'a RowColours,
    light: &'a Light<'a>,
    bytes: &'a mut [u8],
}

impl Loops for Relighting<'_> {
    #[inline(always)]
    fn run(self) {
        let Light { gains, warm, row } = *self.light;
        for start in starts(self.colours.width()) {
            let gains = block(&gains.values, start);
            let mut noise = [0.0; BLOCK];
            for (index, noise) in noise.iter_mut().enumerate() {
                *noise = dither(start + index, row);
            }
            let colours = self.colours.block(start);
            let mut lit = [[0.0; BLOCK]; 3];
            for ((lit, colours), warm) in lit.iter_mut().zip(colours).zip([warm, 0.0, -warm]) {
                for index in 0..BLOCK {
                    lit[index] = relit(colours[index], gains[index] + warm, noise[index]);
                }
            }
            store(lit.each_ref(), &mut self.bytes[3 * start..]);
        }
    }
}

/// A value of 0 to 255 under `1 + gain` times the light; what is bright already gains less, so that white stays white without clipping.
///
/// Smooth ramps of light would show steps of one level; the fixed pattern hides them, and fades in with the change.
#[inline(always)]
fn relit(value: f32, gain: f32, noise: f32) -> f32 {
    let before = if value > 0.0 { value } else { 0.0 };
    let before = if before < 255.0 { before } else { 255.0 };
    let share = before * (1.0 / 255.0);
    let bound = if gain > 0.0 { gain } else { 0.0 } * share * share * share;
    let after = before * (1.0 + gain) / (1.0 + bound);
    let change = (after - before).abs();
    after + noise * if change < 1.0 { change } else { 1.0 }
}

/// A fixed, even pattern in -0.5 to 0.5.
///
/// # Source
/// Jimenez: "Next generation post processing in Call of Duty: Advanced Warfare" (2014), interleaved gradient noise.
#[inline(always)]
fn dither(column: usize, row: usize) -> f32 {
    let fraction = |value: f32| value - floor(value);
    let inner = fraction(0.067_110_56 * column as u32 as f32 + 0.005_837_15 * row as u32 as f32);
    fraction(52.982_918 * inner) - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_keeps_order_and_range() {
        for gain in [-0.4, -0.12, 0.0, 0.12, 0.4] {
            let mut last = -1.0;
            for level in 0..=255 {
                let value = relit(level as f32, gain, 0.0);
                assert!(value > last && value <= 255.0, "level {level} at gain {gain} becomes {value} after {last}");
                last = value;
            }
        }
    }

    #[test]
    fn no_light_changes_nothing() {
        for level in 0..=255 {
            assert_eq!(relit(level as f32, 0.0, 0.5), level as f32);
        }
    }
}
