//! Spatial tiles, for decodes that would not fit into memory otherwise.
//!
//! A tile sees zeros where its neighbour is, so tiles overlap and are blended linearly in the middle of what they share: the clip is close to that of a decode without tiles, but
//! not equal. Each tile is decoded by itself, and what waits for its neighbours is kept as pixels in the CPU's memory.

use candle_core::{Device, Tensor};

use super::decoder::{Decoder, LatentSize};
use super::stream::Stream;
use crate::backend::reader::Reader;
use crate::error::{Error, Result};

/// How frames are cut, in latent rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Largest side of a tile.
    pub side: usize,
    /// Rows or columns that neighbours share at least: 1 or more, and at most half of `side`.
    pub overlap: usize,
}

impl Tiling {
    /// Tiles of 640 pixels at 32 pixels to a latent; of these 256 are shared.
    pub const DEFAULT: Self = Self { side: 20, overlap: 8 };
    /// Smaller tiles would be little but overlap.
    const SMALLEST_SIDE: usize = 5;

    /// Tiles of half the side, if they are worth it.
    pub fn halved(self) -> Option<Self> {
        let half = Self { side: self.side / 2, overlap: self.overlap / 2 };
        (half.side >= Self::SMALLEST_SIDE).then_some(half)
    }
}

/// A part of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: usize,
    /// How long it is.
    pub length: usize,
}

impl Span {
    fn end(self) -> usize {
        self.start + self.length
    }
}

/// Cuts an axis of `length` into the fewest parts of at most `tiling.side`, of nearly equal lengths, each sharing `tiling.overlap` or more
/// with the next.
pub fn spans(length: usize, tiling: Tiling) -> Vec<Span> {
    let Tiling { side, overlap } = tiling;
    if length <= side {
        return vec![Span { start: 0, length }];
    }
    let count = (length - overlap).div_ceil(side - overlap);
    let part = (length + (count - 1) * overlap).div_ceil(count);
    let last = length - part;
    (0..count).map(|index| Span { start: last * index / (count - 1), length: part }).collect()
}

/// The share of `spans[index]` in each pixel that it covers, where a latent is `ratio` pixels: 1 inside, and from 0 to 1 across the middle half of
/// what it shares with a neighbour. The shares of all spans add up to 1 everywhere.
pub fn shares(spans: &[Span], index: usize, ratio: usize) -> Vec<f32> {
    let own = spans[index];
    // Rises from 0 to 1 across the middle half of the overlap: what lies nearest to a tile's edge is least like the whole frame.
    let ramp = |pixel: usize, overlap: Span| {
        let (start, length) = ((overlap.start * ratio) as f32, (overlap.length * ratio) as f32);
        ((pixel as f32 + 0.5 - (start + 0.25 * length)) / (0.5 * length)).clamp(0.0, 1.0)
    };
    let shared = |left: Span, right: Span| Span { start: right.start, length: left.end().saturating_sub(right.start) };
    let share = |pixel: usize| {
        let rise = if index == 0 { 1.0 } else { ramp(pixel, shared(spans[index - 1], own)) };
        let fall = spans.get(index + 1).map_or(0.0, |next| ramp(pixel, shared(own, *next)));
        rise * (1.0 - fall)
    };
    (own.start * ratio..own.end() * ratio).map(share).collect()
}

impl Decoder {
    /// As [`PreparedDecoder::decode`](super::decoder::PreparedDecoder::decode), tile by tile: denormalised `latents: [1, C, F, H, W]` in the weights'
    /// type to pixels `[1, 3, 8 (F - 1) + 1, 32 H, 32 W]`, float32 on the CPU. `timestep` and `noise` are those of [`Decoder::prepare`], for
    /// whole frames.
    ///
    /// # Errors
    /// No overlap, an overlap of more than half the side, or a failed tensor operation.
    pub fn decode_tiled(
        &self,
        latents: &Tensor,
        (timestep, noise): (f64, &[Tensor]),
        tiling: Tiling,
    ) -> Result<Tensor> {
        if tiling.overlap == 0 || 2 * tiling.overlap > tiling.side {
            return Err(Error::input(
                "tiles of a decode",
                "an overlap of 1 or more, and at most half the side",
                format!("side {}, overlap {}", tiling.side, tiling.overlap),
                "choose larger tiles or a smaller overlap",
            ));
        }
        let size = LatentSize::of(latents)?;
        let (rows, columns) = (spans(size.height, tiling), spans(size.width, tiling));
        let mut frames: Vec<Tensor> = Vec::new();
        let mut reader = Reader::new(latents.device())?;
        for (row, down) in rows.iter().enumerate() {
            for (column, across) in columns.iter().enumerate() {
                let tile = Tile { down: *down, across: *across };
                let noise = noise.iter().map(|map| tile.crop_map(map, size)).collect::<Result<Vec<_>>>()?;
                let mut stream = self.prepare(timestep, &noise)?.stream(&tile.crop(latents)?)?;
                let mut index = 0;
                while let Some(pixels) = next_on_cpu(&mut stream, &mut reader)? {
                    let pixels = pixels.to_dtype(candle_core::DType::F32)?;
                    let (_, height, width) = pixels.dims3()?;
                    let ratio = height / down.length;
                    let weight = |shares: Vec<f32>, shape| Tensor::from_vec(shares, shape, &Device::Cpu);
                    let part = pixels
                        .broadcast_mul(&weight(shares(&rows, row, ratio), (1, height, 1))?)?
                        .broadcast_mul(&weight(shares(&columns, column, ratio), (1, 1, width))?)?;
                    let part = part
                        .pad_with_zeros(1, down.start * ratio, (size.height - down.end()) * ratio)?
                        .pad_with_zeros(2, across.start * ratio, (size.width - across.end()) * ratio)?;
                    match frames.get_mut(index) {
                        Some(frame) => *frame = (&*frame + part)?,
                        None => frames.push(part),
                    }
                    index += 1;
                }
            }
        }
        Ok(Tensor::stack(&frames, 1)?.unsqueeze(0)?)
    }
}

/// The next frame of a tile in the CPU's memory; a device that computes beside its copies goes on with those behind it.
fn next_on_cpu(stream: &mut Stream, reader: &mut Reader) -> Result<Option<Tensor>> {
    while reader.takes_more()
        && let Some(pixels) = stream.next()?
    {
        reader.begin(pixels)?;
    }
    reader.finish()
}

/// A part of a frame, in latents.
#[derive(Clone, Copy)]
struct Tile {
    down: Span,
    across: Span,
}

impl Tile {
    /// Its part of `[1, C, F, H, W]`.
    fn crop(self, latents: &Tensor) -> Result<Tensor> {
        let rows = latents.narrow(3, self.down.start, self.down.length)?;
        Ok(rows.narrow(4, self.across.start, self.across.length)?.contiguous()?)
    }

    /// Its part of a map `[s H, s W]` for frames of `size`, whatever the scale `s` is.
    fn crop_map(self, map: &Tensor, size: LatentSize) -> Result<Tensor> {
        let scale = map.dim(0)? / size.height;
        let rows = map.narrow(0, scale * self.down.start, scale * self.down.length)?;
        Ok(rows.narrow(1, scale * self.across.start, scale * self.across.length)?.contiguous()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_axis_is_one_span() {
        assert_eq!(spans(16, Tiling::DEFAULT), [Span { start: 0, length: 16 }]);
    }

    #[test]
    fn tiles_are_halved_twice() {
        let half = Tiling::DEFAULT.halved().unwrap();
        let quarter = half.halved().unwrap();
        assert_eq!((half, quarter), (Tiling { side: 10, overlap: 4 }, Tiling { side: 5, overlap: 2 }));
        assert_eq!(quarter.halved(), None);
    }

    #[test]
    fn spans_cover_the_axis_with_enough_overlap_and_their_shares_add_up_to_one() {
        for length in 1..80 {
            for tiling in [Tiling { side: 4, overlap: 1 }, Tiling { side: 8, overlap: 4 }, Tiling::DEFAULT] {
                let spans = spans(length, tiling);
                assert_eq!((spans[0].start, spans.last().unwrap().end()), (0, length));
                for pair in spans.windows(2) {
                    assert!(pair[0].end() >= pair[1].start + tiling.overlap, "{length} {tiling:?}: {spans:?}");
                    assert!(pair[1].start > pair[0].start && pair[1].length <= tiling.side);
                }
                let mut sums = vec![0f32; 2 * length];
                for (index, span) in spans.iter().enumerate() {
                    for (offset, share) in shares(&spans, index, 2).into_iter().enumerate() {
                        sums[2 * span.start + offset] += share;
                    }
                }
                assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{length} {tiling:?}: {sums:?}");
            }
        }
    }
}
