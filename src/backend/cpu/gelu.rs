//! GELU in its tanh form on the CPU.
//!
//! `0.5 (1 + tanh(z))` is `1 / (1 + exp(-2 z))`, and the exponential is a polynomial that the compiler turns into vector instructions. Only
//! additions, multiplications, a division and bit shifts are used, so results are the same on every platform.
//!
//! # Source
//! The exponential: Cephes `expf` (Moshier, 1992), whose coefficients are these.

use rayon::prelude::*;

/// Values of one task: large enough to be worth handing to a thread.
const CHUNK: usize = 1 << 14;

/// Each value's GELU.
pub fn gelu(values: &[f32]) -> Vec<f32> {
    let mut result = vec![0f32; values.len()];
    result.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(result, values)| {
        for (y, &x) in result.iter_mut().zip(values) {
            *y = gelu_of(x);
        }
    });
    result
}

#[inline(always)]
pub(super) fn gelu_of(x: f32) -> f32 {
    /// `-2 sqrt(2 / pi)`.
    const FACTOR: f32 = -1.595_769_2;
    x / (1.0 + exponential(FACTOR * (x + 0.044715 * x * x * x)))
}

/// `exp(z)`, with `z` limited to the range in which the result is a normal number.
#[inline(always)]
pub(super) fn exponential(z: f32) -> f32 {
    /// Adding and subtracting it rounds to the nearest whole number: `1.5 * 2^23`.
    const ROUNDING: f32 = 12_582_912.0;
    /// `ln 2` in two parts, the first with so few digits that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let z = z.clamp(-87.0, 88.0);
    let shifted = z * std::f32::consts::LOG2_E + ROUNDING;
    let exponent = shifted - ROUNDING;
    let rest = z - exponent * LN_2[0] - exponent * LN_2[1];
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        sum = sum * rest + coefficient;
    }
    let mantissa = sum * rest * rest + rest + 1.0;
    // The last bits of `shifted` are the whole number; the others are shifted out. Of NaN anything may come here: the mantissa stays NaN.
    mantissa * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}
