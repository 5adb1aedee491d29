//! Who may speak. Once a signal ends the program, only the thread that says so: its words are the last.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// The only thread that is still heard; `None` while all are.
static SPEAKER: Mutex<Option<ThreadId>> = Mutex::new(None);

/// From now on only this thread is heard.
pub(super) fn take() {
    *SPEAKER.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current().id());
}

/// Speaks if this thread is heard; nobody else can take the floor meanwhile.
pub(super) fn speak(words: impl FnOnce()) {
    let speaker = SPEAKER.lock().unwrap_or_else(PoisonError::into_inner);
    if speaker.is_none_or(|speaker| speaker == thread::current().id()) {
        words();
    }
}
