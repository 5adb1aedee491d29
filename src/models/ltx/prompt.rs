//! Words to what the transformer attends to.

use std::rc::Rc;

use super::checkpoint::Checkpoint;
use super::synthetic;
use crate::error::Result;
use crate::models::{MotionPrompt, TextCondition, TextEncoder};
use crate::weights::store::Placement;

/// Tensor of the text condition: `[1, L, D]`, what is to be seen.
pub const PROMPT: &str = "prompt";
/// Tensor of the text condition: `[1, L, D]`, what is not to be seen; there only where it is asked for.
pub const NEGATIVE_PROMPT: &str = "negative_prompt";

/// The text encoder: its weights are read while it encodes, and freed.
pub struct PromptEncoder {
    /// Where the weights are.
    pub checkpoint: Rc<Checkpoint>,
    /// What they are converted to.
    pub placement: Placement,
    /// What is not to be seen, where the user says nothing.
    pub negative_prompt: String,
}

impl TextEncoder for PromptEncoder {
    fn encode(&self, prompt: &MotionPrompt, unconditional: bool) -> Result<TextCondition> {
        let tokenizer = self.checkpoint.tokenizer()?;
        let negative = prompt.negative.as_ref().unwrap_or(&self.negative_prompt);
        let mut texts = vec![(PROMPT, &prompt.words)];
        if unconditional {
            texts.push((NEGATIVE_PROMPT, negative));
        }
        let mut condition = TextCondition::default();
        if self.checkpoint.is_synthetic() {
            condition.notes.push(synthetic::NOTE.to_owned());
        }
        let mut tokens = Vec::new();
        for (name, text) in &texts {
            let encoded = tokenizer.encode(text)?;
            if !encoded.cut.is_empty() {
                let which = if *name == PROMPT { "prompt" } else { "negative prompt" };
                condition.notes.push(format!("the {which} is too long for the text encoder; cut: \"{}\"", encoded.cut));
            }
            tokens.push(encoded.ids);
        }
        let tokens: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
        let encoded = self.checkpoint.encode_text(&self.placement, &tokens)?;
        for ((name, _), rows) in texts.iter().zip(encoded) {
            condition.tensors.insert(name, rows);
        }
        Ok(condition)
    }
}
