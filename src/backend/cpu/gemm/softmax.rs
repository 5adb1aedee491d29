//! The softmax of attention, block of keys by block of keys, written over what an instruction set offers.
//!
//! Scores are shares of the sum relative to a reference that need not be the maximum: it follows the maximum only when that has grown by so much that
//! shares would leave a comfortable range. So sums of values are seldom multiplied again.
#![allow(unsafe_code)]

use super::tile::Vectors;
use crate::backend::cpu::gelu::exponential;

/// A block of scores, and what is known of the blocks before it. Each column is a query, each row a key.
pub struct ScoreBlock<'a> {
    /// `[keys, columns]`: scores, which become shares, `2^(scale log2(e) score - reference)`: float32, or in the first half of the rows pairs of
    /// bfloat16 of two keys that follow each other.
    pub scores: &'a mut [f32],
    /// What scores are multiplied by: positive.
    pub scale: f32,
    /// What all blocks so far have come to.
    pub columns: &'a mut ColumnState,
    /// `[anything, columns]`: sums of values, which are brought to the new references.
    pub sums: &'a mut [f32],
}

/// The state of a panel's queries; only as many as a panel has columns are used.
pub struct ColumnState {
    /// About the largest scaled score so far, times log2(e).
    references: [f32; MOST_COLUMNS],
    /// The sums of shares so far.
    pub totals: [f32; MOST_COLUMNS],
}

/// Columns of the widest panel.
const MOST_COLUMNS: usize = 48;

/// By how much a score may exceed the reference, in powers of two.
const MOST_ABOVE: f32 = 8.0;

/// Below this power of two a share counts as that: it is next to nothing beside the largest one, and a normal number.
const LEAST: f32 = -125.0;

impl Default for ColumnState {
    fn default() -> Self {
        Self { references: [f32::NEG_INFINITY; MOST_COLUMNS], totals: [0.0; MOST_COLUMNS] }
    }
}

/// Vectors whose values can be stored as bfloat16.
///
/// # Safety
/// As for [`Vectors`].
#[cfg(target_arch = "x86_64")]
pub unsafe trait PairVectors: Vectors {
    /// Writes pairs of bfloat16, the nearest to values that are not negative, those of `first` in the lower halves of the lanes.
    unsafe fn store_pairs(lanes: *mut f32, first: Self::Vector, second: Self::Vector);
}

/// Polynomials for `2^x`, `x` from -1/2 to 1/2, the constant term being 1: the others, the highest power first.
///
/// Fitted to the least relative error by reweighted least squares.
trait Powers {
    const COEFFICIENTS: &'static [f32];
}

/// Off by 1e-7 of the power: a place of float32.
struct Exact;

impl Powers for Exact {
    // The last one is fitted as the others are, and a little below ln 2.
    #[allow(clippy::approx_constant)]
    const COEFFICIENTS: &'static [f32] = &[0.001_326_472_6, 0.009_671_513, 0.055_507_336, 0.240_222_42, 0.693_147];
}

/// Off by 1e-4 of the power: a fortieth of a place of bfloat16.
#[cfg(target_arch = "x86_64")]
struct Coarse;

#[cfg(target_arch = "x86_64")]
impl Powers for Coarse {
    const COEFFICIENTS: &'static [f32] = &[0.055_008_925, 0.242_210_95, 0.693_282_9];
}

/// Turns scores into shares.
///
/// # Safety
/// As for [`Vectors`]. Scores and sums are whole rows of `VECTORS` vectors.
///
/// # Source
/// Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018).
#[inline(always)]
pub unsafe fn softmax<V: Vectors, const VECTORS: usize>(mut block: ScoreBlock<'_>) {
    // SAFETY: the caller's promises; rows are within the scores.
    unsafe {
        let size = VECTORS * V::WIDTH;
        let mut shares = Shares::<V, VECTORS>::begin(&mut block);
        for row in block.scores.chunks_exact_mut(size) {
            for vector in 0..VECTORS {
                let at = row.as_mut_ptr().add(vector * V::WIDTH);
                V::store(at, shares.next::<Exact>(vector, at));
            }
        }
        shares.end(block.columns);
    }
}

/// The same with shares as pairs of bfloat16.
///
/// # Safety
/// As for [`softmax`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn softmax_pairs<V: PairVectors, const VECTORS: usize>(mut block: ScoreBlock<'_>) {
    // SAFETY: the caller's promises; rows are within the scores, and none is written before it is read.
    unsafe {
        let size = VECTORS * V::WIDTH;
        let mut shares = Shares::<V, VECTORS>::begin(&mut block);
        let rows = block.scores.len() / size;
        let scores = block.scores.as_mut_ptr();
        for pair in 0..rows / 2 {
            for vector in 0..VECTORS {
                let at = scores.add(2 * pair * size + vector * V::WIDTH);
                let (first, second) = (shares.next::<Coarse>(vector, at), shares.next::<Coarse>(vector, at.add(size)));
                V::store_pairs(scores.add(pair * size + vector * V::WIDTH), first, second);
            }
        }
        if rows % 2 == 1 {
            for vector in 0..VECTORS {
                let first = shares.next::<Coarse>(vector, scores.add((rows - 1) * size + vector * V::WIDTH));
                V::store_pairs(scores.add(rows / 2 * size + vector * V::WIDTH), first, V::zero());
            }
        }
        shares.end(block.columns);
    }
}

/// What turns the scores of a block into shares, and adds these up.
struct Shares<V: Vectors, const VECTORS: usize> {
    /// `scale log2(e)`.
    factor: V::Vector,
    /// The references, negative.
    offsets: [V::Vector; VECTORS],
    totals: [V::Vector; VECTORS],
}

impl<V: Vectors, const VECTORS: usize> Shares<V, VECTORS> {
    /// Brings the references up to date, and to them what was summed up before.
    #[inline(always)]
    unsafe fn begin(block: &mut ScoreBlock<'_>) -> Self {
        let ScoreBlock { scores, scale, columns, sums } = block;
        let size = VECTORS * V::WIDTH;
        let factor = *scale * std::f32::consts::LOG2_E;
        let mut largest = [f32::NEG_INFINITY; MOST_COLUMNS];
        // SAFETY: the caller's promises; no panel has more columns than the state.
        unsafe {
            let mut maxima = [V::splat(&f32::NEG_INFINITY); VECTORS];
            for row in scores.chunks_exact(size) {
                for (vector, maximum) in maxima.iter_mut().enumerate() {
                    *maximum = V::larger(V::load(row.as_ptr().add(vector * V::WIDTH)), *maximum);
                }
            }
            for (vector, maximum) in maxima.into_iter().enumerate() {
                V::store(largest.as_mut_ptr().add(vector * V::WIDTH), maximum);
            }
        }
        largest.iter_mut().for_each(|largest| *largest *= factor);
        let too_large = |(largest, reference): (&f32, &f32)| *largest > reference + MOST_ABOVE;
        if largest.iter().zip(&columns.references).fold(false, |any, pair| any | too_large(pair)) {
            follow(columns, &largest[..size], sums);
        }
        // SAFETY: as above.
        unsafe {
            let offset = |vector: usize| V::load(columns.references.as_ptr().add(vector * V::WIDTH));
            Self {
                factor: V::splat(&factor),
                offsets: std::array::from_fn(|vector| V::subtract(V::zero(), offset(vector))),
                totals: std::array::from_fn(|vector| V::load(columns.totals.as_ptr().add(vector * V::WIDTH))),
            }
        }
    }

    /// The shares for scores of vector `vector` of the columns.
    #[inline(always)]
    unsafe fn next<P: Powers>(&mut self, vector: usize, scores: *const f32) -> V::Vector {
        // SAFETY: the caller's promises.
        unsafe {
            let power = V::multiply_add(V::load(scores), self.factor, self.offsets[vector]);
            // In this order what is not a number stays.
            let power = V::larger(V::splat(&LEAST), power);
            let whole = V::whole(power);
            let rest = V::subtract(power, whole);
            let mut sum = V::splat(&P::COEFFICIENTS[0]);
            for coefficient in &P::COEFFICIENTS[1..] {
                sum = V::multiply_add(sum, rest, V::splat(coefficient));
            }
            let share = V::scaled(V::multiply_add(sum, rest, V::splat(&1.0)), whole);
            self.totals[vector] = V::add(self.totals[vector], share);
            share
        }
    }

    #[inline(always)]
    unsafe fn end(self, columns: &mut ColumnState) {
        for (vector, totals) in self.totals.into_iter().enumerate() {
            // SAFETY: the caller's promises.
            unsafe { V::store(columns.totals.as_mut_ptr().add(vector * V::WIDTH), totals) };
        }
    }
}

/// Makes the largest scores the references of those columns that they exceed by too much.
#[cold]
fn follow(columns: &mut ColumnState, largest: &[f32], sums: &mut [f32]) {
    let mut factors = [1.0; MOST_COLUMNS];
    for (column, &largest) in largest.iter().enumerate() {
        let reference = &mut columns.references[column];
        if largest > *reference + MOST_ABOVE {
            factors[column] = exponential((*reference - largest) * std::f32::consts::LN_2);
            columns.totals[column] *= factors[column];
            *reference = largest;
        }
    }
    for row in sums.chunks_exact_mut(largest.len()) {
        for (sum, factor) in row.iter_mut().zip(&factors) {
            *sum *= factor;
        }
    }
}
