//! What happens on Ctrl-C and on a polite kill: unfinished output is removed, and the program ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;

use super::emergencies;
use super::report::Console;
use crate::error::{Error, Result};
use crate::media;

/// Signals that ask the program to end; a closed terminal is one of them.
#[cfg(unix)]
const ENDING: [i32; 3] = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(not(unix))]
const ENDING: [i32; 2] = [SIGINT, SIGTERM];

/// Does `action`. While it lasts, and from then on, a signal removes unfinished output and ends the program with exit code 128 and the signal's
/// number: 130 for SIGINT, 143 for SIGTERM. `hint`: what the user may do then.
///
/// # Errors
/// What `action` returns, unless a signal came: the program is about to end, and that something failed because its files are gone is no news. And a
/// system that does not let signals be handled.
pub(super) fn while_heeding_signals(
    console: Arc<Console>,
    hint: &'static str,
    action: impl FnOnce() -> Result<()>,
) -> Result<()> {
    emergencies::watch(&console)?;
    let arrived = watch(console, hint)?;
    let outcome = action();
    while arrived.load(Ordering::SeqCst) {
        std::thread::park();
    }
    outcome
}

/// Whether a signal has come.
fn watch(console: Arc<Console>, hint: &'static str) -> Result<Arc<AtomicBool>> {
    let refused = |error: std::io::Error| {
        Error::run("signals", "to hear of SIGINT and SIGTERM", error.to_string(), "report it with the exact command")
    };
    let arrived = Arc::new(AtomicBool::new(false));
    for signal in ENDING {
        flag::register(signal, Arc::clone(&arrived)).map_err(refused)?;
    }
    // A file that becomes larger than `ulimit -f` allows is an error of its own, with a message, and no reason to be killed.
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map_err(refused)?;
    let mut signals = Signals::new(ENDING).map_err(refused)?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            media::abandon_unfinished();
            let code = 128 + signal;
            console.interrupted(signal_name(signal).unwrap_or("a signal"), code as u8, hint);
            std::process::exit(code);
        }
    });
    Ok(arrived)
}
