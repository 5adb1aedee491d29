//! Packing: rows and weights in the order in which micro-kernels read them.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut, Range};

use memmap2::MmapMut;
use rayon::prelude::*;

use super::super::exhaustion::exhausted;
use super::super::memory;
use super::Values;
use super::finish::{round, widen};
use super::interleave::{pair, spread, stack};
use super::kernels::{Kernels, Product};

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
        let map = MmapMut::map_anon(size).or_else(|_| {
            memory::release();
            MmapMut::map_anon(size)
        });
        let map = map.inspect_err(|_| exhausted(size)).expect("memory for packed values");
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
        inputs.div_ceil(self.values_each())
    }

    /// Values in a lane.
    fn values_each(self) -> usize {
        match self {
            Self::Float32 => 1,
            Self::Bfloat16 | Self::Float16 => 2,
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
        let stored = StoredPanels { kernels, values, outputs, inputs };
        let mut packed = Self::zeros(kernels, stored.format(), [outputs, inputs]);
        packed.panels_mut().for_each(|(rows, lanes)| stored.pack(rows, 0..inputs, lanes));
        packed
    }

    /// Packs a matrix `[outputs, inputs]` that is made some rows at a time, in float32 or rounded to bfloat16.
    ///
    /// # Errors
    /// That of `make`.
    ///
    /// # Panics
    /// If `make` does not return all values of the rows.
    pub fn made<E: Send>(
        kernels: &'static Kernels,
        [outputs, inputs]: [usize; 2],
        rounded: bool,
        make: impl Fn(Range<usize>) -> Result<Vec<f32>, E> + Sync,
    ) -> Result<Self, E> {
        let format = if rounded { PanelFormat::Bfloat16 } else { PanelFormat::Float32 };
        let mut packed = Self::zeros(kernels, format, [outputs, inputs]);
        packed.panels_mut().try_for_each(|(rows, lanes)| {
            let values = make(rows.clone())?;
            assert_eq!(values.len(), rows.len() * inputs, "values of rows {rows:?}");
            match format {
                PanelFormat::Bfloat16 => {
                    pair(lanes, kernels.columns, values.chunks_exact(inputs), |&value| round(value))
                }
                _ => spread(lanes, kernels.columns, values.chunks_exact(inputs), f32_lane),
            }
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

/// A weight `[N, K]` as it is stored, whose panels are packed when they are multiplied, a part at a time: for weights that are used once.
#[derive(Clone, Copy)]
pub struct StoredPanels<'a> {
    /// For which the panels are.
    pub kernels: &'static Kernels,
    /// `[outputs, inputs]`.
    pub values: WeightValues<'a>,
    /// N.
    pub outputs: usize,
    /// K.
    pub inputs: usize,
}

impl StoredPanels<'_> {
    pub(super) fn format(&self) -> PanelFormat {
        match self.values {
            WeightValues::Float32(_) => PanelFormat::Float32,
            WeightValues::Bfloat16(_) | WeightValues::Float8(_) => PanelFormat::Bfloat16,
            WeightValues::Float16(_) if self.kernels.has(Product::WidenedFloat16) => PanelFormat::Float16,
            WeightValues::Float16(_) => PanelFormat::Float32,
        }
    }

    /// Packs the values `part` of the rows `rows`, all of one panel, into lanes of which all are written.
    pub(super) fn pack(&self, rows: Range<usize>, part: Range<usize>, lanes: &mut [u32]) {
        let columns = self.kernels.columns;
        let format = self.format();
        if rows.len() < columns || format == PanelFormat::Float16 || part.len() % 2 == 1 {
            lanes.fill(0);
        }
        let lines = rows.map(|row| row * self.inputs + part.start..row * self.inputs + part.end);
        match self.values {
            WeightValues::Float32(values) => spread(lanes, columns, lines.map(|line| &values[line]), f32_lane),
            WeightValues::Bfloat16(values) => pair(lanes, columns, lines.map(|line| &values[line]), |&bits| bits),
            WeightValues::Float8(values) => {
                pair(lanes, columns, lines.map(|line| &values[line]), |&bits| FLOAT8[usize::from(bits)]);
            }
            WeightValues::Float16(values) if format == PanelFormat::Float32 => {
                let widen = |&bits: &u16| half::f16::from_bits(bits).to_f32().to_bits();
                spread(lanes, columns, lines.map(|line| &values[line]), widen);
            }
            WeightValues::Float16(values) => stack(lanes, columns, lines.map(|line| &values[line])),
        }
    }
}

/// Where the panels of a weight come from.
#[derive(Clone, Copy)]
pub enum Panels<'a> {
    /// Packed before.
    Packed(&'a PackedPanels),
    /// Packed now.
    Stored(StoredPanels<'a>),
}

impl<'a> Panels<'a> {
    pub(super) fn kernels(&self) -> &'static Kernels {
        match self {
            Self::Packed(panels) => panels.kernels,
            Self::Stored(panels) => panels.kernels,
        }
    }

    pub(super) fn format(&self) -> PanelFormat {
        match self {
            Self::Packed(panels) => panels.format,
            Self::Stored(panels) => panels.format(),
        }
    }

    /// N.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Packed(panels) => panels.outputs,
            Self::Stored(panels) => panels.outputs,
        }
    }

    /// K.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Packed(panels) => panels.inputs,
            Self::Stored(panels) => panels.inputs,
        }
    }

    /// Lanes of a column.
    pub(super) fn steps(&self) -> usize {
        self.format().steps(self.inputs())
    }

    /// Some steps of a panel; `buffer` is where they are packed if they are not.
    pub(super) fn part<'b>(&self, panel: usize, steps: Range<usize>, buffer: &'b mut Lanes) -> &'b [u32]
    where
        'a: 'b,
    {
        let columns = self.kernels().columns;
        match self {
            Self::Packed(panels) => &panels.panel(panel)[steps.start * columns..steps.end * columns],
            Self::Stored(panels) => {
                buffer.resize(steps.len() * columns);
                let each = self.format().values_each();
                let values = steps.start * each..(steps.end * each).min(panels.inputs);
                let first = panel * columns;
                panels.pack(first..(first + columns).min(panels.outputs), values, buffer);
                buffer
            }
        }
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

/// Packs rows of `x` into strips, of which all lanes are written.
pub(super) fn pack_rows(strips: &mut [u32], layout: &StripLayout, source: RowSource<'_>, weight: &Panels<'_>) {
    let RowSource { x, rows, product } = source;
    let (height, inputs, each) = (weight.kernels().rows, weight.inputs(), weight.format().values_each());
    let mut rest = strips;
    for chunk in 0..layout.chunks() {
        let (steps, size) = (layout.steps_of(chunk), layout.part(0, chunk).len());
        let (lanes, after) = rest.split_at_mut(size * layout.strips);
        rest = after;
        let values = steps.start * each..(steps.end * each).min(inputs);
        lanes.par_chunks_exact_mut(size.max(1)).enumerate().for_each(|(index, strip)| {
            let first = rows.start + index * height;
            let last = (first + height).min(rows.end);
            if last - first < height || values.len() < steps.len() * each {
                strip.fill(0);
            }
            let lines = (first..last).map(|row| row * inputs + values.start..row * inputs + values.end);
            match x {
                Values::Float32(x) => spread(strip, height, lines.map(|line| &x[line]), f32_lane),
                Values::Bfloat16(x) if product == Product::Bfloat16 => {
                    pair(strip, height, lines.map(|line| &x[line]), |&bits| bits);
                }
                Values::Bfloat16(x) => {
                    spread(strip, height, lines.map(|line| &x[line]), |&bits| widen(bits).to_bits());
                }
            }
        });
    }
}

/// Rows of `x: [M, K]` and the product they are for.
pub(super) struct RowSource<'a> {
    pub x: Values<'a>,
    pub rows: Range<usize>,
    pub product: Product,
}

fn f32_lane(value: &f32) -> u32 {
    value.to_bits()
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
