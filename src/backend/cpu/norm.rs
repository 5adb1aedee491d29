//! Normalisation of rows on the CPU, with all that follows it while a row is in the first cache: factors, shifts, and SiLU or a rotation.
//!
//! Bound by memory once there are several threads: each value is read and written once. Sums are float32, in as many parts for every instruction
//! set, so a result depends on its row only and not on the processor's width of vectors.

use rayon::prelude::*;

use super::element::Element;
use super::gelu::silu_of;
use super::gemm::{Kernels, Loops, Values, ValuesMut};

/// What rows are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The root of the mean of squares.
    RootMeanSquare,
    /// The standard deviation, after the mean is subtracted.
    StandardDeviation,
}

/// `then(x / sqrt(statistic^2 + epsilon) * factor + shift)` for each row.
pub struct RowNorm<'a> {
    /// `[rows, width]`.
    pub x: Values<'a>,
    /// Values in a row, at least one.
    pub width: usize,
    /// What rows are divided by.
    pub statistic: Statistic,
    /// What is added under the root.
    pub epsilon: f32,
    /// Factors and shifts.
    pub affine: Affine<'a>,
    /// What is done then.
    pub then: Then<'a>,
}

/// Groups of factors and shifts: group `g` is for rows `g * rows_each` to `(g + 1) * rows_each`, and after the last group comes the first again.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    /// `[groups, width]`.
    pub factors: &'a [f32],
    /// `[groups, width]`.
    pub shifts: &'a [f32],
    /// At least 1.
    pub rows_each: usize,
}

/// The last step.
#[derive(Clone, Copy)]
pub enum Then<'a> {
    /// None.
    Nothing,
    /// `y / (1 + exp(-y))`.
    Silu,
    /// Turns pairs of neighbours, `(a, b)` to `(a cos - b sin, a sin + b cos)`; after the last position comes the first again.
    Rotation {
        /// `[positions, width / 2]`.
        cosines: &'a [f32],
        /// `[positions, width / 2]`.
        sines: &'a [f32],
    },
}

/// Values of one task.
const TASK: usize = 1 << 14;

/// Parts of a sum: two to eight vectors of any instruction set.
const PARTS: usize = 32;

/// Writes the result into `y: [rows, width]`, of `x`'s type.
///
/// # Panics
/// If a length or a type does not fit.
pub fn norm(norm: &RowNorm<'_>, kernels: &'static Kernels, y: ValuesMut<'_>) {
    let RowNorm { width, affine, .. } = *norm;
    assert!(width > 0 && affine.rows_each > 0, "values in a row and rows in a group");
    assert!(norm.x.len() == y.len() && y.len().is_multiple_of(width), "values of y");
    assert!(!affine.factors.is_empty() && affine.factors.len().is_multiple_of(width), "factors");
    assert_eq!(affine.shifts.len(), affine.factors.len(), "shifts");
    if let Then::Rotation { cosines, sines } = norm.then {
        assert!(width.is_multiple_of(2) && !cosines.is_empty() && cosines.len().is_multiple_of(width / 2), "cosines");
        assert_eq!(sines.len(), cosines.len(), "sines");
    }
    match (norm.x, y) {
        (Values::Float32(x), ValuesMut::Float32(y)) => tasks(norm, kernels, x, y),
        (Values::Bfloat16(x), ValuesMut::Bfloat16(y)) => tasks(norm, kernels, x, y),
        _ => panic!("x and y of two types"),
    }
}

fn tasks<E: Element>(norm: &RowNorm<'_>, kernels: &'static Kernels, x: &[E], y: &mut [E]) {
    let rows = (TASK / norm.width).max(1);
    let size = rows * norm.width;
    y.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate().for_each(|(task, (y, x))| {
        kernels.run(Task { norm, first: task * rows, x, y });
    });
}

/// Some whole rows.
struct Task<'a, E> {
    norm: &'a RowNorm<'a>,
    /// The number of the first row.
    first: usize,
    x: &'a [E],
    y: &'a mut [E],
}

impl<E: Element> Loops for Task<'_, E> {
    #[inline(always)]
    fn run(self) {
        let RowNorm { width, affine, then, .. } = *self.norm;
        let groups = affine.factors.len() / width;
        for (index, (y, x)) in self.y.chunks_exact_mut(width).zip(self.x.chunks_exact(width)).enumerate() {
            let row = self.first + index;
            let group = row / affine.rows_each % groups * width;
            let line = Line {
                x,
                factors: &affine.factors[group..group + width],
                shifts: &affine.shifts[group..group + width],
                measured: measure(x, self.norm.statistic, self.norm.epsilon),
            };
            match then {
                Then::Nothing => line.each(y, |value| value),
                Then::Silu => line.each(y, silu_of),
                Then::Rotation { cosines, sines } => {
                    let pairs = width / 2;
                    let place = row % (cosines.len() / pairs) * pairs;
                    line.rotated(y, &cosines[place..place + pairs], &sines[place..place + pairs]);
                }
            }
        }
    }
}

/// What is subtracted from a row, and by what the rest is multiplied.
#[derive(Clone, Copy)]
struct Measured {
    mean: f32,
    factor: f32,
}

#[inline(always)]
fn measure<E: Element>(x: &[E], statistic: Statistic, epsilon: f32) -> Measured {
    let count = x.len() as f32;
    let mean = match statistic {
        Statistic::RootMeanSquare => 0.0,
        Statistic::StandardDeviation => sum(x, |value| value) / count,
    };
    let squares = sum(x, |value| (value - mean) * (value - mean));
    Measured { mean, factor: 1.0 / (squares / count + epsilon).sqrt() }
}

#[inline(always)]
fn sum<E: Element>(x: &[E], term: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0; PARTS];
    let (chunks, rest) = x.as_chunks::<PARTS>();
    for chunk in chunks {
        for (part, value) in parts.iter_mut().zip(chunk) {
            *part += term(value.widened());
        }
    }
    for (part, value) in parts.iter_mut().zip(rest) {
        *part += term(value.widened());
    }
    let mut count = PARTS;
    while count > 1 {
        count /= 2;
        for part in 0..count {
            parts[part] += parts[part + count];
        }
    }
    parts[0]
}

/// A row with what it becomes; all slices are of one length.
struct Line<'a, E> {
    x: &'a [E],
    factors: &'a [f32],
    shifts: &'a [f32],
    measured: Measured,
}

impl<E: Element> Line<'_, E> {
    #[inline(always)]
    fn each(&self, y: &mut [E], then: impl Fn(f32) -> f32) {
        let Measured { mean, factor } = self.measured;
        for (((y, x), own), shift) in y.iter_mut().zip(self.x).zip(self.factors).zip(self.shifts) {
            *y = E::rounded(then((x.widened() - mean) * factor * own + shift));
        }
    }

    #[inline(always)]
    fn rotated(&self, y: &mut [E], cosines: &[f32], sines: &[f32]) {
        let Measured { mean, factor } = self.measured;
        let pairs = self.x.as_chunks::<2>().0.iter().zip(self.factors.as_chunks::<2>().0);
        let pairs = pairs.zip(self.shifts.as_chunks::<2>().0).zip(cosines.iter().zip(sines));
        for ([first, second], (((x, own), shift), (cosine, sine))) in y.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            let a = (x[0].widened() - mean) * factor * own[0] + shift[0];
            let b = (x[1].widened() - mean) * factor * own[1] + shift[1];
            *first = E::rounded(a * cosine - b * sine);
            *second = E::rounded(a * sine + b * cosine);
        }
    }
}
