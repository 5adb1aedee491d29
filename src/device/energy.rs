//! The energy that the machine takes, where a driver counts it: on Linux the power capping framework (Intel's and AMD's RAPL) does, and usually only
//! the administrator may read it. What no counter says is not made up.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const POWERCAP: &str = "/sys/class/powercap";

/// Energy that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// Of everything that the counters see, other programs too.
    pub joules: f64,
    /// The counters, by the names that the driver gives them, such as `package-0`.
    pub counters: Vec<String>,
}

/// Counters of energy, summed up. They begin anew after some minutes to hours, so they have to be looked at more often than that.
#[derive(Debug)]
pub struct Meter {
    counters: RefCell<Vec<Counter>>,
}

#[derive(Debug)]
struct Counter {
    name: String,
    file: PathBuf,
    /// The counter begins anew after this, in microjoules.
    range: u64,
    last: u64,
    sum: u64,
}

impl Meter {
    /// The counters of this machine's processors, from now on; `None` where none can be read.
    pub fn of_processors() -> Option<Self> {
        Self::in_folder(Path::new(POWERCAP))
    }

    /// The same where the driver's files are in another folder.
    pub fn in_folder(folder: &Path) -> Option<Self> {
        let zones = fs::read_dir(folder).ok()?.filter_map(|zone| Some(zone.ok()?.path()));
        let mut counters: Vec<Counter> = zones.filter_map(|zone| Counter::open(&zone)).collect();
        counters.sort_by(|a, b| a.name.cmp(&b.name));
        (!counters.is_empty()).then(|| Self { counters: RefCell::new(counters) })
    }

    /// Looks at the counters.
    pub fn look(&self) {
        self.counters.borrow_mut().iter_mut().for_each(Counter::look);
    }

    /// What was taken so far.
    pub fn energy(&self) -> Energy {
        self.look();
        let counters = self.counters.borrow();
        let microjoules: u64 = counters.iter().map(|counter| counter.sum).sum();
        Energy {
            joules: microjoules as f64 / 1e6,
            counters: counters.iter().map(|counter| counter.name.clone()).collect(),
        }
    }
}

impl Counter {
    /// The counter of a whole processor, whose name begins with `package`: those of its parts are in it.
    fn open(zone: &Path) -> Option<Self> {
        let name = fs::read_to_string(zone.join("name")).ok()?.trim().to_owned();
        let number = |file: &str| read(&zone.join(file));
        let (range, last) = (number("max_energy_range_uj")?, number("energy_uj")?);
        name.starts_with("package").then(|| Self { name, file: zone.join("energy_uj"), range, last, sum: 0 })
    }

    fn look(&mut self) {
        let Some(now) = read(&self.file) else { return };
        self.sum += if now < self.last { self.range.saturating_sub(self.last) + now } else { now - self.last };
        self.last = now;
    }
}

fn read(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_processors_are_summed_up_beyond_their_range() {
        let folder = std::env::temp_dir().join(format!("stir-energy-{}", std::process::id()));
        let write = |zone: &str, file: &str, text: &str| {
            fs::create_dir_all(folder.join(zone)).unwrap();
            fs::write(folder.join(zone).join(file), text).unwrap();
        };
        for (zone, name) in [("a:0", "package-0"), ("a:0:0", "core"), ("a:1", "package-1")] {
            write(zone, "name", &format!("{name}\n"));
            write(zone, "max_energy_range_uj", "10000000\n");
            write(zone, "energy_uj", "9000000\n");
        }
        let meter = Meter::in_folder(&folder).unwrap();
        write("a:0", "energy_uj", "9500000\n");
        write("a:0:0", "energy_uj", "9999999\n");
        meter.look();
        write("a:0", "energy_uj", "250000\n");
        write("a:1", "energy_uj", "9000001\n");
        let energy = meter.energy();
        assert_eq!(energy.counters, ["package-0", "package-1"]);
        assert!((energy.joules - 1.250001).abs() < 1e-9, "{energy:?}");
        fs::remove_dir_all(&folder).unwrap();
        assert!(Meter::in_folder(&folder).is_none());
    }
}
