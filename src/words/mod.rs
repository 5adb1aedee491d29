//! The words of a prompt, before any model reads them: how they could be better, and what a model gets that reads nothing else.
//!
//! ```text
//! prompt -> clauses of known words and phrases, each with its class -> advice: one rule for each thing that can be better
//!                                                                  \-> rewrite: all rules, then the recommended order
//! prompt, camera commands, motion intensity -> in_words: one text for models that read text
//! ```
//! What is good for a prompt is what the guides of image-to-video services agree on, whatever model runs: motion and nothing else, few motions,
//! 10 to 30 words. Prompts in other languages than English are left alone.

mod advice;
mod clause;
mod contradiction;
mod lexicon;
mod rewrite;
mod spoken;
#[cfg(test)]
mod tests;

use std::fmt;

pub use spoken::in_words;

/// What a piece of advice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It describes the picture's content or style instead of motion.
    Content,
    /// It repeats words.
    Repeated,
    /// It asks for violent action.
    Violent,
    /// It asks for more than three motions.
    ManyMotions,
    /// It has more than thirty words.
    Long,
    /// It asks for motions that exclude each other.
    Contradiction,
    /// It names ideas, which cannot be seen.
    Abstract,
}

/// One thing about a prompt that could be better; never a reason to refuse it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What kind of thing.
    pub kind: Kind,
    /// What stands in the way, with the words it is about.
    pub about: String,
    /// A better wording of the whole prompt.
    pub better: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; better: \"{}\"", self.about, self.better)
    }
}

/// How a prompt (without its bracketed commands) could be better: at most one piece of advice of each kind, and nothing where it is fine or not
/// in English.
pub fn advise(words: &str) -> Vec<Advice> {
    advice::advise(words)
}

/// The prompt (without its bracketed commands) rewritten by rules: what moves, at most three motions; then wind, light and mood; then the
/// camera; in at most 30 words, joined by commas. Words of content, style and quality and repeated words are dropped; violent action and ideas
/// give way to something calm and visible; of what contradicts itself one half is left out. No motion is added, except where a prompt has none:
/// then the things that it names suggest some, and where nothing at all is left, subtle natural movement is asked for.
///
/// The same words always give the same result, and a result is rewritten to itself. A prompt that is not in English keeps its words; only the
/// spaces between them are tidied and control characters dropped. Only a blank prompt gives an empty one.
pub fn rewrite(words: &str) -> String {
    rewrite::rewrite(words)
}
