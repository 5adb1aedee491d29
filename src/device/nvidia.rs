//! NVIDIA GPUs: what a driver reports of them, and whether this program can use them. Nothing here asks a driver.

use super::version::{Architecture, CudaVersion};
use crate::error::Problem;

/// A GPU, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its number among the driver's devices.
    pub index: usize,
    /// Such as `NVIDIA GeForce RTX 4090`.
    pub name: String,
    /// Bytes of its memory; `None` where the driver does not tell.
    pub memory_bytes: Option<u64>,
    /// Its compute capability, likewise.
    pub architecture: Option<Architecture>,
}

/// A driver of NVIDIA's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Driver {
    /// Its own version, such as `570.86.15`; `None` where the system does not tell.
    pub version: Option<String>,
    /// The newest CUDA that it knows, likewise.
    pub cuda: Option<CudaVersion>,
}

/// What this program was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// The compiler's version.
    pub cuda: CudaVersion,
    /// What the kernels of the tensor library were built for. This program's own are built for every architecture from 8.0.
    pub target: Target,
}

/// The architecture that PTX code was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The oldest that it runs on.
    pub architecture: Architecture,
    /// Which others it runs on.
    pub reach: Reach,
}

/// Which architectures PTX code runs on beside the one that it was written for.
///
/// # Source
/// NVIDIA, "Parallel Thread Execution ISA" 9.0, "PTX module directives: .target".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All later ones: `sm_80`.
    Later,
    /// Later ones of the same major number: `sm_121f`.
    Family,
    /// None: `sm_90a`.
    Alone,
}

impl Target {
    /// What PTX code says about itself; `None` where it says nothing.
    pub fn of_ptx(ptx: &str) -> Option<Self> {
        let name = ptx.lines().find_map(|line| line.trim().strip_prefix(".target"))?;
        let name = name.split(',').next()?.trim().strip_prefix("sm_")?;
        let (digits, reach) = match name.strip_suffix(['a', 'f']) {
            Some(digits) if name.ends_with('a') => (digits, Reach::Alone),
            Some(digits) => (digits, Reach::Family),
            None => (name, Reach::Later),
        };
        let number: u32 = digits.parse().ok()?;
        Some(Self { architecture: Architecture { major: number / 10, minor: number % 10 }, reach })
    }

    fn runs_on(self, architecture: Architecture) -> bool {
        match self.reach {
            Reach::Later => architecture >= self.architecture,
            Reach::Family => architecture >= self.architecture && architecture.major == self.architecture.major,
            Reach::Alone => architecture == self.architecture,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reach {
            Reach::Later => write!(f, "{} and later", self.architecture),
            Reach::Family => write!(f, "{} and later {}.x", self.architecture, self.architecture.major),
            Reach::Alone => write!(f, "{} alone", self.architecture),
        }
    }
}

/// Whether a program that was built so, or without CUDA, can use the GPU.
///
/// # Errors
/// Why it cannot, and what to do about it.
pub fn judge(card: &Card, driver: &Driver, built: Option<&Built>) -> Result<(), Problem> {
    let thing = format!("--device cuda:{}", card.index);
    let refusal =
        |wanted: String, found: String, hint: String| Err(Problem { thing: thing.clone(), wanted, found, hint });
    let Some(built) = built else {
        return Err(super::not_built("CUDA", "cuda"));
    };
    if let Some(known) = driver.cuda
        && known < built.cuda
    {
        let version = driver.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        return refusal(
            format!("a driver that knows CUDA {}, which this program was built with", built.cuda),
            format!("driver{version}, which knows CUDA {known}"),
            if known < CudaVersion::OLDEST {
                "install a newer driver, or use --device cpu".to_owned()
            } else {
                format!("install a newer driver, or build stir with CUDA {known}")
            },
        );
    }
    let Some(architecture) = card.architecture else { return Ok(()) };
    if architecture < Architecture::AMPERE {
        return refusal(
            format!("compute capability {} or newer (GeForce 30, A100)", Architecture::AMPERE),
            format!("{}, {architecture}", card.name),
            "use --device cpu".to_owned(),
        );
    }
    if !built.target.runs_on(architecture) {
        let Architecture { major, minor } = architecture;
        return refusal(
            format!("compute capability {}, for which this program was built", built.target),
            format!("{}, {architecture}", card.name),
            format!("build stir on this machine, or with CUDA_COMPUTE_CAP={major}{minor} in the environment"),
        );
    }
    Ok(())
}

/// The version of the driver that is loaded, where the system tells: Linux does.
pub(super) fn driver_version() -> Option<String> {
    version_of(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// The version in the first line of `/proc/driver/nvidia/version`, between names of the module and a date.
fn version_of(text: &str) -> Option<String> {
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}

/// The GPUs that `nvidia-smi` lists, for programs without CUDA; none where it does not run. Its numbers are not always CUDA's.
#[cfg(not(feature = "cuda"))]
pub(super) fn listed_cards() -> Vec<Card> {
    let mut command = std::process::Command::new("nvidia-smi");
    command.args(["--query-gpu=index,memory.total,compute_cap,name", "--format=csv,noheader,nounits"]);
    let output = command.output().ok().filter(|output| output.status.success());
    output.map(|output| cards_of(&String::from_utf8_lossy(&output.stdout))).unwrap_or_default()
}

/// Cards from lines such as `0, 24564, 8.9, NVIDIA GeForce RTX 4090`. What the driver does not tell is written `[N/A]`.
#[cfg(any(test, not(feature = "cuda")))]
fn cards_of(lines: &str) -> Vec<Card> {
    let card = |line: &str| {
        let mut fields = line.splitn(4, ", ");
        let index = fields.next()?.trim().parse().ok()?;
        let memory_bytes = fields.next()?.parse().ok().map(|mebibytes: u64| mebibytes << 20);
        let capability = fields.next()?.split_once('.');
        let architecture = capability
            .and_then(|(major, minor)| Some(Architecture { major: major.parse().ok()?, minor: minor.parse().ok()? }));
        Some(Card { index, name: fields.next()?.trim().to_owned(), memory_bytes, architecture })
    };
    lines.lines().filter_map(card).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: Built = Built {
        cuda: CudaVersion::of_number(12080),
        target: Target { architecture: Architecture::AMPERE, reach: Reach::Later },
    };

    fn card(architecture: Architecture) -> Card {
        Card { index: 1, name: "NVIDIA Test".to_owned(), memory_bytes: Some(8 << 30), architecture: Some(architecture) }
    }

    fn driver(cuda: u32) -> Driver {
        Driver { version: Some("570.86.15".to_owned()), cuda: Some(CudaVersion::of_number(cuda)) }
    }

    fn refused(architecture: Architecture, cuda: u32, target: Target) -> Option<String> {
        let judged = judge(&card(architecture), &driver(cuda), Some(&Built { target, ..BUILT }));
        judged.err().map(|problem| format!("{problem}; {}", problem.hint))
    }

    fn target(major: u32, minor: u32, reach: Reach) -> Target {
        Target { architecture: Architecture { major, minor }, reach }
    }

    #[test]
    fn a_driver_has_to_know_the_cuda_of_the_build() {
        assert_eq!(refused(Architecture::ADA, 12080, BUILT.target), None);
        assert_eq!(refused(Architecture::ADA, 13000, BUILT.target), None);
        let old = refused(Architecture::ADA, 12040, BUILT.target).unwrap();
        let wanted = "--device cuda:1: wanted a driver that knows CUDA 12.8, which this program was built with";
        let found = "found driver 570.86.15, which knows CUDA 12.4; install a newer driver, or use --device cpu";
        assert_eq!(old, format!("{wanted}, {found}"));
        let built = Built { cuda: CudaVersion::of_number(13000), ..BUILT };
        let hint = judge(&card(Architecture::ADA), &driver(12090), Some(&built)).unwrap_err().hint;
        assert_eq!(hint, "install a newer driver, or build stir with CUDA 12.9");
        let unknown = Driver { version: None, cuda: None };
        assert_eq!(judge(&card(Architecture::ADA), &unknown, Some(&BUILT)), Ok(()));
    }

    #[test]
    fn a_card_has_to_be_of_an_architecture_that_the_build_runs_on() {
        let turing = Architecture { major: 7, minor: 5 };
        let wanted =
            "--device cuda:1: wanted compute capability 8.0 or newer (GeForce 30, A100), found NVIDIA Test, 7.5";
        assert_eq!(refused(turing, 12080, BUILT.target).unwrap(), format!("{wanted}; use --device cpu"));
        let hopper = target(9, 0, Reach::Alone);
        assert_eq!(refused(Architecture::HOPPER, 12080, hopper), None);
        let refusal = refused(Architecture::BLACKWELL_CONSUMER, 12080, hopper).unwrap();
        let wanted = "--device cuda:1: wanted compute capability 9.0 alone, for which this program was built, found NVIDIA Test, 12.0";
        let hint = "build stir on this machine, or with CUDA_COMPUTE_CAP=120 in the environment";
        assert_eq!(refusal, format!("{wanted}; {hint}"));
        let refusal = refused(Architecture::AMPERE_CONSUMER, 12080, target(8, 9, Reach::Later)).unwrap();
        assert!(
            refusal.contains("8.9 and later, for which") && refusal.ends_with("CUDA_COMPUTE_CAP=86 in the environment")
        );
        let spark = target(12, 1, Reach::Family);
        let reached =
            [(12, 0), (12, 1), (12, 2), (13, 1)].map(|(major, minor)| spark.runs_on(Architecture { major, minor }));
        assert_eq!(reached, [false, true, true, false]);
    }

    #[test]
    fn a_program_without_cuda_says_so() {
        let problem = judge(&card(Architecture::ADA), &driver(13000), None).unwrap_err();
        assert_eq!(problem.to_string(), "--device: wanted a program that was built with CUDA, found one without");
    }

    #[test]
    fn what_the_system_says_of_a_driver_is_understood() {
        let old = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12.2.0\n";
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)\n";
        assert_eq!([old, open].map(version_of), ["550.54.14", "570.86.15"].map(|version| Some(version.to_owned())));
        assert_eq!(["", "NVRM version: unknown\n"].map(version_of), [None, None]);
    }

    #[test]
    fn cards_are_read_from_the_list_of_the_drivers_program() {
        let cards = cards_of(
            "0, 24564, 8.9, NVIDIA GeForce RTX 4090\n1, [N/A], [N/A], NVIDIA Old, rev. 2\nNo devices were found\n",
        );
        let first = Card {
            index: 0,
            name: "NVIDIA GeForce RTX 4090".to_owned(),
            memory_bytes: Some(24564 << 20),
            architecture: Some(Architecture::ADA),
        };
        let second = Card { index: 1, name: "NVIDIA Old, rev. 2".to_owned(), memory_bytes: None, architecture: None };
        assert_eq!(cards, [first, second]);
    }

    #[test]
    fn ptx_code_says_what_it_was_written_for() {
        let ptx = |target: &str| Target::of_ptx(&format!("//\n.version 9.0\n.target {target}\n.address_size 64\n"));
        assert_eq!(ptx("sm_90a"), Some(target(9, 0, Reach::Alone)));
        assert_eq!(ptx("sm_121f"), Some(target(12, 1, Reach::Family)));
        assert_eq!(ptx("sm_86, debug"), Some(target(8, 6, Reach::Later)));
        assert_eq!([Target::of_ptx(""), ptx("x86")], [None, None]);
    }
}
