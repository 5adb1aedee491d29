//! Group norm over a picture or a whole clip, with what networks do to it next in the same pass; channels are innermost.
//!
//! `then((x - mean) / sqrt(variance + epsilon) * weight + bias + residual)`, mean and variance over all frames, all places and a group of channels.
//! Everything is computed in float32 and rounded once; sums are float64 on the CPU, and means of means in a fixed order on CUDA.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Tensor};

use super::contents::{Contents, is_readable, written};
use super::contract::Contract;
use crate::backend::cpu::gemm::Kernels;
use crate::backend::cpu::group_norm::{self as cpu, Applied, Groups};
use crate::error::Result;

/// Of the operands.
const CONTRACT: Contract = Contract("a group norm");

/// How a clip is normalised.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm<'a> {
    /// Groups of neighbouring channels.
    pub groups: usize,
    /// What is added to the variance.
    pub epsilon: f64,
    /// `[C]`, of any type.
    pub weight: &'a Tensor,
    /// `[C]`, of any type.
    pub bias: &'a Tensor,
    /// Whether `y / (1 + exp(-y))` comes last.
    pub silu: bool,
}

/// Frames `[1, H, W, C]` to the same, in their type; `residual`: as many of the same shape and type, added after the bias.
///
/// On Metal, and in float16 on the CPU, candle's operations compute it, in float32 too.
///
/// # Errors
/// Shapes or types that do not fit each other, or a failed tensor operation.
///
/// # Source
/// Wu and He, "Group Normalization" (ECCV 2018), equations 1 to 6, with time as one more axis of space.
pub fn group_norm(clip: &[Tensor], norm: &GroupNorm<'_>, residual: Option<&[Tensor]>) -> Result<Vec<Tensor>> {
    if clip.first().is_none_or(is_readable) {
        return group_norm_with(clip, norm, residual, Kernels::fastest());
    }
    #[cfg(feature = "cuda")]
    if let Some(result) = cuda::group_norm(clip, norm, residual)? {
        return Ok(result);
    }
    let wide = |clip: &[Tensor]| clip.iter().map(|x| x.to_dtype(DType::F32)).collect::<Result<Vec<_>, _>>();
    let residual = residual.map(wide).transpose()?;
    let result = definition(&wide(clip)?, norm, residual.as_deref())?;
    Ok(result.iter().zip(clip).map(|(y, x)| y.to_dtype(x.dtype())).collect::<Result<_, _>>()?)
}

/// The same on the CPU, in float32 or bfloat16, with one of the [instruction sets](Kernels::available) of this machine.
///
/// # Errors
/// Other types or shapes, or tensors that are not on the CPU.
pub fn group_norm_with(
    clip: &[Tensor],
    norm: &GroupNorm<'_>,
    residual: Option<&[Tensor]>,
    kernels: &'static Kernels,
) -> Result<Vec<Tensor>> {
    let Some(channels) = check(clip, norm, residual)? else { return Ok(Vec::new()) };
    let contiguous = |clip: &[Tensor]| clip.iter().map(Tensor::contiguous).collect::<Result<Vec<_>, _>>();
    let clip = contiguous(clip)?;
    let contents = clip.iter().map(Contents::of).collect::<Result<Vec<_>>>()?;
    let values = contents.iter().map(|frame| frame.values("frame")).collect::<Result<Vec<_>>>()?;
    let added = residual.map(contiguous).transpose()?;
    let added = added.iter().flatten().map(Contents::of).collect::<Result<Vec<_>>>()?;
    let added = added.iter().map(|frame| frame.values("residual")).collect::<Result<Vec<_>>>()?;

    let mut measured = cpu::measure(&values, Groups { channels, count: norm.groups, epsilon: norm.epsilon }, kernels);
    for (factor, weight) in measured.factors.iter_mut().zip(to_float32(norm.weight)?) {
        *factor *= weight;
    }
    measured.shifts = to_float32(norm.bias)?;
    let frame = |(index, x): (usize, &Tensor)| {
        let residual = added.get(index).copied();
        let applied = Applied { x: values[index], residual, channels: &measured, silu: norm.silu };
        written(x.shape(), x.dtype(), |y| cpu::apply(applied, kernels, y))
    };
    clip.iter().enumerate().map(frame).collect()
}

/// What [`group_norm`] computes, in plain tensor operations of the clip's type.
///
/// # Errors
/// Shapes that do not fit each other, or a failed tensor operation.
pub fn definition(clip: &[Tensor], norm: &GroupNorm<'_>, residual: Option<&[Tensor]>) -> Result<Vec<Tensor>> {
    if check(clip, norm, residual)?.is_none() {
        return Ok(Vec::new());
    }
    let x = Tensor::cat(clip, 0)?;
    let (t, h, w, c) = x.dims4()?;
    let groups = x.reshape((t, h * w, norm.groups, c / norm.groups))?;
    // First of each place, then of a frame, then of all frames: shorter sums round less.
    let mean = |x: &Tensor| x.mean_keepdim(3)?.mean_keepdim(1)?.mean_keepdim(0);
    let centred = groups.broadcast_sub(&mean(&groups)?)?;
    let deviation = (mean(&centred.sqr()?)? + norm.epsilon)?.sqrt()?;
    let y = centred.broadcast_div(&deviation)?.reshape((t, h, w, c))?;
    let convert = |tensor: &Tensor| tensor.to_dtype(x.dtype());
    let y = y.broadcast_mul(&convert(norm.weight)?)?.broadcast_add(&convert(norm.bias)?)?;
    let y = match residual {
        Some(residual) => (y + Tensor::cat(residual, 0)?)?,
        None => y,
    };
    let y = if norm.silu { y.silu()? } else { y };
    (0..t).map(|frame| Ok(y.narrow(0, frame, 1)?)).collect()
}

/// The channels of the frames, if there are frames.
fn check(clip: &[Tensor], norm: &GroupNorm<'_>, residual: Option<&[Tensor]>) -> Result<Option<usize>> {
    let Some(first) = clip.first() else { return Ok(None) };
    let describe = |tensor: &Tensor| format!("{:?} {:?}", tensor.dtype(), tensor.dims());
    let channels = match *first.dims() {
        [1, _, _, channels] if norm.groups > 0 && channels > 0 && channels % norm.groups == 0 => channels,
        _ => {
            return Err(CONTRACT.broken(
                "clip",
                &format!("[1, H, W, C], C a multiple of {}", norm.groups),
                describe(first),
            ));
        }
    };
    let matches = |frame: &&Tensor| frame.dims() == first.dims() && frame.dtype() == first.dtype();
    if let Some(other) = clip.iter().chain(residual.into_iter().flatten()).find(|frame| !matches(frame)) {
        return Err(CONTRACT.broken("clip and residual", &describe(first), describe(other)));
    }
    if residual.is_some_and(|residual| residual.len() != clip.len()) {
        let found = residual.map_or(0, <[_]>::len).to_string();
        return Err(CONTRACT.broken("residual", &format!("{} frames", clip.len()), found));
    }
    for tensor in [norm.weight, norm.bias] {
        if tensor.dims() != [channels] {
            return Err(CONTRACT.broken("weight and bias", &format!("[{channels}]"), describe(tensor)));
        }
    }
    Ok(Some(channels))
}

fn to_float32(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.to_vec1()?)
}
