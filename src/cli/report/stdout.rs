//! Data on stdout. A reader that has gone away ends nothing; anything else that goes wrong is kept for the end of the run.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Mutex;

use super::floor;
use super::printable::{printable, printable_path};
use crate::error::{Error, Result};

/// The first failure of a write.
static FAILURE: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Writes and flushes.
pub fn write(bytes: &[u8]) {
    floor::speak(|| {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            FAILURE.lock().expect("nothing panics with it").get_or_insert(error);
        }
    });
}

/// Writes a line of text.
pub fn write_line(text: &str) {
    write(format!("{}\n", printable(text)).as_bytes());
}

/// Writes a path, for a program to read, as a line.
pub fn write_path(path: &Path) {
    let mut line = printable_path(path.as_os_str());
    line.push(b'\n');
    write(&line);
}

/// Whether all that was written has arrived, or nobody wanted it.
///
/// # Errors
/// The first write that failed for another reason than a closed pipe.
pub fn check() -> Result<()> {
    match FAILURE.lock().expect("nothing panics with it").take() {
        None => Ok(()),
        Some(source) => Err(Error::Io {
            thing: "writing to standard output".to_owned(),
            source,
            hint: "check where it leads; files that were named complete are complete".to_owned(),
        }),
    }
}
