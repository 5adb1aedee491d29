//! What can end a run from anywhere within: memory runs out, or weights in a mapped file can no longer be read. Whoever meets it cannot return an error, and
//! waits while a thread of this file cleans up, says what it was, and ends the program with exit code 1.

use std::sync::{Arc, Once};
use std::thread;

use super::report::Console;
use crate::backend::cpu::exhaustion;
use crate::error::{Error, Result};
use crate::media;
use crate::weights::mapped_file;

static WATCHED: Once = Once::new();

/// From now on, ends the program in an orderly way where it would otherwise be ended by the system or by Rust.
///
/// # Errors
/// A system that starts no more threads.
pub(super) fn watch(console: &Arc<Console>) -> Result<()> {
    let mut started = Ok(());
    WATCHED.call_once(|| {
        started = start(console, "memory", exhaustion::wait)
            .and_then(|()| start(console, "weights", mapped_file::wait_for_unreadable));
    });
    started
}

fn start(console: &Arc<Console>, name: &str, wait: fn() -> Error) -> Result<()> {
    let console = console.clone();
    let end = move || {
        let error = wait();
        media::abandon_unfinished();
        let code = error.exit_code();
        console.ended(error, code);
        std::process::exit(code.into());
    };
    let started = thread::Builder::new().name(format!("{name} watch")).spawn(end);
    started.map(drop).map_err(|error| {
        let hint = "end other programs, or lift the limits on memory and threads (ulimit -v, ulimit -u)";
        Error::run("a thread of the program", "the system to start it", error.to_string(), hint)
    })
}
