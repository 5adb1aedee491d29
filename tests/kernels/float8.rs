//! float8 to wider types, every value and every length near a vector's.

use candle_core::{DType, Device, Tensor};
use stir::backend::cuda::float8::{Float8Parameters, plan};
use stir::backend::cuda::launch::{Element, Launch};

use crate::emulated::Emulated;
use crate::memory::Memory;

/// By the format's definition: a sign, four bits of an exponent with bias 7, three bits of a fraction; all ones is not a number.
fn value(byte: u8) -> f64 {
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(byte >> 3 & 15), f64::from(byte & 7) / 8.0);
    match (exponent, byte & 7) {
        (15, 7) => f64::NAN,
        (0, _) => sign * fraction * 2f64.powi(-6),
        _ => sign * (1.0 + fraction) * 2f64.powi(exponent - 7),
    }
}

#[test]
fn every_value_stays_what_it_is() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for count in [1, 15, 16, 17, 256, 300] {
            let bytes: Vec<u8> = (0..count).map(|index| (index * 37 % 256) as u8).collect();
            let x = Memory::of(&Tensor::from_slice(&bytes, count, &Device::Cpu).unwrap());
            let y = Memory::poisoned(count, dtype);
            let parameters = Float8Parameters { x: x.address(), y: y.address(), count: count as i64 };
            let launch = plan(Element::of(dtype).unwrap(), parameters);
            // Fewer threads than planned, so that they stride.
            Emulated::kernel("float8").run(&Launch { block: 32, ..launch });
            let found = y.tensor(count).to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
            for (&byte, found) in bytes.iter().zip(found) {
                let expected = value(byte);
                let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                assert!(same, "{byte:#04x} in {dtype:?}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn the_plan_covers_every_value() {
    let grid = |count| plan(Element::Bfloat16, Float8Parameters { x: 0, y: 0, count }).grid;
    assert_eq!([grid(4096), grid(4097)], [[1, 1, 1], [2, 1, 1]]);
}
