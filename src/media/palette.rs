//! 255 colours for a whole clip, and each pixel as one of two of them in a pattern that stands still.
//!
//! One palette for all frames, because one a frame would make still parts flicker; and ordered dithering, because the errors that
//! Floyd and Steinberg's spreads over its neighbours run through still parts like ants.

use rayon::prelude::*;

/// Colours of a palette at most. GIF has 256; one is left to say "unchanged".
pub(super) const MOST_COLORS: usize = 255;
/// Colours are told apart to this many bits a channel before they are counted.
const BITS: u32 = 6;
const BINS: usize = 1 << (3 * BITS);
/// How much the eye minds an error in red, green and blue, with 1 for the mean.
const CHANNEL_WEIGHTS: [f64; 3] = [0.8, 1.4, 0.8];
/// Rounds of k-means after the splits; the error hardly falls after these.
const ROUNDS: usize = 8;
/// Two colours mixed in a pattern are minded this much of their squared distance, the more the closer to one half: a pattern of colours
/// far apart is grainy.
const GRAIN: f64 = 0.12;
/// A colour is mixed of two among this many that are nearest to it.
const CANDIDATES: usize = 12;

/// Side of the dithering pattern.
const SIDE: usize = 8;
/// Bayer's matrix: every share of `SIDE * SIDE` is as evenly spread as it can be.
const PATTERN: [[u8; SIDE]; SIDE] = bayer();

const fn bayer() -> [[u8; SIDE]; SIDE] {
    let mut pattern = [[0; SIDE]; SIDE];
    let mut y = 0;
    while y < SIDE {
        let mut x = 0;
        while x < SIDE {
            let (mut value, mut bit) = (0, 0);
            while bit < 3 {
                let (right, down) = (x >> bit & 1, y >> bit & 1);
                value = value << 2 | (right ^ down) << 1 | down;
                bit += 1;
            }
            pattern[y][x] = value as u8;
            x += 1;
        }
        y += 1;
    }
    pattern
}

type Rgb = [f64; 3];

/// How often each colour occurs in a clip.
pub(super) struct Histogram {
    /// By [`bin_of`]: number of pixels, and the sums of their channels.
    bins: Vec<(u64, [u64; 3])>,
}

impl Histogram {
    pub fn new() -> Self {
        Self { bins: vec![(0, [0; 3]); BINS] }
    }

    /// Counts `[.., 3]` pixels.
    pub fn add(&mut self, pixels: &[u8]) {
        for pixel in pixels.chunks_exact(3) {
            let (count, sums) = &mut self.bins[bin_of(pixel)];
            *count += 1;
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += u64::from(*value);
            }
        }
    }

    /// The best palette for what was counted, and how each colour is made of it.
    ///
    /// # Source
    /// Splits by the largest squared error along the widest channel (in the manner of X. Wu, "Color quantization by dynamic programming and
    /// principal analysis", 1992, without its optimal cuts), then k-means (S. P. Lloyd, "Least squares quantization in PCM", 1982). Mixing
    /// in pairs is after J. Yliluoma's "arbitrary-palette positional dithering algorithm".
    pub fn palette(&self) -> Palette {
        let used: Vec<usize> = (0..BINS).filter(|&bin| self.bins[bin].0 > 0).collect();
        let samples: Vec<Sample> = used
            .iter()
            .map(|&bin| {
                let (count, sums) = self.bins[bin];
                Sample { color: sums.map(|sum| sum as f64 / count as f64), weight: count as f64 }
            })
            .collect();
        let mut colors = split(&samples);
        for _ in 0..ROUNDS {
            refine(&samples, &mut colors);
        }
        let colors: Vec<[u8; 3]> = colors.iter().map(|color| color.map(|value| value.round() as u8)).collect();
        let exact: Vec<Rgb> = colors.iter().map(|color| color.map(f64::from)).collect();
        let mixtures: Vec<Mixture> = samples.par_iter().map(|sample| mix(sample.color, &exact)).collect();
        let mut table = vec![Mixture { colors: [0; 2], share: 0 }; BINS];
        for (bin, mixture) in used.into_iter().zip(mixtures) {
            table[bin] = mixture;
        }
        Palette { colors, table }
    }
}

/// The colours of a clip, and what each pixel becomes.
pub(super) struct Palette {
    colors: Vec<[u8; 3]>,
    /// By [`bin_of`].
    table: Vec<Mixture>,
}

impl Palette {
    /// At most [`MOST_COLORS`].
    pub fn colors(&self) -> &[[u8; 3]] {
        &self.colors
    }

    /// The index of the colour for a pixel that was counted, at column `x` and row `y`.
    pub fn index(&self, pixel: &[u8], x: usize, y: usize) -> u8 {
        let Mixture { colors, share } = self.table[bin_of(pixel)];
        colors[usize::from(PATTERN[y % SIDE][x % SIDE] < share)]
    }
}

/// A colour as a pattern of two of the palette.
#[derive(Clone, Copy)]
struct Mixture {
    /// Indices, the darker one first, so that patterns of neighbouring colours fit together.
    colors: [u8; 2],
    /// How many of the pattern's places have the second.
    share: u8,
}

struct Sample {
    color: Rgb,
    weight: f64,
}

fn bin_of(pixel: &[u8]) -> usize {
    pixel[..3].iter().fold(0, |bin, value| bin << BITS | usize::from(value >> (8 - BITS)))
}

fn distance(one: Rgb, other: Rgb) -> f64 {
    (0..3).map(|channel| CHANNEL_WEIGHTS[channel] * (one[channel] - other[channel]).powi(2)).sum()
}

/// A box of samples: their mean, and the weighted squared error around it in each channel.
struct Cluster {
    members: Vec<usize>,
    mean: Rgb,
    errors: Rgb,
}

impl Cluster {
    fn of(samples: &[Sample], members: Vec<usize>) -> Self {
        let weight: f64 = members.iter().map(|&member| samples[member].weight).sum();
        let mean = [0, 1, 2].map(|channel| {
            members.iter().map(|&member| samples[member].weight * samples[member].color[channel]).sum::<f64>() / weight
        });
        let errors = [0, 1, 2].map(|channel| {
            let squares = members
                .iter()
                .map(|&member| samples[member].weight * (samples[member].color[channel] - mean[channel]).powi(2));
            CHANNEL_WEIGHTS[channel] * squares.sum::<f64>()
        });
        Self { members, mean, errors }
    }

    fn error(&self) -> f64 {
        self.errors.iter().sum()
    }
}

/// Splits the samples, each time where the error is largest, until there are as many colours as a palette takes or all are exact.
fn split(samples: &[Sample]) -> Vec<Rgb> {
    let mut clusters = vec![Cluster::of(samples, (0..samples.len()).collect())];
    while clusters.len() < MOST_COLORS {
        let largest = (0..clusters.len()).max_by(|&a, &b| clusters[a].error().total_cmp(&clusters[b].error()));
        let Some(largest) = largest.filter(|&index| clusters[index].members.len() > 1) else { break };
        let Cluster { members, mean, errors } = clusters.swap_remove(largest);
        let widest = (0..3).max_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or(0);
        let (low, high): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|&member| samples[member].color[widest] < mean[widest]);
        // Rounding may put the mean of equal values beside them.
        for half in [low, high] {
            if !half.is_empty() {
                clusters.push(Cluster::of(samples, half));
            }
        }
    }
    clusters.into_iter().map(|cluster| cluster.mean).collect()
}

/// Moves each colour to the mean of the samples that it is nearest to.
fn refine(samples: &[Sample], colors: &mut [Rgb]) {
    let nearest: Vec<usize> = samples
        .par_iter()
        .map(|sample| {
            let by_distance = |&a: &usize, &b: &usize| {
                distance(sample.color, colors[a]).total_cmp(&distance(sample.color, colors[b]))
            };
            (0..colors.len()).min_by(by_distance).unwrap_or(0)
        })
        .collect();
    // One after the other, so that rounding does not depend on the threads.
    let mut sums = vec![([0.0; 3], 0.0); colors.len()];
    for (sample, &color) in samples.iter().zip(&nearest) {
        let (sum, weight) = &mut sums[color];
        (0..3).for_each(|channel| sum[channel] += sample.weight * sample.color[channel]);
        *weight += sample.weight;
    }
    for (color, (sum, weight)) in colors.iter_mut().zip(sums) {
        if weight > 0.0 {
            *color = sum.map(|value| value / weight);
        }
    }
}

/// The pair of colours, and the share of the second, that come closest to `color` without too much grain.
fn mix(color: Rgb, colors: &[Rgb]) -> Mixture {
    let mut near: Vec<usize> = (0..colors.len()).collect();
    near.sort_by(|&a, &b| distance(color, colors[a]).total_cmp(&distance(color, colors[b])));
    near.truncate(CANDIDATES);
    let places = (SIDE * SIDE) as f64;
    let mut best = (f64::INFINITY, [0; 2], 0.0);
    for (rank, &first) in near.iter().enumerate() {
        for &second in &near[rank..] {
            let (from, to) = (colors[first], colors[second]);
            let apart = distance(from, to);
            let along: f64 = (0..3)
                .map(|channel| {
                    CHANNEL_WEIGHTS[channel] * (color[channel] - from[channel]) * (to[channel] - from[channel])
                })
                .sum();
            let share = if apart > 0.0 { ((along / apart).clamp(0.0, 1.0) * places).round() / places } else { 0.0 };
            let mixed = [0, 1, 2].map(|channel| from[channel] + share * (to[channel] - from[channel]));
            let cost = distance(color, mixed) + GRAIN * 4.0 * share * (1.0 - share) * apart;
            if cost < best.0 {
                best = (cost, [first, second], share);
            }
        }
    }
    let (_, mut pair, mut share) = best;
    let light = |index: usize| (0..3).map(|channel| CHANNEL_WEIGHTS[channel] * colors[index][channel]).sum::<f64>();
    if light(pair[0]) > light(pair[1]) {
        pair.reverse();
        share = 1.0 - share;
    }
    Mixture { colors: pair.map(|index| index as u8), share: (share * places) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn palette_of(pixels: &[u8]) -> Palette {
        let mut histogram = Histogram::new();
        histogram.add(pixels);
        histogram.palette()
    }

    #[test]
    fn few_colours_are_kept_exactly() {
        let colors = [[0, 0, 0], [255, 255, 255], [200, 30, 40], [12, 90, 160]];
        let palette = palette_of(&colors.concat());
        assert_eq!(palette.colors().len(), 4);
        for color in colors {
            for place in 0..64 {
                assert_eq!(palette.colors()[usize::from(palette.index(&color, place % 8, place / 8))], color);
            }
        }
    }

    #[test]
    fn the_pattern_has_every_place_once() {
        let mut places = PATTERN.concat();
        places.sort();
        assert_eq!(places, (0..64).collect::<Vec<_>>());
        assert_eq!(PATTERN[0][..2], [0, 32]);
        assert_eq!(PATTERN[1][..2], [48, 16]);
    }

    /// Many more colours than a palette has: patterns of two come closer on the whole than the nearest one alone.
    #[test]
    fn patterns_come_close_to_colours_that_the_palette_lacks() {
        let pixels: Vec<u8> = (0..BINS)
            .flat_map(|bin| [bin >> 12 & 63, bin >> 6 & 63, bin & 63].map(|value| (value << 2) as u8))
            .collect();
        let palette = palette_of(&pixels);
        assert_eq!(palette.colors().len(), MOST_COLORS);
        let (mut mixed_error, mut nearest_error) = (0.0, 0.0);
        for pixel in pixels.chunks_exact(3).step_by(997) {
            let color = [pixel[0], pixel[1], pixel[2]].map(f64::from);
            let mut mean = [0.0; 3];
            for place in 0..64 {
                let shown = palette.colors()[usize::from(palette.index(pixel, place % 8, place / 8))];
                (0..3).for_each(|channel| mean[channel] += f64::from(shown[channel]) / 64.0);
            }
            mixed_error += distance(color, mean);
            nearest_error += palette
                .colors()
                .iter()
                .map(|other| distance(color, other.map(f64::from)))
                .min_by(f64::total_cmp)
                .unwrap();
        }
        assert!(mixed_error < 0.5 * nearest_error, "{mixed_error} against {nearest_error}");
    }
}
