//! Attention on the CPU: two products on the micro-kernels of [`gemm`](super::gemm), with the softmax between them.
//!
//! Everything is transposed, so that a vector holds queries: scores are `K Q^T` with keys as strips and queries as a panel, and since sums have the
//! layout of a panel, their exponentials are at once the panel of the second product, `V^T P^T`. No score is ever moved, and no maximum is sought
//! within a vector. Keys come in blocks, in order, so a query's result does not depend on other queries or on threads.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{
    ColumnState, Kernels, Lanes, Product, ScoreBlock, SharedOutput, TileOperands, Values, ValuesMut, as_lanes, pair,
    round, spread, widen,
};

/// `softmax(scale q k^T + bias) v` for each head.
pub struct Attention<'a> {
    /// `[batch, queries, heads, width]`.
    pub q: Values<'a>,
    /// `[batch, keys, heads, width]`, of `q`'s type.
    pub k: Values<'a>,
    /// As `k`.
    pub v: Values<'a>,
    /// The dimensions.
    pub shape: AttentionShape,
    /// Positive.
    pub scale: f32,
    /// `[heads, queries, keys]`.
    pub bias: Option<&'a [f32]>,
}

/// The dimensions of [`Attention`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Independent sequences.
    pub batch: usize,
    /// Queries of a sequence.
    pub queries: usize,
    /// Keys and values of a sequence: at least one.
    pub keys: usize,
    /// Heads.
    pub heads: usize,
    /// Features of a head.
    pub width: usize,
}

/// Keys of a block: their scores for a panel of queries take 36 KiB. A multiple of every micro-kernel's rows, and of 2.
const BLOCK: usize = 192;

/// Panels of queries that a task takes through a block of keys before the next block.
const PANELS: usize = 2;

/// Lanes of keys and values that are packed at a time: 16 MiB.
const PACKED_LANES: usize = 4 << 20;

thread_local! {
    /// Kept by each thread, because the system takes long to hand out memory.
    static PACKED: RefCell<Packed> = RefCell::default();
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Keys and values of some heads, as strips.
#[derive(Default)]
struct Packed {
    keys: Lanes,
    values: Lanes,
}

/// What a task needs.
#[derive(Default)]
struct Scratch {
    queries: Lanes,
    scores: Vec<f32>,
    sums: Vec<f32>,
}

/// Writes the result into `y: [batch, queries, heads, width]`.
///
/// # Panics
/// If a length does not fit or there are no keys.
pub fn attend(attention: &Attention<'_>, kernels: &'static Kernels, y: ValuesMut<'_>) {
    let AttentionShape { batch, queries, keys, heads, width } = attention.shape;
    let count = |tokens: usize| [batch, tokens, heads, width].iter().try_fold(1_usize, |a, &b| a.checked_mul(b));
    assert_eq!(Some(attention.q.len()), count(queries), "values of q");
    assert_eq!(Some(attention.k.len()), count(keys), "values of k");
    assert_eq!(Some(attention.v.len()), count(keys), "values of v");
    assert_eq!(y.len(), attention.q.len(), "values of y");
    let scores = heads.checked_mul(queries).and_then(|count| count.checked_mul(keys));
    assert!(attention.bias.is_none_or(|bias| Some(bias.len()) == scores), "values of the bias");
    assert!(keys > 0, "attention to no keys");
    if y.is_empty() {
        return;
    }
    let run = Run::new(attention, kernels, y);
    let tiles = queries.div_ceil(PANELS * kernels.columns());
    // Taken out of its place, because this thread may come here again while it waits for others.
    let mut packed = PACKED.take();
    for first in (0..batch * heads).step_by(run.heads_at_once()) {
        let count = run.heads_at_once().min(batch * heads - first);
        run.pack(&mut packed, first, count);
        (0..count * tiles).into_par_iter().with_max_len(1).for_each(|task| {
            let (head, tile) = (task / tiles, task % tiles);
            let keys = &packed.keys[head * run.lanes_of_keys()..][..run.lanes_of_keys()];
            let values = &packed.values[head * run.lanes_of_values()..][..run.lanes_of_values()];
            SCRATCH.with_borrow_mut(|scratch| run.task(scratch, [keys, values], [first + head, tile]));
        });
    }
    PACKED.set(packed);
}

/// Attention under way.
struct Run<'a> {
    attention: &'a Attention<'a>,
    kernels: &'static Kernels,
    /// Pairs of bfloat16 where there is a micro-kernel for them, float32 elsewhere.
    product: Product,
    y: SharedOutput<'a>,
}

impl<'a> Run<'a> {
    fn new(attention: &'a Attention<'a>, kernels: &'static Kernels, y: ValuesMut<'a>) -> Self {
        let pairs = matches!(attention.q, Values::Bfloat16(_)) && kernels.has(Product::Bfloat16);
        let product = if pairs { Product::Bfloat16 } else { Product::Float32 };
        Self { attention, kernels, product, y: SharedOutput::new(y) }
    }

    /// Lanes that `count` values along K take.
    fn steps(&self, count: usize) -> usize {
        if self.product == Product::Bfloat16 { count.div_ceil(2) } else { count }
    }

    /// `[ceil(keys / rows), steps(width), rows]`.
    fn lanes_of_keys(&self) -> usize {
        self.attention.shape.keys.next_multiple_of(self.kernels.rows()) * self.steps(self.attention.shape.width)
    }

    /// `[ceil(width / rows), steps(keys), rows]`.
    fn lanes_of_values(&self) -> usize {
        self.attention.shape.width.next_multiple_of(self.kernels.rows()) * self.steps(self.attention.shape.keys)
    }

    fn heads_at_once(&self) -> usize {
        (PACKED_LANES / (self.lanes_of_keys() + self.lanes_of_values()).max(1)).max(1)
    }

    /// Where the features of a token of a head lie; `head` counts through the batch.
    fn place(&self, head: usize, token: usize, tokens: usize) -> Range<usize> {
        let AttentionShape { heads, width, .. } = self.attention.shape;
        let start = (((head / heads) * tokens + token) * heads + head % heads) * width;
        start..start + width
    }

    fn pack(&self, packed: &mut Packed, first: usize, count: usize) {
        packed.keys.resize(count * self.lanes_of_keys());
        packed.values.resize(count * self.lanes_of_values());
        let keys = packed.keys.par_chunks_exact_mut(self.lanes_of_keys());
        let values = packed.values.par_chunks_exact_mut(self.lanes_of_values());
        keys.zip(values).enumerate().for_each(|(index, (keys, values))| {
            self.pack_keys(first + index, keys);
            self.pack_values(first + index, values);
        });
    }

    fn pack_keys(&self, head: usize, lanes: &mut [u32]) {
        let AttentionShape { keys, width, .. } = self.attention.shape;
        let rows = self.kernels.rows();
        for (strip, lanes) in lanes.chunks_exact_mut(rows * self.steps(width)).enumerate() {
            let tokens = strip * rows..((strip + 1) * rows).min(keys);
            let places = tokens.map(|token| self.place(head, token, keys));
            self.interleave(self.attention.k, lanes, rows, places);
        }
    }

    /// Packs features of tokens as the rows of a strip or the columns of a panel, `width` lanes a step.
    fn interleave(
        &self,
        values: Values<'_>,
        lanes: &mut [u32],
        width: usize,
        places: impl Iterator<Item = Range<usize>> + Clone,
    ) {
        lanes.fill(0);
        match values {
            Values::Float32(values) => {
                spread(lanes, width, places.map(|place| &values[place]), |value| value.to_bits());
            }
            Values::Bfloat16(values) if self.product == Product::Bfloat16 => {
                pair(lanes, width, places.map(|place| &values[place]), |&bits| bits);
            }
            Values::Bfloat16(values) => {
                let lane = |&bits: &u16| widen(bits).to_bits();
                spread(lanes, width, places.map(|place| &values[place]), lane);
            }
        }
    }

    fn pack_values(&self, head: usize, lanes: &mut [u32]) {
        let AttentionShape { keys, width, .. } = self.attention.shape;
        let (rows, steps) = (self.kernels.rows(), self.steps(keys));
        if width % rows > 0 {
            lanes.fill(0);
        }
        for step in 0..steps {
            for (strip, first) in (0..width).step_by(rows).enumerate() {
                let count = rows.min(width - first);
                let lanes = &mut lanes[(strip * steps + step) * rows..][..count];
                let part = |token: usize| {
                    let start = self.place(head, token, keys).start + first;
                    start..start + count
                };
                match self.attention.v {
                    Values::Float32(values) => {
                        let values = &values[part(step)];
                        lanes.iter_mut().zip(values).for_each(|(lane, value)| *lane = value.to_bits());
                    }
                    Values::Bfloat16(values) if self.product == Product::Float32 => {
                        let values = &values[part(step)];
                        lanes.iter_mut().zip(values).for_each(|(lane, &value)| *lane = widen(value).to_bits());
                    }
                    Values::Bfloat16(values) => {
                        let first = &values[part(2 * step)];
                        lanes.iter_mut().zip(first).for_each(|(lane, &value)| *lane = u32::from(value));
                        if 2 * step + 1 < keys {
                            let second = &values[part(2 * step + 1)];
                            lanes.iter_mut().zip(second).for_each(|(lane, &value)| *lane |= u32::from(value) << 16);
                        }
                    }
                }
            }
        }
    }

    /// The queries of tile `tile` of a head, against that head's packed keys and values.
    fn task(&self, scratch: &mut Scratch, [keys, values]: [&[u32]; 2], [head, tile]: [usize; 2]) {
        let shape = self.attention.shape;
        let (rows, columns) = (self.kernels.rows(), self.kernels.columns());
        let tile = tile * PANELS * columns..((tile + 1) * PANELS * columns).min(shape.queries);
        let panels = tile.len().div_ceil(columns);
        self.pack_queries(&mut scratch.queries, head, tile.clone());
        let sums_each = shape.width.next_multiple_of(rows) * columns;
        scratch.sums.clear();
        scratch.sums.resize(panels * sums_each, 0.0);
        scratch.scores.resize(BLOCK * columns, 0.0);
        let Scratch { queries, scores, sums } = scratch;
        let queries = queries.chunks_exact(self.steps(shape.width) * columns);
        let mut panels: Vec<QueryPanel<'_>> = queries
            .zip(sums.chunks_exact_mut(sums_each))
            .map(|(queries, sums)| QueryPanel { queries, sums, state: ColumnState::default() })
            .collect();
        for first in (0..shape.keys).step_by(BLOCK) {
            let block = first..(first + BLOCK).min(shape.keys);
            for (index, panel) in panels.iter_mut().enumerate() {
                self.score(panel.queries, &keys[block.start * self.steps(shape.width)..], &mut scores[..], block.len());
                let scores = &mut scores[..block.len() * columns];
                let steps = self.steps(block.len());
                let mut scale = self.attention.scale;
                if let Some(bias) = self.attention.bias {
                    let first = tile.start + index * columns;
                    let queries = first..(first + columns).min(tile.end);
                    self.add_bias(
                        scores,
                        &bias[head % shape.heads * shape.queries * shape.keys..],
                        [queries, block.clone()],
                    );
                    scale = 1.0;
                }
                let block_of_scores =
                    ScoreBlock { scores: &mut *scores, scale, columns: &mut panel.state, sums: &mut *panel.sums };
                self.kernels.softmax(self.product, block_of_scores);
                let shares = as_lanes(&scores[..steps * columns]);
                self.add_values(shares, values, panel.sums, self.steps(block.start));
            }
        }
        for (index, panel) in panels.iter().enumerate() {
            let first = tile.start + index * columns;
            self.write(panel, head, first..(first + columns).min(tile.end));
        }
    }

    fn pack_queries(&self, lanes: &mut Lanes, head: usize, tile: Range<usize>) {
        let columns = self.kernels.columns();
        let size = self.steps(self.attention.shape.width) * columns;
        lanes.resize(tile.len().div_ceil(columns) * size);
        for (panel, lanes) in lanes.chunks_exact_mut(size).enumerate() {
            let first = tile.start + panel * columns;
            let tokens = first..(first + columns).min(tile.end);
            let places = tokens.map(|token| self.place(head, token, self.attention.shape.queries));
            self.interleave(self.attention.q, lanes, columns, places);
        }
    }

    /// Scores of a panel of queries for the first `count` of some packed keys: `[count, columns]`, and beyond them up to a whole strip.
    fn score(&self, queries: &[u32], keys: &[u32], scores: &mut [f32], count: usize) {
        let (rows, columns) = (self.kernels.rows(), self.kernels.columns());
        let strips = keys.chunks_exact(rows * self.steps(self.attention.shape.width));
        let tiles = scores.chunks_exact_mut(rows * columns).take(count.div_ceil(rows));
        for (strip, sums) in strips.zip(tiles) {
            self.kernels.multiply(self.product, TileOperands { strip, panel: queries, sums, carry_on: false });
        }
    }

    /// Scales the scores of some queries for a block of keys, and adds a head's bias.
    fn add_bias(&self, scores: &mut [f32], bias: &[f32], [queries, block]: [Range<usize>; 2]) {
        let columns = self.kernels.columns();
        for (column, query) in queries.enumerate() {
            let start = query * self.attention.shape.keys;
            let bias = &bias[start + block.start..start + block.end];
            for (scores, bias) in scores.chunks_exact_mut(columns).zip(bias) {
                scores[column] = self.attention.scale * scores[column] + bias;
            }
        }
    }

    /// Adds what the shares of a block's keys take of their values, which begin at step `first`.
    fn add_values(&self, shares: &[u32], values: &[u32], sums: &mut [f32], first: usize) {
        let (rows, columns) = (self.kernels.rows(), self.kernels.columns());
        let part = first * rows..first * rows + shares.len() / columns * rows;
        let strips = values.chunks_exact(self.steps(self.attention.shape.keys) * rows);
        for (strip, sums) in strips.zip(sums.chunks_exact_mut(rows * columns)) {
            let operands = TileOperands { strip: &strip[part.clone()], panel: shares, sums, carry_on: true };
            self.kernels.multiply(self.product, operands);
        }
    }

    /// Divides by the total of the shares.
    fn write(&self, panel: &QueryPanel<'_>, head: usize, queries: Range<usize>) {
        for (column, query) in queries.enumerate() {
            let factor = 1.0 / panel.state.totals[column];
            let results = panel.sums.chunks_exact(self.kernels.columns()).map(|row| row[column] * factor);
            // SAFETY: a query of a head belongs to one task.
            #[allow(unsafe_code)]
            match unsafe { self.y.part(self.place(head, query, self.attention.shape.queries)) } {
                ValuesMut::Float32(y) => y.iter_mut().zip(results).for_each(|(y, result)| *y = result),
                ValuesMut::Bfloat16(y) => y.iter_mut().zip(results).for_each(|(y, result)| *y = round(result)),
            }
        }
    }
}

/// A panel of queries on its way through the keys.
struct QueryPanel<'a> {
    /// Packed: `[steps, columns]`.
    queries: &'a [u32],
    /// `[width, columns]`, and more rows up to a whole strip.
    sums: &'a mut [f32],
    state: ColumnState,
}
