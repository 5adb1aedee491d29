//! GELU and its gate.

use candle_core::{DType, Tensor};
use stir::error::Result;
use stir::ops::gelu::{gated_gelu, gelu};

use crate::harness::Operation;
use crate::samples::random;

fn formula(x: &Tensor) -> Result<Tensor> {
    let inner = ((x + (x.powf(3.0)? * 0.044715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
    Ok((x * 0.5)?.mul(&(inner.tanh()? + 1.0)?)?)
}

#[test]
fn gelu_and_its_gate_are_their_formula() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for count in [1, 7, 8, 255, 4096, 100_003] {
            let operands = vec![random(&[count], 1, dtype), random(&[count], 2, dtype)];
            Operation {
                name: &format!("gelu, {count} values of {dtype:?}"),
                operands,
                run: &|x| Ok(vec![gelu(&x[0])?, gated_gelu(&x[0], &x[1])?]),
                definition: &|x| {
                    let y = formula(&x[0])?;
                    let gated = (&y * &x[1])?;
                    Ok(vec![y, gated])
                },
            }
            .check();
        }
    }
}
