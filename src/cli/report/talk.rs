//! Talk on stderr, for people: plain lines in a log, a progress bar below them on a terminal.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;

use super::bar;
use super::floor;
use super::printable::printable;
use crate::error::Error;
use crate::pipeline::observer::{Level, Stage};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing at all: another program listens to the events instead.
    Silent,
    /// Errors.
    Quiet,
    /// What was understood and made.
    Normal,
    /// Details too.
    Verbose,
}

/// Prints on stderr. A failure to do so, as when nobody reads it any more, is no reason to stop.
pub(super) struct Talk {
    verbosity: Verbosity,
    colored: bool,
    bar: Option<ProgressBar>,
}

/// The colours that are used, by their ANSI codes.
#[derive(Clone, Copy)]
pub(super) enum Color {
    Error = 31,
    Warning = 33,
    Stage = 36,
    Advice = 35,
}

impl Talk {
    /// `plain`: neither colours nor a bar, whatever stderr is.
    pub fn new(verbosity: Verbosity, plain: bool) -> Self {
        let [no_color, term] = ["NO_COLOR", "TERM"].map(std::env::var_os);
        let terminal = !plain && std::io::stderr().is_terminal() && term.as_deref() != Some(OsStr::new("dumb"));
        let colored = terminal && allows_color(no_color.as_deref());
        let bar = (terminal && verbosity >= Verbosity::Normal).then(|| bar::new(colored));
        Self { verbosity, colored, bar }
    }

    /// Whether details are wanted.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Whether colours are wanted.
    pub fn is_colored(&self) -> bool {
        self.colored
    }

    /// The progress bar, on a terminal.
    pub fn bar(&self) -> Option<&ProgressBar> {
        self.bar.as_ref()
    }

    fn painted(&self, color: Color, text: &str) -> String {
        if self.colored { format!("\u{1b}[{}m{text}\u{1b}[0m", color as u8) } else { text.to_owned() }
    }

    fn write(&self, line: &str) {
        let write = || {
            // One call a line, so that lines of several threads do not mix.
            std::io::stderr().write_all(format!("{line}\n").as_bytes()).ok();
        };
        floor::speak(|| match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        });
    }

    /// A stage of the run begins.
    pub fn stage(&self, stage: Stage) {
        if self.verbosity >= Verbosity::Normal && self.bar.is_none() {
            self.write(&self.painted(Color::Stage, stage.name()));
        }
    }

    /// A line of what was made, after its label.
    pub fn fact(&self, label: &str, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.write(&format!("{} {}", self.painted(Color::Stage, &format!("{label:<9}")), printable(text)));
        }
    }

    /// Lines of a message about the arguments, which are printable already.
    pub fn line_by_line(&self, lines: &[Cow<'_, str>]) {
        lines.iter().for_each(|line| self.write(line));
    }

    /// A line of text.
    pub fn line(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.write(&printable(text));
        }
    }

    /// A message of the run.
    pub fn message(&self, level: Level, text: &str) {
        let text = printable(text);
        let wanted = if level == Level::Detail { Verbosity::Verbose } else { Verbosity::Normal };
        if self.verbosity < wanted {
            return;
        }
        match level {
            Level::Detail | Level::Note => self.write(&text),
            Level::Advice => self.write(&format!("{} {text}", self.painted(Color::Advice, "advice:"))),
            Level::Warning => self.write(&format!("{} {text}", self.painted(Color::Warning, "warning:"))),
        }
    }

    /// An error and the next step.
    pub fn error(&self, error: &Error) {
        self.complain(&error.to_string(), error.hint());
    }

    /// The same in its two parts.
    pub fn complain(&self, message: &str, hint: &str) {
        if self.verbosity > Verbosity::Silent {
            self.end_bar();
            let [message, hint] = [message, hint].map(printable);
            self.write(&format!("{} {message}\n  next: {hint}", self.painted(Color::Error, "error:")));
        }
    }

    /// Takes the bar away.
    pub fn end_bar(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// NO_COLOR, set to anything at all, asks for none.
fn allows_color(no_color: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_is_heeded() {
        assert!(allows_color(None) && allows_color(Some(OsStr::new(""))));
        assert!(!allows_color(Some(OsStr::new("1"))) && !allows_color(Some(OsStr::new("0"))));
    }

    #[test]
    fn colours_surround_text_where_they_are_wanted() {
        let talk = |colored| Talk { verbosity: Verbosity::Normal, colored, bar: None };
        assert_eq!(talk(true).painted(Color::Error, "error:"), "\u{1b}[31merror:\u{1b}[0m");
        assert_eq!(talk(false).painted(Color::Error, "error:"), "error:");
    }
}
