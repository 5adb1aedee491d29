//! AVX-512 micro-kernels: 8 rows by 48 columns, 24 of the 32 registers for sums.
//!
//! Bound by arithmetic: 11 loads feed 24 multiply-adds, of which current processors start two a cycle.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::finish::{FinishRow, finish};
use super::gather::{Gather, GatherPointers, gather};
use super::kernels::{Instructions, Kernels, Loops};
use super::micro_kernels::micro_kernels;
use super::softmax::{PairVectors, ScoreBlock, softmax, softmax_pairs};
use super::tile::{
    Arithmetic, Float32, HalfVectors, TilePointers, Vectors, WidenedBfloat16, WidenedFloat16, peak, tile,
};

const ROWS: usize = 8;
const VECTORS: usize = 3;
const GATHERED_ROWS: usize = 6;
const GATHERED_VECTORS: usize = 4;

/// With VDPBF16PS, which multiplies pairs of bfloat16 and adds both products to a float32 sum.
pub static WITH_BFLOAT16: Kernels = Kernels {
    name: "avx512-bf16",
    supported: || is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16"),
    bfloat16: Some(bfloat16),
    peak_bfloat16: Some(peak_bfloat16),
    softmax_pairs: Some(softmax_pairs_block),
    gather: Gather { bfloat16: Some(gather_bfloat16), ..GATHER },
    ..PLAIN
};

/// With the foundation alone.
pub static FOUNDATION: Kernels = PLAIN;

const PLAIN: Kernels = Kernels {
    name: "avx512",
    instructions: Instructions::Avx512,
    supported: || is_x86_feature_detected!("avx512f"),
    rows: ROWS,
    columns: VECTORS * 16,
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
    columns: GATHERED_VECTORS * 16,
    float32: gather_float32,
    widened_bfloat16: gather_widened_bfloat16,
    bfloat16: None,
};

struct Avx512;

// SAFETY: AVX-512 F instructions that read and write 16 values.
unsafe impl Vectors for Avx512 {
    type Vector = __m512;
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn load(values: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(values) }
    }
    #[inline(always)]
    unsafe fn store(values: *mut f32, vector: __m512) {
        unsafe { _mm512_storeu_ps(values, vector) }
    }
    #[inline(always)]
    unsafe fn splat(value: *const f32) -> __m512 {
        unsafe { _mm512_set1_ps(*value) }
    }
    #[inline(always)]
    unsafe fn first_of_pairs(pairs: *const u32) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_loadu_si512(pairs.cast()))) }
    }
    #[inline(always)]
    unsafe fn second_of_pairs(pairs: *const u32) -> __m512 {
        unsafe {
            let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(pairs.cast()), mask))
        }
    }
    #[inline(always)]
    unsafe fn multiply_add(left: __m512, right: __m512, sums: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(left, right, sums) }
    }
    #[inline(always)]
    unsafe fn add(left: __m512, right: __m512) -> __m512 {
        unsafe { _mm512_add_ps(left, right) }
    }
    #[inline(always)]
    unsafe fn subtract(left: __m512, right: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(left, right) }
    }
    #[inline(always)]
    unsafe fn larger(left: __m512, right: __m512) -> __m512 {
        unsafe { _mm512_max_ps(left, right) }
    }
    #[inline(always)]
    unsafe fn whole(vector: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<0>(vector) }
    }
    #[inline(always)]
    unsafe fn scaled(vector: __m512, power: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(vector, power) }
    }
    #[inline(always)]
    fn prefetch(line: *const u32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}

// SAFETY: reads 16 values.
unsafe impl HalfVectors for Avx512 {
    #[inline(always)]
    unsafe fn load_float16(values: *const u16) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(values.cast())) }
    }
}

// SAFETY: writes 16 lanes.
unsafe impl PairVectors for Avx512 {
    #[inline(always)]
    unsafe fn store_pairs(lanes: *mut f32, first: __m512, second: __m512) {
        unsafe {
            // Half a place is added, and the lower half of the bits dropped: what lies in the middle goes up.
            let half = _mm512_set1_epi32(0x8000);
            let first = _mm512_srli_epi32::<16>(_mm512_add_epi32(_mm512_castps_si512(first), half));
            let second = _mm512_add_epi32(_mm512_castps_si512(second), half);
            let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_storeu_si512(lanes.cast(), _mm512_or_si512(first, _mm512_and_si512(second, mask)));
        }
    }
}

/// Pairs of bfloat16 on both sides.
struct Bfloat16;

// SAFETY: reads `WIDTH` lanes from `column` on.
unsafe impl Arithmetic<Avx512> for Bfloat16 {
    const PARTS: usize = 1;
    const OPERATIONS: usize = 4;

    #[inline(always)]
    unsafe fn panel(step: *const u32, column: usize, _columns: usize, _part: usize) -> __m512 {
        unsafe { _mm512_loadu_ps(step.add(column).cast()) }
    }
    #[inline(always)]
    unsafe fn multiply_add(row: __m512, panel: __m512, sums: __m512) -> __m512 {
        // SAFETY: both types are 512 bits without any invalid value.
        let pairs = |vector: __m512| unsafe { std::mem::transmute::<__m512, __m512bh>(vector) };
        unsafe { _mm512_dpbf16_ps(sums, pairs(row), pairs(panel)) }
    }
}

micro_kernels!(
    #[target_feature(enable = "avx512f")]
    Avx512
);

// SAFETY, of all that follow: the instruction set is enabled here, the pointers are the caller's.

#[target_feature(enable = "avx512f")]
unsafe fn widened_float16(pointers: TilePointers) {
    unsafe { tile::<Avx512, WidenedFloat16, ROWS, VECTORS>(pointers) }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn bfloat16(pointers: TilePointers) {
    unsafe { tile::<Avx512, Bfloat16, ROWS, VECTORS>(pointers) }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn peak_bfloat16(steps: usize) -> f64 {
    unsafe { peak::<Avx512, Bfloat16, ROWS, VECTORS>(steps) }
}

#[target_feature(enable = "avx512f")]
unsafe fn softmax_pairs_block(block: ScoreBlock<'_>) {
    unsafe { softmax_pairs::<Avx512, VECTORS>(block) }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn gather_bfloat16(pointers: GatherPointers) {
    unsafe { gather::<Avx512, Bfloat16, GATHERED_ROWS, GATHERED_VECTORS>(pointers) }
}
