//! Noise levels as vectors: one for each distinct level, although every latent frame may have its own.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::nn::projection::Projection;
use crate::nn::timestep::TimestepEmbedder;
use crate::weights::store::Scope;

/// Shift, scale and gate of attention and of the MLP.
pub(super) const MODULATIONS: usize = 6;

/// The distinct noise levels of a clip, and which of them each latent frame has.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameLevels {
    /// Distinct levels in 0 to 1, in order of first appearance: two where frame 0 is held clean.
    pub levels: Vec<f64>,
    /// For every latent frame, the index of its level.
    pub frames: Vec<u32>,
}

impl FrameLevels {
    /// The levels of a step from `sigma`, where every latent frame is held with a strength in 0 to 1: a frame held with strength 1 is clean,
    /// and no frame is noisier than what is held of it.
    pub fn held(strengths: &[f64], sigma: f64) -> Self {
        Self::new(&strengths.iter().map(|strength| sigma.min(1.0 - strength)).collect::<Vec<_>>())
    }

    /// `frames`: the noise level of every latent frame, in 0 to 1.
    pub fn new(frames: &[f64]) -> Self {
        let mut levels: Vec<f64> = Vec::new();
        let mut level_of = |sigma: f64| {
            levels.iter().position(|level| *level == sigma).unwrap_or_else(|| {
                levels.push(sigma);
                levels.len() - 1
            })
        };
        let frames = frames.iter().map(|sigma| level_of(*sigma) as u32).collect();
        Self { levels, frames }
    }
}

/// What the levels make of the network: `R` distinct levels, `F` latent frames.
pub(super) struct LevelVectors {
    /// `[F, 6, D]`, float32: the modulation that all blocks share.
    pub modulation: Tensor,
    /// `[F, 1, D]`, float32: shifts and scales the output.
    pub embedding: Tensor,
}

/// The network that turns noise levels into [`LevelVectors`]; tensors below `time_embed`.
pub(super) struct TimeEmbedding {
    embedder: TimestepEmbedder,
    modulation: Projection,
    scale: f64,
    width: usize,
}

impl TimeEmbedding {
    /// `scale`: what levels in 0 to 1 are multiplied by.
    pub fn load(weights: &Scope, width: usize, scale: f64) -> Result<Self> {
        Ok(Self {
            embedder: TimestepEmbedder::load(&weights.at("emb"), width)?,
            modulation: Projection::load_with_bias(&weights.at("linear"), width, MODULATIONS * width)?,
            scale,
            width,
        })
    }

    /// One row of the network for every distinct level, handed to the frames that have it.
    ///
    /// # Source
    /// Chen et al., "PixArt-alpha" (ICLR 2024), section 2.3.
    pub fn forward(&self, levels: &FrameLevels) -> Result<LevelVectors> {
        let timesteps: Vec<f32> = levels.levels.iter().map(|sigma| *sigma as f32 * self.scale as f32).collect();
        let embedding = self.embedder.exact(&timesteps)?;
        // In float32 as the references have it, whatever the type of the layers.
        let activated = embedding.to_dtype(DType::F32)?.silu()?.to_dtype(embedding.dtype())?;
        let modulation = self.modulation.forward(&activated)?;
        let frames = Tensor::new(levels.frames.as_slice(), embedding.device())?;
        let of_frames = |rows: &Tensor, parts: usize| -> Result<Tensor> {
            let rows = rows.to_dtype(DType::F32)?.reshape(((), parts, self.width))?;
            Ok(rows.index_select(&frames, 0)?)
        };
        Ok(LevelVectors { modulation: of_frames(&modulation, MODULATIONS)?, embedding: of_frames(&embedding, 1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_with_a_clean_first_frame_has_two_levels() {
        let levels = FrameLevels::new(&[0.0, 0.75, 0.75, 0.75]);
        assert_eq!(levels, FrameLevels { levels: vec![0.0, 0.75], frames: vec![0, 1, 1, 1] });
    }

    #[test]
    fn a_held_frame_waits_at_its_own_level() {
        assert_eq!(FrameLevels::held(&[1.0, 0.25, 0.0], 0.9), FrameLevels::new(&[0.0, 0.75, 0.9]));
        assert_eq!(FrameLevels::held(&[1.0, 0.25, 0.0], 0.5), FrameLevels::new(&[0.0, 0.5, 0.5]));
    }

    #[test]
    fn equal_levels_are_one() {
        assert_eq!(FrameLevels::new(&[0.5; 3]), FrameLevels { levels: vec![0.5], frames: vec![0; 3] });
    }
}
