//! `stir bench ops`: single operations against what a core can do.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::{Args, ValueHint};

use super::result::figures;
use crate::cli::report::{Console, stdout};
use crate::cli::signals::while_heeding_signals;
use crate::cli::values::{self, Names};
use crate::error::{Error, Result};
use crate::media;
use crate::pipeline::bench::ops::{self, Measured, NAMES, OpsRequest};

/// Most measurements of an operation.
const MOST_REPEATS: u64 = 1000;
const REPEATS: u64 = 5;

/// Measure single operations on one core or on a GPU, against what it can do
///
/// At the shapes of LTX-Video and sway. Each is timed between two measurements of its limit, which is what the core multiplies and adds in registers
/// (gemm, attention, conv3d, warp) or copies in memory (norm); medians are printed. On Linux the thread's own processor time is taken, so that
/// other programs count little. On a GPU the limits are its best product of matrices and the copying of memory; there is no warp; and --json also gets
/// the time of every algorithm that cuBLASLt proposes for gemm.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stir bench ops\n  stir bench ops gemm --kernels all --json gemm.json\n  stir bench ops --device cuda"
)]
pub(super) struct Ops {
    /// Only this one: gemm, attention, conv3d, norm or warp
    #[arg(value_name = "NAME", value_parser = Names(&NAMES), hide_possible_values = true)]
    name: Option<OsString>,
    /// Instructions to use: avx512-bf16, avx512, avx2, neon or portable, as the processor has them, or all of them [default: the fastest]
    #[arg(long, value_name = "NAME", value_parser = Names(&["avx512-bf16", "avx512", "avx2", "neon", "portable", "all"]), hide_possible_values = true)]
    kernels: Option<OsString>,
    /// Where to run: auto, cpu, cuda, cuda:N or metal [default: cpu]
    #[arg(long, value_name = "DEVICE", value_parser = Names(&["auto", "cpu", "cuda", "metal"]), hide_possible_values = true)]
    device: Option<OsString>,
    /// Measurements of each, 1 to 1000 [default: 5]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    repeats: Option<OsString>,
    /// Also write the result, with every number, to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    json: Option<OsString>,
}

impl Ops {
    pub(super) fn run(&self, console: &Arc<Console>, command: &[String]) -> Result<()> {
        let hint = "nothing is kept of a benchmark that did not end";
        while_heeding_signals(console.clone(), hint, || self.measure(command))
    }

    fn measure(&self, command: &[String]) -> Result<()> {
        let request = self.request()?;
        let file = self.json.as_deref().map(|file| values::path("--json", file)).transpose()?;
        file.as_deref().map_or(Ok(()), |file| media::check_file(file, true, &[]))?;
        let heads = ["GFLOP, GB", "a second", "limit", "share"].map(str::to_owned);
        stdout::write(line("operation", "type", "kernels", &heads).as_bytes());
        let record = ops::run(&request, command, &mut |measured| stdout::write(row(measured).as_bytes()))?;
        if let Some(file) = &file {
            let json = serde_json::to_string_pretty(&record).expect("numbers and texts are JSON") + "\n";
            media::write_atomically(file, json.as_bytes(), true)?;
        }
        stdout::check()
    }

    fn request(&self) -> Result<OpsRequest> {
        let name = self.name.as_deref().map(|name| one_of("NAME", name, &NAMES)).transpose()?;
        let known = ops::kernel_names();
        let kernels = match &self.kernels {
            None => known[..1].to_vec(),
            Some(all) if all == "all" => known,
            Some(kernels) => vec![one_of("--kernels", kernels, &known)?],
        };
        let repeats = self
            .repeats
            .as_deref()
            .map_or(Ok(REPEATS), |repeats| values::whole("--repeats", repeats, 1..=MOST_REPEATS, "5 is the default"))?;
        let names = name.map_or_else(|| NAMES.to_vec(), |name| vec![name]);
        let device = values::text("--device", self.device.as_deref().unwrap_or(OsStr::new("cpu")))?;
        let unknown = |_| {
            let hint = "leave it out for one core of the CPU";
            Error::input("--device", "auto, cpu, cuda, cuda:N or metal", values::shown(device), hint)
        };
        let device = device.parse().map_err(unknown)?;
        Ok(OpsRequest { names, kernels, device, repeats: repeats as usize })
    }
}

/// The one of `known` that `value` is.
fn one_of(option: &str, value: &OsStr, known: &[&'static str]) -> Result<&'static str> {
    let found = || {
        let hint = "leave it out for what is usual";
        let (last, others) = known.split_last().expect("there is something to choose from");
        let wanted = if others.is_empty() { (*last).to_owned() } else { format!("{} or {last}", others.join(", ")) };
        Error::input(option, wanted, values::shown(&value.to_string_lossy()), hint)
    };
    known.iter().find(|known| value == **known).copied().ok_or_else(found)
}

fn row(measured: &Measured) -> String {
    let numbers = [
        figures(measured.amount),
        figures(measured.rate),
        figures(measured.limit),
        format!("{:.0} %", 100.0 * measured.share),
    ];
    let operation = format!("{}, {}", measured.name, measured.shape);
    line(&operation, measured.dtype, measured.kernels.unwrap_or("-"), &numbers)
}

fn line(operation: &str, dtype: &str, kernels: &str, numbers: &[String; 4]) -> String {
    let numbers: String = numbers.iter().map(|cell| format!(" {cell:>10}")).collect();
    format!("{operation:<40} {dtype:<5} {kernels:<12}{numbers}\n")
}
