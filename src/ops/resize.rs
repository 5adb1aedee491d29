//! Antialiased resizing of pictures.

use rayon::prelude::*;

use crate::picture::Picture;

/// A part of a picture, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Number of columns, at least 1.
    pub width: usize,
    /// Number of rows, at least 1.
    pub height: usize,
}

impl Window {
    /// All of the picture.
    pub fn whole(picture: &Picture) -> Self {
        Self { left: 0, top: 0, width: picture.width(), height: picture.height() }
    }
}

/// The window of the picture at another size: planes `[3, height, width]`, float32, 0 to 255.
///
/// Each result pixel is the mean of the source under a triangle whose half-width is one result pixel, and at least one source pixel: bilinear
/// interpolation when enlarging, free of aliasing when shrinking. Nothing outside the window is looked at.
///
/// # Source
/// `torch.nn.functional.interpolate(mode="bilinear", antialias=True)`, PyTorch 2.x, which follows Pillow.
pub fn resize(picture: &Picture, window: Window, width: usize, height: usize) -> Vec<f32> {
    let across = taps(window.width, width);
    let down = taps(window.height, height);
    // First along the rows, which shrinks what the second pass reads: `[window.height, width, 3]`.
    let mut narrow = vec![0f32; window.height * width * 3];
    narrow.par_chunks_mut(width * 3).enumerate().for_each(|(row, target)| {
        let start = ((window.top + row) * picture.width() + window.left) * 3;
        let source = &picture.pixels()[start..start + window.width * 3];
        for (pixel, taps) in target.chunks_exact_mut(3).zip(&across) {
            for (weight, from) in taps.weights.iter().zip(source[taps.first * 3..].chunks_exact(3)) {
                for (sum, &value) in pixel.iter_mut().zip(from) {
                    *sum += weight * f32::from(value);
                }
            }
        }
    });
    let mut planes = vec![0f32; 3 * height * width];
    planes.par_chunks_mut(width).enumerate().for_each(|(index, target)| {
        let (channel, taps) = (index / height, &down[index % height]);
        for (offset, weight) in taps.weights.iter().enumerate() {
            let source = &narrow[(taps.first + offset) * width * 3..][..width * 3];
            for (sum, from) in target.iter_mut().zip(source.chunks_exact(3)) {
                *sum += weight * from[channel];
            }
        }
    });
    planes
}

/// The source pixels that one result pixel is made of.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// For each of `to` pixels, its taps among `from` pixels.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    (0..to)
        .map(|index| {
            let centre = (index as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let distance = |tap: usize| ((tap as f64 + 0.5 - centre) / reach).abs();
            let weights: Vec<f64> = (first..end).map(|tap| (1.0 - distance(tap)).max(0.0)).collect();
            let sum: f64 = weights.iter().sum();
            Taps { first, weights: weights.iter().map(|weight| (weight / sum) as f32).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[u8]) -> Picture {
        Picture::new(values.len(), 1, values.iter().flat_map(|&value| [value, value, value]).collect())
    }

    fn resized_row(values: &[u8], window: Window, width: usize) -> Vec<f32> {
        resize(&row(values), window, width, 1)[..width].to_vec()
    }

    /// By hand: halving has weights 3/4, 3/4, 1/4 at distances 1/2, 1/2, 3/2, divided by their sum 7/4.
    #[test]
    fn halving_by_hand() {
        let result = resized_row(&[70, 70, 140, 0], Window { left: 0, top: 0, width: 4, height: 1 }, 2);
        assert!((result[0] - 80.0).abs() < 1e-4, "{result:?}");
        assert!((result[1] - (0.75 * 140.0 + 0.25 * 70.0) / 1.75).abs() < 1e-4, "{result:?}");
    }

    /// By hand: result centres at 1/4, 3/4, 5/4, 7/4 of the source.
    #[test]
    fn enlarging_is_bilinear() {
        let result = resized_row(&[0, 100], Window { left: 0, top: 0, width: 2, height: 1 }, 4);
        assert_eq!(result, [0.0, 25.0, 75.0, 100.0]);
    }

    #[test]
    fn only_the_window_counts() {
        let result = resized_row(&[255, 10, 20, 255], Window { left: 1, top: 0, width: 2, height: 1 }, 2);
        assert_eq!(result, [10.0, 20.0]);
    }

    #[test]
    fn rows_and_channels_keep_their_places() {
        let pixels: Vec<u8> = (0..2 * 4 * 3).collect();
        let result = resize(&Picture::new(2, 4, pixels), Window { left: 0, top: 0, width: 2, height: 4 }, 2, 4);
        let expected: Vec<f32> =
            (0..3).flat_map(|channel| (0..8).map(move |pixel| (pixel * 3 + channel) as f32)).collect();
        assert_eq!(result, expected);
    }
}
