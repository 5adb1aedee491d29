//! How much memory a streamed decode takes, from sizes alone.

use super::config::{Config, UpStage};
use super::convolution::{SPAN, Sight};
use super::decoder::LatentSize;
use crate::ops::conv3d::gains_from_clips;
use crate::weights::store::Placement;

/// Bytes of a number in a map of noise: float32.
const NOISE_BYTES: usize = 4;

/// Peak memory of a decode in bytes, apart from the network's weights, the latents and what the allocator keeps of freed memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeMemory {
    /// Frames and noise that are kept from one frame to the next, once the clip is long enough to fill every layer.
    pub kept: usize,
    /// What the most demanding layer needs beside that while it runs.
    pub working: usize,
}

impl DecodeMemory {
    /// Of a decode of latent frames of this size where and in which type the network runs.
    pub fn on(placement: &Placement, config: &Config, size: LatentSize) -> Self {
        let Placement { dtype, device } = placement;
        Self::counted(config, (size, dtype.size_in_bytes()), gains_from_clips(device, *dtype))
    }

    /// Of a decode of latent frames of this size, a frame at a time; `bytes` is the size of one value.
    pub fn of(config: &Config, size: LatentSize, bytes: usize) -> Self {
        Self::counted(config, (size, bytes), false)
    }

    /// Of a decode that computes all frames of a latent frame [together](super::decoder::PreparedDecoder::together).
    pub fn together(config: &Config, size: LatentSize, bytes: usize) -> Self {
        Self::counted(config, (size, bytes), true)
    }

    fn counted(config: &Config, (size, bytes): (LatentSize, usize), together: bool) -> Self {
        let sight = Sight::from_causal(config.decoder_causal);
        let mut count = Count { sight, together, frames: 1, kept: 0, noise: 0, working: 0 };
        let mut size = size;
        count.convolution(size, config.latent_channels, config.decoder_middle.from);
        for &UpStage { from, to, layers, upsampling, inject_noise } in
            std::iter::once(&config.decoder_middle).chain(&config.up)
        {
            let before = upsampling.map_or(to, |upsampling| upsampling.factor * to);
            if from != before {
                count.residual(size, from, before);
            }
            if upsampling.is_some() {
                count.upsampler(size, before, to);
                size = size.times(2);
            }
            for _ in 0..layers {
                count.residual(size, to, to);
                count.noise += if inject_noise { 2 * size.area() } else { 0 };
            }
        }
        count.convolution(size, config.decoder_width(), config.folded_channels());
        count.kept += (count.frames - 1) * config.folded_channels() * size.area();
        Self { kept: count.kept * bytes + count.noise * NOISE_BYTES, working: count.working * bytes }
    }

    /// Both together.
    pub fn peak(self) -> usize {
        self.kept + self.working
    }
}

/// Values, not bytes.
struct Count {
    sight: Sight,
    together: bool,
    /// How many are computed at once.
    frames: usize,
    kept: usize,
    noise: usize,
    working: usize,
}

impl Count {
    /// A delay line keeps two frames; while its convolution runs there are the third and the result, and then the result normalised.
    fn convolution(&mut self, size: LatentSize, from: usize, to: usize) {
        self.kept += (SPAN - 1) * from * size.area();
        self.working = self.working.max(self.frames * (from + 2 * to) * size.area());
    }

    /// Two convolutions, and the frames that wait for them.
    fn residual(&mut self, size: LatentSize, from: usize, to: usize) {
        self.convolution(size, from, to);
        self.convolution(size, to, to);
        let delay = match self.sight {
            Sight::Causal => 0,
            Sight::Symmetric => 2,
        };
        self.kept += delay * from * size.area();
    }

    /// A convolution, and the second of the two frames that it gives. While they unfold there are its third frame, its result and they.
    fn upsampler(&mut self, size: LatentSize, from: usize, to: usize) {
        let doubled = size.times(2);
        self.convolution(size, from, 8 * to);
        self.working = self.working.max(self.frames * (from + 2 * 8 * to) * size.area());
        if self.together {
            self.frames *= 2;
        } else {
            self.kept += to * doubled.area();
        }
    }
}
