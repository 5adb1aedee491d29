//! What an NVIDIA GPU holds and takes while something runs on it, as the driver's own program `nvidia-smi` tells. It sees all programs on the GPU.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use candle_core::Device;

/// Milliseconds from one look to the next.
const INTERVAL: &str = "100";

/// Looks at a GPU ten times a second, from its making until [`finish`](Self::finish).
#[derive(Debug)]
pub struct GpuMeter {
    program: Child,
    reader: Option<JoinHandle<GpuUse>>,
}

/// What was seen of a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GpuUse {
    /// The most memory that was held, in bytes; `None` where the driver does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Energy in joules, power times time; `None` where the driver does not tell.
    pub joules: Option<f64>,
}

impl GpuMeter {
    /// For the CUDA device `device`; `None` for any other, and where `nvidia-smi` does not run.
    pub fn start(device: &Device) -> Option<Self> {
        let id = format!("--id={}", super::card_id(device)?);
        let query = ["--query-gpu=memory.used,power.draw", "--format=csv,noheader,nounits", "--loop-ms", INTERVAL];
        let mut program = Command::new("nvidia-smi")
            .args(query)
            .arg(id)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let lines = BufReader::new(program.stdout.take()?);
        let began = Instant::now();
        let reader = std::thread::spawn(move || watch(lines, || began.elapsed().as_secs_f64()));
        Some(Self { program, reader: Some(reader) })
    }

    /// Ends it and says what was seen.
    pub fn finish(mut self) -> GpuUse {
        self.stop();
        self.reader.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }

    fn stop(&mut self) {
        // It may have ended by itself.
        self.program.kill().ok();
        self.program.wait().ok();
    }
}

impl Drop for GpuMeter {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads lines of mebibytes and watts to their end; `now` is the time in seconds.
fn watch(lines: impl BufRead, now: impl Fn() -> f64) -> GpuUse {
    let (mut seen, mut last) = (GpuUse::default(), now());
    for line in lines.lines().map_while(Result::ok) {
        let mut fields = line.split(',').map(|field| field.trim().parse::<f64>().ok());
        let (mebibytes, watts) = (fields.next().flatten(), fields.next().flatten());
        if let Some(mebibytes) = mebibytes {
            let bytes = (mebibytes * f64::from(1 << 20)) as u64;
            seen.peak_memory_bytes = seen.peak_memory_bytes.max(Some(bytes));
        }
        let time = now();
        if let Some(watts) = watts {
            *seen.joules.get_or_insert(0.0) += watts * (time - last);
        }
        last = time;
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A clock that goes on by a second whenever it is looked at.
    fn seen(lines: &str) -> GpuUse {
        let time = Cell::new(0.0);
        watch(lines.as_bytes(), || time.replace(time.get() + 1.0))
    }

    #[test]
    fn the_most_memory_and_all_energy_are_kept() {
        let expected = GpuUse { peak_memory_bytes: Some(3 << 30), joules: Some(600.5) };
        assert_eq!(seen("1024, 100.5\n3072, 400\n2048, 100\n"), expected);
    }

    #[test]
    fn what_the_driver_does_not_tell_is_not_made_up() {
        assert_eq!(seen(""), GpuUse::default());
        assert_eq!(seen("1, [N/A]\n"), GpuUse { peak_memory_bytes: Some(1 << 20), joules: None });
        assert_eq!(seen("No devices were found\n"), GpuUse::default());
        assert!(GpuMeter::start(&Device::Cpu).is_none());
    }
}
