//! Products with a weight that is read where it is stored, and only once.
//!
//! Here the weight's rows are those that a micro-kernel gathers, and the rows of `x` are packed as panels: nothing of the weight is moved, which with
//! few rows of `x` would take as long as the product. The sums come out as columns of `y`. They run over K in the same order as always, so the result is
//! that of a packed weight, bit for bit.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::Values;
use super::gather::GatherPointers;
use super::interleave::{pair, spread};
use super::kernels::{Kernels, Product};
use super::multiply::Run;
use super::packing::{Lanes, StoredPanels, WeightValues};

/// Strips of a task: their sums become whole lines of `y`.
const STRIPS: usize = 8;

/// Rows of `x` that are packed at a time: with more, sums leave the second cache.
const ROWS: usize = 512;

/// Lanes of all panels that are gone through before the next strip, a part of the second cache; and the bounds of a panel's steps in it.
const CHUNK_LANES: usize = 96 << 10;
const CHUNK_STEPS: [usize; 2] = [128, 1024];

thread_local! {
    /// Kept by each thread, because the system takes long to hand out memory.
    static PANELS: RefCell<Lanes> = RefCell::default();
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a task needs.
#[derive(Default)]
struct Scratch {
    /// `[strips, panels, strip rows, columns]`.
    sums: Vec<f32>,
    /// Those of a panel's rows of `x` as they lie in `y`: `[columns, strips * strip rows]`.
    lines: Vec<f32>,
}

/// The formats in which the weight's rows, as they are, can be multiplied by those of `x`.
pub(super) fn product(weight: &StoredPanels<'_>, x: &Values<'_>) -> Option<Product> {
    let aligned =
        rows_of(weight).is_some_and(|rows| rows.cast::<u32>().is_aligned()) && weight.inputs.is_multiple_of(2);
    let product = match (weight.values, x) {
        (WeightValues::Float32(_), Values::Float32(_)) => Product::Float32,
        (WeightValues::Float32(_), Values::Bfloat16(_)) => Product::WidenedBfloat16,
        (WeightValues::Bfloat16(_), Values::Bfloat16(_)) => Product::Bfloat16,
        _ => return None,
    };
    (aligned && weight.kernels.gather().has(product)).then_some(product)
}

/// Where the weight's values begin.
fn rows_of(weight: &StoredPanels<'_>) -> Option<*const u8> {
    match weight.values {
        WeightValues::Float32(values) => Some(values.as_ptr().cast()),
        WeightValues::Bfloat16(values) => Some(values.as_ptr().cast()),
        _ => None,
    }
}

/// Writes the product into `y`.
pub(super) fn multiply(run: &Run<'_>, weight: &StoredPanels<'_>) {
    let stored = Stored::new(run, weight);
    // Taken out of its place, because this thread may come here again while it waits for others.
    let mut lanes = PANELS.take();
    for start in (0..run.multiplication.rows).step_by(ROWS) {
        let rows = start..(start + ROWS).min(run.multiplication.rows);
        lanes.resize(rows.len().div_ceil(stored.columns) * stored.lanes_of_panel());
        stored.pack(rows.clone(), &mut lanes);
        let tasks = weight.outputs.div_ceil(STRIPS * stored.height);
        (0..tasks).into_par_iter().with_max_len(1).for_each(|task| {
            SCRATCH.with_borrow_mut(|scratch| stored.task(&lanes, rows.clone(), task, scratch));
        });
    }
    PANELS.set(lanes);
}

/// A product under way.
struct Stored<'a> {
    run: &'a Run<'a>,
    weight: &'a StoredPanels<'a>,
    kernels: &'static Kernels,
    /// Rows of a strip, of the weight.
    height: usize,
    /// Columns of a panel, rows of `x`.
    columns: usize,
    /// Lanes of a panel's column.
    steps: usize,
}

impl<'a> Stored<'a> {
    fn new(run: &'a Run<'a>, weight: &'a StoredPanels<'a>) -> Self {
        let kernels = weight.kernels;
        let steps = match run.product {
            Product::Float32 => weight.inputs,
            _ => weight.inputs / 2,
        };
        Self { run, weight, kernels, height: kernels.gather().rows, columns: kernels.gather().columns, steps }
    }

    fn lanes_of_panel(&self) -> usize {
        self.steps * self.columns
    }

    /// Packs rows of `x` as panels.
    fn pack(&self, rows: Range<usize>, lanes: &mut [u32]) {
        let inputs = self.weight.inputs;
        lanes.par_chunks_exact_mut(self.lanes_of_panel().max(1)).enumerate().for_each(|(panel, lanes)| {
            let first = rows.start + panel * self.columns;
            let rows = first..(first + self.columns).min(rows.end);
            if rows.len() < self.columns {
                lanes.fill(0);
            }
            let lines = rows.map(|row| row * inputs..(row + 1) * inputs);
            match self.run.multiplication.x {
                Values::Float32(x) => spread(lanes, self.columns, lines.map(|line| &x[line]), |value| value.to_bits()),
                Values::Bfloat16(x) => pair(lanes, self.columns, lines.map(|line| &x[line]), |&bits| bits),
            }
        });
    }

    /// Some rows of the weight by all packed rows of `x`.
    fn task(&self, lanes: &[u32], rows: Range<usize>, task: usize, scratch: &mut Scratch) {
        let (height, columns) = (self.height, self.columns);
        let first = task * STRIPS * height;
        let strips = (self.weight.outputs - first).div_ceil(height).min(STRIPS);
        let panels = rows.len().div_ceil(columns);
        let Scratch { sums, lines } = scratch;
        sums.resize(strips * panels * height * columns, 0.0);
        let steps_each = (CHUNK_LANES / (panels * columns)).clamp(CHUNK_STEPS[0], CHUNK_STEPS[1]);
        for start in (0..self.steps).step_by(steps_each) {
            let steps = start..(start + steps_each).min(self.steps);
            for (tile, sums) in sums.chunks_exact_mut(height * columns).enumerate() {
                let (strip, panel) = (tile / panels, tile % panels);
                let panel = &lanes[panel * self.lanes_of_panel()..(panel + 1) * self.lanes_of_panel()];
                let panel = &panel[steps.start * columns..steps.end * columns];
                self.tile(first + strip * height, steps.clone(), panel, sums);
            }
        }
        let width = strips * height;
        lines.resize(width * columns, 0.0);
        for panel in 0..panels {
            let tiles = sums.chunks_exact(height * columns).skip(panel).step_by(panels);
            let rows_of_sums = tiles.flat_map(|sums| sums.chunks_exact(columns));
            spread(as_lanes_mut(lines), width, rows_of_sums, |value| value.to_bits());
            let row = rows.start + panel * columns;
            let count = columns.min(rows.end - row);
            self.run.finish([row, first], width, &mut lines[..count * width]);
        }
    }

    /// `sums (+)= rows panel`, for the weight's rows from `first` on.
    fn tile(&self, first: usize, steps: Range<usize>, panel: &[u32], sums: &mut [f32]) {
        let lanes_each = match self.run.product {
            Product::WidenedBfloat16 => 2,
            _ => 1,
        };
        let start = rows_of(self.weight).expect("values of four bytes or in pairs").cast::<u32>();
        let mut rows = [start; MOST_ROWS];
        for (row, pointer) in rows[..self.height].iter_mut().enumerate() {
            // Beyond the last row that one again: nobody reads its sums.
            let row = (first + row).min(self.weight.outputs - 1);
            // SAFETY: a row has `lanes_each` lanes for each of all steps, and lies within the weight.
            *pointer = unsafe { start.add((row * self.steps + steps.start) * lanes_each) };
        }
        assert_eq!(panel.len(), steps.len() * self.columns, "lanes of the panel");
        assert_eq!(sums.len(), self.height * self.columns, "sums");
        let pointers = GatherPointers {
            stretches: 1,
            steps: steps.len(),
            rows: rows.as_ptr(),
            panel: panel.as_ptr(),
            sums: sums.as_mut_ptr(),
            carry_on: steps.start > 0,
        };
        // SAFETY: the lengths are those that the fields state; the rows were just seen to hold so many lanes.
        unsafe { self.kernels.multiply_gathered(self.run.product, pointers) }
    }
}

/// Rows of the highest strip.
const MOST_ROWS: usize = 16;

fn as_lanes_mut(values: &mut [f32]) -> &mut [u32] {
    // SAFETY: both types take 4 bytes, and any bits are either.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) }
}
