//! What follows matrix products.

use candle_core::{DType, Tensor};
use stir::error::Result;
use stir::ops::gemm::{Epilogue, Gate, definition_of_finished, finished};

use crate::harness::Operation;
use crate::samples::random;

/// Rows and columns.
const SIZES: [[usize; 2]; 5] = [[1, 1], [6, 8], [66, 300], [12, 2048], [9, 4099]];

type Finished = fn(&Tensor, Option<&Tensor>, Epilogue<'_>) -> Result<Tensor>;

/// Ranges of one length, and of several.
fn starts(rows: usize) -> [Vec<usize>; 2] {
    [
        if rows.is_multiple_of(3) { vec![0, rows / 3, 2 * (rows / 3)] } else { vec![0] },
        vec![0, rows / 2, rows / 2, rows],
    ]
}

fn all(operands: &[Tensor], finished: Finished) -> Result<Vec<Tensor>> {
    let [y, bias, residual, factors] = operands else { panic!("there are four operands") };
    let mut results = vec![
        finished(y, Some(bias), Epilogue::None)?,
        finished(y, Some(bias), Epilogue::Gelu)?,
        finished(y, None, Epilogue::Silu)?,
        finished(y, Some(bias), Epilogue::Sum(residual))?,
    ];
    for starts in starts(y.dim(0)?) {
        let gate = Gate::new(&factors.narrow(0, 0, starts.len())?, &starts)?;
        results.push(finished(y, Some(bias), Epilogue::Residual { residual, gate: &gate })?);
    }
    Ok(results)
}

#[test]
fn products_are_finished_as_defined() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for [rows, columns] in SIZES {
            let operands = vec![
                random(&[rows, columns], 1, dtype),
                random(&[columns], 2, dtype),
                random(&[rows, columns], 3, dtype),
                random(&[4, columns], 4, DType::F32),
            ];
            Operation {
                name: &format!("finishing {rows} rows of {columns}, {dtype:?}"),
                operands,
                run: &|operands| all(operands, finished),
                definition: &|operands| all(operands, definition_of_finished),
            }
            .check();
        }
    }
}
