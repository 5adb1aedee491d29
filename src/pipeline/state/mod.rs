//! How far a run is, on disk after its steps: whatever ends the run, it goes on from there and ends with the same bytes.
//!
//! A folder of its own holds it:
//!
//! | file | holds |
//! |---|---|
//! | `state.safetensors` | the request, what tells the picture, the weights and other inputs from others, the clip, pass and step that are reached, and the sampler's latents, exactly |
//! | `latents.safetensors` | the final latents of a clip while it is decoded, for `stir decode` |
//! | `lock` | nothing; the run that uses the folder holds a lock on it, which ends with its process |
//!
//! `state.safetensors` is replaced as a whole, so that it is always complete. Samplers remember nothing but latents, and noise depends on the seed and
//! the step alone: that is all a run needs. What comes before noise is made again. When all clips are complete, only a note of that stays.

mod folder;
mod inputs;
mod record;
mod saved;
mod saver;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, shell_word};

pub use record::{StateRecord, as_texts};
pub use saved::{Point, Saved, SavedRun, point_of, record_of};
pub(super) use saver::{Place, Saver, keeps_start};

const STATE: &str = "state.safetensors";
const LATENTS: &str = "latents.safetensors";
const LOCK: &str = "lock";

/// Where and how often a run saves how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveState {
    /// The folder, of its own.
    pub folder: PathBuf,
    /// After every so many steps, 1 or more; always after the last one of a pass.
    pub every: usize,
}

impl SaveState {
    /// Checks, without changing anything, that a new run may save its state here.
    ///
    /// # Errors
    /// A folder that cannot be made, that holds something else, or the state of a run that is not finished.
    pub fn check(&self) -> Result<()> {
        folder::check_new(&self.folder)
    }

    /// The files that a run writes here.
    pub fn files(&self) -> [PathBuf; 3] {
        [STATE, LATENTS, LOCK].map(|name| self.folder.join(name))
    }

    /// Where final latents wait for their decode.
    pub fn latents(&self) -> PathBuf {
        self.folder.join(LATENTS)
    }

    /// The command that goes on.
    pub fn resume_command(&self) -> String {
        resume_command(&self.folder)
    }
}

fn resume_command(folder: &Path) -> String {
    format!("stir resume {}", shell_word(&folder.display().to_string()))
}

/// What to tell whoever has the state of a run that ended early.
pub fn resumed_by(command: &str) -> String {
    format!("the state is saved, and this goes on: {command}")
}

/// Adds to the error's hint by which command the run goes on. What is wrong with the input stays wrong.
pub(super) fn explain(error: Error, command: &str) -> Error {
    if matches!(error, Error::Input(_)) {
        return error;
    }
    let hint = format!("{}; {}", error.hint(), resumed_by(command));
    error.with_hint(hint)
}

/// What messages call a folder of states.
fn thing(folder: &Path) -> String {
    format!("state {}", folder.display())
}
