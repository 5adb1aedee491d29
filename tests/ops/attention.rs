//! Attention against its definition in float64, on every instruction set of this machine.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use stir::ops::attention::{Inputs, attention_with, definition};
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

    fn scale(&self) -> f64 {
        1.0 / (self.width as f64).sqrt()
    }

    /// By the definition, computed in `dtype`.
    fn defined(&self, tensors: &[Tensor; 3], dtype: DType) -> Tensor {
        let [query, key, value] = tensors.each_ref().map(|tensor| tensor.to_dtype(dtype).unwrap());
        definition(&Inputs { query: &query, key: &key, value: &value }, self.scale()).unwrap()
    }

    fn computed(&self, [query, key, value]: &[Tensor; 3], kernels: &'static Kernels) -> Tensor {
        attention_with(&Inputs { query, key, value }, self.scale(), kernels).unwrap()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16)];
    let keys = prop_oneof![1..=70_usize, 180..=420_usize];
    ((1..=2_usize, 1..=120_usize, keys), (1..=3_usize, 1..=80_usize), dtype, 0..1000_u64).prop_map(
        |((batch, queries, keys), (heads, width), dtype, seed)| Case {
            batch,
            queries,
            keys,
            heads,
            width,
            dtype,
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
        let case = Case { batch: 2, queries: 230, keys: 411, heads: 3, width: 20, dtype, seed: 7 };
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
        let found = attention_with(&Inputs { query: &query, key: &key, value: &value }, 1.0, kernels).unwrap();
        let found = values(&found);
        assert!((found[0] - 399.0).abs() < 0.02 && found[1].abs() < 0.02, "{}: {found:?}", kernels.name());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let tensor = |tokens, dtype| random(&[1, tokens, 2, 4], 1, dtype);
    let (query, key) = (tensor(3, DType::F32), tensor(5, DType::F32));
    let message = |key: &Tensor, value: &Tensor, scale| {
        attention_with(&Inputs { query: &query, key, value }, scale, Kernels::fastest()).unwrap_err().to_string()
    };
    assert!(message(&key, &tensor(6, DType::F32), 1.0).contains("`value` of attention"));
    assert!(message(&key, &tensor(5, DType::BF16), 1.0).contains("found BF16"));
    assert!(message(&tensor(0, DType::F32), &tensor(0, DType::F32), 1.0).contains("1 or more"));
    assert!(message(&key, &key, 0.0).contains("wanted a positive number, found 0"));
}
