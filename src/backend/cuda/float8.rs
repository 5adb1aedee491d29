//! float8 (e4m3) to wider types.

use super::launch::{Element, Launch, striding_blocks};

/// Threads of a block.
const BLOCK: u32 = 256;

/// Values that a thread takes at a time.
const VALUES: usize = 16;

/// `Float8Parameters` of `float8.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Float8Parameters {
    /// Address of the bytes.
    pub x: u64,
    /// Where the results go.
    pub y: u64,
    /// How many there are.
    pub count: i64,
}

/// One pass over the values, at addresses that are multiples of 16, to values of type `element`.
pub fn plan(element: Element, parameters: Float8Parameters) -> Launch<Float8Parameters> {
    let kernel = match element {
        Element::Float32 => "float8_f32",
        Element::Bfloat16 => "float8_bf16",
        Element::Float16 => "float8_f16",
    };
    let blocks = striding_blocks(parameters.count as usize, BLOCK as usize * VALUES);
    Launch { kernel, grid: [blocks, 1, 1], block: BLOCK, shared_bytes: 0, parameters }
}
