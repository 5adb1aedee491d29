//! Matrix products against what a core can multiply and add in registers: `cargo bench --bench share_of_peak [-- INSTRUCTIONS]`.
//!
//! One thread. Each product is timed between two loops that only multiply and add, and its rate is divided by the better of them: the printed share
//! is the median of these. On Linux the thread's own processor time is taken, so that other programs on the machine count little.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use stir::backend::cpu::gemm::Product;
use stir::ops::gemm::{Epilogue, Kernels, PackedWeight, gemm};

const TOKENS: usize = 6600;
const REPEATS: usize = 5;
/// Steps of the loop in registers: about 20 ms.
const STEPS: usize = 1 << 20;

/// A layer's type, and its inputs and outputs.
struct Case {
    name: &'static str,
    dtype: DType,
    product: Product,
    features: [usize; 2],
}

fn main() {
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        println!("time: {}", if processor_time().is_some() { "of the thread" } else { "elapsed" });
        println!("{:12} {:10} {:>6} {:>6} {:>9} {:>9} {:>6}", "", "", "from", "to", "GFLOP/s", "peak", "share");
        for kernels in Kernels::available() {
            if wanted.as_deref().is_none_or(|name| name == kernels.name()) {
                measure(kernels);
            }
        }
    });
}

fn measure(kernels: &'static Kernels) {
    let bfloat16 = if kernels.has(Product::Bfloat16) { Product::Bfloat16 } else { Product::WidenedBfloat16 };
    for features in [[2048, 2048], [2048, 8192], [8192, 2048]] {
        for (name, dtype, product) in [("bfloat16", DType::BF16, bfloat16), ("float32", DType::F32, Product::Float32)] {
            report(kernels, &Case { name, dtype, product, features });
        }
    }
}

fn report(kernels: &'static Kernels, case: &Case) {
    let [inputs, outputs] = case.features;
    let random = |rows| Tensor::randn(0_f32, 1.0, (rows, inputs), &Device::Cpu).unwrap().to_dtype(case.dtype).unwrap();
    let x = random(TOKENS);
    let weight = PackedWeight::with_kernels(&random(outputs), None, kernels).unwrap();
    let peak = || {
        let mut operations = 0.0;
        let seconds = timed(|| operations = kernels.peak(case.product, STEPS).unwrap());
        operations / seconds / 1e9
    };
    let operations = 2.0 * (TOKENS * inputs * outputs) as f64;
    let (mut rates, mut peaks, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let before = peak();
        let rate = operations / timed(|| drop(gemm(&x, &weight, Epilogue::None, case.dtype).unwrap())) / 1e9;
        let highest = before.max(peak());
        rates.push(rate);
        peaks.push(highest);
        shares.push(rate / highest);
    }
    let (rate, peak, share) = (median(rates), median(peaks), median(shares));
    println!("{:12} {:10} {inputs:6} {outputs:6} {rate:9.1} {peak:9.1} {share:6.3}", kernels.name(), case.name);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds that `work` takes.
fn timed(work: impl FnOnce()) -> f64 {
    let (thread, elapsed) = (processor_time(), Instant::now());
    work();
    match (thread, processor_time()) {
        (Some(before), Some(after)) => after - before,
        _ => elapsed.elapsed().as_secs_f64(),
    }
}

/// Seconds that this thread has run so far.
fn processor_time() -> Option<f64> {
    // Linux brings the number up to date when it schedules, otherwise a few milliseconds late.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}
