//! Attention on Hopper's instructions against its definition in float64.

use candle_core::{DType, Device, Tensor};
use stir::backend::cpu::attention::AttentionShape;
use stir::backend::cuda::attention::{Attention, HeadStrides, Heads};
use stir::backend::cuda::attention_sm90::plan;
use stir::backend::cuda::launch::Element;
use stir::device::version::Architecture;
use stir::ops::attention::{Inputs, definition};

use crate::emulated::Emulated;
use crate::hopper::emulated_map;
use crate::memory::Memory;
use crate::samples::{largest_difference, random, values};

/// Queries, keys and values, `[B, tokens, heads, D]`.
struct Case {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: f64,
}

impl Case {
    fn random([batch, queries, keys, heads]: [usize; 4], width: usize, dtype: DType) -> Self {
        let tensor = |tokens, seed| random(&[batch, tokens, heads, width], seed, dtype);
        let scale = (width as f64).powf(-0.5);
        Self { query: tensor(queries, 1), key: tensor(keys, 2), value: tensor(keys, 3), scale }
    }

    /// Multiplies each key by a factor.
    fn with_keys_times(mut self, factor: impl Fn(usize) -> f64) -> Self {
        let keys = self.key.dims()[1];
        let factors: Vec<f64> = (0..keys).map(factor).collect();
        let factors = Tensor::from_vec(factors, (1, keys, 1, 1), &Device::Cpu).unwrap();
        let dtype = self.key.dtype();
        self.key = self.key.to_dtype(DType::F64).unwrap().broadcast_mul(&factors).unwrap().to_dtype(dtype).unwrap();
        self
    }

    fn defined_in(&self, dtype: DType) -> Tensor {
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|tensor| tensor.to_dtype(dtype).unwrap());
        definition(&Inputs { query: &query, key: &key, value: &value }, self.scale, None).unwrap()
    }

    /// What the kernel makes of it. Each tensor is the middle one of three that lie token by token, of which the others are NaN.
    fn computed(&self) -> Tensor {
        let (batch, queries, heads, width) = self.query.dims4().unwrap();
        let dtype = self.query.dtype();
        let memories = [&self.query, &self.key, &self.value].map(|tensor| {
            let nothing = (tensor.ones_like().unwrap() * f64::NAN).unwrap();
            Memory::of(&Tensor::stack(&[&nothing, tensor, &nothing], 2).unwrap())
        });
        let heads_of = |index: usize, tensor: &Tensor| {
            let (_, tokens, heads, width) = tensor.dims4().unwrap();
            let strides = [tokens * 3 * heads * width, 3 * heads * width, width, 1];
            let address = memories[index].address() + (heads * width * dtype.size_in_bytes()) as u64;
            Heads { address, strides: HeadStrides::of(tensor.dims(), &strides).unwrap() }
        };
        let output = Memory::poisoned(self.query.elem_count(), dtype);
        let attention = Attention {
            element: Element::of(dtype).unwrap(),
            shape: AttentionShape { batch, queries, keys: self.key.dims()[1], heads, width },
            query: heads_of(0, &self.query),
            key: heads_of(1, &self.key),
            value: heads_of(2, &self.value),
            bias: None,
            output: output.address(),
            scale: self.scale,
        };
        let launch = plan(&attention, Architecture::HOPPER).unwrap().launch(|map| Ok(emulated_map(map))).unwrap();
        Emulated::kernel("attention_sm90").run(&launch);
        output.tensor(self.query.dims())
    }

    /// At most twice as far from the definition in float64 as the definition in the inputs' type, and a place of the type for what is exact there.
    fn check(&self) {
        let exact = values(&self.defined_in(DType::F64));
        let dtype = self.query.dtype();
        let most = exact.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let place = if dtype == DType::BF16 { 2_f64.powi(-8) } else { 2_f64.powi(-11) };
        let allowed = 2.0 * largest_difference(&self.defined_in(dtype), &exact) + place * most;
        let found = largest_difference(&self.computed(), &exact);
        assert!(found <= allowed, "{:?}, {dtype:?}: off by {found}, allowed {allowed}", self.query.dims());
    }
}

fn each_kernel(check: impl Fn(usize, DType)) {
    for width in [64, 128] {
        for dtype in [DType::BF16, DType::F16] {
            check(width, dtype);
        }
    }
}

/// Batches, queries, keys and heads: fewer than a warpgroup's and a tile's, as many, one more; one tile to one more than the ring of
/// stages holds. Two heads are two blocks, of which the second has its copies early.
#[test]
fn ragged_lengths_fit_the_definition() {
    each_kernel(|width, dtype| {
        let (queries, keys, stages) = if width == 64 { (192, 128, 4) } else { (128, 176, 2) };
        for shape in [
            [1, 1, 1, 1],
            [2, 3, 17, 2],
            [1, queries, keys, 1],
            [2, queries + 1, keys + 1, 2],
            [1, 65, keys - 1, 1],
            [1, 10, stages * keys, 2],
            [1, queries - 1, (stages + 1) * keys + 5, 2],
        ] {
            Case::random(shape, width, dtype).check();
        }
    });
}

/// The last tile is taken first: maxima grow from tile to tile where scores fall, some by less than 2^8 and some by more, and never where they rise.
#[test]
fn maxima_may_grow_and_may_not() {
    each_kernel(|width, dtype| {
        Case::random([1, 70, 900, 1], width, dtype).with_keys_times(|key| 8.0 - key as f64 / 130.0).check();
        Case::random([1, 70, 900, 1], width, dtype).with_keys_times(|key| 1.0 + key as f64 / 130.0).check();
    });
}

/// Scores up to some 10^4: the weights of all keys but a few vanish.
#[test]
fn large_scores_leave_the_largest() {
    each_kernel(|width, dtype| {
        let case = Case { scale: 1.0, ..Case::random([1, 65, 300, 1], width, dtype).with_keys_times(|_| 100.0) };
        let exact = case.defined_in(DType::F64);
        // Sums of that size in float32 are off by up to 2^-8, and weights with them.
        let difference = largest_difference(&case.computed(), &values(&exact));
        assert!(difference < 0.05, "{width}, {dtype:?}: {difference}");
    });
}

/// Wherever it is, also where exponentials are polynomials.
#[test]
fn a_key_that_is_no_number_is_not_lost() {
    each_kernel(|width, dtype| {
        for key in (0..128).step_by(9) {
            let case = Case::random([1, 2, 140, 1], width, dtype);
            let case = case.with_keys_times(|index| if index == key { f64::NAN } else { 1.0 });
            assert!(values(&case.computed()).iter().all(|value| value.is_nan()), "{width}, {dtype:?}, key {key}");
        }
    });
}

#[test]
fn results_depend_on_nothing_but_their_own_query() {
    each_kernel(|width, dtype| {
        let all = Case::random([1, 200, 260, 1], width, dtype);
        let some = Case { query: all.query.narrow(1, 0, 7).unwrap().contiguous().unwrap(), ..all };
        let all = Case::random([1, 200, 260, 1], width, dtype).computed();
        assert_eq!(values(&some.computed()), values(&all.narrow(1, 0, 7).unwrap()));
    });
}
