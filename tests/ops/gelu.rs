//! GELU against its formula in float64, on every instruction set of this machine.

use candle_core::DType;
use proptest::prelude::*;
use stir::ops::gelu::{gated_gelu, gelu, gelu_with};
use stir::ops::gemm::Kernels;

use crate::samples::{random, values};

fn formula(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Half of a place of the type, plus 2^-22 of the magnitude for what float32 loses on the way.
    #[test]
    fn every_instruction_set_rounds_once(count in 1..=40_000_usize, two_bytes: bool, gated: bool, seed in 0..1000_u64) {
        let dtype = if two_bytes { DType::BF16 } else { DType::F32 };
        let (x, factors) = (random(&[count], seed, dtype), random(&[count], seed + 1, dtype));
        let rounding = if two_bytes { 2_f64.powi(-8) } else { 2_f64.powi(-24) };
        for kernels in Kernels::available() {
            let found = values(&gelu_with(&x, gated.then_some(&factors), kernels).unwrap());
            for ((&x, &factor), found) in values(&x).iter().zip(&values(&factors)).zip(found) {
                let factor = if gated { factor } else { 1.0 };
                let expected = formula(x) * factor;
                let most = expected.abs() * rounding + (x * factor).abs() * 2_f64.powi(-22);
                prop_assert!((found - expected).abs() <= most, "{}: {x}, {factor}: {found}", kernels.name());
            }
        }
    }
}

#[test]
fn a_gate_of_another_shape_or_type_is_refused() {
    let gate = random(&[2, 3], 1, DType::F32);
    let message = |values| gated_gelu(&gate, &values).unwrap_err().to_string();
    assert!(message(random(&[3, 2], 1, DType::F32)).contains("found F32 [3, 2]"));
    assert!(message(random(&[2, 3], 1, DType::BF16)).contains("found BF16 [2, 3]"));
}

#[test]
fn float16_is_computed_too() {
    let x = random(&[100], 4, DType::F16);
    let found = gelu(&x).unwrap();
    assert_eq!(found.dtype(), DType::F16);
    for (x, found) in values(&x).iter().zip(values(&found)) {
        assert!((found - formula(*x)).abs() < 4e-3, "{x}: {found}");
    }
}
