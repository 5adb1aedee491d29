//! NEON micro-kernels: 8 rows by 12 columns, 24 of the 32 registers for sums.
//!
//! Products have run under emulation only; the rest is checked by the compiler. Every aarch64 processor has the instructions. float16 weights are widened when they are packed.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::finish::{FinishRow, finish};
use super::gather::{Gather, GatherPointers, gather};
use super::kernels::{Instructions, Kernels, Loops};
use super::micro_kernels::micro_kernels;
use super::softmax::{ScoreBlock, softmax};
use super::tile::{Float32, TilePointers, Vectors, WidenedBfloat16, peak, tile};

const ROWS: usize = 8;
const VECTORS: usize = 3;
const GATHERED_ROWS: usize = 6;
const GATHERED_VECTORS: usize = 4;

/// The micro-kernels.
pub static KERNELS: Kernels = Kernels {
    name: "neon",
    instructions: Instructions::Neon,
    supported: || std::arch::is_aarch64_feature_detected!("neon"),
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

struct Neon;

// SAFETY: NEON instructions that read and write 4 values.
unsafe impl Vectors for Neon {
    type Vector = float32x4_t;
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn load(values: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(values) }
    }
    #[inline(always)]
    unsafe fn store(values: *mut f32, vector: float32x4_t) {
        unsafe { vst1q_f32(values, vector) }
    }
    #[inline(always)]
    unsafe fn splat(value: *const f32) -> float32x4_t {
        unsafe { vld1q_dup_f32(value) }
    }
    #[inline(always)]
    unsafe fn first_of_pairs(pairs: *const u32) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<16>(vld1q_u32(pairs))) }
    }
    #[inline(always)]
    unsafe fn second_of_pairs(pairs: *const u32) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vandq_u32(vld1q_u32(pairs), vdupq_n_u32(0xffff_0000))) }
    }
    #[inline(always)]
    unsafe fn multiply_add(left: float32x4_t, right: float32x4_t, sums: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(sums, left, right) }
    }
    #[inline(always)]
    unsafe fn add(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(left, right) }
    }
    #[inline(always)]
    unsafe fn subtract(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(left, right) }
    }
    #[inline(always)]
    unsafe fn larger(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(left, right), left, right) }
    }
    #[inline(always)]
    unsafe fn whole(vector: float32x4_t) -> float32x4_t {
        unsafe { vrndnq_f32(vector) }
    }
    #[inline(always)]
    unsafe fn scaled(vector: float32x4_t, power: float32x4_t) -> float32x4_t {
        unsafe {
            let exponent = vshlq_n_s32::<23>(vcvtq_s32_f32(power));
            vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(vector), exponent))
        }
    }
}

micro_kernels!(
    #[target_feature(enable = "neon")]
    Neon
);
