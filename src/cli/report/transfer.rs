//! The progress of bytes: a file that is fetched or read.

use std::time::Instant;

use indicatif::HumanDuration;

use super::{Console, LOG_INTERVAL, bar};
use crate::units::Bytes;

/// Shows how far a file has come: by the bar on a terminal, elsewhere by a line now and then.
pub struct Transfer<'a> {
    console: &'a Console,
    name: &'a str,
    total: u64,
    /// When it began, and with how many bytes; what an earlier run has left says nothing about the pace.
    began: Option<Begin>,
    last_line: Instant,
}

struct Begin {
    at: Instant,
    bytes: u64,
}

impl<'a> Transfer<'a> {
    /// A file of `total` bytes begins.
    pub fn begin(console: &'a Console, name: &'a str, total: u64) -> Self {
        if let Some(bar) = console.talk.bar() {
            bar.set_style(bar::of_bytes(console.talk.is_colored()));
            bar.set_prefix(name.rsplit('/').next().unwrap_or(name).to_owned());
            bar.set_length(total);
            bar.reset();
        }
        Self { console, name, total, began: None, last_line: Instant::now() }
    }

    /// `bytes` of it are there.
    pub fn at(&mut self, bytes: u64) {
        let begin = self.began.get_or_insert_with(|| Begin { at: Instant::now(), bytes });
        if let Some(bar) = self.console.talk.bar() {
            bar.set_position(bytes);
        } else if self.last_line.elapsed() >= LOG_INTERVAL {
            let pace = bytes.saturating_sub(begin.bytes) as f64 / begin.at.elapsed().as_secs_f64();
            let left = self.total.saturating_sub(bytes) as f64 / pace;
            let left = match std::time::Duration::try_from_secs_f64(left) {
                Ok(left) => format!(", {} a second, {:#} left", Bytes(pace as u64), HumanDuration(left)),
                Err(_) => String::new(),
            };
            self.console.line(&format!("{}: {} of {}{left}", self.name, Bytes(bytes), Bytes(self.total)));
            self.last_line = Instant::now();
        }
    }

    /// It is complete.
    pub fn end(self) {
        self.console.talk.end_bar();
    }
}
