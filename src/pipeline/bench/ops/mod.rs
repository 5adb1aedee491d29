//! How fast single operations run on one core or on a GPU, and what share that is of what it can do.
//!
//! Each is timed between two measurements of the limit: loops that only multiply and add in registers, or the copying of a large piece of memory. Its
//! share is that of the better of the two; medians of several such triples are given. On a GPU the limits are the best product of square matrices and
//! the copying of memory, measured once.

mod cases;
mod clock;
mod on_gpu;

use std::hint::black_box;

use candle_core::{DType, Device};
use serde::Serialize;

use super::record::now;
use super::summary::Summary;
use crate::backend::cpu::gemm::Product;
use crate::device::machine::Machine;
use crate::device::{self, DeviceChoice};
use crate::error::{Error, Result};
use crate::ops::dense_gemm;
use crate::ops::gemm::Kernels;
pub use cases::NAMES;
use cases::{Bound, Case};

/// Steps of the loop in registers: about 20 ms.
const STEPS: usize = 1 << 20;
/// Raised when a field changes its meaning or goes away; fields may be added without.
const VERSION: u32 = 1;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpsRequest {
    /// Operations, of [`NAMES`].
    pub names: Vec<&'static str>,
    /// The names of instruction sets, of [`kernel_names`]; on the CPU.
    pub kernels: Vec<&'static str>,
    /// Where.
    pub device: DeviceChoice,
    /// Measurements of each.
    pub repeats: usize,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpsRecord {
    /// Of the format.
    pub version: u32,
    /// The version of stir.
    pub stir: String,
    /// When it began, in UTC.
    pub date: String,
    /// The exact command, word by word.
    pub command: Vec<String>,
    /// Where.
    pub machine: Machine,
    /// The device of it, as `--device` calls it.
    pub device: String,
    /// What measured algorithms are good for; `None` where there are none.
    pub card: Option<Card>,
    /// Which time was taken.
    pub clock: &'static str,
    /// In order.
    pub operations: Vec<Measured>,
}

/// An operation on one shape, with one instruction set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: &'static str,
    /// What it worked on.
    pub shape: String,
    /// The type of its values.
    pub dtype: &'static str,
    /// The instruction set; `None` where there is only one way.
    pub kernels: Option<&'static str>,
    /// Seconds.
    pub seconds: Summary,
    /// What is counted: `FLOP` or `bytes`.
    pub unit: &'static str,
    /// How many of them, in units of 10^9.
    pub amount: f64,
    /// A second, median, in units of 10^9.
    pub rate: f64,
    /// The limit: what a core multiplies and adds in registers, or copies in memory, median, in units of 10^9 a second.
    pub limit: f64,
    /// The rate's share of it, median.
    pub share: f64,
    /// All ways in which the device could have done it, the one that it would choose by itself first; none where it has but one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<Algorithm>,
}

/// One of several ways to do the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Algorithm {
    /// As the library writes it down.
    pub algorithm: [u64; 8],
    /// Bytes of workspace that it needs.
    pub workspace: usize,
    /// Seconds, median.
    pub seconds: f64,
}

/// The kind of GPU, and the version of the library whose algorithms were measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Its compute capability.
    pub architecture: String,
    /// How many multiprocessors it has.
    pub multiprocessors: u32,
    /// As cuBLASLt counts its versions.
    pub library: usize,
}

/// The instruction sets of this machine, the fastest first.
pub fn kernel_names() -> Vec<&'static str> {
    Kernels::available().map(Kernels::name).collect()
}

/// Measures, on the CPU on one thread. `command` goes into the result; `hear` gets each measurement as it is made.
///
/// # Errors
/// A device that is not there, operations that it has no cases for, or a failed tensor operation.
pub fn run(request: &OpsRequest, command: &[String], hear: &mut (dyn FnMut(&Measured) + Send)) -> Result<OpsRecord> {
    let date = now();
    let device = request.device.open()?;
    let operations = if device.is_cpu() { on_one_core(request, hear)? } else { on_gpu(request, &device, hear)? };
    let card = dense_gemm::card(&device)?.map(|card| Card {
        architecture: card.architecture.to_string(),
        multiprocessors: card.multiprocessors,
        library: card.version,
    });
    Ok(OpsRecord {
        version: VERSION,
        stir: env!("CARGO_PKG_VERSION").to_owned(),
        date,
        command: command.to_vec(),
        machine: Machine::of(&device),
        device: device::name(&device),
        card,
        clock: if device.is_cpu() { clock::name() } else { "elapsed time" },
        operations,
    })
}

fn on_gpu(request: &OpsRequest, device: &Device, hear: &mut (dyn FnMut(&Measured) + Send)) -> Result<Vec<Measured>> {
    let names: Vec<_> = request.names.iter().filter(|name| on_gpu::NAMES.contains(name)).collect();
    if names.is_empty() {
        let wanted = format!("one of {}", on_gpu::NAMES.join(", "));
        let hint = "measure it on the CPU: --device cpu";
        return Err(Error::input("operation to measure on a GPU", wanted, request.names.join(", "), hint));
    }
    let sizes = on_gpu::Sizes::LTX;
    let bench = on_gpu::Bench::new(device, request.repeats, &sizes)?;
    let mut operations = Vec::new();
    for name in names {
        on_gpu::measure(name, &bench, &sizes, &mut |measured| {
            hear(&measured);
            operations.push(measured);
        })?;
    }
    Ok(operations)
}

fn on_one_core(request: &OpsRequest, hear: &mut (dyn FnMut(&Measured) + Send)) -> Result<Vec<Measured>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Error::run("a thread", "one more", error.to_string(), "close other programs"))?;
    pool.install(|| {
        let mut operations = Vec::new();
        for &name in &request.names {
            for kernels in Kernels::available().filter(|kernels| request.kernels.contains(&kernels.name())) {
                // The warp has only one way to run.
                if name == "warp" && operations.iter().any(|measured: &Measured| measured.name == name) {
                    continue;
                }
                for case in cases::cases(name, kernels) {
                    let measured = measure(&case()?, kernels, request.repeats)?;
                    hear(&measured);
                    operations.push(measured);
                }
            }
        }
        Ok(operations)
    })
}

fn measure(case: &Case, kernels: &'static Kernels, repeats: usize) -> Result<Measured> {
    let (unit, amount) = match case.bound {
        Bound::Operations(operations, _) => ("FLOP", operations),
        Bound::Bytes(bytes) => ("bytes", bytes),
    };
    let mut limit: Box<dyn FnMut() -> f64> = match case.bound {
        Bound::Operations(_, product) => Box::new(move || rate_in_registers(kernels, product)),
        Bound::Bytes(_) => {
            let mut memory = Memory::new();
            Box::new(move || memory.rate())
        }
    };
    (case.run)()?;
    let (mut times, mut limits, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repeats {
        let before = limit();
        let mut result = Ok(());
        let seconds = clock::timed(|| result = (case.run)());
        result?;
        let highest = before.max(limit());
        times.push(seconds);
        limits.push(highest);
        shares.push(amount / seconds / highest);
    }
    let median = |values: &[f64]| Summary::of(values).expect("there is a repeat").median;
    let seconds = Summary::of(&times).expect("there is a repeat");
    Ok(Measured {
        name: case.name,
        shape: case.shape.clone(),
        dtype: if case.dtype == DType::BF16 { "bf16" } else { "f32" },
        kernels: (case.name != "warp").then(|| kernels.name()),
        unit,
        amount: amount / 1e9,
        rate: amount / seconds.median / 1e9,
        limit: median(&limits) / 1e9,
        share: median(&shares),
        seconds,
        algorithms: Vec::new(),
    })
}

/// Two pieces of memory that fit into no cache together, and are there before anything is timed.
struct Memory {
    source: Vec<u64>,
    target: Vec<u64>,
}

impl Memory {
    /// Of 128 MB each.
    fn new() -> Self {
        Self { source: vec![1; 16_000_000], target: vec![2; 16_000_000] }
    }

    /// Bytes a second that are read and written when the one is copied to the other.
    fn rate(&mut self) -> f64 {
        let seconds = clock::timed(|| black_box(&mut self.target).copy_from_slice(black_box(&self.source)));
        2.0 * size_of_val(self.source.as_slice()) as f64 / seconds
    }
}

/// Operations a second of multiplications and additions in registers only.
fn rate_in_registers(kernels: &Kernels, product: Product) -> f64 {
    let mut operations = 0.0;
    let seconds =
        clock::timed(|| operations = kernels.peak(product, STEPS).expect("chosen among those that there are"));
    operations / seconds
}
