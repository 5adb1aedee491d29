//! The file beside a clip that holds its record where the format has no place for it: nobody names it, so nothing else may be lost by it.

use std::fs::File;
use std::io::Read;

use super::record::BEGINNING;
use crate::error::{Error, Result};
use crate::media::{self, Target};

/// Checks the file beside `target` before the clip is made, `written` with a record there or without one. A record of an earlier clip that would stay
/// beside this one is named.
///
/// # Errors
/// A file that would be replaced and is no record.
pub fn check(target: &Target, written: bool) -> Result<()> {
    let Some(path) = media::sidecar(target).filter(|path| path.is_file()) else { return Ok(()) };
    let mut start = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(BEGINNING.len() as u64).read_to_end(&mut start));
    let is_record = read.is_ok() && start == BEGINNING.as_bytes();
    if written && !is_record {
        let hint = "move that file, choose another output, or leave the record out by --no-metadata";
        let wanted = "a name for the clip's record that is free, or has the record of an earlier clip";
        return Err(Error::input(format!("output {}", path.display()), wanted, "a file that is no record", hint));
    }
    if !written && is_record {
        tracing::warn!("{} is the record of an earlier clip and stays: remove it", path.display());
    }
    Ok(())
}
