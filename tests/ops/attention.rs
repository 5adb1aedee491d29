//! Attention against its definition in float64, on every instruction set of this machine.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::ops::attention::{Inputs, attention_with, biased_attention, definition};
use stir::ops::gemm::Kernels;

use crate::samples::{largest_difference, random, values};

#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    width: usize,
    dtype: DType,
    with_bias: bool,
    seed: u64,
}

impl Case {
    fn tensors(&self) -> [Tensor; 3] {
        let shape = |tokens| [self.batch, tokens, self.heads, self.width];
        [
            random(&shape(self.queries), self.seed + 1, self.dtype),
            random(&shape(self.keys), self.seed + 2, self.dtype),
            random(&shape(self.keys), self.seed + 3, self.dtype),
        ]
    }

    /// Of up to 8 either way, so that some keys all but vanish.
    fn bias(&self) -> Option<Tensor> {
        let random = || random(&[self.heads, self.queries, self.keys], self.seed + 4, DType::F32);
        self.with_bias.then(|| (random() * 4.0).unwrap())
    }

    fn scale(&self) -> f64 {
        1.0 / (self.width as f64).sqrt()
    }

    /// By the definition, computed in `dtype`.
    fn defined(&self, tensors: &[Tensor; 3], dtype: DType) -> Tensor {
        let [query, key, value] = tensors.each_ref().map(|tensor| tensor.to_dtype(dtype).unwrap());
        definition(&Inputs { query: &query, key: &key, value: &value }, self.scale(), self.bias().as_ref()).unwrap()
    }

    fn computed(&self, [query, key, value]: &[Tensor; 3], kernels: &'static Kernels) -> Tensor {
        attention_with(&Inputs { query, key, value }, self.scale(), self.bias().as_ref(), kernels).unwrap()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16)];
    let keys = prop_oneof![1..=70_usize, 180..=420_usize];
    ((1..=2_usize, 1..=120_usize, keys), (1..=3_usize, 1..=80_usize), (dtype, any::<bool>()), 0..1000_u64).prop_map(
        |((batch, queries, keys), (heads, width), (dtype, with_bias), seed)| Case {
            batch,
            queries,
            keys,
            heads,
            width,
            dtype,
            with_bias,
            seed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// At most twice the error of the definition in the inputs' own type, plus 2^-20 (float32) or 2^-8 (bfloat16, one rounding of a
    /// result of up to 2) where that happens to have next to none.
    #[test]
    fn every_instruction_set_is_as_exact_as_the_definition(case in cases()) {
        let tensors = case.tensors();
        let exact = values(&case.defined(&tensors, DType::F64));
        let naive = largest_difference(&case.defined(&tensors, case.dtype), &exact);
        let epsilon = if case.dtype == DType::F32 { 2_f64.powi(-20) } else { 2_f64.powi(-8) };
        for kernels in Kernels::available() {
            let found = case.computed(&tensors, kernels);
            prop_assert_eq!(found.dtype(), case.dtype);
            prop_assert_eq!(found.dims(), [case.batch, case.queries, case.heads, case.width]);
            let error = largest_difference(&found, &exact);
            prop_assert!(error <= 2.0 * naive + epsilon, "{}: {error:e}, naive {naive:e}", kernels.name());
        }
    }
}

#[test]
fn neither_threads_nor_other_queries_change_a_bit() {
    for (kernels, dtype) in Kernels::available().flat_map(|kernels| [(kernels, DType::F32), (kernels, DType::BF16)]) {
        let case = Case { batch: 2, queries: 230, keys: 411, heads: 3, width: 20, dtype, with_bias: false, seed: 7 };
        let tensors = case.tensors();
        let with_threads = |count| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| case.computed(&tensors, kernels))
        };
        let all = with_threads(1);
        assert!(values(&all) == values(&with_threads(3)), "{}", kernels.name());
        let some = [tensors[0].narrow(1, 97, 5).unwrap(), tensors[1].clone(), tensors[2].clone()];
        let some = case.computed(&some, kernels);
        assert!(values(&some) == values(&all.narrow(1, 97, 5).unwrap()), "{}", kernels.name());
    }
}

/// A score of 4,000 overflows an exponential that is not taken relative to the maximum; here the largest keys come last.
#[test]
fn large_scores_do_not_overflow() {
    for kernels in Kernels::available() {
        let keys: Vec<f32> = (0..400).map(|key| key as f32 * 10.0).collect();
        let key = Tensor::from_vec(keys, (1, 400, 1, 1), &Device::Cpu).unwrap();
        let value = (&key / 10.0).unwrap();
        let query = Tensor::new(&[1_f32, -1.0], &Device::Cpu).unwrap().reshape((1, 2, 1, 1)).unwrap();
        let found = attention_with(&Inputs { query: &query, key: &key, value: &value }, 1.0, None, kernels).unwrap();
        let found = values(&found);
        assert!((found[0] - 399.0).abs() < 0.02 && found[1].abs() < 0.02, "{}: {found:?}", kernels.name());
    }
}

/// By hand: all scores are 0 but for the biases, which are those of the second head only; shares are 1/4 and 3/4 for its first query and the other way
/// round for its second.
#[test]
fn a_bias_belongs_to_its_head_query_and_key() {
    let (query, key) =
        (Tensor::zeros((1, 2, 2, 1), DType::F32, &Device::Cpu), Tensor::zeros((1, 2, 2, 1), DType::F32, &Device::Cpu));
    let value = Tensor::new(&[4_f32, 4.0, 8.0, 8.0], &Device::Cpu).unwrap().reshape((1, 2, 2, 1)).unwrap();
    let bias = [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 3_f32.ln()], [3_f32.ln(), 0.0]]];
    let bias = Tensor::new(&bias, &Device::Cpu).unwrap();
    let inputs = Inputs { query: &query.unwrap(), key: &key.unwrap(), value: &value };
    for kernels in Kernels::available() {
        let found = attention_with(&inputs, 1.0, Some(&bias), kernels).unwrap();
        assert!(largest_difference(&found, &[6.0, 7.0, 6.0, 5.0]) < 1e-5, "{}: {found}", kernels.name());
    }
}

/// The maximum grows again and again, by less and by more than what makes it the new reference; float64 is the judge.
#[test]
fn growing_scores_keep_their_shares() {
    for (growth, dtype) in [(0.01, DType::F32), (0.05, DType::F32), (0.5, DType::F32), (0.05, DType::BF16)] {
        let keys: Vec<f32> = (0..700).map(|key| key as f32 * growth).collect();
        let key = Tensor::from_vec(keys, (1, 700, 1, 1), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let value = random(&[1, 700, 1, 1], 9, dtype);
        let query = Tensor::new(&[1_f32, -1.0, 0.25], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let query = query.reshape((1, 3, 1, 1)).unwrap();
        let [wide_query, wide_key, wide_value] = [&query, &key, &value].map(|x| x.to_dtype(DType::F64).unwrap());
        let wide = Inputs { query: &wide_query, key: &wide_key, value: &wide_value };
        let exact = values(&definition(&wide, 1.0, None).unwrap());
        let most = if dtype == DType::F32 { 2e-5 } else { 2e-2 };
        for kernels in Kernels::available() {
            let inputs = Inputs { query: &query, key: &key, value: &value };
            let found = attention_with(&inputs, 1.0, None, kernels).unwrap();
            let error = largest_difference(&found, &exact);
            assert!(error < most, "{}: grows by {growth}: {error:e}", kernels.name());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let tensor = |tokens, dtype| random(&[1, tokens, 2, 4], 1, dtype);
    let (query, key) = (tensor(3, DType::F32), tensor(5, DType::F32));
    let message = |key: &Tensor, value: &Tensor, scale| {
        attention_with(&Inputs { query: &query, key, value }, scale, None, Kernels::fastest()).unwrap_err().to_string()
    };
    assert!(message(&key, &tensor(6, DType::F32), 1.0).contains("`value` of attention"));
    assert!(message(&key, &tensor(5, DType::BF16), 1.0).contains("found BF16"));
    assert!(message(&tensor(0, DType::F32), &tensor(0, DType::F32), 1.0).contains("1 or more"));
    let bias = random(&[2, 5, 3], 1, DType::F32);
    let inputs = Inputs { query: &query, key: &key, value: &key };
    let refusal = biased_attention(&inputs, 1.0, &bias).unwrap_err().to_string();
    assert!(refusal.contains("wanted F32 [2, 3, 5], found F32 [2, 5, 3]"), "{refusal}");
    assert!(message(&key, &key, 0.0).contains("wanted a positive number, found 0"));
}
