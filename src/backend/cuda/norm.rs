//! Norms of rows, with what follows them.

use super::launch::{Element, Launch, WARP};
pub use crate::backend::cpu::norm::Statistic;

/// Rows to be normalised. Addresses are of values of type `element` unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub struct RowNorm {
    /// Of `x` and `y`.
    pub element: Element,
    /// Address of `[rows, width]`, rows `x_stride` values apart.
    pub x: u64,
    /// From one row of `x` to the next; `width` where they follow each other.
    pub x_stride: usize,
    /// Address of `[rows, width]`, for the results.
    pub y: u64,
    /// Below 2^31.
    pub rows: usize,
    /// Values of a row, at least one and below 2^31; even for a rotation.
    pub width: usize,
    /// What rows are divided by.
    pub statistic: Statistic,
    /// What is added under the root.
    pub epsilon: f32,
    /// Factors and shifts.
    pub affine: Affine,
    /// What is done then.
    pub then: Then,
}

/// Groups of factors and shifts: group `g` is for rows `g * rows_each` to `(g + 1) * rows_each`, and after the last group comes the first again.
#[derive(Debug, Clone, Copy)]
pub struct Affine {
    /// Of factors and shifts: float32 or as the rows.
    pub element: Element,
    /// Address of `[groups, width]`; `None` for ones.
    pub factors: Option<u64>,
    /// Address of `[groups, width]`; `None` for zeros.
    pub shifts: Option<u64>,
    /// Added to the factors.
    pub added: f32,
    /// At least 1.
    pub groups: usize,
    /// Values from a group's first to the next one's.
    pub group_stride: usize,
    /// At least 1.
    pub rows_each: usize,
}

/// The last step.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    /// None.
    Nothing,
    /// `y / (1 + exp(-y))`.
    Silu,
    /// Turns pairs of neighbours, `(a, b)` to `(a cos - b sin, a sin + b cos)`; after the last position comes the first again.
    Rotation {
        /// Address of `[positions, width / 2]`, float32.
        cosines: u64,
        /// Address of `[positions, width / 2]`, float32.
        sines: u64,
        /// At least 1.
        positions: usize,
    },
}

/// `NormParameters` of `norm.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct NormParameters {
    x: u64,
    y: u64,
    factors: u64,
    shifts: u64,
    cosines: u64,
    sines: u64,
    x_stride: i64,
    group_stride: i64,
    rows: i32,
    width: i32,
    rows_each: i32,
    groups: i32,
    positions: i32,
    team: i32,
    float32_affine: i32,
    centred: i32,
    then: i32,
    epsilon: f32,
    added: f32,
    unused: i32,
}

/// Threads of a block, unless a row takes more. Few, because an architecture's registers are divided by blocks.
const BLOCK: usize = 128;

/// The most threads for a row that is held in registers.
const LARGEST_TEAM: usize = 512;

/// How rows are divided among threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Division {
    /// Which of a type's kernels, see [`kernels`].
    kernel: usize,
    /// Threads for a row: a power of two.
    team: usize,
    /// Rows that a team takes together.
    rows: usize,
}

/// The kernels of a type: those that hold 1, 2, 4 and 8 vectors a thread of each row, and the one that holds none.
fn kernels(element: Element) -> [&'static str; 5] {
    match element {
        Element::Float32 => ["norm_f32_1", "norm_f32_2", "norm_f32_4", "norm_f32_8", "norm_f32_looped"],
        Element::Bfloat16 => ["norm_bf16_1", "norm_bf16_2", "norm_bf16_4", "norm_bf16_8", "norm_bf16_looped"],
        Element::Float16 => ["norm_f16_1", "norm_f16_2", "norm_f16_4", "norm_f16_8", "norm_f16_looped"],
    }
}

impl Division {
    /// Warps do without barriers, so a row is a warp's as far as its registers reach: 2048 values of two bytes.
    fn of(norm: &RowNorm) -> Self {
        let vectors = norm.width.div_ceil(norm.element.vector());
        let team = vectors.div_ceil(8).next_power_of_two();
        if !is_aligned(norm) || team > LARGEST_TEAM {
            let team = if norm.width <= 1024 { WARP as usize } else { 256 };
            return Self { kernel: 4, team, rows: 1 };
        }
        match vectors {
            0..=32 => Self { kernel: 0, team: vectors.next_power_of_two(), rows: 4 },
            33..=64 => Self { kernel: 1, team: 32, rows: 2 },
            65..=128 => Self { kernel: 2, team: 32, rows: 1 },
            _ => Self { kernel: 3, team: team.max(32), rows: 1 },
        }
    }
}

/// Whether every vector of every row begins at a multiple of 16 bytes.
fn is_aligned(norm: &RowNorm) -> bool {
    let RowNorm { element, affine, .. } = norm;
    let tables = match norm.then {
        Then::Rotation { cosines, sines, .. } => [cosines, sines],
        _ => [0; 2],
    };
    let addresses = [norm.x, norm.y, affine.factors.unwrap_or(0), affine.shifts.unwrap_or(0), tables[0], tables[1]];
    let strides = [norm.width, norm.x_stride, affine.group_stride];
    addresses.iter().all(|address| address.is_multiple_of(16))
        && strides.iter().all(|stride| stride.is_multiple_of(element.vector()))
}

/// One pass over the rows.
///
/// # Panics
/// If a count is not within the bounds that [`RowNorm`] states.
pub fn plan(norm: &RowNorm) -> Launch<NormParameters> {
    let RowNorm { rows, width, affine, .. } = *norm;
    let count = |value: usize| i32::try_from(value).expect("a count below 2^31");
    assert!(width > 0 && affine.groups > 0 && affine.rows_each > 0, "values in a row, groups and rows in a group");
    assert!([Element::Float32, norm.element].contains(&affine.element), "the type of factors and shifts");
    let (then, tables, positions) = match norm.then {
        Then::Nothing => (0, [0; 2], 1),
        Then::Silu => (1, [0; 2], 1),
        Then::Rotation { cosines, sines, positions } => {
            assert!(width.is_multiple_of(2) && positions > 0, "pairs and positions");
            (2, [cosines, sines], positions)
        }
    };
    let division = Division::of(norm);
    let block = division.team.max(BLOCK);
    let parameters = NormParameters {
        x: norm.x,
        y: norm.y,
        factors: affine.factors.unwrap_or(0),
        shifts: affine.shifts.unwrap_or(0),
        cosines: tables[0],
        sines: tables[1],
        x_stride: norm.x_stride as i64,
        group_stride: affine.group_stride as i64,
        rows: count(rows),
        width: count(width),
        rows_each: count(affine.rows_each),
        groups: count(affine.groups),
        positions: count(positions),
        team: count(division.team),
        float32_affine: i32::from(affine.element == Element::Float32),
        centred: i32::from(norm.statistic == Statistic::StandardDeviation),
        then,
        epsilon: norm.epsilon,
        added: affine.added,
        unused: 0,
    };
    Launch {
        kernel: kernels(norm.element)[division.kernel],
        grid: [rows.div_ceil(block / division.team * division.rows) as u32, 1, 1],
        block: block as u32,
        // A sum of each warp, where several share a row.
        shared_bytes: if division.team > WARP as usize { (block / WARP as usize * size_of::<f32>()) as u32 } else { 0 },
        parameters,
    }
}

/// From one row to the next, if rows along the last axis are all equally far apart and their values follow each other: so it is for a part of the last axis.
pub fn row_stride(dims: &[usize], strides: &[usize]) -> Option<usize> {
    let ([leading @ .., width], [steps @ .., 1]) = (dims, strides) else { return None };
    let mut axes = leading.iter().zip(steps).rev().filter(|(size, _)| **size != 1);
    let Some((size, stride)) = axes.next() else { return Some(*width) };
    let mut next = size * stride;
    axes.all(|(size, step)| {
        let follows = *step == next;
        next = size * step;
        follows
    })
    .then_some(*stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(element: Element, width: usize) -> RowNorm {
        let affine =
            Affine { element, factors: None, shifts: None, added: 0.0, groups: 1, group_stride: width, rows_each: 1 };
        RowNorm {
            element,
            x: 256,
            x_stride: width,
            y: 512,
            rows: 1000,
            width,
            statistic: Statistic::RootMeanSquare,
            epsilon: 1e-6,
            affine,
            then: Then::Nothing,
        }
    }

    #[test]
    fn usual_widths_are_held_in_registers() {
        let planned = |element, width| {
            let launch = plan(&rows(element, width));
            (launch.kernel, launch.parameters.team, launch.block, launch.grid[0], launch.shared_bytes)
        };
        assert_eq!(planned(Element::Bfloat16, 128), ("norm_bf16_1", 16, 128, 32, 0));
        assert_eq!(planned(Element::Bfloat16, 512), ("norm_bf16_2", 32, 128, 125, 0));
        assert_eq!(planned(Element::Float16, 1024), ("norm_f16_4", 32, 128, 250, 0));
        assert_eq!(planned(Element::Bfloat16, 2048), ("norm_bf16_8", 32, 128, 250, 0));
        assert_eq!(planned(Element::Bfloat16, 4096), ("norm_bf16_8", 64, 128, 500, 16));
        assert_eq!(planned(Element::Float32, 2048), ("norm_f32_8", 64, 128, 500, 16));
        assert_eq!(planned(Element::Bfloat16, 16384), ("norm_bf16_8", 256, 256, 1000, 32));
        assert_eq!(planned(Element::Float32, 16384), ("norm_f32_8", 512, 512, 1000, 64));
    }

    #[test]
    fn what_vectors_do_not_fit_is_looped_over() {
        let kernel = |norm: RowNorm| plan(&norm).kernel;
        let whole = rows(Element::Bfloat16, 64);
        assert_eq!(kernel(whole), "norm_bf16_1");
        assert_eq!(kernel(rows(Element::Bfloat16, 60)), "norm_bf16_looped");
        assert_eq!(kernel(RowNorm { x: 258, ..whole }), "norm_bf16_looped");
        assert_eq!(kernel(RowNorm { x_stride: 196, ..whole }), "norm_bf16_looped");
        assert_eq!(kernel(RowNorm { x_stride: 192, ..whole }), "norm_bf16_1");
        assert_eq!(
            kernel(RowNorm { affine: Affine { factors: Some(8), ..whole.affine }, ..whole }),
            "norm_bf16_looped"
        );
        assert_eq!(kernel(rows(Element::Float32, 20000)), "norm_f32_looped");
    }

    #[test]
    fn parts_of_the_last_axis_are_rows_apart() {
        assert_eq!(row_stride(&[2, 3, 4], &[12, 4, 1]), Some(4));
        assert_eq!(row_stride(&[2, 3, 4], &[36, 12, 1]), Some(12));
        assert_eq!(row_stride(&[2, 1, 4], &[12, 5, 1]), Some(12));
        assert_eq!(row_stride(&[1, 1, 4], &[7, 5, 1]), Some(4));
        assert_eq!(row_stride(&[4], &[1]), Some(4));
        assert_eq!(row_stride(&[2, 3, 4], &[24, 4, 1]), None);
        assert_eq!(row_stride(&[3, 4], &[1, 3]), None);
    }
}
