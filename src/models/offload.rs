//! Where the weights of a network wait that is too large for its device.

/// Where the blocks of a large network are while they are not computed with. Results do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// On the device.
    None,
    /// In the CPU's memory: each goes to the device when its turn comes, while the one before it computes. For networks on the CPU that is no other
    /// place than with [`Offload::None`].
    Cpu,
    /// In their file, from where each is read when its turn comes.
    Disk,
}

impl Offload {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Cpu, Self::Disk].into_iter().find(|offload| offload.name() == name)
    }

    /// Blocks that are on the device at a time, where they are not all: on the CPU the one that computes, elsewhere also the one that follows.
    pub fn blocks_at_a_time(on_cpu: bool) -> u64 {
        if on_cpu { 1 } else { 2 }
    }
}
