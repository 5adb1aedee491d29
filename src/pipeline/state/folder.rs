//! The folder that holds a state: one run's at a time.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{LATENTS, LOCK, STATE, Saved, resume_command, thing};
use crate::error::{Error, Result};
use crate::media;

/// A folder that no other run uses as long as this is there: the lock ends with the process, however that ends.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Makes the folder for a new run, where it is not there.
    ///
    /// # Errors
    /// What [`check_new`] refuses, and another run that uses it.
    pub fn create(path: &Path) -> Result<Self> {
        check_new(path)?;
        match fs::create_dir(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                let hint = "choose a folder that you may write to";
                return Err(Error::io("creating the folder", path, error, hint));
            }
            _ => {}
        }
        let folder = Self::open(path)?;
        // Only now nobody else can change what is there.
        check_new(path)?;
        Ok(folder)
    }

    /// Takes possession of a folder that is there, and removes what a killed run began to write in it.
    ///
    /// # Errors
    /// Another run that uses it, and a folder that cannot be written to.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = path.join(LOCK);
        let failed = |error: std::io::Error| {
            Error::io("locking", &lock, error, "choose a folder that you may write to, on a disk of this machine")
        };
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let hint = "wait until it ends, or choose another folder";
                return Err(Error::input(thing(path), "a folder that no other run uses", "a run that does", hint));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let folder = Self { path: path.to_owned(), _lock: file };
        folder.remove_unfinished()?;
        Ok(folder)
    }

    /// Replaces the state by this one, which is then on the disk.
    ///
    /// # Errors
    /// A failed file operation; the state before is then still there.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        media::write_atomically(&self.path.join(STATE), bytes, true)
    }

    fn remove_unfinished(&self) -> Result<()> {
        for name in names_in(&self.path)?.iter().filter(|name| is_unfinished(name)) {
            let path = self.path.join(name);
            fs::remove_file(&path)
                .map_err(|error| Error::io("removing", &path, error, "check that you may write to its folder"))?;
        }
        Ok(())
    }
}

/// Checks, without changing anything, that a new run may save its state in `folder`: it is not there but can be made, or it holds nothing but a state
/// that nobody misses.
///
/// # Errors
/// No place for a folder, files that are not a state's, and the state of a run that is not finished.
pub fn check_new(folder: &Path) -> Result<()> {
    let refused = |wanted: &str, found: String, hint: &str| Err(Error::input(thing(folder), wanted, found, hint));
    let wanted = "a folder, new or empty or with an earlier state";
    match folder.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if parent.is_dir() {
                return Ok(());
            }
            let hint = "make the folder above it, or choose another name";
            return refused(wanted, format!("no folder {}", parent.display()), hint);
        }
        Err(error) => return refused(wanted, error.to_string(), "choose another folder"),
        Ok(kind) if !kind.is_dir() => return refused(wanted, "a file".to_owned(), "choose another name"),
        Ok(_) => {}
    }
    let names = names_in(folder)?;
    let own = |name: &&String| ![STATE, LATENTS, LOCK].contains(&name.as_str()) && !is_unfinished(name);
    if let Some(other) = names.iter().find(own) {
        let hint = "a state has a folder of its own: choose a new name";
        return refused(wanted, format!("one that holds {other}"), hint);
    }
    if !names.iter().any(|name| name == STATE) {
        return Ok(());
    }
    let wanted = "no state of a run that is not finished";
    match Saved::read(folder) {
        Ok(saved) if saved.record().is_fresh() || saved.record().is_finished() => Ok(()),
        Ok(saved) => {
            let resume = resume_command(folder);
            let hint = format!("go on with it: {resume}; or choose another folder, or remove this one");
            refused(wanted, saved.record().describe(), &hint)
        }
        Err(error) => {
            let hint = "remove the folder if nobody needs it, or choose another one";
            refused(wanted, format!("one that cannot be read ({error})"), hint)
        }
    }
}

/// What a killed run began to write, as [`media::write_atomically`] calls it.
fn is_unfinished(name: &str) -> bool {
    [STATE, LATENTS]
        .iter()
        .any(|file| name.strip_prefix('.').is_some_and(|rest| rest.starts_with(&format!("{file}.part-"))))
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io("reading", folder, error, "check that you may read the folder");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
