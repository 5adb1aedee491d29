//! The one loop of all micro-kernels, written over what an instruction set offers.
//!
//! Everything here is inlined into functions that an instruction set's file marks with `#[target_feature]`; only there does it become the
//! instructions that its name promises.
#![allow(unsafe_code)]

/// Vectors of float32 in an instruction set.
///
/// # Safety
/// The functions may run only on a processor that has the instruction set. Each reads or writes [`WIDTH`](Self::WIDTH) elements at its pointer,
/// which needs no alignment; `splat` reads one.
pub unsafe trait Vectors {
    /// One vector.
    type Vector: Copy;
    /// Values in a vector.
    const WIDTH: usize;

    /// Zeros.
    unsafe fn zero() -> Self::Vector;
    /// Reads values.
    unsafe fn load(values: *const f32) -> Self::Vector;
    /// Writes values.
    unsafe fn store(values: *mut f32, vector: Self::Vector);
    /// Reads one value for all places.
    unsafe fn splat(value: *const f32) -> Self::Vector;
    /// Reads pairs of bfloat16 and widens the first of each.
    unsafe fn first_of_pairs(pairs: *const u32) -> Self::Vector;
    /// Reads pairs of bfloat16 and widens the second of each.
    unsafe fn second_of_pairs(pairs: *const u32) -> Self::Vector;
    /// `sums + left * right`.
    unsafe fn multiply_add(left: Self::Vector, right: Self::Vector, sums: Self::Vector) -> Self::Vector;
    /// `left + right`.
    unsafe fn add(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// `left - right`.
    unsafe fn subtract(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// `left` where it is larger, else `right`, also where either is not a number.
    unsafe fn larger(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// The nearest whole numbers, for magnitudes up to 2^22.
    unsafe fn whole(vector: Self::Vector) -> Self::Vector;
    /// `vector * 2^power`, for whole numbers that neither leave nor lead out of the range of normal numbers.
    unsafe fn scaled(vector: Self::Vector, power: Self::Vector) -> Self::Vector;
    /// Has a cache line fetched. The pointer need not be valid.
    #[inline(always)]
    fn prefetch(_line: *const u32) {}
}

/// Vectors that can be read from float16.
///
/// # Safety
/// As for [`Vectors`].
pub unsafe trait HalfVectors: Vectors {
    /// Reads float16 values and widens them.
    unsafe fn load_float16(values: *const u16) -> Self::Vector;
}

/// How a lane of a row is multiplied by the lanes of a panel.
///
/// # Safety
/// As for [`Vectors`].
pub unsafe trait Arithmetic<V: Vectors> {
    /// Lanes of a row for each lane of a panel: 2 where the panel's lane holds two values that are widened one after the other.
    const PARTS: usize;
    /// Floating-point operations of a multiply-add for each column.
    const OPERATIONS: usize = 2;

    /// Part `part` of the columns from `column` on, at a step of a panel of `columns` lanes; reads within that step.
    unsafe fn panel(step: *const u32, column: usize, columns: usize, part: usize) -> V::Vector;

    /// `sums + row * panel`.
    #[inline(always)]
    unsafe fn multiply_add(row: V::Vector, panel: V::Vector, sums: V::Vector) -> V::Vector {
        // SAFETY: the caller's promise.
        unsafe { V::multiply_add(row, panel, sums) }
    }
}

/// float32 on both sides.
pub struct Float32;

// SAFETY: reads `WIDTH` lanes from `column` on.
unsafe impl<V: Vectors> Arithmetic<V> for Float32 {
    const PARTS: usize = 1;

    #[inline(always)]
    unsafe fn panel(step: *const u32, column: usize, _columns: usize, _part: usize) -> V::Vector {
        unsafe { V::load(step.add(column).cast()) }
    }
}

/// float32 rows, pairs of bfloat16 in the panel.
pub struct WidenedBfloat16;

// SAFETY: reads `WIDTH` lanes from `column` on.
unsafe impl<V: Vectors> Arithmetic<V> for WidenedBfloat16 {
    const PARTS: usize = 2;

    #[inline(always)]
    unsafe fn panel(step: *const u32, column: usize, _columns: usize, part: usize) -> V::Vector {
        unsafe {
            match part {
                0 => V::first_of_pairs(step.add(column)),
                _ => V::second_of_pairs(step.add(column)),
            }
        }
    }
}

/// float32 rows, float16 in the panel.
pub struct WidenedFloat16;

// SAFETY: reads `WIDTH` values from `column` on, in one of the two halves of the step.
unsafe impl<V: HalfVectors> Arithmetic<V> for WidenedFloat16 {
    const PARTS: usize = 2;

    #[inline(always)]
    unsafe fn panel(step: *const u32, column: usize, columns: usize, part: usize) -> V::Vector {
        unsafe { V::load_float16(step.cast::<u16>().add(part * columns + column)) }
    }
}

/// How many steps ahead panels and strips are fetched. Measured on Zen 5: without, 70 % of the peak; with 16 steps for both, 83 %; with these, 88 %.
const PANEL_AHEAD: usize = 64;
const ROWS_AHEAD: usize = 32;

/// What a micro-kernel reads and writes; see [`Kernels`](super::Kernels) for the layouts.
#[derive(Clone, Copy)]
pub struct TilePointers {
    /// Lanes of the panel in a column.
    pub steps: usize,
    /// `[steps, PARTS, ROWS]`.
    pub rows: *const u32,
    /// `[steps, columns]`.
    pub panel: *const u32,
    /// `[ROWS, columns]`.
    pub sums: *mut f32,
    /// Whether `sums` already holds sums to add to.
    pub carry_on: bool,
}

/// `sums (+)= rows panel`, one step after the other, so that a sum depends on nothing but its row and its column.
///
/// # Safety
/// As for [`Vectors`], and each pointer has to be valid for the shape that its field states.
#[inline(always)]
pub unsafe fn tile<V: Vectors, A: Arithmetic<V>, const ROWS: usize, const VECTORS: usize>(tile: TilePointers) {
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
        let (mut rows, mut panel) = (tile.rows, tile.panel);
        for _ in 0..tile.steps {
            for line in 0..columns.div_ceil(16) {
                V::prefetch(panel.wrapping_add(PANEL_AHEAD * columns + 16 * line));
            }
            V::prefetch(rows.wrapping_add(ROWS_AHEAD * ROWS * A::PARTS));
            for part in 0..A::PARTS {
                let mut right = [V::zero(); VECTORS];
                for (vector, right) in right.iter_mut().enumerate() {
                    *right = A::panel(panel, vector * V::WIDTH, columns, part);
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let left = V::splat(rows.add(row).cast());
                    for (sums, right) in sums.iter_mut().zip(right) {
                        *sums = A::multiply_add(left, right, *sums);
                    }
                }
                rows = rows.add(ROWS);
            }
            panel = panel.add(columns);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, &sums) in sums.iter().enumerate() {
                V::store(tile.sums.add(row * columns + vector * V::WIDTH), sums);
            }
        }
    }
}

/// The multiply-adds of `steps` steps of [`tile`] with nothing but registers: the most that a core can do. Returns the floating-point operations.
///
/// # Safety
/// As for [`Vectors`].
#[inline(always)]
pub unsafe fn peak<V: Vectors, A: Arithmetic<V>, const ROWS: usize, const VECTORS: usize>(steps: usize) -> f64 {
    // Small numbers in every format, unknown to the compiler.
    let lanes = std::hint::black_box([0x3c00_3c00_u32; 16]);
    let mut values = [0.0_f32; 16];
    // SAFETY: no vector is wider than the 16 lanes and values.
    unsafe {
        let (left, right) = (V::splat(lanes.as_ptr().cast()), V::load(lanes.as_ptr().cast()));
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        for _ in 0..steps {
            for row in &mut sums {
                for sums in row {
                    *sums = A::multiply_add(left, right, *sums);
                }
            }
        }
        for sums in sums.into_iter().flatten() {
            V::store(values.as_mut_ptr(), sums);
            std::hint::black_box(&mut values);
        }
    }
    (steps * ROWS * VECTORS * V::WIDTH * A::OPERATIONS) as f64
}
