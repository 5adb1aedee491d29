//! The devices of this machine, and whether this program can use them.

use candle_core::Device;
use serde::Serialize;

use super::machine::Machine;
use super::nvidia::{self, Built, Card, Driver};
use crate::error::{Error, Problem, Result};

/// A device, or a kind of which there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// What `--device` calls it.
    pub device: String,
    /// What it is; `None` where there is none of its kind.
    pub name: Option<String>,
    /// Bytes of its memory; `None` where nothing tells.
    pub memory_bytes: Option<u64>,
    /// An NVIDIA GPU's compute capability, such as `8.9`.
    pub compute_capability: Option<String>,
    /// The version of its driver.
    pub driver: Option<String>,
    /// Whether networks can run on it.
    pub usable: bool,
    /// Why they cannot.
    pub why_not: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Found {
    fn refused(self, problem: Problem) -> Self {
        let why_not = Some(format!("wanted {}, found {}", problem.wanted, problem.found));
        Self { usable: false, why_not, hint: Some(problem.hint), ..self }
    }

    fn usable(device: &str, name: &str) -> Self {
        Self {
            device: device.to_owned(),
            name: Some(name.to_owned()),
            memory_bytes: None,
            compute_capability: None,
            driver: None,
            usable: true,
            why_not: None,
            hint: None,
        }
    }

    /// A kind of which there is none.
    fn none(device: &str, problem: Problem) -> Self {
        Self { name: None, ..Self::usable(device, "") }.refused(problem)
    }
}

/// What a driver says, or why it says nothing.
pub(super) struct Nvidia {
    pub driver: Driver,
    pub cards: Result<Vec<Card>, Problem>,
    pub built: Option<Built>,
}

/// All devices: GPUs first, the CPU last.
pub(super) fn list(nvidia: Nvidia, metal: Option<Found>) -> Vec<Found> {
    let mut devices = graphics(nvidia);
    devices.extend(metal);
    devices.push(processor(&Machine::of(&Device::Cpu)));
    devices
}

fn graphics(nvidia: Nvidia) -> Vec<Found> {
    let Nvidia { driver, cards, built } = nvidia;
    let cards = match cards {
        Ok(cards) => cards,
        Err(problem) => return vec![Found::none("cuda", problem)],
    };
    let found = |card: &Card| {
        let device = Found {
            memory_bytes: card.memory_bytes,
            compute_capability: card.architecture.map(|architecture| architecture.to_string()),
            driver: driver.version.clone(),
            ..Found::usable(&format!("cuda:{}", card.index), &card.name)
        };
        match nvidia::judge(card, &driver, built.as_ref()) {
            Ok(()) => device,
            Err(problem) => device.refused(problem),
        }
    };
    cards.iter().map(found).collect()
}

/// Apple's GPU, which either opens or does not.
pub(super) fn metal(opened: Result<()>) -> Found {
    match opened {
        Ok(()) => Found::usable("metal", "Apple GPU"),
        Err(Error::Input(problem)) => Found::none("metal", problem),
        Err(error) => {
            let wanted = "a working Metal device".to_owned();
            let hint = error.hint().to_owned();
            Found::none("metal", Problem { thing: "--device".to_owned(), wanted, found: error.to_string(), hint })
        }
    }
}

fn processor(machine: &Machine) -> Found {
    let name = machine.processor.as_deref().unwrap_or("processor");
    let cores = if machine.cores == 1 { "core" } else { "cores" };
    let name = format!("{name}, {} {cores}", machine.cores);
    Found { memory_bytes: machine.memory_bytes, ..Found::usable("cpu", &name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::nvidia::{Reach, Target};
    use crate::device::version::{Architecture, CudaVersion};

    fn card(index: usize, architecture: Architecture) -> Card {
        Card { index, name: "NVIDIA Test".to_owned(), memory_bytes: Some(8 << 30), architecture: Some(architecture) }
    }

    #[test]
    fn every_card_is_judged() {
        let target = Target { architecture: Architecture::AMPERE, reach: Reach::Later };
        let nvidia = Nvidia {
            driver: Driver { version: Some("580.65.06".to_owned()), cuda: Some(CudaVersion::of_number(13000)) },
            cards: Ok(vec![card(0, Architecture { major: 7, minor: 5 }), card(1, Architecture::ADA)]),
            built: Some(Built { cuda: CudaVersion::of_number(12080), target }),
        };
        let found = list(nvidia, None);
        let usable: Vec<(&str, bool)> = found.iter().map(|found| (found.device.as_str(), found.usable)).collect();
        assert_eq!(usable, [("cuda:0", false), ("cuda:1", true), ("cpu", true)]);
        assert_eq!(found[1].compute_capability.as_deref(), Some("8.9"));
        assert_eq!(found[1].driver.as_deref(), Some("580.65.06"));
        assert_eq!(found[0].hint.as_deref(), Some("use --device cpu"));
    }

    #[test]
    fn a_kind_of_which_there_is_none_is_listed_with_the_reason() {
        let refusal = || Problem {
            thing: "--device".to_owned(),
            wanted: "a GPU".to_owned(),
            found: "none".to_owned(),
            hint: "use --device cpu".to_owned(),
        };
        let nvidia = Nvidia { driver: Driver::default(), cards: Err(refusal()), built: None };
        let found = list(nvidia, Some(metal(Err(Error::Input(refusal())))));
        let kinds: Vec<(&str, bool)> =
            found.iter().map(|found| (found.device.as_str(), found.name.is_some())).collect();
        assert_eq!(kinds, [("cuda", false), ("metal", false), ("cpu", true)]);
        assert_eq!(found[0].why_not.as_deref(), Some("wanted a GPU, found none"));
        assert!(metal(Ok(())).usable);
    }
}
