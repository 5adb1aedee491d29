//! Decoded frames to bytes.

use super::divisor::Divisor;
use super::launch::{Element, Launch, striding_blocks};

/// Threads of a block.
const BLOCK: u32 = 256;

/// A frame of values of about -1 to 1.
#[derive(Debug, Clone, Copy)]
pub struct DecodedFrame {
    /// Of the values.
    pub element: Element,
    /// Address of the first one.
    pub values: u64,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Values from one channel, row and column to the next.
    pub strides: [usize; 3],
}

/// `PixelParameters` of `pixels.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct PixelParameters {
    values: u64,
    bytes: u64,
    flags: u64,
    strides: [i64; 3],
    width: Divisor,
    count: i32,
}

/// One pass over a frame, to an address that is yet to be known.
#[derive(Debug, Clone, Copy)]
pub struct PixelPlan {
    launch: Launch<PixelParameters>,
    pixel_bytes: usize,
}

impl PixelPlan {
    /// To `[height, width, 3]`: red, green, blue. `None` for frames of no pixels, or of 2^31.
    pub fn new(frame: &DecodedFrame) -> Option<Self> {
        let [height, width] = frame.size;
        let count = i32::try_from(height.checked_mul(width)?).ok().filter(|pixels| *pixels > 0)?;
        let kernel = match frame.element {
            Element::Float32 => "rgb_f32",
            Element::Bfloat16 => "rgb_bf16",
            Element::Float16 => "rgb_f16",
        };
        let parameters = PixelParameters {
            values: frame.values,
            bytes: 0,
            flags: 0,
            strides: frame.strides.map(|stride| stride as i64),
            width: Divisor::new(width as u32),
            count,
        };
        let grid = [striding_blocks(height * width, BLOCK as usize), 1, 1];
        let launch = Launch { kernel, grid, block: BLOCK, shared_bytes: 4, parameters };
        Some(Self { launch, pixel_bytes: height * width * 3 })
    }

    /// Bytes that the launch writes: those of the pixels, then a flag for each block, 1 where it saw a value that was not finite, and 0 elsewhere.
    pub fn bytes(&self) -> usize {
        self.pixel_bytes + self.launch.grid[0] as usize
    }

    /// The launch that writes to this address.
    pub fn launch(&self, bytes: u64) -> Launch<PixelParameters> {
        let flags = bytes + self.pixel_bytes as u64;
        Launch { parameters: PixelParameters { bytes, flags, ..self.launch.parameters }, ..self.launch }
    }

    /// The pixels among the bytes that were written, or `None` where a value was not finite.
    pub fn pixels(&self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let flags = bytes.split_off(self.pixel_bytes);
        flags.iter().all(|flag| *flag == 0).then_some(bytes)
    }
}
