//! Group norm over the frames of a clip on the CPU: one pass that measures, and one that writes.
//!
//! Bound by memory once there are several threads. Sums are float64, over pixels in order within parts of a fixed size, and then over the parts in
//! order: a result does not depend on the number of threads.

use rayon::prelude::*;

use super::element::Element;
use super::gelu::silu_of;
use super::gemm::{Kernels, Loops, Values, ValuesMut};

/// Channels, and how they are divided.
#[derive(Debug, Clone, Copy)]
pub struct Groups {
    /// Channels of a pixel.
    pub channels: usize,
    /// Groups of neighbouring channels that are normalised together: a divisor of `channels`.
    pub count: usize,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// What is done to each channel: `(x - mean) * factor + shift`.
pub struct Channels {
    /// `[channels]`.
    pub means: Vec<f32>,
    /// `[channels]`.
    pub factors: Vec<f32>,
    /// `[channels]`.
    pub shifts: Vec<f32>,
}

/// Values of one task.
const TASK: usize = 1 << 14;

/// Means and reciprocal deviations of the channels' groups over all of `frames: [pixels, channels]`; shifts of 0.
///
/// # Panics
/// If a length or a number of groups does not fit.
pub fn measure(frames: &[Values<'_>], groups: Groups, kernels: &'static Kernels) -> Channels {
    let Groups { channels, count, epsilon } = groups;
    assert!(count > 0 && channels > 0 && channels % count == 0, "groups of channels");
    let mut sums = vec![Sums::default(); channels];
    let mut values = 0;
    for frame in frames {
        assert_eq!(frame.len() % channels, 0, "values of a frame");
        values += frame.len() / count;
        let parts = match frame {
            Values::Float32(frame) => parts(frame, channels, kernels),
            Values::Bfloat16(frame) => parts(frame, channels, kernels),
        };
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sums, part)| sums.add(part));
        }
    }
    let each = channels / count;
    let mut result = Channels { means: Vec::new(), factors: Vec::new(), shifts: vec![0.0; channels] };
    for group in sums.chunks_exact(each) {
        let mut total = Sums::default();
        group.iter().for_each(|&part| total.add(part));
        let mean = total.values / values as f64;
        let variance = (total.squares / values as f64 - mean * mean).max(0.0);
        result.means.extend(vec![mean as f32; each]);
        result.factors.extend(vec![(1.0 / (variance + epsilon).sqrt()) as f32; each]);
    }
    result
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    values: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.squares += other.squares;
    }
}

/// Sums over the pixels of each part of a frame, in order.
fn parts<E: Element>(frame: &[E], channels: usize, kernels: &'static Kernels) -> Vec<Vec<Sums>> {
    let size = (TASK / channels).max(1) * channels;
    let parts = frame.par_chunks(size).map(|part| {
        let mut sums = vec![Sums::default(); channels];
        kernels.run(Measuring { part, sums: &mut sums });
        sums
    });
    parts.collect()
}

struct Measuring<'a, E> {
    part: &'a [E],
    sums: &'a mut [Sums],
}

impl<E: Element> Loops for Measuring<'_, E> {
    #[inline(always)]
    fn run(self) {
        for pixel in self.part.chunks_exact(self.sums.len()) {
            for (sums, value) in self.sums.iter_mut().zip(pixel) {
                let value = f64::from(value.widened());
                sums.values += value;
                sums.squares += value * value;
            }
        }
    }
}

/// What the second pass reads: frames `[pixels, channels]` of one type.
#[derive(Clone, Copy)]
pub struct Applied<'a> {
    /// What is normalised.
    pub x: Values<'a>,
    /// What is added then.
    pub residual: Option<Values<'a>>,
    /// What is done to the channels.
    pub channels: &'a Channels,
    /// Whether SiLU comes last.
    pub silu: bool,
}

/// Writes a frame `y: [pixels, channels]`, of `x`'s type.
///
/// # Panics
/// If a length or a type does not fit.
pub fn apply(applied: Applied<'_>, kernels: &'static Kernels, y: ValuesMut<'_>) {
    assert!(applied.residual.is_none_or(|residual| residual.len() == y.len()), "values of the residual");
    assert_eq!(applied.x.len(), y.len(), "values of y");
    match (applied.x, y) {
        (Values::Float32(x), ValuesMut::Float32(y)) => {
            let residual = applied.residual.map(|residual| residual.float32().expect("a residual of x's type"));
            tasks(&applied, (x, residual), kernels, y);
        }
        (Values::Bfloat16(x), ValuesMut::Bfloat16(y)) => {
            let residual = applied.residual.map(|residual| residual.bfloat16().expect("a residual of x's type"));
            tasks(&applied, (x, residual), kernels, y);
        }
        _ => panic!("x and y of two types"),
    }
}

fn tasks<E: Element>(
    applied: &Applied<'_>,
    (x, residual): (&[E], Option<&[E]>),
    kernels: &'static Kernels,
    y: &mut [E],
) {
    let channels = applied.channels.means.len();
    let size = (TASK / channels).max(1) * channels;
    y.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate().for_each(|(task, (y, x))| {
        let residual = residual.map(|residual| &residual[task * size..task * size + x.len()]);
        kernels.run(Applying { channels: applied.channels, silu: applied.silu, x, residual, y });
    });
}

struct Applying<'a, E> {
    channels: &'a Channels,
    silu: bool,
    x: &'a [E],
    residual: Option<&'a [E]>,
    y: &'a mut [E],
}

impl<E: Element> Loops for Applying<'_, E> {
    #[inline(always)]
    fn run(self) {
        let Channels { means, factors, shifts } = self.channels;
        let channels = means.len();
        for (pixel, (y, x)) in self.y.chunks_exact_mut(channels).zip(self.x.chunks_exact(channels)).enumerate() {
            let affine = means.iter().zip(factors).zip(shifts);
            let normed = x.iter().zip(affine).map(|(x, ((mean, factor), shift))| (x.widened() - mean) * factor + shift);
            match (self.residual, self.silu) {
                (None, true) => y.iter_mut().zip(normed).for_each(|(y, value)| *y = E::rounded(silu_of(value))),
                (None, false) => y.iter_mut().zip(normed).for_each(|(y, value)| *y = E::rounded(value)),
                (Some(residual), with_silu) => {
                    let residual = &residual[pixel * channels..][..channels];
                    for ((y, value), residual) in y.iter_mut().zip(normed).zip(residual) {
                        let sum = value + residual.widened();
                        *y = E::rounded(if with_silu { silu_of(sum) } else { sum });
                    }
                }
            }
        }
    }
}
