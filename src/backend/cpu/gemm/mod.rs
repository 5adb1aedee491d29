//! Matrix products on the CPU.
//!
//! `y: [M, N]` is computed in tiles. A task takes some rows of `x` and some panels of the weight, packs the rows into strips, and lets a micro-kernel
//! multiply each strip by each panel ([`Kernels`] describes both layouts). Every sum runs over K in order, in one accumulator, so a value
//! of `y` depends on its row of `x` and its column of the weight only: not on threads, not on the other rows, not on the tiles' sizes.
//!
//! # Other operations on the same micro-kernels
//! [`Kernels::multiply`] knows nothing of matrices in memory. An operation packs its own operands and takes the sums as they are:
//! * [`attention`](super::attention) has keys as strips and queries as panels (K is the head's width). The sums of a panel's strips, one after the
//!   other, are a float32 panel again: that of the second product, which has the values' features as strips (K are keys);
//! * a convolution may pack the weight of each tap as panels (columns are output channels, K are input channels), take the pixels of a row as strips
//!   and go over the taps with `carry_on`.

mod finish;
mod gather;
mod interleave;
mod kernels;
mod micro_kernels;
mod multiply;
mod output;
mod packing;
mod portable;
mod softmax;
mod stored;
mod tasks;
mod tile;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

pub use finish::{FinishRow, FinishStep, round, widen};
pub use gather::{Gather, GatherPointers};
pub use interleave::{pair, spread};
pub use kernels::{Kernels, Loops, Product, TileOperands};
pub use multiply::{Epilogue, Gate, Multiplication, multiply};
pub use output::SharedOutput;
pub use packing::{Lanes, PackedPanels, Panels, StoredPanels, WeightValues, as_lanes};
pub use softmax::{ColumnState, ScoreBlock};
pub use tasks::{Grain, Task, Tasks};

/// Values of a matrix, row by row; bfloat16 as its bits.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// float32.
    Float32(&'a [f32]),
    /// bfloat16.
    Bfloat16(&'a [u16]),
}

impl<'a> Values<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Float32(values) => values.len(),
            Self::Bfloat16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that are float32.
    pub fn float32(&self) -> Option<&'a [f32]> {
        match self {
            Self::Float32(values) => Some(values),
            Self::Bfloat16(_) => None,
        }
    }

    /// The bits of those that are bfloat16.
    pub fn bfloat16(&self) -> Option<&'a [u16]> {
        match self {
            Self::Float32(_) => None,
            Self::Bfloat16(values) => Some(values),
        }
    }

    /// Those in `range`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part(&self, range: std::ops::Range<usize>) -> Values<'a> {
        match self {
            Self::Float32(values) => Values::Float32(&values[range]),
            Self::Bfloat16(values) => Values::Bfloat16(&values[range]),
        }
    }
}

/// Values to be written; bfloat16 as its bits.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// float32.
    Float32(&'a mut [f32]),
    /// bfloat16.
    Bfloat16(&'a mut [u16]),
}

impl ValuesMut<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Float32(values) => values.len(),
            Self::Bfloat16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
