//! The softmax of attention, block of keys by block of keys, in the form that every instruction set compiles for itself.

use super::finish::round;
use crate::backend::cpu::gelu::exponential;

/// A block of scores, and what is known of the blocks before it. Each column is a query, each row a key.
pub struct ScoreBlock<'a> {
    /// `[keys, columns]`: scores, which become `exp(scale (score - maximum))`.
    pub scores: &'a mut [f32],
    /// `[ceil(keys / 2), columns]`: where the same goes as pairs of bfloat16, if that is wanted.
    pub pairs: Option<&'a mut [u32]>,
    /// What scores are multiplied by: positive.
    pub scale: f32,
    /// What all blocks so far have come to.
    pub columns: &'a mut ColumnState,
    /// `[anything, columns]`: sums of values, which are brought to the new maxima.
    pub sums: &'a mut [f32],
}

/// The state of a panel's queries; only as many as a panel has columns are used.
pub struct ColumnState {
    /// The largest score so far.
    pub maxima: [f32; MOST_COLUMNS],
    /// The sum of exponentials so far.
    pub totals: [f32; MOST_COLUMNS],
}

/// Columns of the widest panel.
pub const MOST_COLUMNS: usize = 48;

impl Default for ColumnState {
    fn default() -> Self {
        Self { maxima: [f32::NEG_INFINITY; MOST_COLUMNS], totals: [0.0; MOST_COLUMNS] }
    }
}

/// # Source
/// Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018).
#[inline(always)]
pub fn softmax<const COLUMNS: usize>(block: ScoreBlock<'_>) {
    let ScoreBlock { scores, pairs, scale, columns, sums } = block;
    let before: [f32; COLUMNS] = std::array::from_fn(|column| columns.maxima[column]);
    let mut maxima = before;
    for row in scores.as_chunks::<COLUMNS>().0 {
        for (maximum, &score) in maxima.iter_mut().zip(row) {
            *maximum = if score > *maximum { score } else { *maximum };
        }
    }
    let mut totals = [0.0; COLUMNS];
    for row in scores.as_chunks_mut::<COLUMNS>().0 {
        for column in 0..COLUMNS {
            row[column] = exponential(scale * (row[column] - maxima[column]));
            totals[column] += row[column];
        }
    }
    if let Some(pairs) = pairs {
        let rows = scores.as_chunks::<COLUMNS>().0;
        for (pairs, rows) in pairs.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(rows.chunks(2)) {
            let second = rows.get(1).unwrap_or(&[0.0; COLUMNS]);
            for column in 0..COLUMNS {
                pairs[column] = u32::from(round(rows[0][column])) | u32::from(round(second[column])) << 16;
            }
        }
    }
    let mut factors = [0.0; COLUMNS];
    for column in 0..COLUMNS {
        factors[column] = exponential(scale * (before[column] - maxima[column]));
        columns.maxima[column] = maxima[column];
        columns.totals[column] = columns.totals[column] * factors[column] + totals[column];
    }
    for row in sums.as_chunks_mut::<COLUMNS>().0 {
        for (sum, factor) in row.iter_mut().zip(factors) {
            *sum *= factor;
        }
    }
}
