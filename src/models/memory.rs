//! How much memory a clip takes, computed from sizes and not measured.

use serde::Serialize;

/// What a stage holds at its largest moment, in bytes, where its networks run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StageMemory {
    /// Weights as they are kept.
    pub weights: u64,
    /// Everything else that grows with the clip.
    pub activations: u64,
}

impl StageMemory {
    /// Both together.
    pub fn total(self) -> u64 {
        self.weights + self.activations
    }
}

/// What the stages of a run hold. Networks are built, used and freed one after the other, so the run takes what its largest stage takes. Not counted
/// are the program itself, some tens of megabytes, and pages of mapped weight files, which the system takes back when it needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Encoding all texts.
    pub text: StageMemory,
    /// Encoding the picture.
    pub encode: StageMemory,
    /// Denoising, a pass each.
    pub denoise: Vec<StageMemory>,
    /// Decoding and writing frames.
    pub decode: StageMemory,
    /// Why frames would be decoded in tiles as memory is now, where they would.
    pub tiles: Option<&'static str>,
}

impl Memory {
    /// What the largest stage holds.
    pub fn peak(&self) -> u64 {
        let stages = [self.text, self.encode, self.decode].into_iter().chain(self.denoise.iter().copied());
        stages.map(StageMemory::total).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stage_counts() {
        let stage = |weights, activations| StageMemory { weights, activations };
        let memory = Memory { text: stage(5, 1), denoise: vec![stage(3, 2), stage(3, 9)], ..Memory::default() };
        assert_eq!(memory.peak(), 12);
        assert_eq!(Memory::default().peak(), 0);
    }
}
