//! Weights and frames in the order in which the micro-kernels read them.
#![allow(unsafe_code)]

use rayon::prelude::*;

use crate::backend::cpu::gemm::{Kernels, Lanes, Product, Values, as_lanes, widen};

/// A weight in panels: `[ceil(N / columns), taps, steps, columns]` lanes, with zeros beyond N and the channels.
pub struct PackedKernel {
    pub(super) kernels: &'static Kernels,
    pub(super) shape: KernelShape,
    /// Whether a lane holds two channels in bfloat16, or one in float32.
    pairs: bool,
    lanes: Lanes,
}

/// The dimensions of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelShape {
    /// Channels out.
    pub outputs: usize,
    /// Channels in.
    pub inputs: usize,
    /// Frames, rows and columns that it spans; rows and columns are odd.
    pub taps: [usize; 3],
}

impl KernelShape {
    /// How many taps there are.
    pub fn taps(&self) -> usize {
        self.taps.iter().product()
    }
}

/// Channels whose taps are packed before the next column's, an even number: what they touch stays in the first cache.
const RUN: usize = 8;

impl PackedKernel {
    /// Packs `values: [outputs, inputs, taps]` for `kernels`, each in its own type.
    ///
    /// # Panics
    /// If there is another number of values.
    pub fn new(kernels: &'static Kernels, values: Values<'_>, shape: KernelShape) -> Self {
        assert_eq!(values.len(), shape.outputs * shape.inputs * shape.taps(), "values of the weight");
        let pairs = matches!(values, Values::Bfloat16(_));
        let columns = kernels.gather().columns;
        let mut packed = Self { kernels, shape, pairs, lanes: Lanes::default() };
        let size = packed.panel_lanes();
        packed.lanes = Lanes::zeros(shape.outputs.div_ceil(columns) * size);
        let steps = packed.steps();
        if size == 0 {
            return packed;
        }
        packed.lanes.par_chunks_exact_mut(size).enumerate().for_each(|(panel, lanes)| {
            let outputs = panel * columns..((panel + 1) * columns).min(shape.outputs);
            for first in (0..shape.inputs).step_by(RUN) {
                for (column, output) in outputs.clone().enumerate() {
                    let channels = first..(first + RUN).min(shape.inputs);
                    let taps = |channel: usize| {
                        let start = (output * shape.inputs + channel) * shape.taps();
                        start..start + shape.taps()
                    };
                    let places = |step: usize| (step * columns + column..).step_by(steps * columns);
                    match values {
                        Values::Float32(values) => channels.for_each(|channel| {
                            let taps = values[taps(channel)].iter();
                            places(channel).zip(taps).for_each(|(place, value)| lanes[place] = value.to_bits());
                        }),
                        Values::Bfloat16(values) => channels.step_by(2).for_each(|channel| {
                            let first = &values[taps(channel)];
                            // Without a second channel its half of the lanes stays 0.
                            let second = values.get(taps(channel + 1)).filter(|_| channel + 1 < shape.inputs);
                            for (tap, (place, &low)) in places(channel / 2).zip(first).enumerate() {
                                lanes[place] = u32::from(low) | second.map_or(0, |high| u32::from(high[tap]) << 16);
                            }
                        }),
                    }
                }
            }
        });
        packed
    }

    /// Lanes of a column in a tap.
    pub(super) fn steps(&self) -> usize {
        if self.pairs { self.shape.inputs.div_ceil(2) } else { self.shape.inputs }
    }

    fn panel_lanes(&self) -> usize {
        self.shape.taps() * self.steps() * self.kernels.gather().columns
    }

    /// A panel's lanes.
    pub(super) fn panel(&self, index: usize) -> &[u32] {
        &self.lanes[index * self.panel_lanes()..(index + 1) * self.panel_lanes()]
    }

    /// The micro-kernel for frames of this type. No value is rounded: bfloat16 is widened where there is none for pairs of it.
    pub(super) fn product(&self, frame: &Values<'_>) -> Product {
        match frame {
            Values::Bfloat16(_) if self.pairs && self.kernels.has(Product::Bfloat16) => Product::Bfloat16,
            _ if self.pairs => Product::WidenedBfloat16,
            _ => Product::Float32,
        }
    }
}

/// A frame as the micro-kernels read it: a number of lanes for each pixel.
pub enum Frame<'a> {
    /// It already lies in memory like that.
    Plain(&'a [u32]),
    /// A copy.
    Packed(Lanes),
}

impl<'a> Frame<'a> {
    /// `values: [pixels, channels]` as `[pixels, lanes]`; `pairs`: whether a lane takes two channels in bfloat16, or one in float32.
    pub fn new(values: Values<'a>, [channels, lanes]: [usize; 2], pairs: bool) -> Self {
        let plain = match values {
            Values::Float32(values) if !pairs && lanes == channels => Some(as_lanes(values)),
            Values::Bfloat16(values) if pairs && 2 * lanes == channels => as_pairs(values),
            _ => None,
        };
        if let Some(plain) = plain {
            return Self::Plain(plain);
        }
        let mut packed = Lanes::zeros(values.len() / channels * lanes);
        packed.par_chunks_exact_mut(lanes).enumerate().for_each(|(pixel, lanes)| {
            let part = pixel * channels..(pixel + 1) * channels;
            match values {
                Values::Float32(values) => {
                    lanes.iter_mut().zip(&values[part]).for_each(|(lane, value)| *lane = value.to_bits());
                }
                Values::Bfloat16(values) if pairs => {
                    for (lane, pair) in lanes.iter_mut().zip(values[part].chunks(2)) {
                        *lane = u32::from(pair[0]) | pair.get(1).map_or(0, |&second| u32::from(second) << 16);
                    }
                }
                Values::Bfloat16(values) => {
                    lanes.iter_mut().zip(&values[part]).for_each(|(lane, &value)| *lane = widen(value).to_bits());
                }
            }
        });
        Self::Packed(packed)
    }

    /// Its lanes.
    pub fn lanes(&self) -> &[u32] {
        match self {
            Self::Plain(lanes) => lanes,
            Self::Packed(lanes) => lanes,
        }
    }
}

/// Two values a lane, if they lie like that in memory.
fn as_pairs(values: &[u16]) -> Option<&[u32]> {
    // SAFETY: any bits are lanes.
    match unsafe { values.align_to::<u32>() } {
        ([], lanes, []) if cfg!(target_endian = "little") => Some(lanes),
        _ => None,
    }
}
