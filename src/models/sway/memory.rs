//! How much memory the stages of a clip take: next to nothing but the frames, which are drawn at full size.

use super::weights::Weights;
use crate::models::{Memory, Recipe, StageMemory};

/// Bytes a pixel of what is kept while frames are drawn: the spline of the picture (four values of float32), maps of where things are and how light
/// falls on them, the picture, and the frame itself before and after it is rounded.
const DECODE_BYTES: u64 = 60;
/// Bytes of the encoder's activations: it sees the picture and the head at a fixed size.
const ENCODE: u64 = 64_000_000;
/// Bytes of the denoiser's activations: latents have a fixed size.
const DENOISE: u64 = 16_000_000;

/// Of a run by this recipe.
pub fn memory(weights: &Weights, recipe: &Recipe) -> Memory {
    let stage = |weights: u64, activations: u64| StageMemory { weights, activations };
    let decode = recipe.passes.last().map_or(0, |pass| DECODE_BYTES * (pass.clip.width * pass.clip.height) as u64);
    Memory {
        encode: stage(weights.encoder_bytes(), ENCODE),
        denoise: recipe.passes.iter().map(|_| stage(weights.denoiser_bytes(), DENOISE)).collect(),
        decode: stage(0, decode),
        ..Memory::default()
    }
}
