//! Matrix products and convolutions against what a core can multiply and add in registers: `cargo bench --bench share_of_peak [-- INSTRUCTIONS] [OPERATION]`.
//!
//! One thread. Each product is timed between two loops that only multiply and add, and its rate is divided by the better of them: the printed share
//! is the median of these. On Linux the thread's own processor time is taken, so that other programs on the machine count little.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use stir::backend::cpu::gemm::Product;
use stir::ops::conv3d::{self, PackedKernel, conv3d};
use stir::ops::gemm::{Epilogue, Kernels, PackedWeight, gemm};

const TOKENS: usize = 6600;
const REPEATS: usize = 5;
/// Steps of the loop in registers: about 20 ms.
const STEPS: usize = 1 << 20;

/// A product's type, and its inputs and outputs.
struct Case {
    operation: &'static str,
    name: &'static str,
    dtype: DType,
    product: Product,
    features: [usize; 2],
}

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        println!("time: {}", if processor_time().is_some() { "of the thread" } else { "elapsed" });
        println!(
            "{:12} {:6} {:10} {:>6} {:>6} {:>9} {:>9} {:>6}",
            "", "", "", "from", "to", "GFLOP/s", "peak", "share"
        );
        for kernels in Kernels::available() {
            for (operation, measure) in [("gemm", measure_gemm as fn(&'static Kernels)), ("conv3d", measure_conv3d)] {
                if wanted.iter().all(|word| [kernels.name(), operation].contains(&word.as_str())) {
                    measure(kernels);
                }
            }
        }
    });
}

/// The types to measure, and what multiplies them.
fn types(kernels: &Kernels) -> [(&'static str, DType, Product); 2] {
    let bfloat16 = if kernels.has(Product::Bfloat16) { Product::Bfloat16 } else { Product::WidenedBfloat16 };
    [("bfloat16", DType::BF16, bfloat16), ("float32", DType::F32, Product::Float32)]
}

fn measure_gemm(kernels: &'static Kernels) {
    for features in [[2048, 2048], [2048, 8192], [8192, 2048]] {
        for (name, dtype, product) in types(kernels) {
            let case = Case { operation: "gemm", name, dtype, product, features };
            let [inputs, outputs] = features;
            let random = |rows| random(&[rows, inputs], dtype);
            let x = random(TOKENS);
            let weight = PackedWeight::with_kernels(&random(outputs), None, kernels).unwrap();
            let operations = 2.0 * (TOKENS * inputs * outputs) as f64;
            report(kernels, &case, operations, || drop(gemm(&x, &weight, Epilogue::None, dtype).unwrap()));
        }
    }
}

fn measure_conv3d(kernels: &'static Kernels) {
    // Layers of LTX-Video's autoencoder, at the sizes of a clip of 704 by 480.
    for (features, [height, width]) in
        [([128, 128], [120, 176]), ([256, 256], [60, 88]), ([512, 512], [30, 44]), ([1024, 1024], [15, 22])]
    {
        for (name, dtype, product) in types(kernels) {
            let case = Case { operation: "conv3d", name, dtype, product, features };
            let [inputs, outputs] = features;
            let frames = [(); 3].map(|()| random(&[1, height, width, inputs], dtype));
            let frames = frames.each_ref().map(Some);
            let weight = PackedKernel::with_kernels(&random(&[outputs, inputs, 3, 3, 3], dtype), None, kernels);
            let weight = weight.unwrap();
            let operations = 2.0 * (27 * height * width * inputs * outputs) as f64;
            let plain = conv3d::Epilogue::default();
            report(kernels, &case, operations, || drop(conv3d(&frames, &weight, 1, plain).unwrap()));
        }
    }
}

fn random(shape: &[usize], dtype: DType) -> Tensor {
    Tensor::randn(0_f32, 1.0, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn report(kernels: &'static Kernels, case: &Case, operations: f64, work: impl Fn()) {
    let peak = || {
        let mut operations = 0.0;
        let seconds = timed(|| operations = kernels.peak(case.product, STEPS).unwrap());
        operations / seconds / 1e9
    };
    let (mut rates, mut peaks, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let before = peak();
        let rate = operations / timed(&work) / 1e9;
        let highest = before.max(peak());
        rates.push(rate);
        peaks.push(highest);
        shares.push(rate / highest);
    }
    let (rate, peak, share) = (median(rates), median(peaks), median(shares));
    let Case { operation, name, features: [inputs, outputs], .. } = case;
    let kernels = kernels.name();
    println!("{kernels:12} {operation:6} {name:10} {inputs:6} {outputs:6} {rate:9.1} {peak:9.1} {share:6.3}");
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
