//! Resizing: Lanczos-3, without aliasing when shrinking and without halos when enlarging.

use std::f64::consts::PI;

use rayon::prelude::*;

use crate::picture::Picture;

/// A shrunk picture is first averaged in blocks, for as long as it stays this many times larger than what is wanted. The filter then
/// sees at least so many samples a pixel, enough for the result to be the same to the eye (see the test that compares them).
const LEFT_FOR_THE_FILTER: usize = 4;
/// Lobes of the filter on either side.
const LOBES: f64 = 3.0;

/// Left, top, width and height of a part of a picture, in pixels.
pub(super) type Part = [usize; 4];

/// A part of a picture, resized to `width` x `height` pixels. All sides are above zero. The same on any number of threads.
pub(super) fn resize(picture: &Picture, part: Part, width: usize, height: usize) -> Picture {
    let [_, _, part_width, part_height] = part;
    let block = |from: usize, to: usize| (from / to / LEFT_FOR_THE_FILTER).max(1);
    let (across, down) = (block(part_width, width), block(part_height, height));
    let plane = averaged(picture, part, across, down);
    let columns = Taps::new(part_width, across, width);
    let rows = Taps::new(part_height, down, height);

    let mut pixels = vec![0; width * height * 3];
    pixels.par_chunks_exact_mut(width * 3).enumerate().for_each_init(Vec::new, |row, (y, out)| {
        rows.mix_rows(y, &plane, row);
        columns.mix_pixels(row, out);
    });
    Picture::new(width, height, pixels)
}

/// Values of a picture, `[height, width, 3]`.
struct Plane {
    stride: usize,
    values: Vec<f32>,
}

/// The part of a picture in means of blocks of `across` x `down` pixels; the last ones are smaller where it does not come out even.
fn averaged(picture: &Picture, [left, top, width, height]: Part, across: usize, down: usize) -> Plane {
    let stride = width.div_ceil(across) * 3;
    let mut values = vec![0.0; stride * height.div_ceil(down)];
    values.par_chunks_exact_mut(stride).enumerate().for_each(|(block_row, out)| {
        let rows = block_row * down..((block_row + 1) * down).min(height);
        let mut sums = vec![0_u32; stride];
        for y in rows.clone() {
            let start = ((top + y) * picture.width() + left) * 3;
            let row = &picture.pixels()[start..start + width * 3];
            for (sum, block) in sums.chunks_exact_mut(3).zip(row.chunks(across * 3)) {
                for pixel in block.chunks_exact(3) {
                    sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(*value));
                }
            }
        }
        for (block, (out, sum)) in out.chunks_exact_mut(3).zip(sums.chunks_exact(3)).enumerate() {
            let columns = across.min(width - block * across);
            let share = 1.0 / (columns * rows.len()) as f32;
            out.iter_mut().zip(sum).for_each(|(out, sum)| *out = *sum as f32 * share);
        }
    });
    Plane { stride, values }
}

/// Which samples make each sample of a resized line.
struct Taps {
    /// For each new sample: the first old one, and the weights of that and the next ones.
    weights: Vec<(usize, Vec<f32>)>,
    /// For each new sample the two old ones that it lies between, when enlarging.
    between: Option<Vec<(usize, usize)>>,
}

impl Taps {
    /// For a line of `length` samples in blocks of `block`, resized to `wanted`.
    fn new(length: usize, block: usize, wanted: usize) -> Self {
        let samples = length.div_ceil(block);
        // Of one new sample, in old ones.
        let step = length as f64 / (block * wanted) as f64;
        let stretch = step.max(1.0);
        let last = samples as isize - 1;
        let weights = (0..wanted).map(|index| {
            let centre = (index as f64 + 0.5) * step - 0.5;
            let first = ((centre - LOBES * stretch).ceil() as isize).clamp(0, last);
            let end = ((centre + LOBES * stretch).floor() as isize).clamp(first, last);
            let weights: Vec<f64> = (first..=end).map(|at| lanczos((at as f64 - centre) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            (first as usize, weights.iter().map(|weight| (weight / sum) as f32).collect())
        });
        let between = (0..wanted).map(|index| {
            let below = ((index as f64 + 0.5) * step - 0.5).floor() as isize;
            (below.clamp(0, last) as usize, (below + 1).clamp(0, last) as usize)
        });
        Self { weights: weights.collect(), between: (step < 1.0).then(|| between.collect()) }
    }

    /// Row `index` of a plane of another height.
    fn mix_rows(&self, index: usize, plane: &Plane, out: &mut Vec<f32>) {
        let row = |y: usize| &plane.values[y * plane.stride..][..plane.stride];
        let (first, weights) = &self.weights[index];
        out.clear();
        out.resize(plane.stride, 0.0);
        for (y, weight) in weights.iter().enumerate() {
            out.iter_mut().zip(row(first + y)).for_each(|(out, value)| *out += weight * value);
        }
        if let Some(between) = &self.between {
            let (above, below) = between[index];
            for (out, (a, b)) in out.iter_mut().zip(row(above).iter().zip(row(below))) {
                *out = without_halo(*out, *a, *b);
            }
        }
    }

    /// A row of another width, rounded.
    fn mix_pixels(&self, row: &[f32], out: &mut [u8]) {
        for (index, (pixel, (first, weights))) in out.chunks_exact_mut(3).zip(&self.weights).enumerate() {
            let mut sums = [0.0; 3];
            for (value, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                sums.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight * value);
            }
            if let Some(between) = &self.between {
                let (left, right) = between[index];
                for (channel, sum) in sums.iter_mut().enumerate() {
                    *sum = without_halo(*sum, row[left * 3 + channel], row[right * 3 + channel]);
                }
            }
            pixel.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum.round() as u8);
        }
    }
}

/// What the filter gives between two samples, kept between their values: what it adds beyond them is a halo along an edge.
fn without_halo(value: f32, a: f32, b: f32) -> f32 {
    value.clamp(a.min(b), a.max(b))
}

/// # Source
/// C. E. Duchon, "Lanczos Filtering in One and Two Dimensions", 1979: sinc windowed by the central lobe of a wider sinc.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}
