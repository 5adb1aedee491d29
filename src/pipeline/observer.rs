//! What a run tells whoever watches it.

use std::path::Path;

use super::Outcome;

/// The stages of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Checking the request, reading and resizing the picture, opening the model.
    Prepare,
    /// Reading the prompt.
    Text,
    /// Encoding the picture.
    Encode,
    /// Denoising the latents of the whole clip.
    Denoise,
    /// Decoding frames and writing them.
    Decode,
}

impl Stage {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Text => "text",
            Self::Encode => "encode",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
        }
    }
}

/// How much a line for the user matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Of interest to who looks closely: settings that were derived, what was trimmed.
    Detail,
    /// What was understood and made of the request.
    Note,
    /// How the words could be better; never a reason to stop.
    Advice,
    /// Something is not as the user may expect.
    Warning,
}

impl Level {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detail => "detail",
            Self::Note => "note",
            Self::Advice => "advice",
            Self::Warning => "warning",
        }
    }
}

/// Watches a run.
pub trait Observer {
    /// Clip `index` of `count`, from 0, begins, with this seed. Stages before the first belong to all clips.
    fn clip(&mut self, index: usize, count: usize, seed: u64);
    /// A stage of `total` steps begins; the one before has ended.
    fn begin(&mut self, stage: Stage, total: usize);
    /// `done` steps of the stage are complete.
    fn advance(&mut self, done: usize);
    /// A line for the user.
    fn say(&mut self, level: Level, line: &str);
    /// The first warning that was said so far, by the run or by a library.
    fn first_warning(&self) -> Option<String>;
    /// A preview can be looked at; it is written anew whenever more can be seen.
    fn preview(&mut self, path: &Path);
    /// From here on latents are on disk, and this command finishes their clip, whatever ends the run; with `None`, the clip needs it no more.
    fn latents_kept(&mut self, command: Option<&str>);
    /// From here on the run's state is on disk, and this command goes on, whatever ends the run; with `None`, the run is complete.
    fn resumable(&mut self, command: Option<&str>);
    /// A clip is complete.
    fn finished(&mut self, outcome: &Outcome);
}
