//! Folding of space and time into channels and back.

use super::divisor::Divisor;
use super::launch::{Element, Launch};

/// The most frames of a block.
pub const MOST_FRAMES: usize = 8;

/// Threads of a block.
const BLOCK: u32 = 256;
/// Bytes of shared memory of a tile of several channels: six blocks share a multiprocessor of 100 KB.
const TILE_BYTES: usize = 16 << 10;
/// What a block has without asking for more.
const MOST_BYTES: usize = 48 << 10;
/// Blocks along a grid's second and third axis.
const MOST_BLOCKS: usize = 65535;

/// Frames and what they are folded to. Addresses are of values of type `element`.
#[derive(Debug, Clone, Copy)]
pub struct Fold<'a> {
    /// Of all values.
    pub element: Element,
    /// Addresses of as many frames as a block has, `[height * h, width * w, channels]`.
    pub frames: &'a [u64],
    /// Address of `[height, width, channels * t * h * w]`.
    pub folded: u64,
    /// What is added when it is unfolded.
    pub added: Option<Added>,
    /// Rows and columns of the folded frame.
    pub size: [usize; 2],
    /// Channels of the frames.
    pub channels: usize,
    /// Rows and columns of a block.
    pub block: [usize; 2],
}

/// Values that are unfolded and added.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// Address of `[height, width, channels * t * h * w]`.
    pub values: u64,
    /// Channels after unfolding, which repeat.
    pub channels: usize,
}

/// `FoldParameters` of `fold.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct FoldParameters {
    frames: [u64; MOST_FRAMES],
    folded: u64,
    added: u64,
    width: i32,
    channels: i32,
    added_channels: i32,
    tile_pixels: i32,
    places: Divisor,
    rows: Divisor,
    columns: Divisor,
    pixels_of_tile: Divisor,
    channels_of_tile: Divisor,
    repeated: Divisor,
}

/// Which way values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the frames.
    Fold,
    /// To the frames.
    Unfold,
}

/// One pass over the values, or `None` where the kernel does not take as many frames, or sizes as large.
pub fn plan(direction: Direction, fold: &Fold<'_>) -> Option<Launch<FoldParameters>> {
    let [height, width] = fold.size;
    let [rows, columns] = fold.block;
    let places = fold.frames.len() * rows * columns;
    let tile = tile_for(fold.element.bytes(), [width, fold.channels], places)?;
    let parts = fold.channels.div_ceil(tile.channels);
    let is_small = [width, fold.channels, fold.channels * places].into_iter().all(|size| i32::try_from(size).is_ok());
    if fold.frames.len() > MOST_FRAMES || height > MOST_BLOCKS || parts > MOST_BLOCKS || !is_small {
        return None;
    }
    let mut frames = [0; MOST_FRAMES];
    frames[..fold.frames.len()].copy_from_slice(fold.frames);
    let added = fold.added.unwrap_or(Added { values: 0, channels: 1 });
    let by = |number: usize| Divisor::new(number as u32);
    let parameters = FoldParameters {
        frames,
        folded: fold.folded,
        added: added.values,
        width: width as i32,
        channels: fold.channels as i32,
        added_channels: added.channels as i32,
        tile_pixels: tile.pixels as i32,
        places: by(places),
        rows: by(rows),
        columns: by(columns),
        pixels_of_tile: by(tile.pixels),
        channels_of_tile: by(tile.channels),
        repeated: by(added.channels),
    };
    let kernel = match (direction, fold.element) {
        (Direction::Fold, Element::Float32) => "fold_f32",
        (Direction::Fold, Element::Bfloat16) => "fold_bf16",
        (Direction::Fold, Element::Float16) => "fold_f16",
        (Direction::Unfold, Element::Float32) => "unfold_f32",
        (Direction::Unfold, Element::Bfloat16) => "unfold_bf16",
        (Direction::Unfold, Element::Float16) => "unfold_f16",
    };
    let grid = [width.div_ceil(tile.pixels) as u32, height as u32, parts as u32];
    Some(Launch { kernel, grid, block: BLOCK, shared_bytes: tile.bytes as u32, parameters })
}

/// What a block holds in shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    pixels: usize,
    channels: usize,
    bytes: usize,
}

/// As many channels as fit, and where all do, as many pixels of a row.
fn tile_for(bytes: usize, [width, channels]: [usize; 2], places: usize) -> Option<Tile> {
    // The kernel keeps the number odd.
    let of_channel = (places | 1) * bytes;
    if of_channel > MOST_BYTES || width * channels * places == 0 {
        return None;
    }
    let fitting = (TILE_BYTES / of_channel).max(1);
    let channels = channels.div_ceil(channels.div_ceil(fitting));
    let pixels = (fitting / channels).min(width);
    Some(Tile { pixels, channels, bytes: pixels * channels * of_channel })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_hold_whole_pixels_where_they_fit() {
        let tile = |width, channels, places| tile_for(2, [width, channels], places).unwrap();
        assert_eq!(tile(304, 3, 16), Tile { pixels: 160, channels: 3, bytes: 16320 });
        assert_eq!(tile(38, 512, 8), Tile { pixels: 1, channels: 512, bytes: 9216 });
        assert_eq!(tile(38, 1024, 8), Tile { pixels: 1, channels: 512, bytes: 9216 });
        assert_eq!(tile(5, 1, 4), Tile { pixels: 5, channels: 1, bytes: 50 });
        // One channel takes more than a tile's share.
        assert_eq!(tile(4, 7, 20001), Tile { pixels: 1, channels: 1, bytes: 40002 });
        assert_eq!(tile_for(4, [4, 7], 20001), None);
        assert_eq!(tile_for(4, [0, 7], 2), None);
    }
}
