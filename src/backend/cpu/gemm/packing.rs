//! Packing: rows and weights in the order in which micro-kernels read them.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut, Range};

use memmap2::MmapMut;
use rayon::prelude::*;

use super::Values;
use super::finish::widen;
use super::kernels::{Kernels, Product};
use super::transpose::{Line, MOST_LINES, interleave};

/// Lanes of 4 bytes that begin at a cache line.
///
/// Mapped memory rather than a vector: it comes zeroed, and in huge pages where the system has them, which halves the time that packing takes.
#[derive(Default)]
pub struct Lanes {
    map: Option<MmapMut>,
    count: usize,
}

impl Lanes {
    /// `count` zeros.
    ///
    /// # Panics
    /// If the system has no memory left.
    pub fn zeros(count: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let size = count.checked_mul(size_of::<u32>()).expect("a size in bytes");
        let map = MmapMut::map_anon(size).expect("memory for packed values");
        // Only advice: without huge pages it is slower.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Self { map: Some(map), count }
    }

    /// Makes `count` lanes of it, with unspecified values.
    ///
    /// # Panics
    /// If the system has no memory left.
    pub fn resize(&mut self, count: usize) {
        if self.map.as_ref().map_or(0, |map| map.len()) < count * size_of::<u32>() {
            *self = Self::zeros(count);
        }
        self.count = count;
    }
}

impl Deref for Lanes {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        let Some(map) = &self.map else { return &[] };
        // SAFETY: the map begins at a page, holds at least `count` lanes, and any bytes are lanes.
        unsafe { std::slice::from_raw_parts(map.as_ptr().cast(), self.count) }
    }
}

impl DerefMut for Lanes {
    fn deref_mut(&mut self) -> &mut [u32] {
        let Some(map) = &mut self.map else { return &mut [] };
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().cast(), self.count) }
    }
}

/// What weights are read from: `[N, K]`, the two-byte types as their bits.
#[derive(Debug, Clone, Copy)]
pub enum WeightValues<'a> {
    /// float32.
    Float32(&'a [f32]),
    /// bfloat16.
    Bfloat16(&'a [u16]),
    /// float16.
    Float16(&'a [u16]),
    /// float8 (e4m3).
    Float8(&'a [u8]),
}

impl<'a> WeightValues<'a> {
    /// The float32 values in `bytes`; `None` where they are not aligned or not whole.
    pub fn float32_of(bytes: &'a [u8]) -> Option<Self> {
        // SAFETY: any bits are a float32.
        let (before, values, after) = unsafe { bytes.align_to() };
        (before.is_empty() && after.is_empty()).then_some(Self::Float32(values))
    }

    /// The two-byte values in `bytes`, as their bits; `None` where they are not aligned or not whole.
    pub fn two_bytes_of(bytes: &'a [u8]) -> Option<&'a [u16]> {
        // SAFETY: any bits are a 16-bit integer.
        let (before, values, after) = unsafe { bytes.align_to() };
        (before.is_empty() && after.is_empty()).then_some(values)
    }

    fn len(&self) -> usize {
        match self {
            Self::Float32(values) => values.len(),
            Self::Bfloat16(values) | Self::Float16(values) => values.len(),
            Self::Float8(values) => values.len(),
        }
    }
}

/// A weight `[N, K]` in panels: `[ceil(N / columns), steps, columns]` lanes, with zeros beyond `N` and `K`.
pub struct PackedPanels {
    pub(super) kernels: &'static Kernels,
    pub(super) format: PanelFormat,
    /// N.
    pub(super) outputs: usize,
    /// K.
    pub(super) inputs: usize,
    pub(super) lanes: Lanes,
}

/// The type of the values in a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PanelFormat {
    Float32,
    Bfloat16,
    Float16,
}

impl PanelFormat {
    /// Lanes of a column.
    fn steps(self, inputs: usize) -> usize {
        match self {
            Self::Float32 => inputs,
            Self::Bfloat16 | Self::Float16 => inputs.div_ceil(2),
        }
    }

    /// The micro-kernel for rows of this type; bfloat16 rows are widened where there is none for them.
    pub(super) fn product(self, kernels: &Kernels, rows: &Values<'_>) -> Product {
        match (self, rows) {
            (Self::Bfloat16, Values::Bfloat16(_)) if kernels.has(Product::Bfloat16) => Product::Bfloat16,
            (Self::Bfloat16, _) => Product::WidenedBfloat16,
            (Self::Float16, _) => Product::WidenedFloat16,
            (Self::Float32, _) => Product::Float32,
        }
    }
}

impl PackedPanels {
    /// Packs `values: [outputs, inputs]` for `kernels`. No value changes: float8 becomes bfloat16, which holds it; float16 is kept where a micro-kernel
    /// reads it, and widened elsewhere.
    ///
    /// # Panics
    /// If there are not `outputs * inputs` values.
    pub fn new(kernels: &'static Kernels, values: WeightValues<'_>, [outputs, inputs]: [usize; 2]) -> Self {
        assert_eq!(Some(values.len()), outputs.checked_mul(inputs), "values of the weight");
        let format = match values {
            WeightValues::Float32(_) => PanelFormat::Float32,
            WeightValues::Bfloat16(_) | WeightValues::Float8(_) => PanelFormat::Bfloat16,
            WeightValues::Float16(_) if kernels.has(Product::WidenedFloat16) => PanelFormat::Float16,
            WeightValues::Float16(_) => PanelFormat::Float32,
        };
        let columns = kernels.columns;
        let mut packed = Self::zeros(kernels, format, [outputs, inputs]);
        packed.panels_mut().for_each(|(rows, lanes)| {
            let part = rows.start * inputs..rows.end * inputs;
            match values {
                WeightValues::Float32(values) => spread(lanes, columns, values[part].chunks_exact(inputs), f32_lane),
                WeightValues::Bfloat16(values) => pair(lanes, columns, values[part].chunks_exact(inputs), |&bits| bits),
                WeightValues::Float8(values) => {
                    pair(lanes, columns, values[part].chunks_exact(inputs), |&bits| FLOAT8[usize::from(bits)]);
                }
                WeightValues::Float16(values) if format == PanelFormat::Float32 => {
                    let widen = |&bits: &u16| half::f16::from_bits(bits).to_f32().to_bits();
                    spread(lanes, columns, values[part].chunks_exact(inputs), widen);
                }
                WeightValues::Float16(values) => stack(lanes, columns, values[part].chunks_exact(inputs)),
            }
        });
        packed
    }

    /// Packs a matrix `[outputs, inputs]` of float32 that is made some rows at a time.
    ///
    /// # Errors
    /// That of `make`.
    ///
    /// # Panics
    /// If `make` does not return all values of the rows.
    pub fn made<E: Send>(
        kernels: &'static Kernels,
        [outputs, inputs]: [usize; 2],
        make: impl Fn(Range<usize>) -> Result<Vec<f32>, E> + Sync,
    ) -> Result<Self, E> {
        let mut packed = Self::zeros(kernels, PanelFormat::Float32, [outputs, inputs]);
        packed.panels_mut().try_for_each(|(rows, lanes)| {
            let values = make(rows.clone())?;
            assert_eq!(values.len(), rows.len() * inputs, "values of rows {rows:?}");
            spread(lanes, kernels.columns, values.chunks_exact(inputs), f32_lane);
            Ok(())
        })?;
        Ok(packed)
    }

    fn zeros(kernels: &'static Kernels, format: PanelFormat, [outputs, inputs]: [usize; 2]) -> Self {
        let lanes = outputs.next_multiple_of(kernels.columns) * format.steps(inputs);
        Self { kernels, format, outputs, inputs, lanes: Lanes::zeros(lanes) }
    }

    /// Every panel with the rows of the weight that it holds; none where rows hold nothing.
    fn panels_mut(&mut self) -> impl ParallelIterator<Item = (Range<usize>, &mut [u32])> {
        let (columns, outputs, size) = (self.kernels.columns, self.outputs, self.steps() * self.kernels.columns);
        self.lanes.par_chunks_mut(size.max(1)).enumerate().map(move |(panel, lanes)| {
            let first = panel * columns;
            (first..(first + columns).min(outputs), lanes)
        })
    }

    /// Lanes of a column.
    pub(super) fn steps(&self) -> usize {
        self.format.steps(self.inputs)
    }

    /// The panels' lanes, panel after panel.
    pub(super) fn panel(&self, index: usize) -> &[u32] {
        let size = self.steps() * self.kernels.columns;
        &self.lanes[index * size..(index + 1) * size]
    }
}

/// Where strips are in memory: `[chunks, strips, steps of the chunk, parts, strip rows]` lanes, so that the strips of a chunk follow each other.
pub(super) struct StripLayout {
    pub strips: usize,
    /// Of a whole strip.
    pub steps: usize,
    /// Of a chunk; the last one may have fewer.
    pub steps_each: usize,
    /// Parts times rows.
    pub lanes_of_step: usize,
}

impl StripLayout {
    /// All of them.
    pub fn lanes(&self) -> usize {
        self.strips * self.steps * self.lanes_of_step
    }

    /// One at least, so that sums of nothing are written too.
    pub fn chunks(&self) -> usize {
        self.steps.div_ceil(self.steps_each).max(1)
    }

    pub fn steps_of(&self, chunk: usize) -> Range<usize> {
        chunk * self.steps_each..((chunk + 1) * self.steps_each).min(self.steps)
    }

    /// The lanes of a strip in a chunk.
    pub fn part(&self, strip: usize, chunk: usize) -> Range<usize> {
        let steps = self.steps_of(chunk);
        let first = (steps.start * self.strips + steps.len() * strip) * self.lanes_of_step;
        first..first + steps.len() * self.lanes_of_step
    }
}

/// Packs rows of `x`, which all lanes are written for.
pub(super) fn pack_rows(strips: &mut [u32], layout: &StripLayout, source: RowSource<'_>, weight: &PackedPanels) {
    let RowSource { x, rows, product } = source;
    let (height, inputs) = (weight.kernels.rows, weight.inputs);
    // K in a step: as many as a panel's lane holds.
    let values = if weight.format == PanelFormat::Float32 { 1 } else { 2 };
    let chunks = (0..layout.chunks()).scan(strips, |rest, chunk| {
        let (lanes, after) = std::mem::take(rest).split_at_mut(layout.part(0, chunk).len() * layout.strips);
        *rest = after;
        Some((layout.steps_of(chunk), lanes))
    });
    chunks.par_bridge().for_each(|(steps, lanes)| {
        lanes.par_chunks_exact_mut((steps.len() * layout.lanes_of_step).max(1)).enumerate().for_each(
            |(index, strip)| {
                let first = rows.start + index * height;
                let last = (first + height).min(rows.end);
                let columns = steps.start * values..(steps.end * values).min(inputs);
                if last - first < height || columns.len() < steps.len() * values {
                    strip.fill(0);
                }
                let part = |row: usize| row * inputs + columns.start..row * inputs + columns.end;
                // Only whole strips, whose lanes all come from rows, go eight by eight.
                let whole = last - first == height && columns.len() == steps.len() * values;
                match x {
                    Values::Float32(x) if whole => {
                        interleave_rows(strip, (first..last).map(|row| Line::of_float32(&x[part(row)])));
                    }
                    Values::Float32(x) => spread(strip, height, (first..last).map(|row| &x[part(row)]), f32_lane),
                    Values::Bfloat16(x) if product == Product::Bfloat16 && whole => {
                        interleave_rows(strip, (first..last).map(|row| Line::of_pairs(&x[part(row)])));
                    }
                    Values::Bfloat16(x) if product == Product::Bfloat16 => {
                        pair(strip, height, (first..last).map(|row| &x[part(row)]), |&bits| bits);
                    }
                    Values::Bfloat16(x) => {
                        spread(strip, height, (first..last).map(|row| &x[part(row)]), |&bits| widen(bits).to_bits());
                    }
                }
            },
        );
    });
}

fn interleave_rows<'a>(strip: &mut [u32], rows: impl Iterator<Item = Line<'a>>) {
    let mut lines = [Line::of_float32(&[]); MOST_LINES];
    let mut count = 0;
    for row in rows {
        lines[count] = row;
        count += 1;
    }
    interleave(strip, &lines[..count]);
}

/// Rows of `x: [M, K]` and the product they are for.
pub(super) struct RowSource<'a> {
    pub x: Values<'a>,
    pub rows: Range<usize>,
    pub product: Product,
}

/// Lanes of a line that are written one after the other before the next line is read: what they touch stays in the first cache.
const RUN: usize = 16;

fn f32_lane(value: &f32) -> u32 {
    value.to_bits()
}

/// Writes line `index` into places `index`, `index + width`, ...: one value a lane.
pub fn spread<'a, T: Copy + 'a>(
    lanes: &mut [u32],
    width: usize,
    lines: impl Iterator<Item = &'a [T]> + Clone,
    lane: impl Fn(&T) -> u32,
) {
    for (run, lanes) in lanes.chunks_mut(RUN * width).enumerate() {
        for (index, line) in lines.clone().enumerate() {
            let values = &line[(run * RUN).min(line.len())..(run * RUN + RUN).min(line.len())];
            for (lanes, value) in lanes.chunks_exact_mut(width).zip(values) {
                lanes[index] = lane(value);
            }
        }
    }
}

/// The same with two values a lane, the first in its low half; `half` makes the bits of a bfloat16.
pub fn pair<'a, T: Copy + 'a>(
    lanes: &mut [u32],
    width: usize,
    lines: impl Iterator<Item = &'a [T]> + Clone,
    half: impl Fn(&T) -> u16,
) {
    for (run, lanes) in lanes.chunks_mut(RUN * width).enumerate() {
        for (index, line) in lines.clone().enumerate() {
            let values = &line[(2 * run * RUN).min(line.len())..(2 * (run * RUN + RUN)).min(line.len())];
            let pairs = values.chunks_exact(2);
            let rest = pairs.remainder();
            for (lanes, pair) in lanes.chunks_exact_mut(width).zip(pairs) {
                lanes[index] = u32::from(half(&pair[0])) | u32::from(half(&pair[1])) << 16;
            }
            if let [last] = rest {
                lanes[(values.len() / 2) * width + index] = u32::from(half(last));
            }
        }
    }
}

/// Two values of each line a step, as two rows of `width` two-byte values in `width` lanes, which have to be zero.
fn stack<'a>(lanes: &mut [u32], width: usize, lines: impl Iterator<Item = &'a [u16]>) {
    for (index, line) in lines.enumerate() {
        for (position, &bits) in line.iter().enumerate() {
            let place = position * width + index;
            lanes[place / 2] |= u32::from(bits) << (16 * (place % 2));
        }
    }
}

/// The bfloat16 of every float8 (e4m3): four bits of exponent around 7, three of mantissa, no infinity.
///
/// # Source
/// Micikevicius et al., "FP8 Formats for Deep Learning" (2022), table 1.
static FLOAT8: [u16; 256] = {
    let mut table = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let (exponent, mantissa) = (bits as u16 >> 3 & 15, bits as u16 & 7);
        let magnitude = match (exponent, mantissa) {
            (0, 0) => 0,
            // A subnormal number is its mantissa in steps of 2^-9: the leading bit gives the exponent.
            (0, _) => {
                let leading = 15 - mantissa.leading_zeros() as u16;
                (127 - 9 + leading) << 7 | (mantissa << (7 - leading) & 0x7f)
            }
            (15, 7) => 0x7fc0,
            _ => (127 - 7 + exponent) << 7 | mantissa << 4,
        };
        table[bits] = (bits as u16 >> 7) << 15 | magnitude;
        bits += 1;
    }
    table
};

/// The bits of float32 values.
pub fn as_lanes(values: &[f32]) -> &[u32] {
    // SAFETY: both types take 4 bytes, and any bits are lanes.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
}
