//! Device choice: the only place that asks what hardware there is.

pub mod carrier;
pub mod energy;
pub mod gpu;
pub mod machine;

use candle_core::{Device, DeviceLocation};

use crate::error::{Error, Result};

/// What `--device` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA where compiled in and present, then Metal, then the CPU.
    Auto,
    /// This CUDA device.
    Cuda(usize),
    /// The Metal device.
    Metal,
    /// The CPU.
    Cpu,
}

impl std::str::FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            let found = format!("\"{text}\"");
            let hint = "leave it out, or take auto, for a GPU where there is one that works, and the CPU otherwise";
            Error::input("--device", "auto, cpu, cuda, cuda:N or metal", found, hint)
        };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "metal" => Ok(Self::Metal),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Metal => f.write_str("metal"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// The device is not compiled in, or not there. Only `auto` falls back to the CPU.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => cuda(index),
            Self::Metal => metal(),
            Self::Auto => Ok(cuda(0).or_else(|_| metal()).unwrap_or(Device::Cpu)),
        }
    }
}

/// Bytes of memory that networks could still take on the device, where it tells: the CPU on Linux does.
pub fn available_memory(device: &Device) -> Option<u64> {
    if !device.is_cpu() {
        return None;
    }
    kibibytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The most memory that this process has held so far, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    kibibytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The bytes that Linux states in kB behind a field's name.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Which of several devices of its kind it is.
fn ordinal(device: &Device) -> usize {
    match device.location() {
        DeviceLocation::Cpu => 0,
        DeviceLocation::Cuda { gpu_id } | DeviceLocation::Metal { gpu_id } => gpu_id,
    }
}

/// What `--device` calls it.
pub fn name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { .. } => "metal".to_owned(),
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    Device::new_cuda(index).map_err(|error| {
        Error::input(
            "--device",
            format!("a working CUDA device {index}"),
            error.to_string(),
            "check `nvidia-smi`, or use --device cpu",
        )
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device> {
    Err(not_compiled_in("CUDA", "cuda"))
}

#[cfg(feature = "metal")]
fn metal() -> Result<Device> {
    Device::new_metal(0)
        .map_err(|error| Error::input("--device", "a working Metal device", error.to_string(), "use --device cpu"))
}

#[cfg(not(feature = "metal"))]
fn metal() -> Result<Device> {
    Err(not_compiled_in("Metal", "metal"))
}

#[cfg(not(all(feature = "cuda", feature = "metal")))]
fn not_compiled_in(name: &str, feature: &str) -> Error {
    Error::input(
        "--device",
        "a device that this program was built for",
        format!("{name}, which is not compiled in"),
        format!("build it with `cargo build --release --features {feature}`, or use --device cpu"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        assert_eq!("cuda:1".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(1));
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        assert!("gpu".parse::<DeviceChoice>().is_err());
        assert!("cuda:x".parse::<DeviceChoice>().is_err());
    }
}
