//! How much a clip takes to compute, counted and not measured.

use super::{Branch, Pass};

/// Tokens of the texts of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextTokens {
    /// Of what is to be seen.
    pub prompt: usize,
    /// Of what is not to be seen, where guidance asks.
    pub negative: Option<usize>,
}

/// Floating-point operations of one pass over a clip; a multiplication and an addition are two.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Positions of the latents that the denoiser attends over.
    pub tokens: usize,
    /// Tokens of the prompt, for a model that makes such.
    pub text_tokens: Option<usize>,
    /// Encoding all texts, where a network does.
    pub text: Option<f64>,
    /// Encoding the picture.
    pub encode: f64,
    /// A prediction with the prompt.
    pub prompt: f64,
    /// A prediction without it, or with the negative prompt.
    pub unconditional: f64,
    /// What a prediction saves with each block that is perturbed.
    pub saved_by_perturbed_block: f64,
    /// Decoding all frames, where a network does.
    pub decode: Option<f64>,
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

    /// Operations of the step of a pass from the level `sigma`: one prediction or several.
    pub fn step(&self, pass: &Pass, sigma: f64) -> f64 {
        pass.branches(sigma).into_iter().map(|branch| self.prediction(branch)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Recipe;
    use crate::units::{Clip, Fps, PixelFrames};

    #[test]
    fn guidance_takes_a_prediction_more() {
        let clip = Clip { width: 64, height: 64, frames: PixelFrames(9), fps: Fps(25.0) };
        let work = Work {
            tokens: 1,
            text_tokens: None,
            text: None,
            encode: 0.0,
            prompt: 100.0,
            unconditional: 90.0,
            saved_by_perturbed_block: 1.0,
            decode: None,
        };
        let counted = |scale| work.step(&Recipe::plain(&clip, vec![1.0, 0.0], scale).passes[0], 1.0);
        assert_eq!([counted(1.0), counted(3.0)], [100.0, 190.0]);
        assert_eq!(work.prediction(Branch::Perturbed(&[3, 4])), 98.0);
    }
}
