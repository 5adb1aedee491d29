//! The bytes of a picture, from a file or from standard input.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::Path;

use super::limits;
use crate::error::{Error, Result};

const WANTED: &str = "a JPEG, PNG or WebP file";

/// A file's bytes.
///
/// # Errors
/// No readable regular file, an empty one, or one beyond the limits.
pub(super) fn of_file(path: &Path, thing: &str, any_image: bool) -> Result<Vec<u8>> {
    let unreadable = |source: io::Error| match source.kind() {
        ErrorKind::NotFound => Error::input(thing, WANTED, "no such file", "check the path"),
        _ => Error::input(thing, WANTED, source.to_string(), "check the path and the file's permissions"),
    };
    // Asked before opening: opening a pipe waits until somebody writes to it.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Error::input(thing, WANTED, "a folder", "name a picture in it"));
    }
    if !metadata.is_file() {
        return Err(Error::input(thing, WANTED, "a pipe or a device", "read from a pipe with -i -"));
    }
    limits::check_bytes(metadata.len(), thing, any_image)?;
    let bytes = read(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(Error::input(thing, WANTED, "an empty file", "copy or download the picture again"));
    }
    Ok(bytes)
}

/// All that comes from standard input.
///
/// # Errors
/// A terminal, nothing, or more than the limits.
pub(super) fn of_stdin(thing: &str, any_image: bool) -> Result<Vec<u8>> {
    const PIPE: &str = "pipe one in, such as: stir generate -i - -p WORDS < picture.png";
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Error::input(thing, WANTED, "a terminal", PIPE));
    }
    let bytes = read(stdin.lock()).map_err(|source| Error::input(thing, WANTED, source.to_string(), PIPE))?;
    if bytes.is_empty() {
        return Err(Error::input(thing, WANTED, "nothing", PIPE));
    }
    limits::check_bytes(bytes.len() as u64, thing, any_image)?;
    Ok(bytes)
}

/// At most one byte more than any picture may have.
fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limits::MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
