//! What happens when the system has no memory left.
//!
//! A program in Rust whose allocation fails is aborted, and an allocator may not unwind. So whoever finds no memory waits here, for ever, while a thread that
//! has waited for this ends the program in an orderly way.

use std::hint::black_box;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::memory::release;
use crate::error::Error;
use crate::units::Bytes;

/// Bytes that are kept for the program's last words.
const RESERVE: usize = 8 << 20;

struct State {
    /// Whether somebody waits.
    watched: bool,
    /// Bytes that were not there.
    missing: Option<usize>,
}

static STATE: Mutex<State> = Mutex::new(State { watched: false, missing: None });
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_for_change(state: MutexGuard<'static, State>) -> MutexGuard<'static, State> {
    CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `bytes` of memory were wanted and not there, and says so; whoever wanted them waits for ever, so the program has to end. For a thread of its
/// own.
pub fn wait() -> Error {
    let reserve: Vec<u8> = Vec::with_capacity(RESERVE);
    let mut state = lock();
    state.watched = true;
    let missing = loop {
        match state.missing {
            Some(missing) => break missing,
            None => state = wait_for_change(state),
        }
    };
    drop(state);
    drop(black_box(reserve));
    release();
    let hint = "end other programs, lift the limit on memory if there is one (ulimit -v), or ask for less: a smaller --resolution, or --vae-tiling on";
    Error::run("memory", format!("{} more", Bytes(missing as u64)), "none left: out of memory", hint)
}

/// Where `bytes` were wanted and not there: returns only if nobody waits for that.
pub(super) fn exhausted(bytes: usize) {
    let mut state = lock();
    if !state.watched {
        return;
    }
    state.missing.get_or_insert(bytes);
    CHANGED.notify_all();
    loop {
        state = wait_for_change(state);
    }
}
