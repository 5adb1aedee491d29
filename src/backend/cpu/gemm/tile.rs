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
#[cfg(target_arch = "x86_64")]
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
#[cfg(target_arch = "x86_64")]
pub struct WidenedFloat16;

// SAFETY: reads `WIDTH` values from `column` on, in one of the two halves of the step.
#[cfg(target_arch = "x86_64")]
unsafe impl<V: HalfVectors> Arithmetic<V> for WidenedFloat16 {
    const PARTS: usize = 2;

    #[inline(always)]
    unsafe fn panel(step: *const u32, column: usize, columns: usize, part: usize) -> V::Vector {
        unsafe { V::load_float16(step.cast::<u16>().add(part * columns + column)) }
    }
}

/// How many steps ahead panels and strips are fetched.
const PANEL_AHEAD: usize = 64;
const ROWS_AHEAD: usize = 32;

/// Lanes of a cache line.
const LINE: usize = 16;

/// Runs ahead of what is read, and from its end on through what comes next.
struct Ahead {
    place: *const u32,
    end: *const u32,
    next: *const u32,
}

impl Ahead {
    /// Begins `ahead` lanes behind `start`, or at the end of the `length` lanes.
    #[inline(always)]
    fn new(start: *const u32, [ahead, length]: [usize; 2], next: *const u32) -> Self {
        Self { place: start.wrapping_add(ahead.min(length)), end: start.wrapping_add(length), next }
    }

    /// Where it is; goes on by `lanes`.
    #[inline(always)]
    fn take(&mut self, lanes: usize) -> *const u32 {
        let place = if self.place == self.end { self.next } else { self.place };
        self.place = place.wrapping_add(lanes);
        place
    }
}

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
    /// What comes next.
    pub next: Upcoming,
}

/// The strip, the panel and the sums of the tile that comes next, to be fetched while this one is computed. The pointers need not be valid.
#[derive(Clone, Copy)]
pub struct Upcoming {
    /// As [`TilePointers::rows`].
    pub rows: *const u32,
    /// As [`TilePointers::panel`].
    pub panel: *const u32,
    /// As [`TilePointers::sums`].
    pub sums: *const f32,
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
        let step = ROWS * A::PARTS;
        let mut panel_ahead =
            Ahead::new(panel, [PANEL_AHEAD, tile.steps].map(|steps| steps * columns), tile.next.panel);
        let mut rows_ahead = Ahead::new(rows, [ROWS_AHEAD, tile.steps].map(|steps| steps * step), tile.next.rows);
        let mut sums_ahead = (0..ROWS * columns).step_by(LINE);
        for _ in 0..tile.steps {
            let line = panel_ahead.take(columns);
            for line in (0..columns).step_by(LINE).map(|lanes| line.wrapping_add(lanes)) {
                V::prefetch(line);
            }
            V::prefetch(rows_ahead.take(step));
            if let Some(lanes) = sums_ahead.next() {
                V::prefetch(tile.next.sums.wrapping_add(lanes).cast());
            }
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
