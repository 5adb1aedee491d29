//! The machine that this program runs on, as far as the system describes it.

use std::fs;

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
    /// The operating system.
    pub system: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            processor: processor(&read("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory(&read("/proc/meminfo")),
            system: system(&read("/etc/os-release"), &read("/proc/sys/kernel/osrelease")),
        }
    }
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
        let architecture = std::env::consts::ARCH;
        let known = system("ID=x\nPRETTY_NAME=\"Some Linux 1\"\n", "6.1.0\n");
        assert_eq!(known, format!("Some Linux 1, kernel 6.1.0, {architecture}"));
        assert_eq!(system("", ""), format!("{}, {architecture}", std::env::consts::OS));
    }

    #[test]
    fn this_machine_has_a_core_and_a_system() {
        let machine = Machine::this();
        assert!(machine.cores >= 1 && !machine.system.is_empty(), "{machine:?}");
    }
}
