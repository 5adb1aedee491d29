//! GELU and its gate.

use super::launch::{Element, Launch, striding_blocks};

/// Threads of a block.
const BLOCK: u32 = 256;

/// `GeluParameters` of `gelu.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct GeluParameters {
    /// Address of the values.
    pub x: u64,
    /// Address of as many factors, or 0.
    pub factors: u64,
    /// Where the results go.
    pub y: u64,
    /// How many there are.
    pub count: i64,
}

/// One pass over the values, all of one type, at addresses that are multiples of 16.
pub fn plan(element: Element, parameters: GeluParameters) -> Launch<GeluParameters> {
    let kernel = match element {
        Element::Float32 => "gelu_f32",
        Element::Bfloat16 => "gelu_bf16",
        Element::Float16 => "gelu_f16",
    };
    let blocks = striding_blocks(parameters.count as usize, BLOCK as usize * element.vector());
    Launch { kernel, grid: [blocks, 1, 1], block: BLOCK, shared_bytes: 0, parameters }
}
