//! Micro-kernels in plain Rust, for processors that have none of the others: 4 rows by 8 columns.
//!
//! Products are rounded before they are added, as no fused multiply-add can be counted on.
#![allow(unsafe_code)]

use super::finish::{FinishRow, finish};
use super::gather::{Gather, GatherPointers, gather};
use super::kernels::{Instructions, Kernels, Loops};
use super::micro_kernels::micro_kernels;
use super::softmax::{ScoreBlock, softmax};
use super::tile::{Float32, TilePointers, Vectors, WidenedBfloat16, peak, tile};

const ROWS: usize = 4;
const VECTORS: usize = 2;
const GATHERED_ROWS: usize = 4;
const GATHERED_VECTORS: usize = 2;

/// The micro-kernels.
pub static KERNELS: Kernels = Kernels {
    name: "portable",
    instructions: Instructions::Portable,
    supported: || true,
    rows: ROWS,
    columns: VECTORS * 4,
    float32,
    widened_bfloat16,
    widened_float16: None,
    bfloat16: None,
    peak_float32,
    peak_bfloat16: None,
    finish: finish_row,
    softmax: softmax_block,
    softmax_pairs: None,
    gather: GATHER,
};

const GATHER: Gather = Gather {
    rows: GATHERED_ROWS,
    columns: GATHERED_VECTORS * 4,
    float32: gather_float32,
    widened_bfloat16: gather_widened_bfloat16,
    bfloat16: None,
};

struct Portable;

/// Adding and subtracting it rounds to the nearest whole number: `1.5 * 2^23`.
const ROUNDING: f32 = 12_582_912.0;

// SAFETY: reads and writes 4 values.
unsafe impl Vectors for Portable {
    type Vector = [f32; 4];
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> [f32; 4] {
        [0.0; 4]
    }
    #[inline(always)]
    unsafe fn load(values: *const f32) -> [f32; 4] {
        unsafe { values.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(values: *mut f32, vector: [f32; 4]) {
        unsafe { values.cast::<[f32; 4]>().write_unaligned(vector) }
    }
    #[inline(always)]
    unsafe fn splat(value: *const f32) -> [f32; 4] {
        unsafe { [*value; 4] }
    }
    #[inline(always)]
    unsafe fn first_of_pairs(pairs: *const u32) -> [f32; 4] {
        unsafe { pairs.cast::<[u32; 4]>().read_unaligned().map(|pair| f32::from_bits(pair << 16)) }
    }
    #[inline(always)]
    unsafe fn second_of_pairs(pairs: *const u32) -> [f32; 4] {
        unsafe { pairs.cast::<[u32; 4]>().read_unaligned().map(|pair| f32::from_bits(pair & 0xffff_0000)) }
    }
    #[inline(always)]
    unsafe fn multiply_add(left: [f32; 4], right: [f32; 4], sums: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|column| sums[column] + left[column] * right[column])
    }
    #[inline(always)]
    unsafe fn add(left: [f32; 4], right: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|column| left[column] + right[column])
    }
    #[inline(always)]
    unsafe fn subtract(left: [f32; 4], right: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|column| left[column] - right[column])
    }
    #[inline(always)]
    unsafe fn larger(left: [f32; 4], right: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|column| if left[column] > right[column] { left[column] } else { right[column] })
    }
    #[inline(always)]
    unsafe fn whole(vector: [f32; 4]) -> [f32; 4] {
        vector.map(|value| value + ROUNDING - ROUNDING)
    }
    #[inline(always)]
    unsafe fn scaled(vector: [f32; 4], power: [f32; 4]) -> [f32; 4] {
        // The last bits of the sum are the whole number; the others are shifted out.
        let exponent = power.map(|power| (power + ROUNDING).to_bits() << 23);
        std::array::from_fn(|column| f32::from_bits(vector[column].to_bits().wrapping_add(exponent[column])))
    }
}

micro_kernels!(Portable);
