//! From 8-bit RGB to the YUV 4:2:0 that video files hold, and back: ITU-R BT.709, limited ("tv") range (see [`super::colour`]), chroma sited
//! in the centre of four pixels (as in JPEG).
//!
//! The centre is not H.264's usual site (that is the left), so files have to say it. It is what most players assume whatever files say,
//! FFmpeg's scaler among them: an illustration comes back 0.7 to 0.9 dB nearer to the original than from the left site,
//! and players that honour the site gain as much.
//!
//! # Source
//! ITU-R BT.709-6, items 3.2 to 3.5, at 8 bits. The transfer function is left alone, as every player does: sRGB pictures are shown as they are.

use rayon::prelude::*;

use super::colour::{
    BITS, BLUE_SHARE, CHROMA_BLUE, CHROMA_RANGE, CHROMA_RED, GREEN_SHARE, LUMA, LUMA_RANGE, RED_SHARE, fixed,
};
use crate::picture::Picture;

/// Chroma is the mean of 2^2 pixels.
const MEAN_BITS: u32 = 2;

/// What a step of luma is in levels of red, green and blue alike, in fixed point.
const LUMA_STEP: i32 = fixed(1.0 / LUMA_RANGE);
/// What a step of the blue difference is in levels of blue, and of green, which loses it.
const BLUE_STEP: i32 = fixed(2.0 * (1.0 - BLUE_SHARE) / CHROMA_RANGE);
const BLUE_IN_GREEN: i32 = fixed(2.0 * (1.0 - BLUE_SHARE) * BLUE_SHARE / GREEN_SHARE / CHROMA_RANGE);
/// The same for the red difference.
const RED_STEP: i32 = fixed(2.0 * (1.0 - RED_SHARE) / CHROMA_RANGE);
const RED_IN_GREEN: i32 = fixed(2.0 * (1.0 - RED_SHARE) * RED_SHARE / GREEN_SHARE / CHROMA_RANGE);
/// Weights of the nearer and the farther chroma sample in each direction: sites lie a quarter and three quarters of their distance away.
const NEAR: i32 = 3;
const FAR: i32 = 1;
/// The weights of four samples sum to 2^4.
const BETWEEN_BITS: u32 = 4;

/// One frame as three planes: luma `[height, width]`, and the two colour differences `[height / 2, width / 2]`, uint8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Yuv420 {
    width: usize,
    /// Luma, blue difference (Cb), red difference (Cr); rows without padding.
    planes: [Vec<u8>; 3],
}

impl Yuv420 {
    /// A frame of the given size in pixels, both even.
    pub fn new(width: usize, height: usize) -> Self {
        assert!(width.is_multiple_of(2) && height.is_multiple_of(2), "4:2:0 of an odd size {width}x{height}");
        let chroma = width / 2 * (height / 2);
        Self { width, planes: [vec![0; width * height], vec![0; chroma], vec![0; chroma]] }
    }

    /// Plane `index` (luma, blue difference, red difference) and the length of its rows.
    pub fn plane(&self, index: usize) -> (&[u8], usize) {
        (&self.planes[index], if index == 0 { self.width } else { self.width / 2 })
    }

    /// Plane `index` and the length of its rows, to be written.
    #[cfg(feature = "ffmpeg")]
    pub fn plane_mut(&mut self, index: usize) -> (&mut [u8], usize) {
        (&mut self.planes[index], if index == 0 { self.width } else { self.width / 2 })
    }

    /// Converts a picture of this frame's size. Every row pair is computed on its own: the result does not depend on threads.
    ///
    /// # Source
    /// [`super::colour`]'s equations, at most 0.51 levels from the exact value.
    pub fn fill(&mut self, picture: &Picture) {
        let width = self.width;
        assert_eq!((picture.width(), picture.width() * picture.height()), (width, self.planes[0].len()));
        let [luma, blue, red] = &mut self.planes;
        let source_pairs = picture.pixels().par_chunks_exact(width * 6);
        let chroma_rows = blue.par_chunks_exact_mut(width / 2).zip(red.par_chunks_exact_mut(width / 2));
        luma.par_chunks_exact_mut(width * 2).zip(chroma_rows).zip(source_pairs).for_each(
            |((luma, (blue, red)), pair)| {
                for (value, pixel) in luma.iter_mut().zip(pair.chunks_exact(3)) {
                    *value = LUMA.of([pixel[0], pixel[1], pixel[2]].map(i32::from), 0);
                }
                let (upper, lower) = pair.split_at(width * 3);
                let quads = upper.chunks_exact(6).zip(lower.chunks_exact(6));
                for ((blue, red), (upper, lower)) in blue.iter_mut().zip(red).zip(quads) {
                    let sum = [0, 1, 2].map(|channel| {
                        [upper[channel], upper[channel + 3], lower[channel], lower[channel + 3]]
                            .map(i32::from)
                            .iter()
                            .sum()
                    });
                    *blue = CHROMA_BLUE.of(sum, MEAN_BITS);
                    *red = CHROMA_RED.of(sum, MEAN_BITS);
                }
            },
        );
    }

    /// The picture that the planes show. Chroma between its sites is interpolated linearly, and beyond the outermost goes on as it is.
    ///
    /// # Source
    /// [`super::colour`]'s equations solved for red, green and blue, in 16-bit fixed point.
    pub fn to_picture(&self) -> Picture {
        let [luma, blue, red] = &self.planes;
        let (width, height) = (self.width, luma.len() / self.width);
        let (across, down) = (width / 2, height / 2);
        let mut pixels = vec![0; width * height * 3];
        pixels.par_chunks_exact_mut(width * 3).enumerate().for_each(|(y, row)| {
            let (near, far) = sites(y, down);
            let mixed = |plane: &[u8], x: usize| {
                let sample = |y: usize, x: usize| i32::from(plane[y * across + x]) - 128;
                let column = |x: usize| NEAR * sample(near, x) + FAR * sample(far, x);
                let (near, far) = sites(x, across);
                NEAR * column(near) + FAR * column(far)
            };
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let grey = LUMA_STEP * ((i32::from(luma[y * width + x]) - 16) << BETWEEN_BITS);
                let (blue, red) = (mixed(blue, x), mixed(red, x));
                let green = grey - BLUE_IN_GREEN * blue - RED_IN_GREEN * red;
                let values = [grey + RED_STEP * red, green, grey + BLUE_STEP * blue];
                pixel.copy_from_slice(&values.map(to_level));
            }
        });
        Picture::new(width, height, pixels)
    }
}

/// Indices of the nearer and the farther of the two chroma samples that a line of luma lies between; both the same at the ends.
fn sites(position: usize, samples: usize) -> (usize, usize) {
    let near = position / 2;
    let far = if position.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(samples - 1) };
    (near, far)
}

/// A sum of samples between sites, in fixed point, as a level.
fn to_level(value: i32) -> u8 {
    let shift = BITS + BETWEEN_BITS;
    ((value + (1 << (shift - 1))) >> shift).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(color: [u8; 3]) -> [u8; 3] {
        let mut frame = Yuv420::new(4, 2);
        frame.fill(&Picture::new(4, 2, color.repeat(8)));
        assert!(frame.planes.iter().all(|plane| plane.iter().all(|value| *value == plane[0])));
        [0, 1, 2].map(|index| frame.planes[index][0])
    }

    /// Values of the 100 % colour bars in BT.709, as broadcast standards list them.
    #[test]
    fn colour_bars_have_their_standard_values() {
        assert_eq!(flat([0, 0, 0]), [16, 128, 128]);
        assert_eq!(flat([255, 255, 255]), [235, 128, 128]);
        assert_eq!(flat([255, 0, 0]), [63, 102, 240]);
        assert_eq!(flat([0, 255, 0]), [173, 42, 26]);
        assert_eq!(flat([0, 0, 255]), [32, 240, 118]);
        assert_eq!(flat([255, 255, 0]), [219, 16, 138]);
    }

    #[test]
    fn every_colour_is_within_rounding_of_the_exact_value() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let [r, g, b] = [red, green, blue].map(f64::from);
                    let y = RED_SHARE * r + GREEN_SHARE * g + BLUE_SHARE * b;
                    let exact = [
                        16.0 + LUMA_RANGE * y,
                        128.0 + CHROMA_RANGE * (b - y) / (2.0 * (1.0 - BLUE_SHARE)),
                        128.0 + CHROMA_RANGE * (r - y) / (2.0 * (1.0 - RED_SHARE)),
                    ];
                    let found = flat([red as u8, green as u8, blue as u8]);
                    for (found, exact) in found.iter().zip(exact) {
                        assert!((f64::from(*found) - exact).abs() <= 0.51, "{red} {green} {blue}: {found}, {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn chroma_is_the_mean_of_four_pixels() {
        let (white, blue) = ([255, 255, 255], [0, 0, 255]);
        let rows = [[white, blue, blue, blue].concat(), [white, white, blue, blue].concat()];
        let mut frame = Yuv420::new(4, 2);
        frame.fill(&Picture::new(4, 2, rows.concat()));
        assert_eq!(frame.plane(1), (&[128 + (240 - 128) / 4, 240][..], 2));
    }

    #[test]
    fn greys_come_back_within_a_level_and_colours_within_three() {
        let back = |color: [u8; 3]| {
            let mut frame = Yuv420::new(4, 4);
            frame.fill(&Picture::new(4, 4, color.repeat(16)));
            let picture = frame.to_picture();
            assert!(picture.pixels().chunks_exact(3).all(|pixel| pixel == picture.pixel(0, 0)));
            picture.pixel(0, 0)
        };
        for grey in 0..=255_u8 {
            let found = back([grey; 3]);
            assert!(found[0].abs_diff(grey) <= 1 && found == [found[0]; 3], "{grey}: {found:?}");
        }
        for red in (0..=255).step_by(17) {
            for green in (0..=255).step_by(17) {
                for blue in (0..=255).step_by(17) {
                    let color = [red, green, blue];
                    let found = back(color);
                    let largest = found.iter().zip(color).map(|(found, value)| found.abs_diff(value)).max();
                    assert!(largest <= Some(3), "{color:?}: {found:?}");
                }
            }
        }
    }

    /// Blue rises from one chroma sample to the next by 16: between the sites it lies on the straight line, at the ends it is flat.
    #[test]
    fn chroma_between_its_sites_is_interpolated() {
        let frame = Yuv420 { width: 6, planes: [vec![126; 12], vec![112, 128, 144], vec![128; 3]] };
        let picture = frame.to_picture();
        let exact = |step: f64| (110.0 * 255.0 / 219.0 + step * 1.8556 * 255.0 / 224.0).round() as u8;
        for y in 0..2 {
            let blues = [0, 1, 2, 3, 4, 5].map(|x| picture.pixel(x, y)[2]);
            assert_eq!(blues, [-16.0, -12.0, -4.0, 4.0, 12.0, 16.0].map(exact));
        }
    }
}
