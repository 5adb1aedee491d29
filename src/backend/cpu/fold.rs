//! Folding of space and time into channels and back, on the CPU: values move, none changes.
//!
//! A folded channel is `((c t + time) h + row) w + column`: the places of a block lie next to each other.

use rayon::prelude::*;

use super::element::Element;

/// Sizes of a frame that unfolds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldedFrame {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels after unfolding.
    pub channels: usize,
    /// Frames, rows and columns of a block.
    pub block: [usize; 3],
}

impl FoldedFrame {
    fn volume(&self) -> usize {
        self.block.iter().product()
    }

    /// Values of a row of an unfolded frame.
    fn row(&self) -> usize {
        self.width * self.block[2] * self.channels
    }
}

/// What is added to an unfolded frame: `values: [height, width, channels]`, which unfold to `channels / volume` channels that repeat.
#[derive(Clone, Copy)]
pub struct Addend<'a, T> {
    /// The values.
    pub values: &'a [T],
    /// Channels before unfolding.
    pub channels: usize,
}

/// Frame `time` of those that `folded: [height, width, channels * volume]` unfolds to, into `y: [height * h, width * w, channels]`.
pub fn unfold<T: Element>(
    frame: FoldedFrame,
    time: usize,
    (folded, addend): (&[T], Option<Addend<'_, T>>),
    y: &mut [T],
) {
    let FoldedFrame { width, channels, block: [_, rows, columns], .. } = frame;
    let volume = frame.volume();
    y.par_chunks_mut(frame.row().max(1)).enumerate().for_each(|(row, y)| {
        for (place, y) in y.chunks_exact_mut(channels).enumerate() {
            let pixel = row / rows * width + place / columns;
            let offset = (time * rows + row % rows) * columns + place % columns;
            let values = &folded[pixel * channels * volume..][..channels * volume];
            let values = values.chunks_exact(volume).map(|block| block[offset]);
            match addend {
                None => y.iter_mut().zip(values).for_each(|(y, value)| *y = value),
                Some(Addend { values: added, channels: count }) => {
                    let added = added[pixel * count..][..count].chunks_exact(volume).map(|block| block[offset]);
                    for ((y, value), added) in y.iter_mut().zip(values).zip(added.cycle()) {
                        *y = T::rounded(value.widened() + added.widened());
                    }
                }
            }
        }
    });
}

/// `frames: [height * h, width * w, channels]`, as many as a block has, into `y: [height, width, channels * volume]`.
pub fn fold<T: Element>(frame: FoldedFrame, frames: &[&[T]], y: &mut [T]) {
    let FoldedFrame { width, channels, block: [_, rows, columns], .. } = frame;
    let volume = frame.volume();
    y.par_chunks_mut((width * channels * volume).max(1)).enumerate().for_each(|(row, y)| {
        for (place, y) in y.chunks_exact_mut(channels * volume).enumerate() {
            for offset in 0..volume {
                let (time, down, across) = (offset / (rows * columns), offset / columns % rows, offset % columns);
                let pixel = (row * rows + down) * width * columns + place * columns + across;
                let values = &frames[time][pixel * channels..][..channels];
                y.iter_mut().skip(offset).step_by(volume).zip(values).for_each(|(y, &value)| *y = value);
            }
        }
    });
}
