//! Convolutions over time and space as implicit GEMM: which kernel, which tile, and what it is given.

use super::launch::{Element, Launch};
use crate::backend::cpu::conv::{Geometry, KernelShape};

/// Frames that a launch may see, counted once for each result that sees them. As in `conv3d.cu`.
pub const MOST_FRAMES: usize = 96;
/// Results of a launch. As in `conv3d.cu`.
pub const MOST_RESULTS: usize = 32;
/// The weight's channels are rounded up to a multiple of this, with zeros: 16 bytes are copied at once.
pub const CHANNELS_TOGETHER: usize = 8;
/// Bytes of a row of a stage: 32 channels.
const ROW_BYTES: u32 = 64;

/// `Conv3dParameters` of `conv3d.cu`. Addresses are 0 for what there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Conv3dParameters {
    /// `[N, T, S, S, C]`, C rounded up to [`CHANNELS_TOGETHER`].
    pub weight: u64,
    /// `[N]`, float32, or 0.
    pub bias: u64,
    /// Noise: one number for each pixel of a result, float32, or 0.
    pub map: u64,
    /// What it is multiplied by: `[N]`, float32.
    pub scale: u64,
    height: i32,
    width: i32,
    inputs: i32,
    result_height: i32,
    result_width: i32,
    outputs: i32,
    depth: i32,
    side: i32,
    stride: i32,
    whole_vectors: i32,
    frames: [u64; MOST_FRAMES],
    results: [u64; MOST_RESULTS],
    residuals: [u64; MOST_RESULTS],
}

/// Frames of a result and what they are made of. Addresses are of values of one type, channels innermost; 0 for what there is not.
#[derive(Debug, Clone, Copy)]
pub struct Convolution<'a> {
    /// bfloat16 or float16, but for what is always float32.
    pub element: Element,
    /// Of the weight.
    pub shape: KernelShape,
    /// Of all frames.
    pub geometry: Geometry,
    /// `[N, T, S, S, C]`, C rounded up to [`CHANNELS_TOGETHER`].
    pub weight: u64,
    /// `[N]`, float32.
    pub bias: u64,
    /// Map and scale, float32.
    pub noise: [u64; 2],
    /// What each result sees, one after the other; zeros where there is none.
    pub frames: &'a [u64],
    /// As many as [`batch`] at most.
    pub results: &'a [u64],
    /// One for each result, or none at all.
    pub residuals: &'a [u64],
}

/// The part of a result that a block computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Pixels.
    pub pixels: u32,
    /// Channels.
    pub channels: u32,
    /// Threads of the block.
    pub threads: u32,
    /// Operations a second of a multiprocessor that is full of them, in percent of the first's.
    speed: usize,
}

/// From the largest to the smallest. The larger a tile, the less it reads for each operation; the smaller, the more of the card has something to do.
///
/// The speeds are estimates: a larger part of the smaller tiles' time goes to reading shared memory.
pub const TILES: [Tile; 3] = [
    Tile { pixels: 256, channels: 128, threads: 256, speed: 100 },
    Tile { pixels: 128, channels: 128, threads: 256, speed: 90 },
    Tile { pixels: 128, channels: 64, threads: 128, speed: 80 },
];

/// How pixels come to shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// For kernels of 3 by 3 with stride 1: rows with a pixel of zeros at both ends, so that three taps are read from one copy.
    Lines,
    /// Tap by tap.
    Taps,
    /// Tap by tap and value by value: for frames whose pixels are not aligned to 16 bytes.
    Values,
}

impl Gather {
    /// Taps and stages that shared memory holds.
    fn depth(self) -> [u32; 2] {
        match self {
            Self::Lines => [3, 2],
            Self::Taps | Self::Values => [1, 4],
        }
    }
}

/// Whether rows of so many channels at these addresses can be read and written 16 bytes at a time.
fn aligned(channels: usize, addresses: &[u64]) -> bool {
    channels.is_multiple_of(CHANNELS_TOGETHER) && addresses.iter().all(|address| address.is_multiple_of(16))
}

/// Results that a launch takes, for a kernel that spans `depth` frames; 0 if it spans too many.
pub fn batch(depth: usize) -> usize {
    (MOST_FRAMES / depth).min(MOST_RESULTS)
}

/// Bytes of shared memory of a block.
pub fn shared_bytes(tile: &Tile, gather: Gather) -> u32 {
    let [taps, stages] = gather.depth();
    (tile.pixels + taps - 1 + taps * tile.channels) * ROW_BYTES * stages
}

/// How the frames of a convolution are gathered.
pub fn gather_for(convolution: &Convolution<'_>) -> Gather {
    match (convolution.shape.taps, convolution.geometry.stride) {
        _ if !aligned(convolution.shape.inputs, convolution.frames) => Gather::Values,
        ([_, 3, 3], 1) => Gather::Lines,
        _ => Gather::Taps,
    }
}

/// The pixels of a result as they are divided into tiles.
fn pixels(convolution: &Convolution<'_>, gather: Gather) -> usize {
    let [height, width] = convolution.geometry.result();
    match gather {
        Gather::Lines => height * (width + 2),
        Gather::Taps | Gather::Values => height * width,
    }
}

/// The tile that takes the shortest time by a simple model: blocks are dealt out evenly to the multiprocessors, and the one that has the most of them
/// takes as long as they have operations. The tiles fit every architecture. `pixels`: of all results together.
pub fn tile_for(multiprocessors: u32, pixels: usize, outputs: usize) -> Tile {
    let time = |tile: &&Tile| {
        let blocks = pixels.div_ceil(tile.pixels as usize) * outputs.div_ceil(tile.channels as usize);
        let most = blocks.div_ceil(multiprocessors.max(1) as usize);
        most * (tile.pixels * tile.channels) as usize * 100 / tile.speed
    };
    // The first of those that take equally long.
    *TILES.iter().min_by_key(time).expect("there are tiles")
}

/// One launch for all results.
///
/// # Panics
/// As [`plan_with`].
pub fn plan(multiprocessors: u32, convolution: &Convolution<'_>) -> Launch<Conv3dParameters> {
    let pixels = pixels(convolution, gather_for(convolution)) * convolution.results.len();
    plan_with(tile_for(multiprocessors, pixels, convolution.shape.outputs), convolution)
}

/// The same with a tile of choice; values are gathered one by one in the smallest tiles only.
///
/// # Panics
/// If numbers of frames, results or residuals do not fit each other or a launch, if the kernel is not as high as wide, if a frame has 2^30 pixels or more, or
/// for float32.
pub fn plan_with(tile: Tile, convolution: &Convolution<'_>) -> Launch<Conv3dParameters> {
    let Convolution { element, geometry, frames, results, residuals, .. } = *convolution;
    let KernelShape { outputs, inputs, taps: [depth, side, columns] } = convolution.shape;
    assert!((1..=batch(depth)).contains(&results.len()), "results of a launch");
    assert_eq!(frames.len(), results.len() * depth, "frames of a launch");
    assert!(residuals.is_empty() || residuals.len() == results.len(), "residuals of a launch");
    assert_eq!(side, columns, "rows and columns of the kernel");
    let gather = gather_for(convolution);
    let tile = if gather == Gather::Values { TILES[2] } else { tile };
    let pixels = pixels(convolution, gather);
    assert!(pixels.max(geometry.height * geometry.width) < 1 << 30, "pixels of a frame");
    let [result_height, result_width] = geometry.result();

    let mut parameters = Conv3dParameters {
        weight: convolution.weight,
        bias: convolution.bias,
        map: convolution.noise[0],
        scale: convolution.noise[1],
        height: geometry.height as i32,
        width: geometry.width as i32,
        inputs: inputs as i32,
        result_height: result_height as i32,
        result_width: result_width as i32,
        outputs: outputs as i32,
        depth: depth as i32,
        side: side as i32,
        stride: geometry.stride as i32,
        whole_vectors: i32::from(aligned(outputs, results) && aligned(outputs, residuals)),
        frames: [0; MOST_FRAMES],
        results: [0; MOST_RESULTS],
        residuals: [0; MOST_RESULTS],
    };
    parameters.frames[..frames.len()].copy_from_slice(frames);
    parameters.results[..results.len()].copy_from_slice(results);
    parameters.residuals[..residuals.len()].copy_from_slice(residuals);
    Launch {
        kernel: kernel(element, gather, &tile),
        grid: [
            pixels.div_ceil(tile.pixels as usize) as u32,
            outputs.div_ceil(tile.channels as usize) as u32,
            results.len() as u32,
        ],
        block: tile.threads,
        shared_bytes: shared_bytes(&tile, gather),
        parameters,
    }
}

fn kernel(element: Element, gather: Gather, tile: &Tile) -> &'static str {
    let [bfloat16, float16] = match (gather, tile.pixels, tile.channels) {
        (Gather::Lines, 256, _) => ["conv3d_bf16_lines_256x128", "conv3d_f16_lines_256x128"],
        (Gather::Lines, _, 128) => ["conv3d_bf16_lines_128x128", "conv3d_f16_lines_128x128"],
        (Gather::Lines, ..) => ["conv3d_bf16_lines_128x64", "conv3d_f16_lines_128x64"],
        (Gather::Taps, 256, _) => ["conv3d_bf16_taps_256x128", "conv3d_f16_taps_256x128"],
        (Gather::Taps, _, 128) => ["conv3d_bf16_taps_128x128", "conv3d_f16_taps_128x128"],
        (Gather::Taps, ..) => ["conv3d_bf16_taps_128x64", "conv3d_f16_taps_128x64"],
        (Gather::Values, ..) => ["conv3d_bf16_values_128x64", "conv3d_f16_values_128x64"],
    };
    match element {
        Element::Bfloat16 => bfloat16,
        Element::Float16 => float16,
        Element::Float32 => panic!("there is no kernel for convolutions of float32"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an H200.
    const MULTIPROCESSORS: u32 = 132;

    fn name(tile: Tile) -> [u32; 2] {
        [tile.pixels, tile.channels]
    }

    #[test]
    fn tiles_are_as_large_as_leaves_nothing_idle() {
        // Layers of LTX-Video's decoder for 1216x704, a frame at a time.
        for (size, outputs, tile) in [
            ([22, 38], 1024, [128, 64]),
            ([22, 38], 4096, [256, 128]),
            ([44, 76], 512, [128, 128]),
            ([88, 152], 256, [256, 128]),
            ([176, 304], 128, [256, 128]),
            ([176, 304], 48, [128, 64]),
        ] {
            let [height, width] = size;
            assert_eq!(name(tile_for(MULTIPROCESSORS, height * (width + 2), outputs)), tile, "{size:?}, {outputs}");
        }
        // Many frames at once.
        assert_eq!(name(tile_for(MULTIPROCESSORS, 20 * 22 * 40, 1024)), [256, 128]);
    }

    #[test]
    fn every_tile_fits_the_shared_memory_of_every_architecture() {
        for tile in &TILES {
            for gather in [Gather::Lines, Gather::Taps, Gather::Values] {
                let stages = shared_bytes(tile, gather);
                // What a block may have where a multiprocessor has 100 KiB.
                assert!(stages <= 99 << 10, "{tile:?} {gather:?}: {stages}");
                // The sums of a warp, 16 rows of them with 8 values more, take the place of the stages.
                let warps = tile.threads / 32;
                let columns = if tile.pixels == 256 { 64 } else { 32 };
                assert!(warps * 16 * (columns + 8) * 4 <= stages, "{tile:?} {gather:?}: {stages}");
            }
        }
    }

    #[test]
    fn launches_are_full_and_never_too_full() {
        for depth in 1..=MOST_FRAMES {
            assert!(batch(depth) * depth <= MOST_FRAMES && batch(depth) <= MOST_RESULTS && batch(depth) > 0);
        }
        assert_eq!(batch(3), MOST_RESULTS);
        assert_eq!(batch(MOST_FRAMES + 1), 0);
    }
}
