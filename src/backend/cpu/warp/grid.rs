//! Displacements at nodes, and between them.

use rayon::prelude::*;

use crate::backend::cpu::pixels::padded;

/// Distance of the nodes of a [`DisplacementGrid`] in pixels.
pub const STEP: usize = 4;

/// Nodes that a [`DisplacementGrid`] has beyond each border, so that its interpolation never lacks a neighbour.
pub const MARGIN: usize = 2;

/// Where each pixel comes from, relative to where it is shown: `[rows, columns, (x, y)]`, in pixels.
///
/// Node (row, column) stands at pixel coordinates `(column - MARGIN + 0.5) STEP`, likewise for rows; Catmull-Rom interpolation between nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct DisplacementGrid {
    /// Nodes in a row: `ceil(width / STEP) + 2 MARGIN`.
    pub columns: usize,
    /// Rows of nodes.
    pub rows: usize,
    /// The displacements, row by row.
    pub values: Vec<[f32; 2]>,
}

impl DisplacementGrid {
    /// A grid for a picture of this size, filled by `value(x, y)` at each node's place in pixels.
    pub fn from_fn(width: usize, height: usize, value: impl Fn(f32, f32) -> [f32; 2] + Sync) -> Self {
        let columns = width.div_ceil(STEP) + 2 * MARGIN;
        let rows = height.div_ceil(STEP) + 2 * MARGIN;
        let mut values = vec![[0.0; 2]; columns * rows];
        let place = |node: usize| (node as f32 - MARGIN as f32 + 0.5) * STEP as f32;
        values.par_chunks_mut(columns).enumerate().for_each(|(row, nodes)| {
            for (column, node) in nodes.iter_mut().enumerate() {
                *node = value(place(column), place(row));
            }
        });
        Self { columns, rows, values }
    }

    /// The displacements of all pixels in `row` of a picture of this width.
    #[inline(always)]
    pub(super) fn interpolate_row(&self, row: usize, width: usize, out: &mut RowDisplacements) {
        let (first, weights) = phase(row);
        let rows: [&[[f32; 2]]; 4] = std::array::from_fn(|tap| {
            let start = (first + tap) * self.columns;
            &self.values[start..start + self.columns]
        });
        let RowDisplacements { values, nodes } = out;
        nodes.resize(self.columns, 0.0);
        for (axis, values) in values.iter_mut().enumerate() {
            for (column, node) in nodes.iter_mut().enumerate() {
                *node = weights[0] * rows[0][column][axis]
                    + weights[1] * rows[1][column][axis]
                    + weights[2] * rows[2][column][axis]
                    + weights[3] * rows[3][column][axis];
            }
            values.resize(padded(width), 0.0);
            for (step, nodes) in values[..width].chunks_mut(STEP).zip(nodes.windows(TAPS)) {
                let mut between = [0.0; STEP];
                for (offset, between) in between.iter_mut().enumerate() {
                    *between = WEIGHTS[0][offset] * nodes[0]
                        + WEIGHTS[1][offset] * nodes[1]
                        + WEIGHTS[2][offset] * nodes[2]
                        + WEIGHTS[3][offset] * nodes[3]
                        + WEIGHTS[4][offset] * nodes[4];
                }
                step.copy_from_slice(&between[..step.len()]);
            }
        }
    }
}

/// Displacements of a row of pixels, as they are used.
#[derive(Debug, Clone, Default)]
pub struct RowDisplacements {
    /// Along x and y, `[width]` each, and at least a block.
    values: [Vec<f32>; 2],
    nodes: Vec<f32>,
}

impl RowDisplacements {
    /// Along x and y, of all pixels.
    pub fn values(&self) -> [&[f32]; 2] {
        self.values.each_ref().map(Vec::as_slice)
    }
}

/// Pixel centres lie at -3/8, -1/8, 1/8 and 3/8 of a step from the nearest node.
const PHASES: [[f32; 4]; STEP] = [catmull_rom(0.625), catmull_rom(0.875), catmull_rom(0.125), catmull_rom(0.375)];

/// Nodes that the pixels of a step are interpolated between; the outermost are for some of them only.
const TAPS: usize = 5;

/// [`PHASES`] by node and pixel of a step.
const WEIGHTS: [[f32; STEP]; TAPS] = {
    let mut weights = [[0.0; STEP]; TAPS];
    let mut offset = 0;
    while offset < STEP {
        let mut tap = 0;
        while tap < 4 {
            weights[tap + (offset >= STEP / 2) as usize][offset] = PHASES[offset][tap];
            tap += 1;
        }
        offset += 1;
    }
    weights
};

/// The first of the four nodes around pixel `index`, and the Catmull-Rom weights of the four.
#[inline(always)]
fn phase(index: usize) -> (usize, [f32; 4]) {
    let offset = index % STEP;
    (index / STEP + MARGIN - 1 - usize::from(offset < STEP / 2), PHASES[offset])
}

/// Weights of the Catmull-Rom spline at `t` between the second and the third of four points.
const fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [-0.5 * t + t2 - 0.5 * t3, 1.0 - 2.5 * t2 + 1.5 * t3, 0.5 * t + 2.0 * t2 - 1.5 * t3, -0.5 * t2 + 0.5 * t3]
}
