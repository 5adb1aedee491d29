//! AVX2 micro-kernels: 6 rows by 16 columns, 12 of the 16 registers for sums.
//!
//! Bound by arithmetic: 8 loads feed 12 multiply-adds, of which current processors start two a cycle. Asks for FMA and F16C, which every processor
//! with AVX2 has but VIA's.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::*;

use super::finish::{FinishRow, finish};
use super::gather::{Gather, GatherPointers, gather};
use super::kernels::{Instructions, Kernels, Loops};
use super::micro_kernels::micro_kernels;
use super::softmax::{ScoreBlock, softmax};
use super::tile::{Float32, HalfVectors, TilePointers, Vectors, WidenedBfloat16, WidenedFloat16, peak, tile};

const ROWS: usize = 6;
const VECTORS: usize = 2;
const GATHERED_ROWS: usize = 6;
const GATHERED_VECTORS: usize = 2;

/// The micro-kernels.
pub static KERNELS: Kernels = Kernels {
    name: "avx2",
    instructions: Instructions::Avx2,
    supported: || {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
    },
    rows: ROWS,
    columns: VECTORS * 8,
    float32,
    widened_bfloat16,
    widened_float16: Some(widened_float16),
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
    columns: GATHERED_VECTORS * 8,
    float32: gather_float32,
    widened_bfloat16: gather_widened_bfloat16,
    bfloat16: None,
};

struct Avx2;

// SAFETY: AVX2 and FMA instructions that read and write 8 values.
unsafe impl Vectors for Avx2 {
    type Vector = __m256;
    const WIDTH: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn load(values: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(values) }
    }
    #[inline(always)]
    unsafe fn store(values: *mut f32, vector: __m256) {
        unsafe { _mm256_storeu_ps(values, vector) }
    }
    #[inline(always)]
    unsafe fn splat(value: *const f32) -> __m256 {
        unsafe { _mm256_set1_ps(*value) }
    }
    #[inline(always)]
    unsafe fn first_of_pairs(pairs: *const u32) -> __m256 {
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_loadu_si256(pairs.cast()))) }
    }
    #[inline(always)]
    #[allow(clippy::pointers_in_nomem_asm_block)] // it reads nothing
    unsafe fn second_of_pairs(mut pairs: *const u32) -> __m256 {
        unsafe {
            // Hides that these are the pairs of `first_of_pairs`: kept in registers, they would drive sums out of theirs (0.54 of the peak, not 0.85).
            asm!("/* {} */", inout(reg) pairs, options(pure, nomem, nostack, preserves_flags));
            let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            _mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(pairs.cast()), mask))
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(left: __m256, right: __m256, sums: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(left, right, sums) }
    }
    #[inline(always)]
    unsafe fn add(left: __m256, right: __m256) -> __m256 {
        unsafe { _mm256_add_ps(left, right) }
    }
    #[inline(always)]
    unsafe fn subtract(left: __m256, right: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(left, right) }
    }
    #[inline(always)]
    unsafe fn larger(left: __m256, right: __m256) -> __m256 {
        unsafe { _mm256_max_ps(left, right) }
    }
    #[inline(always)]
    unsafe fn whole(vector: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(vector) }
    }
    #[inline(always)]
    unsafe fn scaled(vector: __m256, power: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(power));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(vector), exponent))
        }
    }
    #[inline(always)]
    fn prefetch(line: *const u32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}

// SAFETY: reads 8 values.
unsafe impl HalfVectors for Avx2 {
    #[inline(always)]
    unsafe fn load_float16(values: *const u16) -> __m256 {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(values.cast())) }
    }
}

micro_kernels!(
    #[target_feature(enable = "avx2,fma")]
    Avx2
);

// SAFETY, of all that follow: the instruction set is enabled here, the pointers are the caller's.

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widened_float16(pointers: TilePointers) {
    unsafe { tile::<Avx2, WidenedFloat16, ROWS, VECTORS>(pointers) }
}
