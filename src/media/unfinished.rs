//! Everything that this process has begun to write and not completed, so that whoever ends the process can clean up.
//!
//! Temporary files and folders come into being, get their final names and go only under one lock. Holding it for good therefore
//! means that nothing new appears.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How often, and after which pauses, the removal of a folder is tried again while another thread still writes into it.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// The temporary files and folders there are. After [`abandon_unfinished`] this waits for ever.
pub(super) fn lock() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // A panic elsewhere leaves the list as it was, which is what clean-up needs.
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something that creates a file unless [`abandon_unfinished`] has come before; then it waits for ever.
#[cfg(feature = "ffmpeg")]
pub(super) fn while_it_lasts<T>(action: impl FnOnce() -> T) -> T {
    let _unfinished = lock();
    action()
}

/// Has [`abandon_unfinished`] remove this file too, which is no output but must not outlive the process.
pub fn remove_at_an_early_end(path: &Path) {
    lock().insert(path.to_owned());
}

/// Takes that back.
pub fn keep_at_an_early_end(path: &Path) {
    lock().remove(path);
}

/// Removes every unfinished output of this process. Outputs that are complete stay.
///
/// Any thread that begins, completes or drops an output afterwards waits for ever: call this as the last thing before the process exits,
/// and not from a signal handler itself but from a thread that waits for signals.
pub fn abandon_unfinished() {
    let unfinished = lock();
    for path in unfinished.iter() {
        if let Err(error) = remove(path) {
            tracing::warn!("could not remove the unfinished {}: {error}", path.display());
        }
    }
    std::mem::forget(unfinished);
}

/// Removes a file, or a folder that another thread may still be writing into. What is gone already is no error.
fn remove(path: &Path) -> std::io::Result<()> {
    let mut attempt = 0;
    loop {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        attempt += 1;
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound && !path.exists() => return Ok(()),
            Err(_) if attempt < ATTEMPTS => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
}
