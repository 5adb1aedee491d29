//! What happens to sums on their way into `y`, in the row-by-row form that every instruction set compiles for itself.

use super::{Values, ValuesMut};
use crate::backend::cpu::gelu::{gelu_of, silu_of};

/// Some columns of one row of a tile.
pub struct FinishRow<'a> {
    /// The sums; overwritten.
    pub sums: &'a mut [f32],
    /// What is added first.
    pub bias: Option<&'a [f32]>,
    /// What is done then.
    pub step: FinishStep<'a>,
    /// Where the result goes.
    pub output: ValuesMut<'a>,
}

/// The last step, for some columns of one row.
#[derive(Clone, Copy)]
pub enum FinishStep<'a> {
    /// Nothing.
    None,
    /// GELU in its tanh form.
    Gelu,
    /// `y / (1 + exp(-y))`.
    Silu,
    /// `residual + gate * y`.
    Residual {
        /// What is added to.
        residual: Values<'a>,
        /// One factor for each column.
        gate: &'a [f32],
    },
}

/// Adds the bias, takes the step and writes the result, rounded once. All slices have to be of one length.
#[inline(always)]
pub fn finish(row: FinishRow<'_>) {
    let sums = row.sums;
    if let Some(bias) = row.bias {
        sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
    }
    match row.step {
        FinishStep::None => {}
        FinishStep::Gelu => sums.iter_mut().for_each(|sum| *sum = gelu_of(*sum)),
        FinishStep::Silu => sums.iter_mut().for_each(|sum| *sum = silu_of(*sum)),
        FinishStep::Residual { residual, gate } => {
            let gated = sums.iter_mut().zip(gate);
            match residual {
                Values::Float32(residual) => {
                    gated.zip(residual).for_each(|((sum, gate), residual)| *sum = residual + gate * *sum);
                }
                Values::Bfloat16(residual) => {
                    gated.zip(residual).for_each(|((sum, gate), residual)| *sum = widen(*residual) + gate * *sum);
                }
            }
        }
    }
    match row.output {
        ValuesMut::Float32(output) => output.copy_from_slice(sums),
        ValuesMut::Bfloat16(output) => output.iter_mut().zip(sums).for_each(|(output, sum)| *output = round(*sum)),
    }
}

/// The float32 value of a bfloat16's bits.
#[inline(always)]
pub fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bits of the nearest bfloat16, the even one of two; NaN stays NaN.
#[inline(always)]
pub fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let quiet = bits | 0x0040_0000;
    ((if value.is_nan() { quiet } else { rounded }) >> 16) as u16
}
