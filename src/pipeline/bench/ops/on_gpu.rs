//! Operations on a GPU, at the sizes of LTX-Video at 1216x704 and 153 frames, all of them in bfloat16.
//!
//! A measurement starts an operation many times and waits once, as networks do.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};

use super::cases::values;
use super::{Algorithm, Measured};
use crate::backend::cuda::gemm::choice::Candidate;
use crate::error::Result;
use crate::ops::attention::{self, attention};
use crate::ops::conv3d::{self, PackedKernel, conv3d};
use crate::ops::dense_gemm::{DenseWeight, algorithms, dense_gemm, dense_gemm_by};
use crate::ops::gemm::Epilogue;
use crate::ops::norm::{Affine, Norm, Then, norm};
use crate::pipeline::bench::peak;
use crate::pipeline::bench::summary::Summary;

/// What can be measured.
pub(super) const NAMES: [&str; 4] = ["gemm", "attention", "conv3d", "norm"];

const DTYPE: DType = DType::BF16;

/// What operations are measured at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Tokens of a clip, of so many latent frames.
    tokens: usize,
    frames: usize,
    /// Widths of the models, and those of their heads.
    models: [[usize; 2]; 2],
    /// Channels, height and width of a frame within the autoencoder.
    frame: [usize; 3],
    /// Bytes that are copied to see how fast that is.
    copied: usize,
    /// How long a measurement takes at least.
    long_enough: Duration,
}

impl Sizes {
    /// The 2B and the 13B model.
    pub const LTX: Self = Self {
        tokens: 16_720,
        frames: 20,
        models: [[2048, 64], [4096, 128]],
        frame: [128, 176, 304],
        copied: 1 << 30,
        long_enough: Duration::from_millis(200),
    };
}

/// What an operation is limited by, and how much of it there is: operations, or bytes.
#[derive(Debug, Clone, Copy)]
enum Work {
    Operations(f64),
    Bytes(f64),
}

/// Starts an operation once.
type Run = Box<dyn Fn() -> Result<()>>;

/// One operation on one shape.
struct Case {
    name: &'static str,
    shape: String,
    work: Work,
    run: Run,
    /// What there is to choose from.
    ways: Vec<Way>,
}

/// One of several ways to do the same.
struct Way {
    candidate: Candidate,
    run: Run,
}

/// Measures the operation `name`, one of [`NAMES`]; `hear` gets each result.
pub(super) fn measure(name: &str, bench: &Bench, sizes: &Sizes, hear: &mut dyn FnMut(Measured)) -> Result<()> {
    for make in cases(name, *sizes) {
        hear(bench.measured(make(&bench.device)?)?);
    }
    Ok(())
}

/// A device and what it can do.
pub(super) struct Bench {
    device: Device,
    /// Operations a second of the best matrix product.
    operations: f64,
    /// Bytes a second that are read and written when memory is copied.
    bytes: f64,
    repeats: usize,
    long_enough: Duration,
}

impl Bench {
    /// Measures what limits operations.
    pub fn new(device: &Device, repeats: usize, sizes: &Sizes) -> Result<Self> {
        let operations = peak::measure(device, DTYPE)?;
        let memory = Tensor::zeros(sizes.copied / DTYPE.size_in_bytes(), DTYPE, device)?;
        let seconds = seconds(device, sizes.long_enough, &|| Ok(memory.copy().map(drop)?))?;
        let bytes = 2.0 * sizes.copied as f64 / seconds;
        Ok(Self { device: device.clone(), operations, bytes, repeats, long_enough: sizes.long_enough })
    }

    fn measured(&self, case: Case) -> Result<Measured> {
        let Case { name, shape, work, run, ways } = case;
        let (unit, amount, limit) = match work {
            Work::Operations(amount) => ("FLOP", amount, self.operations),
            Work::Bytes(amount) => ("bytes", amount, self.bytes),
        };
        let timed = |run: &dyn Fn() -> Result<()>| -> Result<Summary> {
            let times = (0..self.repeats).map(|_| seconds(&self.device, self.long_enough, run));
            Ok(Summary::of(&times.collect::<Result<Vec<_>>>()?).expect("there is a repeat"))
        };
        let seconds = timed(&*run)?;
        let algorithm = |Way { candidate: Candidate { algorithm, workspace, .. }, run }: &Way| {
            Ok(Algorithm { algorithm: *algorithm, workspace: *workspace, seconds: timed(run)?.median })
        };
        let algorithms = ways.iter().map(algorithm).collect::<Result<Vec<_>>>()?;
        let rate = amount / seconds.median;
        Ok(Measured {
            name,
            shape,
            dtype: "bf16",
            kernels: None,
            seconds,
            unit,
            amount: amount / 1e9,
            rate: rate / 1e9,
            limit: limit / 1e9,
            share: rate / limit,
            algorithms,
        })
    }
}

/// Seconds of one run of many, which take at least so long together; the first is not counted.
fn seconds(device: &Device, long_enough: Duration, run: &dyn Fn() -> Result<()>) -> Result<f64> {
    let timed = |count: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..count {
            run()?;
        }
        device.synchronize()?;
        Ok(start.elapsed().as_secs_f64())
    };
    timed(1)?;
    let once = timed(1)?;
    let count = (long_enough.as_secs_f64() / once.max(1e-9)).ceil().clamp(1.0, 1e4) as usize;
    Ok(timed(count)? / count as f64)
}

/// Makes a case on a device when it is its turn.
type Make = Box<dyn FnOnce(&Device) -> Result<Case>>;

fn cases(name: &str, sizes: Sizes) -> Vec<Make> {
    let Sizes { tokens, frames, models, frame, .. } = sizes;
    let mut cases: Vec<Make> = Vec::new();
    for [width, head_width] in models {
        match name {
            "gemm" => {
                // Queries, keys and values at once; the output of attention; the two layers of the MLP.
                for (from, to, gelu) in [
                    (width, 3 * width, false),
                    (width, width, false),
                    (width, 4 * width, true),
                    (4 * width, width, false),
                ] {
                    let layer = Layer { tokens, from, to, gelu };
                    cases.push(Box::new(move |device| product(layer, device)));
                }
            }
            "attention" => {
                let heads = width / head_width;
                cases.push(Box::new(move |device| attended([tokens, heads, head_width], device)));
            }
            "norm" => {
                cases.push(Box::new(move |device| modulated([frames, tokens, width], device)));
                cases.push(Box::new(move |device| rotated([tokens, width], device)));
            }
            _ => {}
        }
    }
    if name == "conv3d" {
        cases.push(Box::new(move |device| convolved(frame, device)));
    }
    cases
}

fn placed(name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    Ok(values(name, shape, dtype)?.to_device(device)?)
}

/// A fully connected layer.
#[derive(Clone, Copy)]
struct Layer {
    tokens: usize,
    from: usize,
    to: usize,
    gelu: bool,
}

fn product(layer: Layer, device: &Device) -> Result<Case> {
    let Layer { tokens, from, to, gelu } = layer;
    let x = placed("x", &[tokens, from], DTYPE, device)?;
    let weight = placed("weight", &[to, from], DTYPE, device)?;
    let bias = placed("bias", &[to], DTYPE, device)?;
    let epilogue = if gelu { Epilogue::Gelu } else { Epilogue::None };
    let mut ways = Vec::new();
    for candidate in algorithms(&x, &DenseWeight { weight: &weight, bias: Some(&bias) }, epilogue)? {
        let (x, weight, bias) = (x.clone(), weight.clone(), bias.clone());
        let run = move || {
            let weight = DenseWeight { weight: &weight, bias: Some(&bias) };
            dense_gemm_by(&x, &weight, epilogue, &candidate).map(drop)
        };
        ways.push(Way { candidate, run: Box::new(run) });
    }
    Ok(Case {
        name: "gemm",
        shape: format!("{tokens}x{from} to {to}{}", if gelu { ", GELU" } else { "" }),
        work: Work::Operations(2.0 * (tokens * from * to) as f64),
        run: Box::new(move || dense_gemm(&x, &DenseWeight { weight: &weight, bias: Some(&bias) }, epilogue).map(drop)),
        ways,
    })
}

/// Self-attention.
fn attended([tokens, heads, width]: [usize; 3], device: &Device) -> Result<Case> {
    let tensor = |name: &str| placed(name, &[1, tokens, heads, width], DTYPE, device);
    let [query, key, value] = [tensor("query")?, tensor("key")?, tensor("value")?];
    let scale = 1.0 / (width as f64).sqrt();
    Ok(Case {
        name: "attention",
        shape: format!("{tokens} tokens, {heads} heads of {width}"),
        work: Work::Operations(4.0 * (tokens * tokens * heads * width) as f64),
        run: Box::new(move || {
            attention(&attention::Inputs { query: &query, key: &key, value: &value }, scale).map(drop)
        }),
        ways: Vec::new(),
    })
}

/// A 3x3x3 convolution that keeps the channels: one frame of the result.
fn convolved([channels, height, width]: [usize; 3], device: &Device) -> Result<Case> {
    let frame = |name: &str| placed(name, &[1, height, width, channels], DTYPE, device);
    let frames = [frame("before")?, frame("now")?, frame("after")?];
    let weight = placed("kernel", &[channels, channels, 3, 3, 3], DTYPE, device)?;
    let kernel = PackedKernel::new(&weight, None)?;
    Ok(Case {
        name: "conv3d",
        shape: format!("3x3x3, {height}x{width}, {channels} channels"),
        work: Work::Operations(2.0 * (27 * height * width * channels * channels) as f64),
        run: Box::new(move || conv3d(&frames.each_ref().map(Some), &kernel, 1, conv3d::Epilogue::default()).map(drop)),
        ways: Vec::new(),
    })
}

/// The norm before attention and MLP.
fn modulated([frames, tokens, width]: [usize; 3], device: &Device) -> Result<Case> {
    let x = placed("x", &[1, tokens, width], DTYPE, device)?;
    let rows = placed("rows", &[frames, 6, width], DType::F32, device)?;
    Ok(Case {
        name: "norm",
        shape: format!("{tokens}x{width}, modulated by frame"),
        work: bytes_once(&x),
        run: Box::new(move || {
            let affine = Affine::Modulation { rows: &rows, first: 0 };
            norm(&x, &Norm { affine, ..Norm::root_mean_square(1e-6) }).map(drop)
        }),
        ways: Vec::new(),
    })
}

/// The norm of queries and keys with their rotary positions.
fn rotated([tokens, width]: [usize; 2], device: &Device) -> Result<Case> {
    let x = placed("x", &[1, tokens, width], DTYPE, device)?;
    let weight = placed("weight", &[width], DType::F32, device)?;
    let table = placed("table", &[tokens, width / 2], DType::F32, device)?;
    Ok(Case {
        name: "norm",
        shape: format!("{tokens}x{width}, rotated"),
        work: bytes_once(&x),
        run: Box::new(move || {
            let then = Then::Rotation { cosines: &table, sines: &table };
            norm(&x, &Norm { affine: Affine::Weight(&weight), then, ..Norm::root_mean_square(1e-6) }).map(drop)
        }),
        ways: Vec::new(),
    })
}

/// Every value is read once and written once.
fn bytes_once(x: &Tensor) -> Work {
    Work::Bytes(2.0 * (x.elem_count() * x.dtype().size_in_bytes()) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Sizes = Sizes {
        tokens: 6,
        frames: 2,
        models: [[16, 8], [32, 16]],
        frame: [8, 3, 5],
        copied: 1 << 10,
        long_enough: Duration::from_micros(50),
    };

    /// On the CPU, whose operations have the same contracts.
    #[test]
    fn all_cases_run_and_count_what_they_do() {
        let device = Device::Cpu;
        let long_enough = SMALL.long_enough;
        let bench = Bench { device, operations: 1e12, bytes: 1e11, repeats: 2, long_enough };
        let mut found = Vec::new();
        for name in NAMES {
            measure(name, &bench, &SMALL, &mut |measured| found.push(measured)).unwrap();
        }
        assert_eq!(found.len(), 8 + 2 + 1 + 4);
        let of = |name: &str, shape: &str| {
            let same = |measured: &&Measured| measured.name == name && measured.shape == shape;
            found.iter().find(same).unwrap_or_else(|| panic!("{name} {shape} was not measured"))
        };
        assert_eq!(of("gemm", "6x32 to 128, GELU").amount, 2.0 * 6.0 * 32.0 * 128.0 / 1e9);
        assert_eq!(of("attention", "6 tokens, 2 heads of 8").amount, 4.0 * 36.0 * 16.0 / 1e9);
        assert_eq!(of("conv3d", "3x3x3, 3x5, 8 channels").amount, 2.0 * 27.0 * 15.0 * 64.0 / 1e9);
        assert_eq!(of("norm", "6x16, rotated").amount, 2.0 * 6.0 * 16.0 * 2.0 / 1e9);
        for Measured { seconds, rate, limit, share, unit, .. } in &found {
            assert!(seconds.median > 0.0 && (share - rate / limit).abs() < 1e-12);
            assert_eq!(*limit, if *unit == "FLOP" { 1e3 } else { 1e2 });
        }
    }
}
