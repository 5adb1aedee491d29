//! Convolutions on the CPU, over frames whose channels are innermost.
//!
//! A convolution is a product of two matrices: rows are pixels of the result, K runs over the taps of the kernel and the channels of each. The matrix of
//! all that the pixels see, which has every frame 27 times for a kernel of 3 by 3 by 3, is never made: the micro-kernels of
//! [`gather`](super::gemm::Gather) read the channels where they lie, from a table of their places; outside the frame that is a pixel of zeros. Every
//! sum runs over taps and channels in order, in one accumulator, so a value of the result depends on nothing but what it is defined by: not on
//! threads, nor on the tiles' sizes.
#![allow(unsafe_code)]

mod packing;
mod places;

use std::cell::RefCell;

use self::packing::Frame;
pub use self::packing::{KernelShape, PackedKernel};
pub use self::places::Geometry;
use super::gemm::{
    FinishRow, FinishStep, GatherPointers, Grain, Product, SharedOutput, Task, Tasks, Values, ValuesMut,
};

/// `kernel * frames + bias + noise + residual`, one frame.
pub struct Convolution<'a> {
    /// One for each frame that the kernel spans, `[height, width, inputs]` each; zeros where there is none.
    pub frames: &'a [Option<Values<'a>>],
    /// Rows and columns.
    pub geometry: Geometry,
    /// The weight.
    pub kernel: &'a PackedKernel,
    /// `[outputs]`.
    pub bias: Option<&'a [f32]>,
    /// What is added to the bias.
    pub noise: Option<Noise<'a>>,
    /// What is added to the result before it is rounded: of its shape.
    pub residual: Option<Values<'a>>,
}

/// `map * scale`.
#[derive(Clone, Copy)]
pub struct Noise<'a> {
    /// One number for each pixel of the result.
    pub map: &'a [f32],
    /// `[outputs]`.
    pub scale: &'a [f32],
}

/// Pixels of a task, about: as many as use a panel often while what they see is in the second cache.
const PIXELS: usize = 128;
/// Lanes of a panel that are gone through before the next strip: 192 KiB, a part of the second cache.
const CHUNK_LANES: usize = 48 << 10;
/// Columns of the widest panel.
const MOST_COLUMNS: usize = 64;

thread_local! {
    /// Kept by each thread, because the system takes long to hand out memory.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a task needs.
#[derive(Default)]
struct Scratch {
    /// Addresses: `[strips, taps, rows]`.
    places: Vec<Place>,
    sums: Vec<f32>,
}

/// Where the lanes of a pixel begin.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Place(*const u32);

/// Writes the result into `y: [height / stride, width / stride, outputs]`, rounding up.
///
/// # Panics
/// If a length does not fit, if the kernel spans an even number of rows or columns, or if there is no frame at all.
pub fn convolve(convolution: &Convolution<'_>, y: ValuesMut<'_>) {
    let Convolution { frames, geometry, kernel, .. } = convolution;
    check(convolution, y.len());
    if y.is_empty() {
        return;
    }
    let product = frames.iter().flatten().map(|frame| kernel.product(frame)).next().expect("a frame");
    let lanes = kernel.steps() * product.parts();
    let layout = [kernel.shape.inputs, lanes];
    let pairs = product == Product::Bfloat16;
    let frames: Vec<Option<Frame<'_>>> =
        frames.iter().map(|frame| frame.map(|values| Frame::new(values, layout, pairs))).collect();
    let run = Run { convolution, frames: &frames, zeros: &vec![0; lanes], lanes, product, y: SharedOutput::new(y) };
    let [rows, columns] = [kernel.kernels.gather().rows, kernel.kernels.gather().columns];
    let grain = Grain { strips_each: PIXELS.div_ceil(rows), most_panels: 8, enough: 64 };
    let tasks = Tasks::new(geometry.pixels().div_ceil(rows), kernel.shape.outputs.div_ceil(columns), grain);
    tasks.run(|task| SCRATCH.with_borrow_mut(|scratch| run.task(task, scratch)));
}

fn check(convolution: &Convolution<'_>, length: usize) {
    let Convolution { frames, geometry, kernel, bias, noise, residual } = convolution;
    let KernelShape { outputs, inputs, taps: [depth, height, width] } = kernel.shape;
    assert!(height % 2 == 1 && width % 2 == 1 && geometry.kernel == [height, width], "rows and columns of the kernel");
    assert!(geometry.stride > 0, "a stride of nothing");
    assert_eq!(frames.len(), depth, "frames");
    for frame in frames.iter().flatten() {
        assert_eq!(frame.len(), geometry.height * geometry.width * inputs, "values of a frame");
    }
    assert_eq!(length, geometry.pixels() * outputs, "values of y");
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "values of the bias");
    assert!(residual.is_none_or(|residual| residual.len() == length), "values of the residual");
    if let Some(Noise { map, scale }) = noise {
        assert_eq!([map.len(), scale.len()], [geometry.pixels(), outputs], "values of the noise");
    }
}

/// A convolution under way.
struct Run<'a> {
    convolution: &'a Convolution<'a>,
    frames: &'a [Option<Frame<'a>>],
    /// A pixel of zeros.
    zeros: &'a [u32],
    /// Lanes of a pixel.
    lanes: usize,
    product: Product,
    y: SharedOutput<'a>,
}

impl Run<'_> {
    fn task(&self, task: &Task, scratch: &mut Scratch) {
        let kernel = self.convolution.kernel;
        let [rows, columns] = [kernel.kernels.gather().rows, kernel.kernels.gather().columns];
        let (taps, steps, size) = (kernel.shape.taps(), kernel.steps(), rows * columns);
        let Scratch { places, sums } = scratch;
        places.resize(task.strips.len() * taps * rows, Place(std::ptr::null()));
        for (strip, places) in task.strips.clone().zip(places.chunks_exact_mut(taps * rows)) {
            self.find(strip * rows, places, rows);
        }
        let chunks = (taps * steps * columns).div_ceil(CHUNK_LANES).min(taps).max(1);
        let taps_each = taps.div_ceil(chunks);
        // Sums of all tiles wait for the next chunk; without one, a panel's tiles may take the place of those of the panel before.
        let waiting = if chunks > 1 { task.panels.len() } else { 1 };
        sums.resize(waiting * task.strips.len() * size, 0.0);
        for first in (0..taps).step_by(taps_each) {
            let chunk = first..(first + taps_each).min(taps);
            for (index, panel) in task.panels.clone().enumerate() {
                let lanes = &kernel.panel(panel)[chunk.start * steps * columns..chunk.end * steps * columns];
                let sums = sums.chunks_exact_mut(size).skip(index % waiting * task.strips.len());
                let places = places.chunks_exact(taps * rows);
                for ((strip, places), sums) in task.strips.clone().zip(places).zip(sums) {
                    let pointers = GatherPointers {
                        stretches: chunk.len(),
                        steps,
                        rows: places[chunk.start * rows..chunk.end * rows].as_ptr().cast(),
                        panel: lanes.as_ptr(),
                        sums: sums.as_mut_ptr(),
                        carry_on: chunk.start > 0,
                    };
                    // SAFETY: there are as many places and lanes as taps in the chunk, a place has the lanes of a pixel, and the sums are a tile's.
                    unsafe { kernel.kernels.multiply_gathered(self.product, pointers) };
                    if chunk.end == taps {
                        self.finish(strip * rows, panel * columns, sums);
                    }
                }
            }
        }
    }

    /// Where the pixels lie that those of a strip see, `[taps, rows]`; `first` is its first pixel.
    fn find(&self, first: usize, places: &mut [Place], rows: usize) {
        let geometry = &self.convolution.geometry;
        let [height, width] = geometry.kernel;
        let outside = Place(self.zeros.as_ptr());
        for row in 0..rows {
            if first + row >= geometry.pixels() {
                places.iter_mut().skip(row).step_by(rows).for_each(|place| *place = outside);
                continue;
            }
            geometry.seen(first + row, |tap, pixel| {
                for (index, frame) in self.frames.iter().enumerate() {
                    let place = match (frame, pixel) {
                        // The check of the lengths has seen to it that all of the pixel's lanes are there.
                        (Some(frame), Some(pixel)) => Place(frame.lanes()[pixel * self.lanes..].as_ptr()),
                        _ => outside,
                    };
                    places[(index * height * width + tap) * rows + row] = place;
                }
            });
        }
    }

    /// Takes the sums of a tile into `y`; `pixel` is its first one, `column` its first channel.
    fn finish(&self, pixel: usize, column: usize, sums: &mut [f32]) {
        let Convolution { geometry, kernel, bias, noise, residual, .. } = self.convolution;
        let (width, outputs) = (kernel.kernels.gather().columns, kernel.shape.outputs);
        let columns = column..(column + width).min(outputs);
        let mut shifted = [0.0; MOST_COLUMNS];
        for (pixel, sums) in (pixel..geometry.pixels()).zip(sums.chunks_exact_mut(width)) {
            let part = pixel * outputs + columns.start..pixel * outputs + columns.end;
            let mut bias = bias.map(|bias| &bias[columns.clone()]);
            if let Some(Noise { map, scale }) = noise {
                for (index, (shifted, scale)) in shifted.iter_mut().zip(&scale[columns.clone()]).enumerate() {
                    *shifted = bias.map_or(0.0, |bias| bias[index]) + map[pixel] * scale;
                }
                bias = Some(&shifted[..columns.len()]);
            }
            let step = match residual {
                None => FinishStep::None,
                Some(residual) => {
                    FinishStep::Residual { residual: residual.part(part.clone()), gate: &[1.0; MOST_COLUMNS] }
                }
            };
            kernel.kernels.finish(FinishRow {
                sums: &mut sums[..columns.len()],
                bias,
                step,
                // SAFETY: a pixel's channels of a panel belong to one tile, and that to one task.
                output: unsafe { self.y.part(part) },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_fit_the_bias_with_noise() {
        for kernels in super::super::gemm::Kernels::available() {
            assert!(kernels.gather().columns <= MOST_COLUMNS);
        }
    }
}
