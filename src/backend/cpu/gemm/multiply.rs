//! The product of two matrices: tasks, and the loops around the micro-kernel.
#![allow(unsafe_code)]

use std::cell::RefCell;

use super::finish::{FinishRow, FinishStep};
use super::kernels::{Kernels, Product, TileOperands};
use super::output::SharedOutput;
use super::packing::{Lanes, Panels, RowSource, StripLayout, pack_rows};
use super::stored;
use super::tasks::{Grain, Task, Tasks};
use super::tile::Upcoming;
use super::{Values, ValuesMut};

/// `epilogue(x weight^T + bias)`.
pub struct Multiplication<'a> {
    /// `[M, K]`.
    pub x: Values<'a>,
    /// M.
    pub rows: usize,
    /// `[N, K]`.
    pub weight: Panels<'a>,
    /// `[N]`.
    pub bias: Option<&'a [f32]>,
    /// What is done before rounding.
    pub epilogue: Epilogue<'a>,
}

/// What is done to the sums.
#[derive(Clone, Copy)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// GELU in its tanh form.
    Gelu,
    /// `y / (1 + exp(-y))`.
    Silu,
    /// `residual + gate * y`.
    Residual {
        /// `[M, N]`.
        residual: Values<'a>,
        /// The factors.
        gate: Gate<'a>,
    },
}

/// Rows of factors: row `g` is for the rows of `y` from `starts[g]` to `starts[g + 1]`.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// `[G, N]`.
    pub values: &'a [f32],
    /// `[G]`, ascending, the first 0.
    pub starts: &'a [usize],
}

/// Lanes of rows that are packed at a time: 16 MiB, which the third cache holds.
const PACKED_LANES: usize = 4 << 20;

/// Lanes of a panel that are gone through before the next strip: 192 KiB, a part of the second cache.
const CHUNK_LANES: usize = 48 << 10;

const GRAIN: Grain = Grain { strips_each: 8, most_panels: 16, enough: 128 };

thread_local! {
    /// Kept by each thread, because the system takes long to hand out memory.
    static STRIPS: RefCell<Lanes> = RefCell::default();
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a task needs.
#[derive(Default)]
struct Scratch {
    sums: Vec<f32>,
    /// Where a part of a panel is packed.
    panel: Lanes,
}

/// Writes the product into `y: [M, N]`.
///
/// # Panics
/// If a length does not fit.
pub fn multiply(multiplication: &Multiplication<'_>, y: ValuesMut<'_>) {
    check(multiplication, y.len());
    if y.is_empty() {
        return;
    }
    let Multiplication { x, rows, weight, .. } = *multiplication;
    let mut run = Run::new(multiplication, y);
    if let Panels::Stored(stored) = weight
        && let Some(product) = stored::product(&stored, &x)
    {
        run.product = product;
        return stored::multiply(&run, &stored);
    }
    // Taken out of its place, because this thread may come here again while it waits for others.
    let mut strips = STRIPS.take();
    for start in (0..rows).step_by(run.rows_at_once()) {
        let rows = start..(start + run.rows_at_once()).min(rows);
        let strips_in_all = rows.len().div_ceil(run.kernels.rows);
        let panels = weight.outputs().div_ceil(run.kernels.columns);
        let tasks = match weight {
            Panels::Packed(_) => Tasks::new(strips_in_all, panels, GRAIN),
            Panels::Stored(_) => Tasks::by_panel(strips_in_all, panels),
        };
        let layout = run.layout(strips_in_all);
        strips.resize(layout.lanes());
        pack_rows(&mut strips, &layout, RowSource { x, rows, product: run.product }, &weight);
        tasks.run(|task| {
            let packed = PackedStrips { lanes: &strips, layout: &layout, start };
            SCRATCH.with_borrow_mut(|scratch| run.task(packed, task, scratch));
        });
    }
    STRIPS.set(strips);
}

fn check(multiplication: &Multiplication<'_>, length: usize) {
    let Multiplication { x, rows, weight, bias, epilogue } = multiplication;
    let outputs = weight.outputs();
    assert_eq!(Some(x.len()), rows.checked_mul(weight.inputs()), "values of x");
    assert_eq!(Some(length), rows.checked_mul(outputs), "values of y");
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "values of the bias");
    if let Epilogue::Residual { residual, gate } = epilogue {
        assert_eq!(residual.len(), length, "values of the residual");
        assert_eq!(Some(gate.values.len()), gate.starts.len().checked_mul(outputs), "values of the gate");
        assert!(gate.starts.first() == Some(&0) && gate.starts.is_sorted(), "starts of the gate's rows");
    }
}

/// Rows of `x` that are packed.
struct PackedStrips<'a> {
    lanes: &'a [u32],
    layout: &'a StripLayout,
    /// The row in which they begin.
    start: usize,
}

/// A multiplication under way.
pub(super) struct Run<'a> {
    pub multiplication: &'a Multiplication<'a>,
    kernels: &'static Kernels,
    pub product: Product,
    steps: usize,
    y: SharedOutput<'a>,
}

impl<'a> Run<'a> {
    fn new(multiplication: &'a Multiplication<'a>, y: ValuesMut<'a>) -> Self {
        let weight = multiplication.weight;
        let product = weight.format().product(weight.kernels(), &multiplication.x);
        Self { multiplication, kernels: weight.kernels(), product, steps: weight.steps(), y: SharedOutput::new(y) }
    }

    fn rows_at_once(&self) -> usize {
        let strips = PACKED_LANES / self.layout(1).lanes().max(1);
        strips.max(1).next_multiple_of(GRAIN.strips_each) * self.kernels.rows
    }

    fn layout(&self, strips: usize) -> StripLayout {
        let steps_each = CHUNK_LANES / self.kernels.columns;
        StripLayout { strips, steps: self.steps, steps_each, lanes_of_step: self.product.parts() * self.kernels.rows }
    }

    /// Chunk by chunk of K, panel by panel, strip by strip.
    fn task(&self, packed: PackedStrips<'_>, task: &Task, scratch: &mut Scratch) {
        let PackedStrips { lanes: strips, layout, start } = packed;
        let Scratch { sums, panel: buffer } = scratch;
        let Kernels { rows, columns, .. } = *self.kernels;
        let (size, chunks) = (rows * columns, layout.chunks());
        // Sums of all tiles wait for the next chunk; without one, a panel's tiles may take the place of those of the panel before.
        let waiting = if chunks > 1 { task.panels.len() } else { 1 };
        sums.resize(waiting * task.strips.len() * size, 0.0);
        for chunk in 0..chunks {
            let steps = layout.steps_of(chunk);
            let length = steps.len() * layout.lanes_of_step;
            let strips = &strips[layout.part(task.strips.start, chunk).start..][..length * task.strips.len()];
            let mut first = 0;
            for panel in task.panels.clone() {
                let lanes = self.multiplication.weight.part(panel, steps.clone(), buffer);
                let end = lanes.as_ptr().wrapping_add(lanes.len());
                let next_panel = match panel + 1 < task.panels.end {
                    true => lanes.as_ptr().wrapping_add(self.lanes_of_panel()),
                    // The next chunk of the first panel.
                    false => end.wrapping_sub((task.panels.len() - 1) * self.lanes_of_panel()),
                };
                first %= sums.len();
                for (index, strip) in task.strips.clone().enumerate() {
                    let next = if index + 1 < task.strips.len() { index + 1 } else { 0 };
                    let next = Upcoming {
                        rows: strips.as_ptr().wrapping_add(next * length),
                        panel: if next > 0 { lanes.as_ptr() } else { next_panel },
                        sums: sums.as_ptr().wrapping_add(first + size),
                    };
                    let sums = &mut sums[first..first + size];
                    first += size;
                    let strip_lanes = &strips[index * length..(index + 1) * length];
                    let operands =
                        TileOperands { strip: strip_lanes, panel: lanes, sums: &mut *sums, carry_on: chunk > 0 };
                    self.kernels.multiply_before(self.product, operands, next);
                    if chunk + 1 == chunks {
                        self.finish([start + strip * rows, panel * columns], columns, sums);
                    }
                }
            }
        }
    }

    /// From the first lane of a packed panel to that of the next.
    fn lanes_of_panel(&self) -> usize {
        self.steps * self.kernels.columns
    }

    /// Takes sums, `[rows, width]`, into `y`, as far as it goes; `first` is their first row and column.
    pub fn finish(&self, first: [usize; 2], width: usize, sums: &mut [f32]) {
        let Multiplication { rows, weight, bias, epilogue, .. } = self.multiplication;
        let outputs = weight.outputs();
        let columns = first[1]..(first[1] + width).min(outputs);
        for (row, sums) in (first[0]..*rows).zip(sums.chunks_exact_mut(width)) {
            let part = row * outputs + columns.start..row * outputs + columns.end;
            let step = match epilogue {
                Epilogue::None => FinishStep::None,
                Epilogue::Gelu => FinishStep::Gelu,
                Epilogue::Silu => FinishStep::Silu,
                Epilogue::Residual { residual, gate } => {
                    let group = gate.starts.partition_point(|&start| start <= row) - 1;
                    let gate = &gate.values[group * outputs + columns.start..group * outputs + columns.end];
                    FinishStep::Residual { residual: residual.part(part.clone()), gate }
                }
            };
            self.kernels.finish(FinishRow {
                sums: &mut sums[..columns.len()],
                bias: bias.map(|bias| &bias[columns.clone()]),
                step,
                // SAFETY: these columns of a row belong to one task.
                output: unsafe { self.y.part(part) },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_are_divided_by_panels_and_many_keep_panels_together() {
        assert_eq!(Tasks::new(1, 43, GRAIN).panels_each, 1);
        assert_eq!(Tasks::new(128, 43, GRAIN).panels_each, 5);
        assert_eq!(Tasks::new(512, 43, GRAIN).panels_each, 16);
    }
}
