//! The table of micro-kernels, and which of them this machine can run.
#![allow(unsafe_code)]

use super::finish::FinishRow;
use super::gather::{Gather, GatherPointers};
use super::softmax::ScoreBlock;
use super::tile::{TilePointers, Upcoming};

/// The formats that a micro-kernel multiplies: of packed rows first, of panels then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// float32 by float32.
    Float32,
    /// float32 by pairs of bfloat16, which are widened.
    WidenedBfloat16,
    /// float32 by float16, which is widened.
    WidenedFloat16,
    /// Pairs of bfloat16 by pairs of bfloat16.
    Bfloat16,
}

impl Product {
    /// Lanes of packed rows for each lane of a panel.
    pub fn parts(self) -> usize {
        match self {
            Self::Float32 | Self::Bfloat16 => 1,
            Self::WidenedBfloat16 | Self::WidenedFloat16 => 2,
        }
    }
}

/// The micro-kernels of one instruction set.
///
/// All multiply a strip of [`rows`](Self::rows) packed rows by a panel of [`columns`](Self::columns) packed columns. Both are made of lanes of 4 bytes
/// that hold one float32, or two bfloat16 or float16 values that follow each other along K:
///
/// * A panel is `[steps, columns]` lanes. float32: one K a step. bfloat16: two, the even one in a lane's low half. float16: two, as two rows of
///   `columns` values one after the other.
/// * A strip is `[steps, parts, rows]` lanes. [`Product::Bfloat16`] takes pairs as in a panel; all others take float32, with two parts a step
///   where the panel has two K a step.
/// * The sums are `[rows, columns]` float32.
pub struct Kernels {
    pub(super) name: &'static str,
    pub(super) instructions: Instructions,
    pub(super) supported: fn() -> bool,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) float32: unsafe fn(TilePointers),
    pub(super) widened_bfloat16: unsafe fn(TilePointers),
    pub(super) widened_float16: Option<unsafe fn(TilePointers)>,
    pub(super) bfloat16: Option<unsafe fn(TilePointers)>,
    pub(super) peak_float32: unsafe fn(usize) -> f64,
    pub(super) peak_bfloat16: Option<unsafe fn(usize) -> f64>,
    pub(super) finish: unsafe fn(FinishRow<'_>),
    pub(super) softmax: unsafe fn(ScoreBlock<'_>),
    pub(super) softmax_pairs: Option<unsafe fn(ScoreBlock<'_>)>,
    pub(super) gather: Gather,
}

/// Loops in plain Rust that every instruction set compiles for itself: see [`Kernels::run`].
pub trait Loops {
    /// Runs them. Has to be marked `#[inline(always)]`, as everything that it calls in a loop: only so does it become the set's instructions.
    fn run(self);
}

/// The instructions that [`Loops`] are compiled to.
#[derive(Clone, Copy)]
pub(super) enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

/// All instruction sets that were compiled, the fastest first.
static COMPILED: &[&Kernels] = &[
    #[cfg(target_arch = "x86_64")]
    &super::avx512::WITH_BFLOAT16,
    #[cfg(target_arch = "x86_64")]
    &super::avx512::FOUNDATION,
    #[cfg(target_arch = "x86_64")]
    &super::avx2::KERNELS,
    #[cfg(target_arch = "aarch64")]
    &super::neon::KERNELS,
    &super::portable::KERNELS,
];

impl Kernels {
    /// The instruction sets that this machine has, the fastest first. The last one is portable.
    pub fn available() -> impl Iterator<Item = &'static Self> {
        // Nothing else hands out a `Kernels`, which is why its methods may be safe.
        COMPILED.iter().copied().filter(|kernels| (kernels.supported)())
    }

    /// The fastest instruction set of this machine.
    pub fn fastest() -> &'static Self {
        Self::available().next().unwrap_or(&super::portable::KERNELS)
    }

    /// The instruction set's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Rows of a strip.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of a panel.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether there is a micro-kernel for `product`. There always is for float32 and for widened bfloat16.
    pub fn has(&self, product: Product) -> bool {
        self.tile(product).is_some()
    }

    fn tile(&self, product: Product) -> Option<unsafe fn(TilePointers)> {
        match product {
            Product::Float32 => Some(self.float32),
            Product::WidenedBfloat16 => Some(self.widened_bfloat16),
            Product::WidenedFloat16 => self.widened_float16,
            Product::Bfloat16 => self.bfloat16,
        }
    }

    /// `sums = strip panel`, or `sums += strip panel` where `carry_on` says so. The number of steps is the panel's.
    ///
    /// # Panics
    /// If there is no such micro-kernel, or if a length does not fit the layouts.
    pub fn multiply(&self, product: Product, operands: TileOperands<'_>) {
        let next = Upcoming {
            rows: operands.strip.as_ptr_range().end,
            panel: operands.panel.as_ptr_range().end,
            sums: operands.sums.as_ptr_range().end,
        };
        self.multiply_before(product, operands, next);
    }

    /// The same while what comes next is fetched, where it does not follow in memory.
    ///
    /// # Panics
    /// As for [`multiply`](Self::multiply).
    pub(super) fn multiply_before(&self, product: Product, operands: TileOperands<'_>, next: Upcoming) {
        let TileOperands { strip, panel, sums, carry_on } = operands;
        let tile = self.tile(product).expect("a micro-kernel for these formats");
        let steps = panel.len() / self.columns;
        assert_eq!(panel.len(), steps * self.columns, "lanes of the panel");
        assert_eq!(strip.len(), steps * product.parts() * self.rows, "lanes of the strip");
        assert_eq!(sums.len(), self.rows * self.columns, "sums");
        let (rows, panel, sums) = (strip.as_ptr(), panel.as_ptr(), sums.as_mut_ptr());
        // SAFETY: the processor has the instructions (see `available`), and the lengths are those that the pointers' fields state.
        unsafe { tile(TilePointers { steps, rows, panel, sums, carry_on, next }) }
    }

    /// The micro-kernels that read rows where they lie.
    pub fn gather(&self) -> &Gather {
        &self.gather
    }

    /// `sums = rows panel`, or `sums += rows panel` where `carry_on` says so, of rows that are gathered.
    ///
    /// # Panics
    /// If there is no such micro-kernel.
    ///
    /// # Safety
    /// Each pointer has to be valid for the shape that its field states, the rows' for what [`Gather`] says.
    pub unsafe fn multiply_gathered(&self, product: Product, pointers: GatherPointers) {
        let tile = self.gather.tile(product).expect("a micro-kernel for these formats");
        // SAFETY: the processor has the instructions (see `available`), and the pointers are the caller's.
        unsafe { tile(pointers) }
    }

    /// Adds the bias, takes the last step and writes a row.
    ///
    /// # Panics
    /// If the slices are of different lengths.
    pub fn finish(&self, row: FinishRow<'_>) {
        // SAFETY: the processor has the instructions.
        unsafe { (self.finish)(row) }
    }

    /// Turns scores into shares for `product`: pairs for pairs of bfloat16, else float32.
    ///
    /// # Panics
    /// If there is no such micro-kernel, or if scores or sums are no whole rows.
    pub fn softmax(&self, product: Product, block: ScoreBlock<'_>) {
        let softmax = match product {
            Product::Bfloat16 => self.softmax_pairs.expect("a micro-kernel for pairs"),
            _ => self.softmax,
        };
        assert!(block.scores.len().is_multiple_of(self.columns), "scores");
        assert!(block.sums.len().is_multiple_of(self.columns), "sums");
        // SAFETY: the processor has the instructions, and rows are as long as a panel is wide.
        unsafe { softmax(block) }
    }

    /// Runs loops, compiled to this set's instructions. To be called with enough work for the call not to count.
    pub fn run<L: Loops>(&self, loops: L) {
        // SAFETY: the processor has the instructions.
        unsafe {
            match self.instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512 => super::avx512::run(loops),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => super::avx2::run(loops),
                #[cfg(target_arch = "aarch64")]
                Instructions::Neon => super::neon::run(loops),
                Instructions::Portable => super::portable::run(loops),
            }
        }
    }

    /// Multiplies and adds in registers only, as often as a micro-kernel does in `steps` steps, and returns the number of floating-point
    /// operations: timed, the most that one core can do. `None` where there is no such instruction.
    pub fn peak(&self, product: Product, steps: usize) -> Option<f64> {
        let peak = match product {
            Product::Bfloat16 => self.peak_bfloat16?,
            _ => self.peak_float32,
        };
        // SAFETY: the processor has the instructions.
        Some(unsafe { peak(steps) })
    }
}

/// What a micro-kernel multiplies, in the layouts of [`Kernels`].
pub struct TileOperands<'a> {
    /// Packed rows.
    pub strip: &'a [u32],
    /// Packed columns.
    pub panel: &'a [u32],
    /// The sums.
    pub sums: &'a mut [f32],
    /// Whether to add to the sums.
    pub carry_on: bool,
}
