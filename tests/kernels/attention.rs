//! Attention on tensor cores against its definition in float64.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::backend::cpu::attention::AttentionShape;
use stir::backend::cuda::attention::{Attention, HeadStrides, Heads, plan, tile_for};
use stir::backend::cuda::launch::Element;
use stir::device::version::Architecture;
use stir::ops::attention::{Inputs, definition};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{largest_difference, random, values};

/// One that takes 128 queries at a time, and one that takes 64.
const ARCHITECTURES: [Architecture; 2] = [Architecture::AMPERE, Architecture::ADA];

/// Queries, keys and values, `[B, tokens, heads, D]`, and what else attention needs.
#[derive(Clone)]
struct Case {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Option<Tensor>,
    scale: f64,
}

impl Case {
    /// Queries reach from `-2 spread` to `2 spread`.
    fn random(shape: AttentionShape, dtype: DType, spread: f64, seed: u64) -> Self {
        let AttentionShape { batch, queries, keys, heads, width } = shape;
        let tensor = |tokens, part| random(&[batch, tokens, heads, width], 4 * seed + part, dtype);
        let scale = 1.0 / (width as f64).sqrt();
        let query = (tensor(queries, 0) * spread).unwrap();
        Self { query, key: tensor(keys, 1), value: tensor(keys, 2), bias: None, scale }
    }

    /// With a bias of up to 8 either way, so that some keys all but vanish.
    fn biased(self, seed: u64) -> Self {
        let (_, queries, heads, _) = self.query.dims4().unwrap();
        let shape = [heads, queries, self.key.dims()[1]];
        Self { bias: Some((random(&shape, 4 * seed + 3, DType::F32) * 4.0).unwrap()), ..self }
    }

    /// By the definition, computed in `dtype`.
    fn defined(&self, dtype: DType) -> Tensor {
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|tensor| tensor.to_dtype(dtype).unwrap());
        definition(&Inputs { query: &query, key: &key, value: &value }, self.scale, self.bias.as_ref()).unwrap()
    }

    /// By the kernel. With gaps, not-a-numbers follow the tokens of each batch, the heads of each token, and the values of each head.
    fn computed(&self, architecture: Architecture, gaps: bool) -> Tensor {
        let dims: [usize; 4] = self.query.dims().try_into().unwrap();
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|tensor| Input::of(tensor, gaps));
        let bias = self.bias.as_ref().map(Memory::of);
        let output = Memory::poisoned(dims.iter().product(), self.query.dtype());
        let attention = Attention {
            element: Element::of(self.query.dtype()).unwrap(),
            shape: AttentionShape {
                batch: dims[0],
                queries: dims[1],
                keys: self.key.dims()[1],
                heads: dims[2],
                width: dims[3],
            },
            query: query.heads(),
            key: key.heads(),
            value: value.heads(),
            bias: bias.as_ref().map(Memory::address),
            output: output.address(),
            scale: self.scale,
        };
        Emulated::kernel("attention").run(&plan(&attention, architecture).expect("a plan"));
        output.tensor(&dims)
    }

    /// At most twice the error of the definition in the inputs' own type, plus one rounding of a result of up to 2 where that happens to have next to
    /// none.
    #[track_caller]
    fn check(&self, architecture: Architecture, gaps: bool) {
        let exact = values(&self.defined(DType::F64));
        let naive = largest_difference(&self.defined(self.query.dtype()), &exact);
        let error = largest_difference(&self.computed(architecture, gaps), &exact);
        let most = 2.0 * naive + self.rounding();
        assert!(error <= most, "{error} > {most} on {architecture}: {:?}, {:?}", self.query, self.key);
    }

    fn rounding(&self) -> f64 {
        if self.query.dtype() == DType::BF16 { 2_f64.powi(-8) } else { 2_f64.powi(-11) }
    }
}

/// A tensor in memory.
struct Input {
    memory: Memory,
    strides: HeadStrides,
}

impl Input {
    fn of(tensor: &Tensor, gaps: bool) -> Self {
        let mut laid_out = tensor.clone();
        if gaps {
            for (axis, gap) in [(1, 1), (2, 1), (3, 8)] {
                let mut shape = laid_out.dims().to_vec();
                shape[axis] = gap;
                let gap = Tensor::full(f32::NAN, shape, &Device::Cpu).unwrap().to_dtype(tensor.dtype()).unwrap();
                laid_out = Tensor::cat(&[&laid_out, &gap], axis).unwrap();
            }
        }
        Self { memory: Memory::of(&laid_out), strides: HeadStrides::of(tensor.dims(), laid_out.stride()).unwrap() }
    }

    fn heads(&self) -> Heads {
        Heads { address: self.memory.address(), strides: self.strides }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ragged_shapes_are_as_exact_as_the_definition(
        (batch, queries, keys, heads) in (1..=2_usize, 1..=140_usize, 1..=210_usize, 1..=2_usize),
        width in prop_oneof![Just(64_usize), Just(128), (1..=32_usize).prop_map(|chunks| 8 * chunks)],
        dtype in prop_oneof![Just(DType::BF16), Just(DType::F16)],
        architecture in prop_oneof![Just(ARCHITECTURES[0]), Just(ARCHITECTURES[1])],
        (biased, gaps) in (any::<bool>(), any::<bool>()),
        seed in 0..1000_u64,
    ) {
        let case = Case::random(AttentionShape { batch, queries, keys, heads, width }, dtype, 1.0, seed);
        let case = if biased { case.biased(seed) } else { case };
        case.check(architecture, gaps);
    }
}

/// Every kernel, at lengths of exactly its tiles and one more and less.
#[test]
fn whole_tiles_and_their_neighbours() {
    for (architecture, width) in
        ARCHITECTURES.into_iter().flat_map(|card| [32, 64, 128, 256].map(|width| (card, width)))
    {
        let tile = tile_for(architecture, width, false).unwrap();
        let lengths =
            [(tile.queries, tile.keys), (tile.queries + 1, 2 * tile.keys + 1), (tile.queries - 1, tile.keys - 1)];
        for (queries, keys) in lengths {
            let shape = AttentionShape { batch: 1, queries, keys, heads: 1, width };
            for dtype in [DType::BF16, DType::F16] {
                Case::random(shape, dtype, 1.0, 7).check(architecture, true);
            }
        }
    }
}

/// Scores of up to 1e4 (bfloat16) and 1e3 (float16, whose definition overflows before): the definition in the inputs' own type is off by whole values then,
/// so the error has a bound of its own. A score is off by 2^-23 of 1e4 some times over, and a share by as much of it.
#[test]
fn extreme_scores() {
    for (dtype, spread) in [(DType::BF16, 3000.0), (DType::F16, 300.0)] {
        for (architecture, width) in
            [(ARCHITECTURES[0], 64), (ARCHITECTURES[0], 128), (ARCHITECTURES[1], 64), (ARCHITECTURES[1], 128)]
        {
            let shape = AttentionShape { batch: 1, queries: 70, keys: 300, heads: 1, width };
            let case = Case::random(shape, dtype, spread, 11);
            let error = largest_difference(&case.computed(architecture, false), &values(&case.defined(DType::F64)));
            let most = case.rounding() + 2_f64.powi(-6);
            assert!(error <= most, "{error} > {most}: {dtype:?}, width {width}, {architecture}");
        }
    }
}

/// Scores that rise or fall key by key, by less than a tile's worth of 2^8 and by far more: every way in which a maximum grows.
#[test]
fn maxima_that_grow_slowly_and_fast() {
    for step in [0.01, 0.1, 1.0, -0.1, -1.0] {
        let shape = AttentionShape { batch: 1, queries: 20, keys: 300, heads: 1, width: 64 };
        let mut case = Case::random(shape, DType::BF16, 1.0, 13).biased(13);
        // Of random scores and biases a tenth remains, so that the trend shows.
        let trend: Vec<f32> = (0..300).map(|key| step * key as f32).collect();
        let trend = Tensor::from_vec(trend, (1, 1, 300), &Device::Cpu).unwrap();
        case.bias = Some((case.bias.unwrap() * 0.1).unwrap().broadcast_add(&trend).unwrap());
        case.scale *= 0.1;
        case.check(Architecture::ADA, false);
        // The same trend without a bias, which larger tiles take too: the first value of every query is 1, that of each key the trend.
        let first = |tensor: &Tensor, values: &Tensor| {
            let rest = tensor.narrow(3, 1, 63).unwrap();
            Tensor::cat(&[&values.to_dtype(DType::BF16).unwrap(), &rest], 3).unwrap()
        };
        let ones = Tensor::ones((1, 20, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let case = Case {
            query: first(&case.query, &ones),
            key: first(&case.key, &trend.reshape((1, 300, 1, 1)).unwrap()),
            value: case.value,
            bias: None,
            scale: 1.0,
        };
        for architecture in ARCHITECTURES {
            case.check(architecture, false);
        }
    }
}

/// To the bit: a query's result does not depend on the queries beside it, whose maxima grow at other times.
#[test]
fn queries_do_not_meet() {
    let shape = AttentionShape { batch: 1, queries: 40, keys: 150, heads: 2, width: 64 };
    let all = Case::random(shape, DType::BF16, 20.0, 17);
    let some = Case { query: all.query.narrow(1, 3, 9).unwrap(), ..all.clone() };
    for architecture in ARCHITECTURES {
        let whole = all.computed(architecture, false).narrow(1, 3, 9).unwrap();
        assert_eq!(values(&whole), values(&some.computed(architecture, false)));
    }
}
