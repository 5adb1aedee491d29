//! Micro-kernels whose rows are not packed: each row of a strip is read where it lies, stretch by stretch.
//!
//! A convolution needs no more than that: the rows are pixels of the result, a stretch is what a tap of the kernel sees of a frame whose channels are
//! innermost. Pixels that share what they see share the memory that it is read from.
#![allow(unsafe_code)]

use super::kernels::Product;
use super::tile::{Arithmetic, Vectors};

/// The micro-kernels of one instruction set that gather their rows.
///
/// They multiply [`rows`](Self::rows) rows by a panel of [`columns`](Self::columns) columns in the formats of [`Product`](super::Product), to sums
/// `[rows, columns]`. A panel is `[stretches, steps, columns]` lanes, as in [`Kernels`](super::Kernels). In each stretch a row has `steps` lanes
/// of its own, one after the other; `2 * steps` where the panel has two K a step and the row has float32.
pub struct Gather {
    /// Rows of a strip.
    pub rows: usize,
    /// Columns of a panel.
    pub columns: usize,
    pub(super) float32: unsafe fn(GatherPointers),
    pub(super) widened_bfloat16: unsafe fn(GatherPointers),
    pub(super) bfloat16: Option<unsafe fn(GatherPointers)>,
}

impl Gather {
    /// Whether there is a micro-kernel for `product`. There always is for float32 and for widened bfloat16.
    pub fn has(&self, product: Product) -> bool {
        self.tile(product).is_some()
    }

    pub(super) fn tile(&self, product: Product) -> Option<unsafe fn(GatherPointers)> {
        match product {
            Product::Float32 => Some(self.float32),
            Product::WidenedBfloat16 => Some(self.widened_bfloat16),
            Product::Bfloat16 => self.bfloat16,
            Product::WidenedFloat16 => None,
        }
    }
}

/// What such a micro-kernel reads and writes.
#[derive(Clone, Copy)]
pub struct GatherPointers {
    /// How many stretches there are.
    pub stretches: usize,
    /// Lanes of a panel's column in a stretch.
    pub steps: usize,
    /// `[stretches, ROWS]`: where a row's lanes of a stretch begin.
    pub rows: *const *const u32,
    /// `[stretches, steps, columns]`.
    pub panel: *const u32,
    /// `[ROWS, columns]`.
    pub sums: *mut f32,
    /// Whether `sums` already holds sums to add to.
    pub carry_on: bool,
}

/// How many steps ahead the panel is fetched.
const PANEL_AHEAD: usize = 32;

/// `sums (+)= rows panel`, one step after the other, so that a sum depends on nothing but its row and its column.
///
/// # Safety
/// As for [`Vectors`], and each pointer has to be valid for the shape that its field states, the rows' for what [`Gather`] says.
#[inline(always)]
pub unsafe fn gather<V: Vectors, A: Arithmetic<V>, const ROWS: usize, const VECTORS: usize>(tile: GatherPointers) {
    let columns = VECTORS * V::WIDTH;
    // SAFETY: the offsets stay within the shapes that the caller vouches for.
    unsafe {
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        if tile.carry_on {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (vector, sums) in sums.iter_mut().enumerate() {
                    *sums = V::load(tile.sums.add(row * columns + vector * V::WIDTH));
                }
            }
        }
        let mut panel = tile.panel;
        for stretch in 0..tile.stretches {
            let rows: [*const u32; ROWS] = std::array::from_fn(|row| *tile.rows.add(stretch * ROWS + row));
            for step in 0..tile.steps {
                for line in 0..columns.div_ceil(16) {
                    V::prefetch(panel.wrapping_add(PANEL_AHEAD * columns + 16 * line));
                }
                for part in 0..A::PARTS {
                    let mut right = [V::zero(); VECTORS];
                    for (vector, right) in right.iter_mut().enumerate() {
                        *right = A::panel(panel, vector * V::WIDTH, columns, part);
                    }
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        let left = V::splat(row.add(step * A::PARTS + part).cast());
                        for (sums, right) in sums.iter_mut().zip(right) {
                            *sums = A::multiply_add(left, right, *sums);
                        }
                    }
                }
                panel = panel.add(columns);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, &sums) in sums.iter().enumerate() {
                V::store(tile.sums.add(row * columns + vector * V::WIDTH), sums);
            }
        }
    }
}
