//! Rows of pixels as planes of float32, which loops can take many pixels of at a time, and back to bytes.

use super::gemm::{Kernels, Loops};

/// Pixels that loops take together: a vector of the widest instruction set.
pub(super) const BLOCK: usize = 16;

/// A row of colours, 0 to 255 and slightly beyond.
#[derive(Debug, Clone, Default)]
pub struct RowColours {
    /// Red, green and blue, `[width]` each, and at least [`BLOCK`].
    planes: [Vec<f32>; 3],
    width: usize,
}

impl RowColours {
    /// A row of so many black pixels.
    pub fn new(width: usize) -> Self {
        Self { planes: std::array::from_fn(|_| vec![0.0; padded(width)]), width }
    }

    /// Pixels of the row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Red, green and blue of one pixel.
    pub fn pixel(&self, column: usize) -> [f32; 3] {
        assert!(column < self.width, "a pixel of the row");
        self.planes.each_ref().map(|plane| plane[column])
    }

    /// Changes one pixel.
    #[inline(always)]
    pub fn set_pixel(&mut self, column: usize, colour: [f32; 3]) {
        for (plane, value) in self.planes.iter_mut().zip(colour) {
            plane[column] = value;
        }
    }

    /// The pixels of the block that starts at `start`.
    #[inline(always)]
    pub(super) fn block(&self, start: usize) -> [&[f32; BLOCK]; 3] {
        self.planes.each_ref().map(|plane| block(plane, start))
    }

    /// Those pixels, to be changed.
    #[inline(always)]
    pub(super) fn block_mut(&mut self, start: usize) -> [&mut [f32; BLOCK]; 3] {
        self.planes.each_mut().map(|plane| block_mut(plane, start))
    }
}

/// Values that a row of so many pixels takes, so that it has a whole block.
pub(super) fn padded(width: usize) -> usize {
    width.max(BLOCK)
}

/// Where the blocks of a padded row start. The last one overlaps the one before where the width is no multiple of a block's.
#[inline(always)]
pub(super) fn starts(width: usize) -> impl Iterator<Item = usize> {
    let last = padded(width) - BLOCK;
    (0..width.div_ceil(BLOCK)).map(move |index| (index * BLOCK).min(last))
}

/// The values of a padded row in the block that starts at `start`.
#[inline(always)]
pub(super) fn block(values: &[f32], start: usize) -> &[f32; BLOCK] {
    values[start..].first_chunk().expect("a whole block")
}

/// Those values, to be changed.
#[inline(always)]
pub(super) fn block_mut(values: &mut [f32], start: usize) -> &mut [f32; BLOCK] {
    values[start..].first_chunk_mut().expect("a whole block")
}

/// The largest whole number up to `value`, whose magnitude is below `2^22`. Exact, in operations that every processor has.
#[inline(always)]
pub(super) fn floor(value: f32) -> f32 {
    /// Adding and subtracting it rounds to the nearest whole number: `1.5 * 2^23`.
    const ROUNDING: f32 = 12_582_912.0;
    let nearest = (value + ROUNDING) - ROUNDING;
    if nearest > value { nearest - 1.0 } else { nearest }
}

/// A colour's level, rounded to the nearest and limited to 0 to 255.
#[inline(always)]
fn level(value: f32) -> u32 {
    let value = value + 0.5;
    // Not `clamp`: this way NaN becomes 0.
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    // SAFETY: it lies between 0 and 255.
    #[allow(unsafe_code)]
    unsafe {
        value.to_int_unchecked::<i32>() as u32
    }
}

/// Writes a block's pixels to the front of `bytes`, as far as there are any.
#[inline(always)]
pub(super) fn store(colours: [&[f32; BLOCK]; 3], bytes: &mut [u8]) {
    let [red, green, blue] = colours;
    let mut words = [0_u32; BLOCK];
    for (pixel, word) in words.iter_mut().enumerate() {
        *word = level(red[pixel]) | level(green[pixel]) << 8 | level(blue[pixel]) << 16;
    }
    let mut packed = [0; 3 * BLOCK + 1];
    for (pixel, word) in words.iter().enumerate() {
        // The fourth byte is overwritten by the next pixel's first.
        packed[3 * pixel..3 * pixel + 4].copy_from_slice(&word.to_le_bytes());
    }
    match bytes.first_chunk_mut::<{ 3 * BLOCK }>() {
        Some(bytes) => bytes.copy_from_slice(&packed[..3 * BLOCK]),
        None => bytes.copy_from_slice(&packed[..bytes.len()]),
    }
}

/// Rounds a row to bytes, `[width, 3]`.
///
/// # Panics
/// If `bytes` has another width.
pub fn round_row(colours: &RowColours, kernels: &Kernels, bytes: &mut [u8]) {
    assert_eq!(bytes.len(), 3 * colours.width, "bytes of the row");
    kernels.run(Rounding { colours, bytes });
}

struct Rounding<'a> {
    colours: &'a RowColours,
    bytes: &'a mut [u8],
}

impl Loops for Rounding<'_> {
    #[inline(always)]
    fn run(self) {
        for start in starts(self.colours.width) {
            store(self.colours.block(start), &mut self.bytes[3 * start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_exact() {
        for value in [0.0, 0.5, 0.999_999_94, 1.0, -0.25, -1.0, -1e-7, 1e-7, 4095.75, -4_194_303.0, 4_194_302.5] {
            assert_eq!(floor(value), value.floor(), "{value}");
        }
    }

    #[test]
    fn levels_are_rounded_and_limited_in_rows_of_every_width() {
        for width in [1, 5, 15, 16, 17, 31, 40] {
            let mut colours = RowColours::new(width);
            for column in 0..width {
                let value = column as f32;
                colours.set_pixel(column, [value + 0.49, value - 30.0, value + 230.5]);
            }
            for kernels in Kernels::available() {
                let mut bytes = vec![7; 3 * width];
                round_row(&colours, kernels, &mut bytes);
                for (column, pixel) in bytes.chunks_exact(3).enumerate() {
                    let wanted = [column, column.saturating_sub(30), (column + 231).min(255)].map(|level| level as u8);
                    assert_eq!(pixel, wanted, "column {column} of {width} on {}", kernels.name());
                }
            }
        }
    }
}
