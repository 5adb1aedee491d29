//! Tensor maps: what Hopper's tensor memory accelerator reads when it copies a box of a tensor to shared memory.
//!
//! A plan says what a map describes. Making one of it is the driver's part on a device and the emulator's under test: the 128 bytes are not documented.

use super::attention::Heads;
use super::launch::Element;

/// A map as kernels take it, in their parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(128))]
pub struct TensorMap(pub [u64; 16]);

/// What a map describes: a tensor of four axes, innermost first, and the box that one copy takes.
///
/// What a box has beyond the ends of the tensor is zero. In shared memory its rows lie one after the other, 128 bytes each, swizzled: the 16-byte chunk
/// `c` of row `r` is at place `c ^ (r % 8)` of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorMapDescription {
    /// Of the first value: a multiple of 16.
    pub address: u64,
    /// Type of the values.
    pub element: Element,
    /// Values along each axis, 1 to 2^32.
    pub sizes: [u64; 4],
    /// Bytes from one value to the next along the second to the fourth axis: multiples of 16 below 2^40.
    pub strides: [u64; 3],
    /// Values of a box along each axis, 1 to 256; along the first they are 128 bytes.
    pub box_sizes: [u32; 4],
}

/// Queries, keys or values of attention.
#[derive(Debug, Clone, Copy)]
pub struct HeadsShape {
    /// How many batches there are.
    pub batch: usize,
    /// How many tokens.
    pub tokens: usize,
    /// How many heads.
    pub heads: usize,
    /// Values of a head.
    pub width: usize,
}

/// Bytes of a row of a box, which are swizzled together.
pub const ROW_BYTES: usize = 128;

impl TensorMapDescription {
    /// Boxes of so many tokens of one head, one row of 128 bytes of each; none where copies cannot take such a tensor.
    pub fn of_heads(heads: &Heads, element: Element, shape: HeadsShape, box_tokens: u32) -> Option<Self> {
        const MOST: u64 = 1 << 32;
        let sizes = [shape.width, shape.heads, shape.tokens, shape.batch].map(|size| size as u64);
        if !heads.is_aligned() || sizes.iter().any(|size| !(1..=MOST).contains(size)) {
            return None;
        }
        let value = element.bytes() as u64;
        let given = [heads.strides.head, heads.strides.token, heads.strides.batch];
        let mut strides = [0; 3];
        for axis in 0..3 {
            // Where there is nothing to step over, any stride does that a device takes; 0 is none.
            strides[axis] = match sizes[axis + 1] {
                1 if axis == 0 => sizes[0] * value,
                1 => strides[axis - 1] * sizes[axis],
                _ => u64::try_from(given[axis]).ok()? * value,
            };
        }
        let fits = strides.iter().all(|stride| *stride > 0 && stride.is_multiple_of(16) && *stride < 1 << 40);
        let box_sizes = [(ROW_BYTES / element.bytes()) as u32, 1, box_tokens, 1];
        fits.then_some(Self { address: heads.address, element, sizes, strides, box_sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::attention::HeadStrides;

    const SHAPE: HeadsShape = HeadsShape { batch: 2, tokens: 100, heads: 3, width: 64 };

    fn of(address: u64, strides: [i64; 3], shape: HeadsShape) -> Option<TensorMapDescription> {
        let [batch, token, head] = strides;
        let heads = Heads { address, strides: HeadStrides { batch, token, head } };
        TensorMapDescription::of_heads(&heads, Element::Bfloat16, shape, 192)
    }

    #[test]
    fn part_of_a_fused_projection_is_described_where_it_lies() {
        let map = of(256 + 64 * 3 * 2, [100 * 576, 576, 64], SHAPE).unwrap();
        assert_eq!(map.sizes, [64, 3, 100, 2]);
        assert_eq!(map.strides, [128, 1152, 115_200]);
        assert_eq!(map.box_sizes, [64, 1, 192, 1]);
    }

    #[test]
    fn axes_of_length_1_get_a_stride_that_devices_take() {
        let one = HeadsShape { batch: 1, heads: 1, ..SHAPE };
        assert_eq!(of(256, [0, 64, 0], one).unwrap().strides, [128, 128, 12_800]);
    }

    #[test]
    fn what_copies_do_not_take_has_no_map() {
        let strides = [100 * 192, 192, 64];
        assert!(of(256, strides, SHAPE).is_some());
        assert!(of(264, strides, SHAPE).is_none(), "the address is no multiple of 16");
        assert!(of(256, [100 * 192, 196, 64], SHAPE).is_none(), "a stride is no multiple of 16 bytes");
        assert!(of(256, [1 << 39, 192, 64], SHAPE).is_none(), "a stride of 2^40 bytes");
        assert!(of(256, [0, 192, 64], SHAPE).is_none(), "batches that are the same memory");
        assert!(of(256, strides, HeadsShape { tokens: 0, ..SHAPE }).is_none(), "no tokens");
    }
}
