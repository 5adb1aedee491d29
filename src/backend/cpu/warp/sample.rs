//! Between the pixels: the weights of 16 coefficients, and their sum.

use super::spline::{PADDING, SplinePicture};
use crate::backend::cpu::pixels::{BLOCK, floor};

/// How much of its second derivative is taken from the spline halfway between pixels.
///
/// Interpolation blurs what is near a pixel in size, most halfway, so a slowly moving line would go soft and crisp in turns. With this share the energy of
/// gradients of line drawings stays within 3 % at every distance; without it, it falls to 0.83 (Catmull-Rom: 0.72).
const SHARPENING: f32 = 0.046;

/// Weights of the four coefficients around a place at `t` between the second and the third: the uniform cubic B-spline, sharpened.
#[inline(always)]
fn spline_weights(t: f32) -> [f32; 4] {
    const SIXTH: f32 = 1.0 / 6.0;
    let u = 1.0 - t;
    let (t3, u3) = (t * t * t, u * u * u);
    let third = (1.0 + 3.0 * (t + t * t) - 3.0 * t3) * SIXTH;
    let (first, fourth) = (u3 * SIXTH, t3 * SIXTH);
    let sharpening = SHARPENING * 64.0 * t3 * u3;
    [
        first - sharpening * u,
        1.0 - first - third - fourth - sharpening * (3.0 * t - 2.0),
        third - sharpening * (1.0 - 3.0 * t),
        fourth - sharpening * t,
    ]
}

impl SplinePicture {
    /// The spline at the centre of pixel (column, row) moved by `displacement`: red, green, blue in 0 to 255 and slightly beyond.
    pub fn sample(&self, column: usize, row: usize, displacement: [f32; 2]) -> [f32; 3] {
        let (x, tx) = padded_place(column, displacement[0], self.picture().width());
        let (y, ty) = padded_place(row, displacement[1], self.picture().height());
        let [red, green, blue, _] =
            self.weighted((y - 1) * self.stride + x - 1, spline_weights(tx), spline_weights(ty));
        [red, green, blue]
    }

    /// [`sample`](Self::sample) for a block of pixels of `row`, from `column` on. `None` where one of them comes from far beyond the border.
    #[inline(always)]
    pub(super) fn sample_block(
        &self,
        column: usize,
        row: usize,
        displacements: [&[f32; BLOCK]; 2],
    ) -> Option<[[f32; 4]; BLOCK]> {
        let columns = std::array::from_fn(|index| (column + index) as u32 as f32);
        let x = Places::new(columns, displacements[0], self.picture().width())?;
        let y = Places::new([row as u32 as f32; BLOCK], displacements[1], self.picture().height())?;
        let mut first = [0_u32; BLOCK];
        for (index, first) in first.iter_mut().enumerate() {
            *first = (y.pixels[index] - 1) * self.stride as u32 + x.pixels[index] - 1;
        }
        let mut colours = [[0.0; 4]; BLOCK];
        for (index, colour) in colours.iter_mut().enumerate() {
            let across = x.weights.each_ref().map(|weights| weights[index]);
            let down = y.weights.each_ref().map(|weights| weights[index]);
            *colour = self.weighted(first[index] as usize, across, down);
        }
        Some(colours)
    }

    /// The sum of four rows of four coefficients, the first of which is `first`.
    #[inline(always)]
    fn weighted(&self, first: usize, across: [f32; 4], down: [f32; 4]) -> [f32; 4] {
        let row = |tap: usize| -> &[f32; 16] {
            let row = self.coefficients[first + tap * self.stride..][..4].as_flattened();
            row.first_chunk().expect("four values of four coefficients")
        };
        let rows = [row(0), row(1), row(2), row(3)];
        let mut line = [0.0; 16];
        for (index, value) in line.iter_mut().enumerate() {
            *value = (down[0] * rows[0][index] + down[1] * rows[1][index])
                + (down[2] * rows[2][index] + down[3] * rows[3][index]);
        }
        let mut sum = [0.0; 4];
        for (lane, value) in sum.iter_mut().enumerate() {
            *value = (across[0] * line[lane] + across[1] * line[4 + lane])
                + (across[2] * line[8 + lane] + across[3] * line[12 + lane]);
        }
        sum
    }
}

/// Where a block of places lies on one axis of the padded picture.
struct Places {
    /// The pixel at or before each, counted from the padding's edge.
    pixels: [u32; BLOCK],
    /// The weights of the coefficients, by tap.
    weights: [[f32; BLOCK]; 4],
}

impl Places {
    /// Of pixels moved by their displacements. `None` where one leaves the padding.
    #[inline(always)]
    fn new(pixels: [f32; BLOCK], displacements: &[f32; BLOCK], size: usize) -> Option<Self> {
        let (least, end) = (-REACH as f32, (size as isize + REACH) as f32);
        let mut inside = true;
        let mut whole = [0.0; BLOCK];
        let mut weights = [[0.0; BLOCK]; 4];
        for index in 0..BLOCK {
            let before = floor(displacements[index]);
            whole[index] = pixels[index] + before;
            inside &= (whole[index] >= least) & (whole[index] < end);
            let taps = spline_weights(displacements[index] - before);
            for (weights, tap) in weights.iter_mut().zip(taps) {
                weights[index] = tap;
            }
        }
        if !inside {
            return None;
        }
        let mut pixels = [0; BLOCK];
        for (pixel, whole) in pixels.iter_mut().zip(whole) {
            // SAFETY: `inside` says that it lies within the padding.
            #[allow(unsafe_code)]
            let whole = unsafe { whole.to_int_unchecked::<i32>() };
            *pixel = (whole + PADDING as i32) as u32;
        }
        Some(Self { pixels, weights })
    }
}

/// How far beyond the border a place may lie for all its coefficients to be stored.
const REACH: isize = PADDING as isize - 3;

/// Where the place `index + displacement` lies in the padded line: the pixel at or before it, and the way from there, 0 to 1.
fn padded_place(index: usize, displacement: f32, size: usize) -> (usize, f32) {
    let whole = displacement.floor();
    let pixel = index as isize + whole as isize;
    if pixel >= -REACH && pixel < size as isize + REACH {
        return ((pixel + PADDING as isize) as usize, displacement - whole);
    }
    let period = 2.0 * size as f32;
    let edge = (index as f32 + 0.5 + displacement).rem_euclid(period);
    let place = edge.min(period - edge) - 0.5;
    let pixel = place.floor();
    ((pixel as isize + PADDING as isize) as usize, place - pixel)
}
