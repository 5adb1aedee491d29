//! Warnings of libraries, on the same way as stir's own messages.

use std::io::Write;
use std::sync::Arc;

use tracing::{Level as TracingLevel, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::Console;
use crate::pipeline::observer::Level;

/// Sends warnings and errors that libraries log to the console.
pub(super) fn send_to(console: Arc<Console>) {
    // Fails only where a subscriber is set already, which then has them.
    tracing_subscriber::fmt()
        .with_max_level(TracingLevel::WARN)
        .with_writer(ConsoleWriter(console))
        .with_ansi(false)
        .with_level(false)
        .with_target(false)
        .without_time()
        .try_init()
        .ok();
}

struct ConsoleWriter(Arc<Console>);

impl<'a> MakeWriter<'a> for ConsoleWriter {
    type Writer = Message<'a>;

    fn make_writer(&'a self) -> Message<'a> {
        Message { console: &self.0, text: Vec::new() }
    }

    fn make_writer_for(&'a self, _: &Metadata<'_>) -> Message<'a> {
        self.make_writer()
    }
}

/// One message; said when it is complete.
struct Message<'a> {
    console: &'a Console,
    text: Vec<u8>,
}

impl Write for Message<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let text = text.trim();
        if !text.is_empty() {
            self.console.say(Level::Warning, text);
        }
    }
}
