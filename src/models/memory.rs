//! How much memory a clip takes, computed from sizes and not measured.

use std::fmt;

use serde::Serialize;

use super::Offload;

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
    /// What the denoiser's weights take where its blocks are offloaded, if it has such.
    pub offloaded: Option<OffloadedWeights>,
    /// How frames would be decoded in tiles as memory is now, where they would.
    pub tiles: Option<Tiles>,
}

/// Bytes of a denoiser's weights whose blocks come when their turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffloadedWeights {
    /// On the device at a time.
    pub held: u64,
    /// Of all blocks, wherever they wait.
    pub waiting: u64,
}

/// How frames are cut for their decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    /// The longest side of a tile in pixels.
    pub side: usize,
    /// Why.
    pub reason: &'static str,
}

impl fmt::Display for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tiles of {} pixels: {}", self.side, self.reason)
    }
}

impl Memory {
    /// What the largest stage holds.
    pub fn peak(&self) -> u64 {
        let stages = [self.text, self.encode, self.decode].into_iter().chain(self.denoise.iter().copied());
        stages.map(StageMemory::total).max().unwrap_or_default()
    }

    /// What the largest pass of denoising holds.
    pub fn largest_pass(&self) -> u64 {
        self.denoise.iter().map(|stage| stage.total()).max().unwrap_or_default()
    }

    /// The same run with the denoiser's blocks there, on another device than the CPU if in the CPU's memory.
    pub fn with(mut self, offload: Offload) -> Self {
        if let Some(weights) = self.offloaded.filter(|_| offload != Offload::None) {
            self.denoise.iter_mut().for_each(|stage| stage.weights = weights.held);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stage_counts() {
        let stage = |weights, activations| StageMemory { weights, activations };
        let memory = Memory { text: stage(5, 1), denoise: vec![stage(3, 2), stage(3, 9)], ..Memory::default() };
        assert_eq!((memory.peak(), memory.largest_pass()), (12, 12));
        let offloaded = Memory { offloaded: Some(OffloadedWeights { held: 1, waiting: 2 }), ..memory.clone() };
        assert_eq!(offloaded.clone().with(Offload::Disk).denoise, [stage(1, 2), stage(1, 9)]);
        for unchanged in [offloaded.clone().with(Offload::None), memory.with(Offload::Disk)] {
            assert_eq!(unchanged.denoise, offloaded.denoise);
        }
        assert_eq!(Memory::default().peak(), 0);
    }
}
