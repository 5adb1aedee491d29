//! What happens when the system has no memory left.
//!
//! A program in Rust whose allocation fails is aborted, and an allocator may not unwind. So whoever finds no memory waits here, for ever, while a thread that
//! has waited for this ends the program in an orderly way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::memory::release;
use crate::error::Error;
use crate::units::Bytes;

/// Bytes that are kept for the program's last words, and for what other threads still have to do before.
const RESERVE: usize = 8 << 20;
/// Who wants less than this gets it of the reserve: it may be needed to give back a lock that the last words take. Nobody computes in so little.
const LITTLE: usize = 64 << 10;

struct State {
    /// Whether somebody waits.
    watched: bool,
    /// Bytes that were not there.
    missing: Option<usize>,
    reserve: Vec<u8>,
}

static STATE: Mutex<State> = Mutex::new(State { watched: false, missing: None, reserve: Vec::new() });
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_for_change(state: MutexGuard<'static, State>) -> MutexGuard<'static, State> {
    CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until memory was wanted that was not there, and says how much; the program has to end then. For a thread of its own.
pub fn wait() -> Error {
    let reserve = Vec::with_capacity(RESERVE);
    let mut state = lock();
    (state.watched, state.reserve) = (true, reserve);
    let missing = loop {
        match state.missing {
            Some(missing) => break missing,
            None => state = wait_for_change(state),
        }
    };
    drop(state);
    let hint = "end other programs, lift the limit on memory if there is one (ulimit -v), or ask for less: a smaller --resolution, or --vae-tiling on";
    Error::run("memory", format!("{} more", Bytes(missing as u64)), "none left: out of memory", hint)
}

/// Where `bytes` were wanted and not there. If somebody waits for that, it returns only to those who want little, and there is a little then; if nobody does,
/// it returns, and there is nothing.
pub(super) fn exhausted(bytes: usize) {
    let mut state = lock();
    if !state.watched {
        return;
    }
    let reserve = std::mem::take(&mut state.reserve);
    state.missing.get_or_insert(bytes);
    CHANGED.notify_all();
    if bytes < LITTLE {
        drop(state);
        drop(reserve);
        return release();
    }
    drop(reserve);
    release();
    loop {
        state = wait_for_change(state);
    }
}
