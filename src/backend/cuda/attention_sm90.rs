//! Attention on Hopper's own tensor core instructions: heads of 64 and 128 values, in bfloat16 and float16, without a bias.

use super::attention::{Attention, Heads};
use super::launch::{Element, Launch};
use super::tensor_map::{HeadsShape, ROW_BYTES, TensorMap, TensorMapDescription};
use crate::backend::cpu::attention::AttentionShape;
use crate::device::version::Architecture;
use crate::error::Result;

/// Threads that copy together, or compute together.
const WARPGROUP: u32 = 128;

/// Queries of a warpgroup that computes.
const ROWS: usize = 64;

/// Bytes of a value.
const VALUE_BYTES: usize = 2;

/// Blocks along the second and third axis of a grid, at most.
const MOST_BLOCKS: usize = 65535;

/// `AttentionSm90Parameters` of `attention_sm90.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct AttentionSm90Parameters {
    /// Of the queries.
    pub query: TensorMap,
    /// Of the keys.
    pub key: TensorMap,
    /// Of the values.
    pub value: TensorMap,
    /// Where the result goes.
    pub output: u64,
    /// `L`.
    pub queries: i32,
    /// `S`.
    pub keys: i32,
    /// How many heads there are.
    pub heads: i32,
    /// Times log2(e).
    pub scale: f32,
    /// Nothing.
    pub padding: [u64; 13],
}

/// What a block holds at once; the kernels of `attention_sm90.cu` are made for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Values of a head.
    pub width: usize,
    /// Warpgroups that compute.
    pub consumers: usize,
    /// Keys of a stage, and values of another.
    pub keys: usize,
    /// Stages of each.
    pub stages: usize,
    /// For bfloat16.
    bfloat16: &'static str,
    /// For float16.
    float16: &'static str,
}

impl Tile {
    /// Queries of a block.
    pub fn queries(&self) -> usize {
        self.consumers * ROWS
    }

    /// Threads of a block: one warpgroup copies.
    pub fn threads(&self) -> u32 {
        (self.consumers as u32 + 1) * WARPGROUP
    }

    /// Bytes of shared memory of a block: queries, stages, and the barriers of 8 bytes of both, two for each stage.
    pub fn shared_bytes(&self) -> usize {
        let rows = self.queries() + 2 * self.stages * self.keys;
        rows * self.width * VALUE_BYTES + (1 + 4 * self.stages) * 8
    }
}

/// By head width. All registers and most of the shared memory of a multiprocessor are one block's.
const TILES: [Tile; 2] = [
    Tile {
        width: 64,
        consumers: 3,
        keys: 128,
        stages: 4,
        bfloat16: "attention_sm90_bf16_d64",
        float16: "attention_sm90_f16_d64",
    },
    Tile {
        width: 128,
        consumers: 2,
        keys: 176,
        stages: 2,
        bfloat16: "attention_sm90_bf16_d128",
        float16: "attention_sm90_f16_d128",
    },
];

/// The tile for heads of `width` values: 64 or 128, on compute capability 9.0, whose instructions no other card has.
pub fn tile_for(architecture: Architecture, width: usize) -> Option<Tile> {
    TILES.into_iter().find(|tile| architecture == Architecture::HOPPER && tile.width == width)
}

/// All of a launch but its tensor maps, which it describes.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    kernel: &'static str,
    tile: Tile,
    attention: Attention,
    /// Of queries, keys and values.
    maps: [TensorMapDescription; 3],
}

/// One launch, or none where the kernels do not take it: other cards and widths, float32, a bias, tensors that are not
/// [aligned](Heads::is_aligned), and counts beyond what a grid holds.
pub fn plan(attention: &Attention, architecture: Architecture) -> Option<Plan> {
    let AttentionShape { batch, queries, keys, heads, width } = attention.shape;
    let tile = tile_for(architecture, width)?;
    let kernel = match attention.element {
        Element::Bfloat16 => tile.bfloat16,
        Element::Float16 => tile.float16,
        Element::Float32 => return None,
    };
    // Indices of rows, up to a tile beyond the last, have 32 bits.
    let most_tokens = i32::MAX as usize - tile.queries().max(tile.keys);
    let fits = queries <= most_tokens && keys <= most_tokens && batch <= MOST_BLOCKS && heads <= MOST_BLOCKS;
    if !fits || attention.bias.is_some() {
        return None;
    }
    let map = |of: &Heads, tokens, box_tokens| {
        let shape = HeadsShape { batch, tokens, heads, width };
        TensorMapDescription::of_heads(of, attention.element, shape, box_tokens as u32)
    };
    let maps = [
        map(&attention.query, queries, tile.queries())?,
        map(&attention.key, keys, tile.keys)?,
        map(&attention.value, keys, tile.keys)?,
    ];
    Some(Plan { kernel, tile, attention: *attention, maps })
}

impl Plan {
    /// The launch, with tensor maps as `encode` makes them.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn launch(
        &self,
        encode: impl Fn(&TensorMapDescription) -> Result<TensorMap>,
    ) -> Result<Launch<AttentionSm90Parameters>> {
        let Attention { shape, output, scale, .. } = self.attention;
        let parameters = AttentionSm90Parameters {
            query: encode(&self.maps[0])?,
            key: encode(&self.maps[1])?,
            value: encode(&self.maps[2])?,
            output,
            queries: shape.queries as i32,
            keys: shape.keys as i32,
            heads: shape.heads as i32,
            scale: (scale * std::f64::consts::LOG2_E) as f32,
            padding: [0; 13],
        };
        Ok(Launch {
            kernel: self.kernel,
            grid: [shape.queries.div_ceil(self.tile.queries()) as u32, shape.heads as u32, shape.batch as u32],
            block: self.tile.threads(),
            shared_bytes: self.tile.shared_bytes() as u32,
            parameters,
        })
    }
}

const _: () = assert!(ROWS * VALUE_BYTES == ROW_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::attention::HeadStrides;

    fn attention(width: usize) -> Attention {
        let shape = AttentionShape { batch: 2, queries: 400, keys: 77, heads: 3, width };
        let heads = |tokens: usize| {
            let strides =
                HeadStrides { batch: (tokens * 3 * width) as i64, token: 3 * width as i64, head: width as i64 };
            Heads { address: 256, strides }
        };
        Attention {
            element: Element::Bfloat16,
            shape,
            query: heads(400),
            key: heads(77),
            value: heads(77),
            bias: None,
            output: 512,
            scale: 0.125,
        }
    }

    fn launch(attention: &Attention) -> Launch<AttentionSm90Parameters> {
        plan(attention, Architecture::HOPPER).unwrap().launch(|_| Ok(TensorMap([0; 16]))).unwrap()
    }

    #[test]
    fn the_grid_covers_every_query_head_and_batch() {
        let narrow = launch(&attention(64));
        assert_eq!((narrow.kernel, narrow.grid, narrow.block), ("attention_sm90_bf16_d64", [3, 3, 2], 512));
        let wide = launch(&Attention { element: Element::Float16, ..attention(128) });
        assert_eq!((wide.kernel, wide.grid, wide.block), ("attention_sm90_f16_d128", [4, 3, 2], 384));
        assert_eq!((wide.parameters.queries, wide.parameters.keys, wide.parameters.heads), (400, 77, 3));
    }

    /// What Hopper gives a block: 227 KiB. A stage's parts begin at multiples of 1024 bytes, where the swizzle's pattern begins.
    #[test]
    fn tiles_fit_shared_memory_and_its_swizzle() {
        for tile in TILES {
            assert!(tile.shared_bytes() <= 227 << 10, "{tile:?}");
            assert!((tile.queries() * ROW_BYTES).is_multiple_of(1024) && (tile.keys * ROW_BYTES).is_multiple_of(1024));
            assert!(tile.queries() <= 256 && tile.keys <= 256, "a box");
        }
    }

    #[test]
    fn parameters_are_as_long_as_the_kernel_says() {
        assert_eq!(size_of::<AttentionSm90Parameters>(), 512);
    }

    #[test]
    fn what_the_kernels_do_not_take_has_no_plan() {
        let refused = |change: &dyn Fn(&mut Attention)| {
            let mut attention = attention(64);
            change(&mut attention);
            plan(&attention, Architecture::HOPPER).is_none()
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|attention| attention.element = Element::Float32));
        assert!(refused(&|attention| attention.shape.width = 96));
        assert!(refused(&|attention| attention.bias = Some(1024)));
        assert!(refused(&|attention| attention.key.address += 8));
        assert!(refused(&|attention| attention.query.strides.token += 4));
        assert!(refused(&|attention| attention.shape.heads = 65536));
        assert!(refused(&|attention| attention.shape.keys = i32::MAX as usize));
        for other in [Architecture::AMPERE, Architecture::ADA, Architecture::BLACKWELL] {
            assert!(plan(&attention(64), other).is_none(), "{other}");
        }
    }
}
