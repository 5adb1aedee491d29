//! What follows matrix products, against its definition in float64.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use stir::backend::cuda::gate::{Activation, Finish, Gate, plan};
use stir::backend::cuda::launch::Element;
use stir::ops::gemm::{self, Epilogue, definition_of_finished};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{largest_difference, random, values};

/// Where results go.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    New,
    Product,
    Residual,
}

#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    width: usize,
    /// None, GELU, SiLU, sum, residual.
    epilogue: usize,
    biased: bool,
    starts: Vec<usize>,
    dtype: DType,
    target: Target,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let dtype = prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)];
    let width = prop_oneof![1..=40_usize, (1..=150_usize).prop_map(|vectors| 8 * vectors)];
    let starts = prop_oneof![
        (1..=4_usize).prop_map(|groups| (groups, None)),
        prop::collection::vec(0..30_usize, 0..4).prop_map(|starts| (1, Some(starts))),
    ];
    (1..=9_usize, width, 0..5_usize, any::<bool>(), starts, dtype, 0..3_usize, 0..1000_u64).prop_map(
        |(each, width, epilogue, biased, (groups, uneven), dtype, target, seed)| {
            let rows = groups * each;
            let mut starts: Vec<usize> = (0..groups).map(|group| group * each).collect();
            starts.extend(uneven.unwrap_or_default());
            starts.sort_unstable();
            let target = match target {
                1 => Target::Product,
                // Where there is one.
                2 if epilogue >= 3 => Target::Residual,
                _ => Target::New,
            };
            Case { rows, width, epilogue, biased, starts, dtype, target, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// At most twice the error of the definition in float32, rounded to the type, plus 2^-21 of the largest result for approximate exponentials.
    #[test]
    fn products_are_finished_as_exactly_as_by_the_definition(case in cases()) {
        let Case { rows, width, dtype, seed, target, ref starts, .. } = case;
        let product = random(&[rows, width], seed, dtype);
        let residual = random(&[rows, width], seed + 1, dtype);
        let bias = random(&[width], seed + 2, dtype);
        let factors = random(&[starts.len(), width], seed + 3, DType::F32);
        let gate = gemm::Gate::new(&factors, starts).unwrap();
        let defined = |dtype: DType| {
            let convert = |tensor: &Tensor| tensor.to_dtype(dtype).unwrap();
            let (bias, residual) = (convert(&bias), convert(&residual));
            let epilogue = match case.epilogue {
                0 => Epilogue::None,
                1 => Epilogue::Gelu,
                2 => Epilogue::Silu,
                3 => Epilogue::Sum(&residual),
                _ => Epilogue::Residual { residual: &residual, gate: &gate },
            };
            definition_of_finished(&convert(&product), case.biased.then_some(&bias), epilogue).unwrap()
        };
        let exact = values(&defined(DType::F64));
        let naive = largest_difference(&defined(DType::F32).to_dtype(dtype).unwrap(), &exact);
        let largest = exact.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));

        let [x, other, added] = [&product, &residual, &bias].map(Memory::of);
        let gates = Memory::of(&factors);
        let y = match target {
            Target::New => &Memory::poisoned(rows * width, dtype),
            Target::Product => &x,
            Target::Residual => &other,
        };
        let launches = plan(&Finish {
            element: Element::of(dtype).unwrap(),
            x: x.address(),
            y: y.address(),
            bias: case.biased.then(|| added.address()),
            activation: [Activation::None, Activation::Gelu, Activation::Silu][case.epilogue % 3 * usize::from(case.epilogue < 3)],
            gate: (case.epilogue == 4).then(|| Gate { values: gates.address(), starts }),
            residual: (case.epilogue >= 3).then(|| other.address()),
            rows,
            width,
        });
        for launch in &launches {
            Emulated::kernel("gate").run(launch);
        }
        let error = largest_difference(&y.tensor((rows, width)), &exact);
        let most = 2.0 * naive + largest * 2_f64.powi(-21);
        prop_assert!(error <= most, "{error:e}, at most {most:e}");
    }
}
