//! Words to a motion plan: the lexicon, its grammar and the plan that conditions the denoiser.
//!
//! ```text
//! prompt -> tokens (clauses of known words and phrases) -> grammar (a Reading) -> plan (settled, one vector)
//!                                                                             \-> report (lines for the user)
//! ```
//! There is no learned language model here: what is not in `models/sway/lexicon.toml` is not understood, and is said to be so.

mod binding;
mod grammar;
mod group;
mod lexicon;
mod lexicon_file;
mod motion;
mod movement;
mod plan;
mod report;
mod stem;
mod tokens;

pub use plan::{CHANNELS, Plan, channel};

use super::camera_path::{self, CameraMove};
use crate::camera::{self, CameraCommand};
use crate::error::Result;
use crate::models::{MotionPrompt, Tensors, TextCondition, TextEncoder};
use lexicon::Lexicon;
use plan::Settled;

/// Tensor names of [`TextCondition`].
pub mod names {
    /// The plan, `[1, 20]`, float32: see [`super::Plan`].
    pub const PLAN: &str = "plan";
    /// The plan without a prompt, `[1, 20]`, float32: all 0 but the last channel, which is 1.
    pub const UNCONDITIONAL_PLAN: &str = "unconditional_plan";
    /// Clean values of control channels 12 to 18, `[1, 25, 7]`, float32: see [`super::camera_path::camera_keys`].
    pub const CAMERA: &str = "camera";
}

/// A prompt as this model takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Interpretation {
    /// What moves.
    pub plan: Plan,
    /// What the camera does: commands at full strength, then what the words add.
    pub camera: Vec<CameraMove>,
    /// Lines for the user.
    pub notes: Vec<String>,
}

/// The text encoder of `sway`: a lexicon of English words of motion, and a small grammar.
#[derive(Debug)]
pub struct MotionLexicon {
    lexicon: Lexicon,
}

impl MotionLexicon {
    /// The lexicon that is built in.
    ///
    /// # Errors
    /// A defect of `models/sway/lexicon.toml`.
    pub fn new() -> Result<Self> {
        Ok(Self { lexicon: Lexicon::built_in()? })
    }

    /// Reads a prompt. It takes milliseconds, so that it may be done before anything is loaded, to refuse what cannot be combined.
    ///
    /// # Errors
    /// Camera commands, in brackets or in words, that contradict each other or are too many.
    pub fn interpret(&self, prompt: &MotionPrompt) -> Result<Interpretation> {
        let reading = grammar::read(&self.lexicon, &prompt.words);
        let mut camera: Vec<CameraMove> = prompt.camera.iter().copied().map(CameraMove::full).collect();
        for worded in &reading.camera {
            if camera.iter().all(|known| known.command != worded.command) {
                camera.push(*worded);
            }
        }
        let commands: Vec<CameraCommand> = camera.iter().map(|camera_move| camera_move.command).collect();
        camera::check_count(&commands)?;
        camera::check_together(&commands)?;
        let settled = Settled::new(&reading, !camera.is_empty());
        let notes = report::lines(&self.lexicon, &reading, &settled, &camera);
        Ok(Interpretation { plan: settled.plan(prompt.intensity), camera, notes })
    }
}

impl TextEncoder for MotionLexicon {
    fn encode(&self, prompt: &MotionPrompt, _unconditional: bool) -> Result<TextCondition> {
        let interpretation = self.interpret(prompt)?;
        let tensors = Tensors::from([
            (names::PLAN, interpretation.plan.to_tensor()?),
            (names::UNCONDITIONAL_PLAN, Plan::unconditional()?),
            (names::CAMERA, camera_path::camera_tensor(&interpretation.camera)?),
        ]);
        Ok(TextCondition { tensors, notes: interpretation.notes })
    }
}
