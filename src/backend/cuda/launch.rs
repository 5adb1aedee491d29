//! A kernel's launch.

use candle_core::DType;

/// Threads of a warp.
pub const WARP: u32 = 32;

/// One launch of the kernel `kernel`, which takes one struct by value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Launch<P> {
    /// The kernel's name in `kernels/cuda`.
    pub kernel: &'static str,
    /// Blocks along each axis: up to 2^31 - 1, 65535 and 65535.
    pub grid: [u32; 3],
    /// Threads of a block, a multiple of [`WARP`].
    pub block: u32,
    /// Bytes of a block's dynamic shared memory.
    pub shared_bytes: u32,
    /// The kernel's parameter struct: `#[repr(C)]`, addresses as 64 bits, padding written out.
    pub parameters: P,
}

/// Types of values that kernels have a version for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// IEEE's 32 bits.
    Float32,
    /// The upper half of float32.
    Bfloat16,
    /// IEEE's 16 bits.
    Float16,
}

impl Element {
    /// Of a tensor's values, if kernels take them.
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::Float32),
            DType::BF16 => Some(Self::Bfloat16),
            DType::F16 => Some(Self::Float16),
            _ => None,
        }
    }

    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Bfloat16 | Self::Float16 => 2,
        }
    }

    /// Values of the 16 bytes that a thread moves at once.
    pub fn vector(self) -> usize {
        16 / self.bytes()
    }
}

/// Blocks for `items` that a block takes `of_block` of at a time: at most so many that each multiprocessor of the largest card is filled some times
/// over, where a kernel's blocks stride over what is left.
pub fn striding_blocks(items: usize, of_block: usize) -> u32 {
    /// 16 blocks on each of 256 multiprocessors.
    const MOST: usize = 16 * 256;
    items.div_ceil(of_block).clamp(1, MOST) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_never_none_and_never_too_many() {
        assert_eq!(striding_blocks(0, 256), 1);
        assert_eq!(striding_blocks(257, 256), 2);
        assert_eq!(striding_blocks(1 << 40, 256), 4096);
    }
}
