//! The machine that this program runs on, as far as the system describes it.

use std::fs;
use std::process::Command;

use candle_core::Device;

use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name; `None` where the system does not tell.
    pub processor: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Bytes of main memory; `None` where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// The operating system and its kernel.
    pub system: String,
    /// The rule by which Linux chooses the processor's frequency, such as `performance`; `None` where it does not tell.
    pub governor: Option<String>,
    /// The processor's highest frequency in MHz; `None` where the system does not tell.
    pub megahertz: Option<u64>,
    /// The name of the GPU that networks run on; `None` on the CPU, and where its driver does not tell.
    pub gpu: Option<String>,
    /// The version of the GPU's driver, likewise.
    pub driver: Option<String>,
}

impl Machine {
    /// This one, with the GPU if `device` is one.
    pub fn of(device: &Device) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let [gpu, driver] = super::card_id(device).map_or([None, None], |id| nvidia(&id));
        Self {
            governor: first_line(&read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            megahertz: megahertz(&read("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")),
            gpu,
            driver,
            processor: processor(&read("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory(&read("/proc/meminfo")),
            system: system(&read("/etc/os-release"), &read("/proc/sys/kernel/osrelease")),
        }
    }
}

impl Machine {
    /// Whether what was measured on the one is to be expected of the other.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.processor, self.cores, &self.gpu) == (&other.processor, other.cores, &other.gpu)
    }
}

/// Name and driver of a CUDA device, as the driver's own program tells.
fn nvidia(id: &str) -> [Option<String>; 2] {
    let mut command = Command::new("nvidia-smi");
    command.args(["--query-gpu=name,driver_version", "--format=csv,noheader", &format!("--id={id}")]);
    let answer = command.output().ok().filter(|output| output.status.success());
    let line = answer.and_then(|output| first_line(&String::from_utf8_lossy(&output.stdout)));
    match line.as_deref().and_then(|line| line.rsplit_once(", ")) {
        Some((name, driver)) => [Some(name.to_owned()), Some(driver.to_owned())],
        None => [None, None],
    }
}

fn first_line(text: &str) -> Option<String> {
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

fn megahertz(kilohertz: &str) -> Option<u64> {
    kilohertz.trim().parse::<u64>().ok().map(|kilohertz| kilohertz / 1000)
}

fn processor(cpuinfo: &str) -> Option<String> {
    let (_, name) = cpuinfo.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(name.trim().to_owned())
}

fn memory(meminfo: &str) -> Option<u64> {
    super::kibibytes(meminfo, "MemTotal:")
}

fn system(release: &str, kernel: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map(|name| name.trim_matches('"')).unwrap_or(std::env::consts::OS);
    let architecture = std::env::consts::ARCH;
    match kernel.trim() {
        "" => format!("{name}, {architecture}"),
        kernel => format!("{name}, kernel {kernel}, {architecture}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_understood() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Some CPU 9\n").as_deref(), Some("Some CPU 9"));
        assert_eq!(processor("processor\t: 0\n"), None);
        assert_eq!(memory("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2048 * 1024));
        assert_eq!(memory("MemTotal: much\n"), None);
        assert_eq!(["3700000\n", ""].map(megahertz), [Some(3700), None]);
        assert_eq!(["performance\n", ""].map(first_line), [Some("performance".to_owned()), None]);
        let architecture = std::env::consts::ARCH;
        let known = system("ID=x\nPRETTY_NAME=\"Some Linux 1\"\n", "6.1.0\n");
        assert_eq!(known, format!("Some Linux 1, kernel 6.1.0, {architecture}"));
        assert_eq!(system("", ""), format!("{}, {architecture}", std::env::consts::OS));
    }

    #[test]
    fn this_machine_has_a_core_and_a_system() {
        let machine = Machine::of(&Device::Cpu);
        assert!(machine.cores >= 1 && !machine.system.is_empty(), "{machine:?}");
        assert_eq!((&machine.gpu, &machine.driver), (&None, &None));
        assert!(
            machine.is_like(&machine) && !machine.is_like(&Machine { cores: machine.cores + 1, ..machine.clone() })
        );
    }
}
