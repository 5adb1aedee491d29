//! GELU in its tanh form on the CPU.
//!
//! `0.5 (1 + tanh(z))` is `1 / (1 + exp(-2 z))`, and the exponential is a polynomial that the compiler turns into vector instructions. Only
//! additions, multiplications, a division and bit shifts are used, so results are the same on every platform.
//!
//! # Source
//! The exponential: Cephes `expf` (Moshier, 1992), whose coefficients are these.

use rayon::prelude::*;

use super::element::Element;
use super::gemm::{Kernels, Loops, Values, ValuesMut};

/// Values of one task: large enough to be worth handing to a thread.
const CHUNK: usize = 1 << 14;

/// Each value's GELU, times `factors` where there are any; `x`, `factors` and `y` are of one type.
///
/// # Panics
/// If a length or a type does not fit.
pub fn gelu(x: Values<'_>, factors: Option<Values<'_>>, kernels: &'static Kernels, y: ValuesMut<'_>) {
    assert_eq!(x.len(), y.len(), "values of y");
    assert!(factors.is_none_or(|factors| factors.len() == x.len()), "factors");
    match (x, factors, y) {
        (Values::Float32(x), None, ValuesMut::Float32(y)) => tasks(x, None, kernels, y),
        (Values::Float32(x), Some(Values::Float32(factors)), ValuesMut::Float32(y)) => {
            tasks(x, Some(factors), kernels, y);
        }
        (Values::Bfloat16(x), None, ValuesMut::Bfloat16(y)) => tasks(x, None, kernels, y),
        (Values::Bfloat16(x), Some(Values::Bfloat16(factors)), ValuesMut::Bfloat16(y)) => {
            tasks(x, Some(factors), kernels, y);
        }
        _ => panic!("values of two types"),
    }
}

fn tasks<E: Element>(x: &[E], factors: Option<&[E]>, kernels: &'static Kernels, y: &mut [E]) {
    y.par_chunks_mut(CHUNK).enumerate().for_each(|(task, y)| {
        let part = task * CHUNK..task * CHUNK + y.len();
        kernels.run(Task { x: &x[part.clone()], factors: factors.map(|factors| &factors[part]), y });
    });
}

/// Some values, all slices of one length.
struct Task<'a, E> {
    x: &'a [E],
    factors: Option<&'a [E]>,
    y: &'a mut [E],
}

impl<E: Element> Loops for Task<'_, E> {
    #[inline(always)]
    fn run(self) {
        let values = self.y.iter_mut().zip(self.x);
        match self.factors {
            None => values.for_each(|(y, x)| *y = E::rounded(gelu_of(x.widened()))),
            Some(factors) => values
                .zip(factors)
                .for_each(|((y, x), factor)| *y = E::rounded(gelu_of(x.widened()) * factor.widened())),
        }
    }
}

#[inline(always)]
pub(super) fn gelu_of(x: f32) -> f32 {
    /// `-2 sqrt(2 / pi)`.
    const FACTOR: f32 = -1.595_769_2;
    x / (1.0 + exponential(FACTOR * (x + 0.044715 * x * x * x)))
}

/// `x / (1 + exp(-x))`.
#[inline(always)]
pub(super) fn silu_of(x: f32) -> f32 {
    x / (1.0 + exponential(-x))
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
