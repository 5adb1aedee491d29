//! `stir models verify`: whether files are still what they were when they were fetched.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::report::{Console, Transfer, stdout};
use crate::error::{Error, Result};
use crate::models::Location;
use crate::models::catalog::{Entry, RemoteFile};
use crate::models::sway;
use crate::units::Bytes;
use crate::weights::digest;
use crate::weights::remote::{Cache, recorded_sha256};

/// Hashes every file of these models that is on disk, once, and prints a line for each.
///
/// # Errors
/// A file that is damaged or cannot be read, and a model of which nothing is on disk if it is the only one.
pub(super) fn verify(entries: &[Entry], console: &Arc<Console>) -> Result<()> {
    let cache = Cache::from_env()?;
    let mut seen = BTreeSet::new();
    let mut damaged = Vec::new();
    for entry in entries {
        if entry.is_embedded() {
            // Opening them hashes them.
            sway::weights::Weights::open(&Location::Embedded)?;
            say(&format!("ok  {} (ships with stir)", entry.name));
        }
        for file in &entry.files {
            let Some(path) = cache.find(file) else {
                console.line(&format!("{}: {} is not on disk", entry.name, file.path));
                continue;
            };
            if !seen.insert(path.clone()) {
                continue;
            }
            match check(file, &path, console)? {
                Verdict::Same => say(&format!("ok  {} ({})", file.path, Bytes(length(&path)?))),
                Verdict::Unknown => say(&format!("unknown  {}: no checksum is known of it", file.path)),
                Verdict::Damaged => {
                    say(&format!("damaged  {}", path.display()));
                    damaged.push(path);
                }
            }
        }
    }
    stdout::check()?;
    if let ([entry], true) = (entries, seen.is_empty())
        && !entry.is_embedded()
    {
        let hint = format!("fetch it: stir models pull {}", entry.name);
        return Err(Error::input(format!("model {}", entry.name), "files on disk to verify", "none", hint));
    }
    refuse(&damaged)
}

enum Verdict {
    Same,
    Damaged,
    /// Neither the manifest nor the cache knows a checksum.
    Unknown,
}

fn check(file: &RemoteFile, path: &Path, console: &Console) -> Result<Verdict> {
    let Some(expected) = file.sha256.clone().or_else(|| recorded_sha256(path)) else { return Ok(Verdict::Unknown) };
    let failed = |error| Error::io("reading", path, error, "check the disk, and that you may read the file");
    let mut content = File::open(path).map_err(failed)?;
    let mut transfer = Transfer::begin(console, &file.path, length(path)?);
    let mut read = 0;
    let found = digest::sha256(&mut content, &mut |bytes| {
        read += bytes;
        transfer.at(read);
    });
    transfer.end();
    Ok(if found.map_err(failed)?.eq_ignore_ascii_case(&expected) { Verdict::Same } else { Verdict::Damaged })
}

fn length(path: &Path) -> Result<u64> {
    let failed = |error| Error::io("reading", path, error, "check the disk, and that you may read the file");
    Ok(path.metadata().map_err(failed)?.len())
}

fn say(line: &str) {
    stdout::write_line(line);
}

fn refuse(damaged: &[PathBuf]) -> Result<()> {
    if damaged.is_empty() {
        return Ok(());
    }
    // The content, where the path is a link to it: without it, the file is fetched again.
    let contents: Vec<String> =
        damaged.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string()).collect();
    Err(Error::run(
        "stir models verify",
        "files that are what they were when they were fetched",
        format!("{} damaged", contents.len()),
        format!("remove {} and run stir models pull again", contents.join(", ")),
    ))
}
