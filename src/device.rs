//! Device choice: the only place that asks what hardware there is.

pub mod carrier;
#[cfg(feature = "cuda")]
mod driver;
pub mod energy;
pub mod found;
pub mod gpu;
mod limits;
pub mod machine;
pub mod nvidia;
pub mod version;

use candle_core::{Device, DeviceLocation};

use crate::error::{Error, Problem, Result};
use found::Found;

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
    /// Opens the device. `auto` takes the first CUDA device that can be used, and warns where there are some but none can.
    ///
    /// # Errors
    /// The device is not compiled in, not there, or one that this program cannot use. Only `auto` falls back to the CPU.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => cuda(index),
            Self::Metal => metal(),
            Self::Auto => Ok(first_cuda().or_else(|| metal().ok()).unwrap_or(Device::Cpu)),
        }
    }
}

/// All devices of this machine, the CPU last, and whether this program can use them.
pub fn found() -> Vec<Found> {
    found::list(nvidia(), metal_found())
}

/// Bytes of memory that networks could still take on the device, where it tells: CUDA devices do, and the CPU on Linux, where limits on the process count too.
pub fn available_memory(device: &Device) -> Option<u64> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        return driver::free_memory(device);
    }
    if !device.is_cpu() {
        return None;
    }
    let free = kibibytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    Some(limits::left().map_or(free, |left| left.min(free)))
}

/// The most memory that this process has held so far, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    kibibytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory that this process holds now, in bytes, where the system tells.
pub fn resident_memory() -> Option<u64> {
    kibibytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The bytes that Linux states in kB behind a field's name.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What `nvidia-smi --id` calls a CUDA device: its place on the bus, since the program counts cards in another order than CUDA does, and hidden ones too.
fn card_id(device: &Device) -> Option<String> {
    #[cfg(feature = "cuda")]
    return driver::bus_address(device);
    #[cfg(not(feature = "cuda"))]
    {
        debug_assert!(!device.is_cuda(), "there are none in this build");
        None
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
    let found::Nvidia { driver, cards, built } = nvidia();
    let cards = cards.map_err(Error::Input)?;
    let Some(card) = cards.get(index) else {
        let wanted = format!("one of the {} CUDA devices, counted from 0", cards.len());
        return Err(Error::input("--device", wanted, format!("cuda:{index}"), "`stir devices` lists them"));
    };
    nvidia::judge(card, &driver, built.as_ref()).map_err(Error::Input)?;
    driver::open(index).map_err(|error| {
        let wanted = format!("{} to start", card.name);
        Error::input("--device", wanted, error.to_string(), "check `nvidia-smi`, or use --device cpu")
    })
}

/// The first that works.
#[cfg(feature = "cuda")]
fn first_cuda() -> Option<Device> {
    // Where there is no GPU there is nothing to say.
    let cards = nvidia().cards.ok()?;
    for index in 0..cards.len() {
        match cuda(index) {
            Ok(device) => return Some(device),
            Err(error) => tracing::warn!("cuda:{index} is not used: {error} ({})", error.hint()),
        }
    }
    None
}

#[cfg(not(feature = "cuda"))]
fn first_cuda() -> Option<Device> {
    None
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device> {
    Err(Error::Input(not_built("CUDA", "cuda")))
}

/// What there is of NVIDIA's GPUs.
#[cfg(feature = "cuda")]
fn nvidia() -> found::Nvidia {
    driver::look()
}

#[cfg(not(feature = "cuda"))]
fn nvidia() -> found::Nvidia {
    let driver = nvidia::Driver { version: nvidia::driver_version(), cuda: None };
    let cards = nvidia::listed_cards();
    let cards = if cards.is_empty() { Err(not_built("CUDA", "cuda")) } else { Ok(cards) };
    found::Nvidia { driver, cards, built: None }
}

#[cfg(feature = "metal")]
fn metal() -> Result<Device> {
    Device::new_metal(0)
        .map_err(|error| Error::input("--device", "a working Metal device", error.to_string(), "use --device cpu"))
}

/// What there is of Apple's GPUs, where there can be one.
fn metal_found() -> Option<Found> {
    cfg!(target_os = "macos").then(|| found::metal(metal().map(|_| ())))
}

#[cfg(not(feature = "metal"))]
fn metal() -> Result<Device> {
    Err(Error::Input(not_built("Metal", "metal")))
}

/// The refusal of a kind of device that is not compiled in.
#[cfg_attr(all(feature = "cuda", feature = "metal"), allow(dead_code))]
fn not_built(name: &str, feature: &str) -> Problem {
    Problem {
        thing: "--device".to_owned(),
        wanted: format!("a program that was built with {name}"),
        found: "one without".to_owned(),
        hint: format!("build it with `cargo build --release --features {feature}`, or use --device cpu"),
    }
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
