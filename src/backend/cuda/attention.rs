//! Attention on tensor cores, for all cards.

use super::launch::{Element, Launch};
use crate::backend::cpu::attention::AttentionShape;
use crate::device::version::Architecture;

/// Threads of a block: four warps, of 16 or 32 queries each.
const BLOCK: u32 = 128;

/// Bytes of a value: the kernels take bfloat16 and float16.
const VALUE_BYTES: usize = 2;

/// What copies of 16 bytes take at once.
const VALUES_AT_ONCE: usize = 16 / VALUE_BYTES;

/// Blocks along the second and third axis of a grid, at most.
const MOST_BLOCKS: usize = 65535;

/// From one batch, token and head to the next, in values; `HeadStrides` of `attention.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct HeadStrides {
    /// From batch to batch.
    pub batch: i64,
    /// From token to token.
    pub token: i64,
    /// From head to head.
    pub head: i64,
}

impl HeadStrides {
    /// Of a tensor `[B, tokens, heads, D]`; an axis of length 1 has none. None where the values of a head do not follow each other.
    pub fn of(dims: &[usize], strides: &[usize]) -> Option<Self> {
        let (&[batches, tokens, heads, width], &[batch, token, head, value]) = (dims, strides) else { return None };
        let stride = |length: usize, stride: usize| if length == 1 { 0 } else { stride as i64 };
        (value == 1 || width == 1).then(|| Self {
            batch: stride(batches, batch),
            token: stride(tokens, token),
            head: stride(heads, head),
        })
    }
}

/// Queries, keys or values: `[B, tokens, heads, D]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Of the first value.
    pub address: u64,
    /// Where the others are.
    pub strides: HeadStrides,
}

impl Heads {
    /// Whether every head's values can be copied 16 bytes at a time.
    pub fn is_aligned(&self) -> bool {
        let HeadStrides { batch, token, head } = self.strides;
        self.address.is_multiple_of(16) && [batch, token, head].iter().all(|stride| stride % VALUES_AT_ONCE as i64 == 0)
    }
}

/// `softmax(scale query key^T + bias) value` for each head.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Of queries, keys, values and output.
    pub element: Element,
    /// Their shapes.
    pub shape: AttentionShape,
    /// `[B, L, heads, D]`.
    pub query: Heads,
    /// `[B, S, heads, D]`, `S` at least 1.
    pub key: Heads,
    /// `[B, S, heads, D]`.
    pub value: Heads,
    /// Address of float32 values `[heads, L, S]`.
    pub bias: Option<u64>,
    /// Where the result goes: `[B, L, heads, D]`, contiguous.
    pub output: u64,
    /// Positive.
    pub scale: f64,
}

/// `AttentionParameters` of `attention.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct AttentionParameters {
    /// Address of the queries.
    pub query: u64,
    /// Address of the keys.
    pub key: u64,
    /// Address of the values.
    pub value: u64,
    /// Address of the biases, or 0.
    pub bias: u64,
    /// Where the result goes.
    pub output: u64,
    /// Of the queries.
    pub query_strides: HeadStrides,
    /// Of the keys.
    pub key_strides: HeadStrides,
    /// Of the values.
    pub value_strides: HeadStrides,
    /// `L`.
    pub queries: i32,
    /// `S`.
    pub keys: i32,
    /// How many heads there are.
    pub heads: i32,
    /// `D`.
    pub width: i32,
    /// Times log2(e).
    pub scale: f32,
    /// Nothing.
    pub padding: u32,
}

/// What a block holds at once. The kernels of `attention.cu` are made for these and named after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// The widest heads: narrower ones get zeros up to here.
    pub width: usize,
    /// Queries of a block.
    pub queries: usize,
    /// Keys, or values, of a slot in shared memory.
    pub keys: usize,
    /// Slots: keys and values take turns, and all but one are being filled.
    pub slots: usize,
    /// For bfloat16.
    bfloat16: &'static str,
    /// For float16.
    float16: &'static str,
}

impl Tile {
    /// Bytes of shared memory of a block.
    pub fn shared_bytes(&self) -> usize {
        self.slots * self.keys * self.width * VALUE_BYTES
    }

    /// The kernel's name.
    pub fn kernel(&self, element: Element) -> Option<&'static str> {
        match element {
            Element::Bfloat16 => Some(self.bfloat16),
            Element::Float16 => Some(self.float16),
            Element::Float32 => None,
        }
    }
}

/// Tiles of `attention.cu`, with the names that it gives them.
macro_rules! tile {
    ($width:literal, $queries:literal, $keys:literal, $slots:literal) => {
        Tile {
            width: $width,
            queries: $queries,
            keys: $keys,
            slots: $slots,
            bfloat16: concat!("attention_bf16_d", $width, "_q", $queries),
            float16: concat!("attention_f16_d", $width, "_q", $queries),
        }
    };
}

/// A warp holds 16 queries: each key that it reads from shared memory enters one product. More blocks fit a multiprocessor.
const FEW_QUERIES: [Tile; 4] =
    [tile!(32, 64, 64, 2), tile!(64, 64, 64, 2), tile!(128, 64, 64, 2), tile!(256, 64, 32, 2)];

/// A warp holds 32 queries: each key enters two products, which takes all registers and leaves none for a bias.
const MANY_QUERIES: [Tile; 2] = [tile!(64, 128, 64, 4), tile!(128, 128, 32, 4)];

/// The tile for heads of `head_width` values, a multiple of 8 up to 256; others have none.
///
/// Tensor cores of data centres multiply 16 x 16 by 16 x 8 values in 2 clocks or fewer, in which shared memory gives 256 bytes: no more than the second
/// factor, so that warps of 16 queries would wait for it. Those of other cards take 4 or 8 clocks. This follows from the architectures and was not
/// measured.
pub fn tile_for(architecture: Architecture, head_width: usize, biased: bool) -> Option<Tile> {
    if head_width == 0 || !head_width.is_multiple_of(VALUES_AT_ONCE) {
        return None;
    }
    let tile = *FEW_QUERIES.iter().find(|tile| head_width <= tile.width)?;
    let fast = matches!((architecture.major, architecture.minor), (8, 0) | (9 | 10, _)) && !biased;
    let larger = MANY_QUERIES.into_iter().find(|larger| fast && larger.width == tile.width);
    Some(larger.unwrap_or(tile))
}

/// One launch, or none where the kernels do not take it: float32, widths without a [tile](tile_for), tensors that are not
/// [aligned](Heads::is_aligned), and counts beyond what a grid holds.
pub fn plan(attention: &Attention, architecture: Architecture) -> Option<Launch<AttentionParameters>> {
    let AttentionShape { batch, queries, keys, heads, width } = attention.shape;
    let tile = tile_for(architecture, width, attention.bias.is_some())?;
    let inputs = [attention.query, attention.key, attention.value];
    if !inputs.iter().all(Heads::is_aligned) || batch > MOST_BLOCKS || heads > MOST_BLOCKS {
        return None;
    }
    let parameters = AttentionParameters {
        query: attention.query.address,
        key: attention.key.address,
        value: attention.value.address,
        bias: attention.bias.unwrap_or(0),
        output: attention.output,
        query_strides: attention.query.strides,
        key_strides: attention.key.strides,
        value_strides: attention.value.strides,
        queries: count(queries)?,
        keys: count(keys)?,
        heads: count(heads)?,
        width: count(width)?,
        scale: (attention.scale * std::f64::consts::LOG2_E) as f32,
        padding: 0,
    };
    Some(Launch {
        kernel: tile.kernel(attention.element)?,
        grid: [queries.div_ceil(tile.queries) as u32, heads as u32, batch as u32],
        block: BLOCK,
        shared_bytes: tile.shared_bytes() as u32,
        parameters,
    })
}

/// As 32 bits, which kernels also add a tile's rows to.
fn count(count: usize) -> Option<i32> {
    /// More rows than any tile has.
    const MARGIN: usize = 1 << 10;
    (count <= i32::MAX as usize - MARGIN).then_some(count as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attention(width: usize) -> Attention {
        let shape = AttentionShape { batch: 2, queries: 130, keys: 77, heads: 3, width };
        let heads = |tokens| {
            let strides = [tokens * 3 * width, 3 * width, width, 1];
            Heads { address: 256, strides: HeadStrides::of(&[2, tokens, 3, width], &strides).unwrap() }
        };
        Attention {
            element: Element::Bfloat16,
            shape,
            query: heads(130),
            key: heads(77),
            value: heads(77),
            bias: None,
            output: 512,
            scale: 0.125,
        }
    }

    #[test]
    fn data_centres_take_128_queries_and_other_cards_64() {
        let name = |architecture, width| plan(&attention(width), architecture).unwrap().kernel;
        for architecture in [Architecture::AMPERE, Architecture::HOPPER, Architecture::BLACKWELL] {
            assert_eq!(name(architecture, 64), "attention_bf16_d64_q128");
            assert_eq!(name(architecture, 128), "attention_bf16_d128_q128");
            assert_eq!(name(architecture, 256), "attention_bf16_d256_q64");
        }
        for architecture in [Architecture::AMPERE_CONSUMER, Architecture::ADA, Architecture::BLACKWELL_CONSUMER] {
            assert_eq!(name(architecture, 64), "attention_bf16_d64_q64");
            assert_eq!(name(architecture, 128), "attention_bf16_d128_q64");
        }
    }

    #[test]
    fn heads_take_the_narrowest_tile_that_holds_them() {
        let width = |head_width| tile_for(Architecture::ADA, head_width, false).map(|tile| tile.width);
        let found = [8, 32, 40, 64, 72, 128, 136, 256].map(width);
        assert_eq!(found, [32, 32, 64, 64, 128, 128, 256, 256].map(Some));
        assert_eq!([0, 4, 20, 257, 264].map(width), [None; 5]);
    }

    #[test]
    fn a_bias_takes_64_queries_on_all_cards() {
        let biased = Attention { bias: Some(1024), ..attention(64) };
        let launch = plan(&biased, Architecture::AMPERE).unwrap();
        assert_eq!((launch.kernel, launch.parameters.bias), ("attention_bf16_d64_q64", 1024));
    }

    /// What every card since compute capability 8.0 gives a block: 99 KiB.
    #[test]
    fn all_tiles_fit_any_card() {
        for tile in FEW_QUERIES.iter().chain(&MANY_QUERIES) {
            assert!(tile.shared_bytes() <= 99 << 10, "{tile:?}");
        }
    }

    #[test]
    fn the_list_of_tuned_kernels_knows_all_tiles() {
        let list = include_str!("../../../kernels/tuned.txt");
        for tile in FEW_QUERIES.iter().chain(&MANY_QUERIES) {
            for name in [tile.bfloat16, tile.float16] {
                let line = format!("{name} {}", tile.shared_bytes());
                assert!(list.lines().any(|listed| listed == line), "{line}");
            }
        }
    }

    #[test]
    fn the_grid_covers_every_query_head_and_batch() {
        let launch = plan(&attention(64), Architecture::ADA).unwrap();
        assert_eq!((launch.grid, launch.block, launch.shared_bytes), ([3, 3, 2], 128, 16 << 10));
        assert_eq!(plan(&attention(64), Architecture::AMPERE).unwrap().grid, [2, 3, 2]);
    }

    #[test]
    fn what_kernels_do_not_take_has_no_plan() {
        let refused = |change: &dyn Fn(&mut Attention)| {
            let mut attention = attention(64);
            change(&mut attention);
            plan(&attention, Architecture::ADA).is_none()
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|attention| attention.element = Element::Float32));
        assert!(refused(&|attention| attention.shape.width = 60));
        assert!(refused(&|attention| attention.query.address += 8));
        assert!(refused(&|attention| attention.value.strides.token += 4));
        assert!(refused(&|attention| attention.shape.batch = 65536));
        assert!(refused(&|attention| attention.shape.keys = i32::MAX as usize));
    }

    #[test]
    fn strides_of_axes_of_length_1_do_not_count() {
        let strides = HeadStrides::of(&[1, 5, 2, 16], &[7, 32, 16, 1]).unwrap();
        assert_eq!(strides, HeadStrides { batch: 0, token: 32, head: 16 });
        assert_eq!(HeadStrides::of(&[1, 5, 2, 16], &[160, 1, 80, 5]), None);
    }
}
