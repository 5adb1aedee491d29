//! How much of a frame is decoded at once.

use std::iter::successors;

use super::vae::config::{COLOURS, Config};
use super::vae::decoder::LatentSize;
use super::vae::memory::DecodeMemory;
use super::vae::tiling::Tiling;
use crate::models::{Tiles, VaeTiling};
use crate::weights::store::Placement;

const FLOAT32: usize = 4;
/// Bytes of the CPU's memory that are not counted otherwise: threads, the encoder, and what the system's allocator sets aside.
const BESIDE: usize = 128 << 20;
/// Frames of whole bytes between the decoder and the end of the encoder.
const WAITING: usize = 4;

/// What is decoded at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A frame, exactly.
    Whole,
    /// A part of it.
    Tiles(Tiling),
}

/// Frames that are to be decoded.
#[derive(Debug, Clone, Copy)]
pub struct Frames<'a> {
    /// By what.
    pub config: &'a Config,
    /// Their size.
    pub size: LatentSize,
    /// How many there are.
    pub count: usize,
    /// Where they are decoded.
    pub placement: &'a Placement,
    /// Whether they may be, or have to be, cut.
    pub tiling: VaeTiling,
}

impl Frames<'_> {
    /// From the largest to the smallest. Frames no larger than the largest tile are whole at first.
    fn pieces(&self) -> Vec<Piece> {
        let tiles = successors(Some(Tiling::DEFAULT), |tiling| tiling.halved())
            .filter(|tiling| tiling.side < self.longest() && self.tiling != VaeTiling::Off);
        let whole = self.tiling != VaeTiling::On || self.longest() <= Tiling::DEFAULT.side;
        whole.then_some(Piece::Whole).into_iter().chain(tiles.map(Piece::Tiles)).collect()
    }

    /// The largest piece whose decode takes no more than `available` bytes, where that is known; the one that takes least, where none does.
    pub fn largest(&self, available: Option<u64>) -> Piece {
        self.fitting(&self.pieces(), available).expect("there is always a piece")
    }

    /// The same of those whose side is shorter than `below` pixels; `None` where there are none.
    pub fn largest_below(&self, below: usize, available: Option<u64>) -> Option<Piece> {
        let pieces: Vec<Piece> = self.pieces().into_iter().filter(|piece| self.side(*piece) < below).collect();
        self.fitting(&pieces, available)
    }

    fn fitting(&self, pieces: &[Piece], available: Option<u64>) -> Option<Piece> {
        let fits = |piece: &&Piece| available.is_none_or(|available| self.needed(**piece) <= available);
        // Of those that take as little, the last.
        let least = || pieces.iter().rev().min_by_key(|piece| self.needed(**piece));
        pieces.iter().find(fits).or_else(least).copied()
    }

    /// Bytes that the decode of such pieces takes where it runs, apart from the weights.
    pub fn needed(&self, piece: Piece) -> u64 {
        let LatentSize { height, width } = self.size;
        let size = match piece {
            Piece::Whole => self.size,
            Piece::Tiles(Tiling { side, .. }) => LatentSize { height: height.min(side), width: width.min(side) },
        };
        let stream = DecodeMemory::on(self.placement, self.config, size).peak();
        (stream + if self.placement.device.is_cpu() { self.beside(piece) } else { 0 }) as u64
    }

    /// Bytes in the CPU's memory beside what the network computes: a frame before and after it is rounded, and those that wait for the encoder. In
    /// tiles, every frame is kept until the last tile is decoded.
    fn beside(&self, piece: Piece) -> usize {
        let frame = self.size.area() * self.config.spatial_ratio().pow(2) * COLOURS;
        let whole = if matches!(piece, Piece::Tiles(_)) { self.count } else { 0 };
        frame * (FLOAT32 * (whole + 2) + WAITING) + BESIDE
    }

    /// The piece with this longest side in pixels, or the next smaller one.
    pub fn piece_of(&self, side: usize) -> Piece {
        self.largest_below(side + 1, None).unwrap_or_else(|| *self.pieces().last().expect("there is always a piece"))
    }

    /// The longest side of a piece in pixels.
    pub fn side(&self, piece: Piece) -> usize {
        let side = match piece {
            Piece::Whole => self.longest(),
            Piece::Tiles(tiling) => tiling.side,
        };
        side * self.config.spatial_ratio()
    }

    /// What to say of pieces that are tiles.
    pub fn tiles(&self, piece: Piece) -> Option<Tiles> {
        let reason = match self.tiling {
            VaeTiling::On => "--vae-tiling is on",
            _ => "whole ones would not fit into memory",
        };
        matches!(piece, Piece::Tiles(_)).then(|| Tiles { side: self.side(piece), reason })
    }

    fn longest(&self) -> usize {
        self.size.height.max(self.size.width)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::models::ltx::synthetic::Sizes;

    const PLACEMENT: Placement = Placement { dtype: DType::BF16, device: Device::Cpu };

    fn largest(tiling: VaeTiling, width: usize, available: Option<u64>) -> usize {
        let config = Sizes::of("ltx-2b").unwrap().vae;
        let frames =
            Frames { config: &config, size: LatentSize { height: 22, width }, count: 1, placement: &PLACEMENT, tiling };
        frames.side(frames.largest(available))
    }

    #[test]
    fn pieces_shrink_with_the_memory_that_is_free() {
        let of = |available| largest(VaeTiling::Auto, 38, available);
        assert_eq!([None, Some(u64::MAX)].map(of), [1216; 2]);
        let config = Sizes::of("ltx-2b").unwrap().vae;
        let size = LatentSize { height: 22, width: 38 };
        let frames = Frames { config: &config, size, count: 1, placement: &PLACEMENT, tiling: VaeTiling::Auto };
        let exact: [u64; 4] =
            frames.pieces().iter().map(|piece| frames.needed(*piece)).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(exact.map(|bytes| of(Some(bytes))), [1216, 640, 320, 160]);
        assert_eq!(exact.map(|bytes| of(Some(bytes - 1))), [640, 320, 160, 160]);
    }

    /// All frames of a clip in tiles are kept until the last tile is decoded: of a long clip that is more than whole frames take, one after the other.
    #[test]
    fn where_nothing_fits_the_least_is_taken() {
        let config = Sizes::of("ltx-2b").unwrap().vae;
        let side = |count| {
            let size = LatentSize { height: 22, width: 38 };
            let frames = Frames { config: &config, size, count, placement: &PLACEMENT, tiling: VaeTiling::Auto };
            frames.side(frames.largest(Some(0)))
        };
        assert_eq!((side(1), side(10_000)), (160, 1216));
    }

    #[test]
    fn tiles_are_there_when_they_are_asked_for_and_not_when_not() {
        assert_eq!([VaeTiling::On, VaeTiling::Off].map(|tiling| largest(tiling, 38, None)), [640, 1216]);
        assert_eq!([VaeTiling::On, VaeTiling::Off].map(|tiling| largest(tiling, 38, Some(0))), [160, 1216]);
        let config = Sizes::of("ltx-2b").unwrap().vae;
        let size = LatentSize { height: 20, width: 16 };
        let frames = |tiling| Frames { config: &config, size, count: 1, placement: &PLACEMENT, tiling };
        assert_eq!(frames(VaeTiling::On).largest(None), Piece::Whole);
        let smaller =
            |below| frames(VaeTiling::Auto).largest_below(below, None).map(|piece| frames(VaeTiling::Auto).side(piece));
        assert_eq!([640, 320, 160].map(smaller), [Some(320), Some(160), None]);
        assert_eq!(frames(VaeTiling::Off).largest_below(640, None), None);
        assert_eq!(frames(VaeTiling::Auto).piece_of(640), Piece::Whole);
        assert_eq!(frames(VaeTiling::Auto).piece_of(320), Piece::Tiles(Tiling::DEFAULT.halved().unwrap()));
    }
}
