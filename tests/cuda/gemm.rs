//! Products with weights that are plain tensors, with all that is fused with them, and float8.

use candle_core::{DType, Device, Tensor};
use stir::error::Result;
use stir::ops::dense_gemm::{DenseWeight, algorithms, dense_gemm, dense_gemm_by};
use stir::ops::float8::widened;
use stir::ops::gemm::{Epilogue, Gate, definition};

use crate::harness::{Operation, bits, device};
use crate::samples::random;

/// Rows, outputs and inputs.
const SIZES: [[usize; 3]; 8] = [
    [1, 64, 256],
    [5, 3, 2],
    [17, 130, 72],
    [130, 257, 129],
    [333, 512, 256],
    [2, 2048, 256],
    [1001, 128, 2048],
    [836, 384, 128],
];

/// Rows of factors of the gate.
const GROUPS: usize = 2;

/// Every epilogue, without a bias and with one.
fn all(operands: &[Tensor], product: impl Fn(Option<&Tensor>, Epilogue<'_>) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    let [_, _, bias, residual, gate] = operands else { panic!("there are five operands") };
    let rows = residual.dim(0)?;
    let gate = Gate::new(gate, &[0, rows / 3])?;
    let mut results = Vec::new();
    for bias in [None, Some(bias)] {
        for epilogue in [
            Epilogue::None,
            Epilogue::Gelu,
            Epilogue::Silu,
            Epilogue::Sum(residual),
            Epilogue::Residual { residual, gate: &gate },
        ] {
            results.push(product(bias, epilogue)?);
        }
    }
    Ok(results)
}

fn operands([rows, outputs, inputs]: [usize; 3], dtype: DType) -> Vec<Tensor> {
    vec![
        random(&[rows, inputs], 1, dtype),
        (random(&[outputs, inputs], 2, dtype) * (inputs as f64).powf(-0.5)).unwrap(),
        random(&[outputs], 3, dtype),
        random(&[rows, outputs], 4, dtype),
        random(&[GROUPS, outputs], 5, DType::F32),
    ]
}

#[test]
fn products_are_their_definition() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for sizes in SIZES {
            Operation {
                name: &format!("product of {sizes:?} in {dtype:?}"),
                operands: operands(sizes, dtype),
                run: &|operands| {
                    let (x, weight) = (&operands[0], &operands[1]);
                    all(operands, |bias, epilogue| dense_gemm(x, &DenseWeight { weight, bias }, epilogue))
                },
                definition: &|operands| {
                    all(operands, |bias, epilogue| definition(&operands[0], &operands[1], bias, epilogue))
                },
            }
            .check();
        }
    }
}

/// The middle third of wider rows is read where it is.
#[test]
fn parts_of_rows_are_read_where_they_are() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for [rows, outputs, inputs] in [[65, 96, 128], [33, 70, 9]] {
            let middle = |operands: &[Tensor]| operands[0].narrow(1, inputs, inputs);
            Operation {
                name: &format!("product of parts of rows, {rows}, {outputs}, {inputs} in {dtype:?}"),
                operands: vec![random(&[rows, 3 * inputs], 1, dtype), random(&[outputs, inputs], 2, dtype)],
                run: &|operands| {
                    let weight = DenseWeight { weight: &operands[1], bias: None };
                    Ok(vec![dense_gemm(&middle(operands)?, &weight, Epilogue::None)?])
                },
                definition: &|operands| Ok(vec![definition(&middle(operands)?, &operands[1], None, Epilogue::None)?]),
            }
            .check();
        }
    }
}

/// cuBLASLt's own proposals do not vary from one question to the next, and every one of them sums in one sequence.
#[test]
fn the_choice_does_not_vary() {
    for sizes in [[16_720, 6144, 2048], [16_720, 8192, 2048], [256, 2048, 2048], [2, 12_288, 2048]] {
        let operands: Vec<_> =
            operands(sizes, DType::BF16).iter().map(|operand| operand.to_device(device()).unwrap()).collect();
        let weight = DenseWeight { weight: &operands[1], bias: Some(&operands[2]) };
        let ask = || algorithms(&operands[0], &weight, Epilogue::Gelu).unwrap();
        let first = ask();
        assert!(!first.is_empty() && first.iter().all(|found| found.splits <= 1 && found.reduction == 0));
        for _ in 0..10 {
            assert_eq!(ask(), first, "{sizes:?}");
        }
        let taken = bits(&dense_gemm(&operands[0], &weight, Epilogue::Gelu).unwrap());
        let again = bits(&dense_gemm_by(&operands[0], &weight, Epilogue::Gelu, &first[0]).unwrap());
        assert!(taken == again, "{sizes:?}: the first proposal is not what is taken");
    }
}

#[test]
fn float8_is_widened_exactly() {
    // Not-a-numbers have no one pattern of bits.
    let bytes: Vec<u8> = (0..=u8::MAX).filter(|byte| byte & 0x7F != 0x7F).collect();
    let stored = Tensor::from_raw_buffer(&bytes, DType::F8E4M3, &[bytes.len()], &Device::Cpu).unwrap();
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let found = widened(&stored.to_device(device()).unwrap(), dtype).unwrap();
        let part = widened(&stored.to_device(device()).unwrap().narrow(0, 3, 200).unwrap(), dtype).unwrap();
        let expected = stored.to_dtype(dtype).unwrap();
        assert_eq!(bits(&found), bits(&expected), "{dtype:?}");
        assert_eq!(bits(&part), bits(&expected.narrow(0, 3, 200).unwrap()), "a part in {dtype:?}");
    }
}
