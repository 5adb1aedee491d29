//! How much a clip takes to compute, counted and not measured.

use super::Branch;

/// Floating-point operations of one pass over a clip; a multiplication and an addition are two.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Positions of the latents that the denoiser attends over.
    pub tokens: usize,
    /// Tokens of the prompt.
    pub text_tokens: usize,
    /// Encoding all texts.
    pub text: f64,
    /// Encoding the picture.
    pub encode: f64,
    /// A prediction with the prompt.
    pub prompt: f64,
    /// A prediction without it, or with the negative prompt.
    pub unconditional: f64,
    /// What a prediction saves with each block that is perturbed.
    pub saved_by_perturbed_block: f64,
    /// Decoding all frames.
    pub decode: f64,
}

impl Work {
    /// Operations of one prediction.
    pub fn prediction(&self, branch: Branch) -> f64 {
        match branch {
            Branch::Prompt => self.prompt,
            Branch::Unconditional => self.unconditional,
            Branch::Perturbed(blocks) => self.prompt - self.saved_by_perturbed_block * blocks.len() as f64,
        }
    }
}
