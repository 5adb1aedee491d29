//! Normalisation of the last axis, with what networks do to it next: factors and shifts, and SiLU or a rotation by position, in one pass.
//!
//! `then((x - mean) / sqrt(statistic^2 + epsilon) * factor + shift)`. Everything is computed in float32 and rounded once. A row's result depends on
//! nothing but the row and what belongs to it: not on other rows, nor on the number of threads.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{D, DType, Tensor};

use super::contents::{Contents, is_readable, written};
use super::contract::Contract;
use crate::backend::cpu::gemm::Kernels;
use crate::backend::cpu::norm as cpu;
pub use crate::backend::cpu::norm::Statistic;
use crate::error::{Error, Result};

/// Of the operands.
const CONTRACT: Contract = Contract("a norm");

/// How the last axis, `D` values, is normalised.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// What values are divided by.
    pub statistic: Statistic,
    /// What is added under the root: not negative.
    pub epsilon: f64,
    /// Factors and shifts.
    pub affine: Affine<'a>,
    /// What is done then.
    pub then: Then<'a>,
}

/// Factors and shifts, tensors of any type.
#[derive(Debug, Clone, Copy)]
pub enum Affine<'a> {
    /// None.
    Nothing,
    /// `* weight`, `[D]`.
    Weight(&'a Tensor),
    /// `* weight + bias`, `[D]` both.
    WeightAndBias(&'a Tensor, &'a Tensor),
    /// `* (1 + scale) + shift`, each the same for a whole frame: `shift` and `scale` are the rows `first` and `first + 1` of every frame.
    Modulation {
        /// `[F, R, D]`: the last axis but one of `x` are the tokens of `F` frames, the same number for each.
        rows: &'a Tensor,
        /// Which of the `R` rows.
        first: usize,
    },
}

/// The last step.
#[derive(Debug, Clone, Copy)]
pub enum Then<'a> {
    /// None.
    Nothing,
    /// `y / (1 + exp(-y))`.
    Silu,
    /// Turns pairs of neighbours by angles of their own, `(a, b)` to `(a cos - b sin, a sin + b cos)`.
    Rotation {
        /// `[N, D / 2]`, float32: `N` is the last axis but one of `x`.
        cosines: &'a Tensor,
        /// `[N, D / 2]`, float32.
        sines: &'a Tensor,
    },
}

impl Norm<'_> {
    /// RMS norm, and nothing after it.
    ///
    /// # Source
    /// Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019), equation 4.
    pub fn root_mean_square(epsilon: f64) -> Self {
        Self { statistic: Statistic::RootMeanSquare, epsilon, affine: Affine::Nothing, then: Then::Nothing }
    }

    /// Layer norm, and nothing after it.
    ///
    /// # Source
    /// Ba, Kiros and Hinton, "Layer Normalization" (2016), equation 3.
    pub fn layer(epsilon: f64) -> Self {
        Self { statistic: Statistic::StandardDeviation, ..Self::root_mean_square(epsilon) }
    }
}

/// `x: [..., D]` to the same, in its type.
///
/// On CUDA a kernel computes it in one pass; `x` may be a part of a wider last axis there, which is read where it is. On other devices, and in float16 on
/// the CPU, candle's operations compute it, in float32 too.
///
/// # Errors
/// Shapes that do not fit each other, or a failed tensor operation.
pub fn norm(x: &Tensor, norm: &Norm<'_>) -> Result<Tensor> {
    if is_readable(x) {
        return norm_with(x, norm, Kernels::fastest());
    }
    #[cfg(feature = "cuda")]
    if let Some(y) = cuda::norm(x, norm, &Sizes::of(x, norm)?)? {
        return Ok(y);
    }
    Ok(definition(&x.to_dtype(DType::F32)?, norm)?.to_dtype(x.dtype())?)
}

/// The same on the CPU, in float32 or bfloat16, with one of the [instruction sets](Kernels::available) of this machine.
///
/// # Errors
/// Other types or shapes, or tensors that are not on the CPU.
pub fn norm_with(x: &Tensor, norm: &Norm<'_>, kernels: &'static Kernels) -> Result<Tensor> {
    let sizes = Sizes::of(x, norm)?;
    let affine = Vectors::of(&norm.affine, &sizes)?;
    let tables = match norm.then {
        Then::Rotation { cosines, sines } => Some([cosines.contiguous()?, sines.contiguous()?]),
        _ => None,
    };
    let tables = tables.as_ref().map(|[cosines, sines]| Ok::<_, Error>([Contents::of(cosines)?, Contents::of(sines)?]));
    let tables = tables.transpose()?;
    let then = match (&norm.then, &tables) {
        (Then::Silu, _) => cpu::Then::Silu,
        (_, Some([cosines, sines])) => {
            cpu::Then::Rotation { cosines: cosines.float32("cosines")?, sines: sines.float32("sines")? }
        }
        _ => cpu::Then::Nothing,
    };
    let x = x.contiguous()?;
    let contents = Contents::of(&x)?;
    let rows = cpu::RowNorm {
        x: contents.values("x")?,
        width: sizes.width,
        statistic: norm.statistic,
        epsilon: norm.epsilon as f32,
        affine: affine.borrowed(),
        then,
    };
    written(x.shape(), x.dtype(), |y| cpu::norm(&rows, kernels, y))
}

/// What [`norm`] computes, in plain tensor operations of `x`'s type.
///
/// # Errors
/// Shapes that do not fit each other, or a failed tensor operation.
pub fn definition(x: &Tensor, norm: &Norm<'_>) -> Result<Tensor> {
    let sizes = Sizes::of(x, norm)?;
    let convert = |tensor: &Tensor| tensor.to_dtype(x.dtype());
    let centred = match norm.statistic {
        Statistic::RootMeanSquare => x.clone(),
        Statistic::StandardDeviation => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
    };
    let mean_square = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let y = centred.broadcast_div(&(mean_square + norm.epsilon)?.sqrt()?)?;
    let y = match norm.affine {
        Affine::Nothing => y,
        Affine::Weight(weight) => y.broadcast_mul(&convert(weight)?)?,
        Affine::WeightAndBias(weight, bias) => y.broadcast_mul(&convert(weight)?)?.broadcast_add(&convert(bias)?)?,
        Affine::Modulation { rows, first } => {
            let row = |index| convert(rows)?.narrow(1, index, 1)?.contiguous();
            let frames = y.reshape(((), sizes.frames, sizes.tokens / sizes.frames, sizes.width))?;
            let scaled = frames.broadcast_mul(&(row(first + 1)? + 1.0)?)?;
            scaled.broadcast_add(&row(first)?)?.reshape(x.shape())?
        }
    };
    match norm.then {
        Then::Nothing => Ok(y),
        Then::Silu => Ok(y.silu()?),
        Then::Rotation { cosines, sines } => {
            let y = y.reshape(((), 1, sizes.tokens, sizes.width))?;
            Ok(candle_nn::rotary_emb::rope_i(&y, &convert(cosines)?, &convert(sines)?)?.reshape(x.shape())?)
        }
    }
}

/// The dimensions of `x`.
pub(super) struct Sizes {
    /// The last axis but one.
    pub tokens: usize,
    /// The last axis.
    pub width: usize,
    /// Of the modulation; 1 without.
    pub frames: usize,
}

impl Sizes {
    fn of(x: &Tensor, norm: &Norm<'_>) -> Result<Self> {
        let (tokens, width) = match *x.dims() {
            [.., tokens, width] if width > 0 => (tokens, width),
            [width] if width > 0 => (1, width),
            ref other => return Err(CONTRACT.broken("x", "shape [..., D], D at least 1", format!("{other:?}"))),
        };
        let expect = |name: &str, tensor: &Tensor, wanted: &[usize]| match tensor.dims() == wanted {
            true => Ok(()),
            false => Err(CONTRACT.broken(name, &format!("shape {wanted:?}"), format!("{:?}", tensor.dims()))),
        };
        let mut frames = 1;
        match norm.affine {
            Affine::Nothing => {}
            Affine::Weight(weight) => expect("weight", weight, &[width])?,
            Affine::WeightAndBias(weight, bias) => {
                expect("weight", weight, &[width])?;
                expect("bias", bias, &[width])?;
            }
            Affine::Modulation { rows, first } => match *rows.dims() {
                [count, each, columns] if count > 0 && tokens % count == 0 && each >= first + 2 && columns == width => {
                    frames = count;
                }
                ref other => {
                    let wanted = format!("shape [F, {} or more, {width}], F a divisor of {tokens}", first + 2);
                    return Err(CONTRACT.broken("modulation", &wanted, format!("{other:?}")));
                }
            },
        }
        if let Then::Rotation { cosines, sines } = norm.then {
            if width % 2 == 1 {
                return Err(CONTRACT.broken("x", "an even number of values to turn in pairs", width.to_string()));
            }
            expect("cosines", cosines, &[tokens, width / 2])?;
            expect("sines", sines, &[tokens, width / 2])?;
        }
        Ok(Self { tokens, width, frames })
    }
}

/// Factors and shifts as the CPU's code takes them: `[groups, D]`.
struct Vectors {
    factors: Vec<f32>,
    shifts: Vec<f32>,
    rows_each: usize,
}

impl Vectors {
    fn of(affine: &Affine<'_>, sizes: &Sizes) -> Result<Self> {
        let Sizes { tokens, width, frames } = *sizes;
        let (factors, shifts) = match affine {
            Affine::Nothing => (vec![1.0; width], vec![0.0; width]),
            Affine::Weight(weight) => (to_float32(weight)?, vec![0.0; width]),
            Affine::WeightAndBias(weight, bias) => (to_float32(weight)?, to_float32(bias)?),
            Affine::Modulation { rows, first } => {
                let row = |index| to_float32(&rows.narrow(1, index, 1)?);
                (row(first + 1)?.into_iter().map(|scale| 1.0 + scale).collect(), row(*first)?)
            }
        };
        Ok(Self { factors, shifts, rows_each: (tokens / frames).max(1) })
    }

    fn borrowed(&self) -> cpu::Affine<'_> {
        cpu::Affine { factors: &self.factors, shifts: &self.shifts, rows_each: self.rows_each }
    }
}

fn to_float32(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
