//! Folding on CUDA.

use candle_core::Tensor;

use crate::backend::cuda::device::{Gpu, empty, pointer};
use crate::backend::cuda::fold::{Added, Direction, Fold, plan};
use crate::backend::cuda::launch::Element;
use crate::error::Result;

/// `frames: [1, H, W, C]`, all of one shape and type, to `[1, H / h, W / w, C t h w]`; `None` for other devices and types, and for sizes that the kernel
/// does not take.
pub(super) fn fold(frames: &[&Tensor], [rows, columns]: [usize; 2]) -> Result<Option<Tensor>> {
    let Some(first) = frames.first() else { return Ok(None) };
    let (Some(gpu), Some(element)) = (Gpu::of(first.device())?, Element::of(first.dtype())) else { return Ok(None) };
    let (_, height, width, channels) = first.dims4()?;
    let size = [height / rows, width / columns];
    let frames = frames.iter().map(|frame| frame.contiguous()).collect::<Result<Vec<_>, _>>()?;
    let shape = (1, size[0], size[1], channels * frames.len() * rows * columns);
    let folded = empty(shape, first.dtype(), first.device())?;
    let launch = plan(
        Direction::Fold,
        &Fold {
            element,
            frames: &frames.iter().map(pointer).collect::<Result<Vec<_>>>()?,
            folded: pointer(&folded)?,
            added: None,
            size,
            channels,
            block: [rows, columns],
        },
    );
    let Some(launch) = launch else { return Ok(None) };
    gpu.launch(&launch)?;
    Ok(Some(folded))
}

/// The frames `[1, h H, w W, C]` of `frame: [1, H, W, C t h w]`, with those of `addend: [1, H, W, D t h w]` added; `None` as for [`fold`].
pub(super) fn unfold(frame: &Tensor, block: [usize; 3], addend: Option<&Tensor>) -> Result<Option<Vec<Tensor>>> {
    let (Some(gpu), Some(element)) = (Gpu::of(frame.device())?, Element::of(frame.dtype())) else { return Ok(None) };
    let (_, height, width, folded) = frame.dims4()?;
    let volume: usize = block.iter().product();
    let [time, rows, columns] = block;
    let channels = folded / volume;
    let frame = frame.contiguous()?;
    let addend = addend.map(Tensor::contiguous).transpose()?;
    let one = || empty((1, height * rows, width * columns, channels), frame.dtype(), frame.device());
    let frames = (0..time).map(|_| one()).collect::<Result<Vec<_>>>()?;
    let added = |addend: &Tensor| -> Result<Added> {
        Ok(Added { values: pointer(addend)?, channels: addend.dim(3)? / volume })
    };
    let launch = plan(
        Direction::Unfold,
        &Fold {
            element,
            frames: &frames.iter().map(pointer).collect::<Result<Vec<_>>>()?,
            folded: pointer(&frame)?,
            added: addend.as_ref().map(added).transpose()?,
            size: [height, width],
            channels,
            block: [rows, columns],
        },
    );
    let Some(launch) = launch else { return Ok(None) };
    gpu.launch(&launch)?;
    Ok(Some(frames))
}
