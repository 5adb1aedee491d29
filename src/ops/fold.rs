//! Folding of blocks of space and time into channels, which are innermost, and back.
//!
//! The channel of a folded frame is `((c t + time) h + row) w + column`, for blocks of `t` frames, `h` rows and `w` columns.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Tensor};

use super::contents::{Contents, is_readable, written};
use super::contract::Contract;
use crate::backend::cpu::fold::{self as cpu, Addend, FoldedFrame};
use crate::backend::cpu::gemm::{Values, ValuesMut};
use crate::error::Result;

/// Of the operands.
const CONTRACT: Contract = Contract("a fold");

/// `frames: [1, H, W, C]`, `t` of them, to `[1, H / h, W / w, C t h w]`.
///
/// # Errors
/// No frames, frames of different shapes, sides that do not divide, or a failed tensor operation.
pub fn fold(frames: &[&Tensor], [rows, columns]: [usize; 2]) -> Result<Tensor> {
    let wanted = || format!("[1, H, W, C] of one type, H and W multiples of {rows} and {columns}");
    let Some(first) = frames.first().copied() else {
        return Err(CONTRACT.broken("frames", &wanted(), "none".to_owned()));
    };
    let (_, height, width, channels) = first.dims4()?;
    let matches = |frame: &&Tensor| frame.dims() == first.dims() && frame.dtype() == first.dtype();
    if !frames.iter().all(matches) || first.dim(0)? != 1 || height % rows + width % columns > 0 {
        return Err(CONTRACT.broken("frames", &wanted(), describe(frames)));
    }
    if !is_readable(first) {
        #[cfg(feature = "cuda")]
        if let Some(folded) = cuda::fold(frames, [rows, columns])? {
            return Ok(folded);
        }
        return definition_of_fold(frames, [rows, columns]);
    }
    let block = [frames.len(), rows, columns];
    let folded = FoldedFrame { height: height / rows, width: width / columns, channels, block };
    let shape = (1, folded.height, folded.width, channels * frames.len() * rows * columns);
    let frames = frames.iter().map(|frame| frame.contiguous()).collect::<Result<Vec<_>, _>>()?;
    let contents = frames.iter().map(Contents::of).collect::<Result<Vec<_>>>()?;
    let values = contents.iter().map(|contents| contents.values("frame")).collect::<Result<Vec<_>>>()?;
    let floats: Vec<&[f32]> = values.iter().filter_map(Values::float32).collect();
    let bits: Vec<&[u16]> = values.iter().filter_map(Values::bfloat16).collect();
    written(shape, first.dtype(), |y| match y {
        ValuesMut::Float32(y) => cpu::fold(folded, &floats, y),
        ValuesMut::Bfloat16(y) => cpu::fold(folded, &bits, y),
    })
}

/// The `t` frames `[1, h H, w W, C]` that `frame: [1, H, W, C t h w]` is folded from, for blocks `[t, h, w]`. `addend: [1, H, W, D t h w]` is
/// unfolded too, its channels repeated to `C`, and added before the sum is rounded: `C` has to be a multiple of `D`.
///
/// # Errors
/// Channels that do not divide, or a failed tensor operation.
pub fn unfold(frame: &Tensor, block: [usize; 3], addend: Option<&Tensor>) -> Result<Vec<Tensor>> {
    let volume: usize = block.iter().product();
    let (one, height, width, folded) = frame.dims4()?;
    let fits = |addend: &Tensor| match *addend.dims() {
        [1, h, w, count] => {
            [h, w] == [height, width]
                && count > 0
                && count % volume == 0
                && folded % count == 0
                && addend.dtype() == frame.dtype()
        }
        _ => false,
    };
    if one != 1 || folded % volume != 0 || !addend.is_none_or(fits) {
        let found: Vec<&Tensor> = [Some(frame), addend].into_iter().flatten().collect();
        let wanted = format!("[1, H, W, C], C a multiple of {volume}");
        return Err(CONTRACT.broken("frame", &wanted, describe(&found)));
    }
    if !is_readable(frame) {
        #[cfg(feature = "cuda")]
        if let Some(frames) = cuda::unfold(frame, block, addend)? {
            return Ok(frames);
        }
        return definition_of_unfold(frame, block, addend);
    }
    let channels = folded / volume;
    let sizes = FoldedFrame { height, width, channels, block };
    let shape = (1, height * block[1], width * block[2], channels);
    let frame = frame.contiguous()?;
    let addend = addend.map(Tensor::contiguous).transpose()?;
    let count = addend.as_ref().map_or(0, |addend| addend.dims()[3]);
    let [contents, added] = [Some(&frame), addend.as_ref()].map(|tensor| tensor.map(Contents::of).transpose());
    let (contents, added) = (contents?, added?);
    let values = contents.as_ref().map(|contents| contents.values("frame")).transpose()?;
    let added = added.as_ref().map(|contents| contents.values("addend")).transpose()?;
    let one = |time: usize| {
        written(shape, frame.dtype(), |y| match y {
            ValuesMut::Float32(y) => {
                let addend = added.as_ref().and_then(Values::float32);
                let addend = addend.map(|values| Addend { values, channels: count });
                let values = values.as_ref().and_then(Values::float32).unwrap_or_default();
                cpu::unfold(sizes, time, (values, addend), y);
            }
            ValuesMut::Bfloat16(y) => {
                let addend = added.as_ref().and_then(Values::bfloat16);
                let addend = addend.map(|values| Addend { values, channels: count });
                let values = values.as_ref().and_then(Values::bfloat16).unwrap_or_default();
                cpu::unfold(sizes, time, (values, addend), y);
            }
        })
    };
    (0..block[0]).map(one).collect()
}

/// What [`fold`] computes, in plain tensor operations.
///
/// # Errors
/// A failed tensor operation.
pub fn definition_of_fold(frames: &[&Tensor], [rows, columns]: [usize; 2]) -> Result<Tensor> {
    let x = Tensor::cat(frames, 0)?;
    let (time, height, width, channels) = x.dims4()?;
    let x = x.reshape(&[time, height / rows, rows, width / columns, columns, channels][..])?;
    let x = x.permute([1, 3, 5, 0, 2, 4])?;
    Ok(x.reshape((1, height / rows, width / columns, channels * time * rows * columns))?)
}

/// What [`unfold`] computes, in plain tensor operations.
///
/// # Errors
/// A failed tensor operation.
pub fn definition_of_unfold(frame: &Tensor, block: [usize; 3], addend: Option<&Tensor>) -> Result<Vec<Tensor>> {
    let [time, rows, columns] = block;
    let unfolded = |frame: &Tensor| -> Result<Tensor> {
        let (_, height, width, folded) = frame.dims4()?;
        let channels = folded / (time * rows * columns);
        let x = frame.reshape(&[height, width, channels, time, rows, columns][..])?;
        Ok(x.permute([3, 0, 4, 1, 5, 2])?.reshape((time, height * rows, width * columns, channels))?)
    };
    let x = unfolded(frame)?;
    let x = match addend {
        Some(addend) => {
            let addend = unfolded(addend)?;
            let repeated = addend.repeat((1, 1, 1, x.dim(3)? / addend.dim(3)?))?;
            (x.to_dtype(DType::F32)? + repeated.to_dtype(DType::F32)?)?.to_dtype(frame.dtype())?
        }
        None => x,
    };
    (0..time).map(|index| Ok(x.narrow(0, index, 1)?.force_contiguous()?)).collect()
}

fn describe(frames: &[&Tensor]) -> String {
    let frames: Vec<String> = frames.iter().map(|frame| format!("{:?} {:?}", frame.dtype(), frame.dims())).collect();
    frames.join(", ")
}
