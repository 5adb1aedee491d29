//! The one error type. Every message names the thing, what was wanted, what was found and the next step.

use std::fmt;
use std::path::Path;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the four parts that a reader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The thing at fault, as the user named it: an option, a file, a tensor.
    pub thing: String,
    /// What it has to be.
    pub wanted: String,
    /// What it is.
    pub found: String,
    /// What to do next.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: wanted {}, found {}", self.thing, self.wanted, self.found)
    }
}

/// Everything that can go wrong in `stir`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument or an input file cannot be used: exit code 2.
    #[error("{0}")]
    Input(Problem),
    /// The run itself failed: exit code 1.
    #[error("{0}")]
    Run(Problem),
    /// A file operation failed: exit code 1.
    #[error("{thing}: {source}")]
    Io {
        /// The file and what was being done with it.
        thing: String,
        /// What the system said.
        source: std::io::Error,
        /// What to do next.
        hint: String,
    },
    /// A tensor operation failed: exit code 1. Always a defect or a lack of memory.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// Bad arguments or input (exit code 2).
    pub fn input(
        thing: impl Into<String>,
        wanted: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Input(Problem { thing: thing.into(), wanted: wanted.into(), found: found.into(), hint: hint.into() })
    }

    /// A failure while running (exit code 1).
    pub fn run(
        thing: impl Into<String>,
        wanted: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Run(Problem { thing: thing.into(), wanted: wanted.into(), found: found.into(), hint: hint.into() })
    }

    /// A failed file operation: `action` is a verb phrase such as "writing".
    pub fn io(action: &str, path: &Path, source: std::io::Error, hint: impl Into<String>) -> Self {
        Self::Io { thing: format!("{action} {}", path.display()), source, hint: hint.into() }
    }

    /// The same, where it is a failure while running, with what was being done put before the thing at fault.
    pub fn during(self, what: &str) -> Self {
        match self {
            Self::Run(problem) => Self::Run(Problem { thing: format!("{what}, {}", problem.thing), ..problem }),
            other => other,
        }
    }

    /// The next step for the user.
    pub fn hint(&self) -> &str {
        match self {
            Self::Input(problem) | Self::Run(problem) => &problem.hint,
            Self::Io { hint, .. } => hint,
            Self::Tensor(_) => {
                "report it with the exact command; with less memory use, a smaller --resolution may work"
            }
        }
    }

    /// The same with another next step.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        match self {
            Self::Input(problem) => Self::Input(Problem { hint, ..problem }),
            Self::Run(problem) => Self::Run(Problem { hint, ..problem }),
            Self::Io { thing, source, .. } => Self::Io { thing, source, hint },
            Self::Tensor(source) => Self::run("tensor operation", "it to succeed", source.to_string(), hint),
        }
    }

    /// Whether the device, or the CPU's allocator, had too little memory: what failed may succeed with less. Drivers say so in words only.
    pub fn is_out_of_memory(&self) -> bool {
        const WORDS: [&str; 5] = [
            "CUDA_ERROR_OUT_OF_MEMORY",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "out of memory",
            "Insufficient Memory",
            "Cannot allocate memory",
        ];
        match self {
            Self::Tensor(_) | Self::Run(_) => {
                let text = self.to_string();
                WORDS.iter().any(|word| text.contains(word))
            }
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::OutOfMemory,
            Self::Input(_) => false,
        }
    }

    /// The exit code of a program that stops with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Run(_) | Self::Io { .. } | Self::Tensor(_) => 1,
        }
    }
}

/// Most characters of what the user wrote that a message repeats.
pub const MOST_QUOTED: usize = 60;

/// What the user wrote, in quotation marks, and cut where it is long.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MOST_QUOTED) {
        None => format!("\"{text}\""),
        Some((end, _)) => format!("\"{}...\"", text[..end].trim_end()),
    }
}

/// A word as shells read it back, for the commands that hints name.
pub fn shell_word(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_shells_would_take_them_apart() {
        assert_eq!(shell_word("out/clip-7.mp4"), "out/clip-7.mp4");
        assert_eq!(shell_word("my clip.mp4"), "'my clip.mp4'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("$HOME"), "'$HOME'");
    }

    #[test]
    fn a_message_names_thing_wanted_and_found() {
        let error = Error::input("--steps", "1 or more", "0", "leave it out for the model's default");
        assert_eq!(error.to_string(), "--steps: wanted 1 or more, found 0");
        assert_eq!(error.hint(), "leave it out for the model's default");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_failure_says_during_what() {
        let error = Error::run("block 3", "finite values", "NaN", "report it").during("denoising step 2");
        assert_eq!(error.to_string(), "denoising step 2, block 3: wanted finite values, found NaN");
    }

    #[test]
    fn a_lack_of_memory_is_told_from_other_failures() {
        let driver = |text: &str| Error::run("the kernel x", "the CUDA driver to carry it out", text, "y");
        let tensor = |text: &str| Error::from(candle_core::Error::Msg(text.to_owned()));
        for text in [
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
            "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        ] {
            assert!(driver(text).is_out_of_memory() && tensor(text).is_out_of_memory(), "{text}");
            assert!(driver(text).during("denoising step 1").is_out_of_memory());
        }
        assert!(!driver("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)").is_out_of_memory());
        assert!(!tensor("shape mismatch").is_out_of_memory());
        assert!(!Error::input("out of memory", "a", "b", "c").is_out_of_memory());
        let io = |kind| Error::io("reading", Path::new("x"), std::io::Error::from(kind), "y").is_out_of_memory();
        assert!(io(std::io::ErrorKind::OutOfMemory) && !io(std::io::ErrorKind::NotFound));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted(&"é".repeat(60)), format!("\"{}\"", "é".repeat(60)));
        assert_eq!(quoted(&"é".repeat(61)), format!("\"{}...\"", "é".repeat(60)));
        assert_eq!(quoted(&format!("{} word", "x".repeat(59))), format!("\"{}...\"", "x".repeat(59)));
    }
}
