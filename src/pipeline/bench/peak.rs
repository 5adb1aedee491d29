//! What the device reaches at best: the yardstick of the same run.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};

use crate::error::Result;
use crate::ops::dense_gemm::{DenseWeight, dense_gemm};
use crate::ops::gemm::{Epilogue, PackedWeight, gemm};
use crate::weights::synthetic::Synthetic;

/// Sides of the square matrices: large enough that a device is busy, small enough that one product takes a second at most.
const SIDES_ON_CPU: [usize; 2] = [1024, 2048];
const SIDES_ELSEWHERE: [usize; 2] = [4096, 8192];
/// Products of each size are repeated for this long, and at least this often.
const LONG_ENOUGH: Duration = Duration::from_millis(300);
const FEWEST: usize = 3;

/// Operations a second of the best matrix product of several sizes, ours or candle's, in `dtype` and in float32, which a CPU may be
/// faster in.
///
/// # Errors
/// A failed tensor operation.
pub fn measure(device: &Device, dtype: DType) -> Result<f64> {
    let sides = if device.is_cpu() { SIDES_ON_CPU } else { SIDES_ELSEWHERE };
    let mut best: f64 = 0.0;
    for side in sides {
        for dtype in [dtype, DType::F32] {
            best = best.max(of_size(device, dtype, side)?);
        }
    }
    Ok(best)
}

fn of_size(device: &Device, dtype: DType, side: usize) -> Result<f64> {
    let made_up = Synthetic::new("matrices", 1, &[]);
    let matrix = |name| made_up.tensor(name, &[side, side]).dense(dtype)?.to_device(device);
    let (left, right) = (matrix("left.weight")?, matrix("right.weight")?);
    let candles = best_rate(device, side, || Ok(left.matmul(&right)?))?;
    if !device.is_cpu() {
        let weight = DenseWeight { weight: &right, bias: None };
        let ours = best_rate(device, side, || dense_gemm(&left, &weight, Epilogue::None))?;
        return Ok(candles.max(ours));
    }
    let packed = PackedWeight::new(&right, None)?;
    let output = if dtype == DType::BF16 { dtype } else { DType::F32 };
    Ok(candles.max(best_rate(device, side, || gemm(&left, &packed, Epilogue::None, output))?))
}

/// Operations a second of the fastest of several products of square matrices; the first is not counted.
fn best_rate(device: &Device, side: usize, product: impl Fn() -> Result<Tensor>) -> Result<f64> {
    product()?;
    device.synchronize()?;
    let operations = 2.0 * (side as f64).powi(3);
    let (began, mut best) = (Instant::now(), 0f64);
    for repeat in 0.. {
        if repeat >= FEWEST && began.elapsed() >= LONG_ENOUGH {
            break;
        }
        let start = Instant::now();
        product()?;
        device.synchronize()?;
        best = best.max(operations / start.elapsed().as_secs_f64());
    }
    Ok(best)
}
