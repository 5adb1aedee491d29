//! GELU against its formula in float64.

use candle_core::DType;
use proptest::prelude::*;
use stir::backend::cuda::gelu::{GeluParameters, plan};
use stir::backend::cuda::launch::{Element, Launch};

use crate::emulated::Emulated;
use crate::memory::Memory;
use crate::samples::{random, values};

fn formula(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Half of a place of the type, plus 2^-21 of the magnitude for the exponential.
    #[test]
    fn values_are_rounded_once(
        count in 1..=5000_usize,
        dtype in prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F16)],
        gated: bool,
        blocks in 1..=3_u32,
        seed in 0..1000_u64,
    ) {
        // From -8 to 8.
        let x = (random(&[count], seed, dtype) * 4.0).unwrap();
        let factors = random(&[count], seed + 1, dtype);
        let (read, also, written) = (Memory::of(&x), Memory::of(&factors), Memory::poisoned(count, dtype));
        let parameters = GeluParameters {
            x: read.address(),
            factors: if gated { also.address() } else { 0 },
            y: written.address(),
            count: count as i64,
        };
        // Fewer blocks than planned, so that they stride.
        let launch = Launch { grid: [blocks, 1, 1], ..plan(Element::of(dtype).unwrap(), parameters) };
        Emulated::kernel("gelu").run(&launch);
        let rounding = match dtype {
            DType::F32 => 2_f64.powi(-24),
            DType::BF16 => 2_f64.powi(-8),
            _ => 2_f64.powi(-11),
        };
        // What float16 has no normal numbers for.
        let tiny = if dtype == DType::F16 { 2_f64.powi(-25) } else { 0.0 };
        let found = values(&written.tensor(count));
        for ((&x, &factor), found) in values(&x).iter().zip(&values(&factors)).zip(found) {
            let factor = if gated { factor } else { 1.0 };
            let expected = formula(x) * factor;
            let most = expected.abs() * rounding + (x * factor).abs() * 2_f64.powi(-21) + tiny;
            prop_assert!((found - expected).abs() <= most, "{x}, {factor}: {found}, not {expected}");
        }
    }
}

#[test]
fn the_plan_covers_every_value() {
    let parameters = |count| GeluParameters { x: 0, factors: 0, y: 0, count };
    assert_eq!(plan(Element::Bfloat16, parameters(2048)).grid, [1, 1, 1]);
    assert_eq!(plan(Element::Bfloat16, parameters(2049)).grid, [2, 1, 1]);
    assert_eq!(plan(Element::Float32, parameters(2048)).grid, [2, 1, 1]);
}
