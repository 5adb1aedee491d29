//! Nothing appears under its final name before it is complete: output grows in a hidden sibling and is renamed at the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Tells apart several unfinished outputs of one process for the same target.
static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// What is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// An output that is not complete yet. It lives in `.NAME.part-PID-N` beside its target, on the same file system, so
/// that the final rename is atomic. Dropped before [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Staged {
    temporary: PathBuf,
    target: PathBuf,
    kind: Kind,
    finished: bool,
}

impl Staged {
    /// Creates an empty temporary file beside `target`.
    ///
    /// # Errors
    /// A target without a name, a missing parent folder, or one that cannot be written to.
    pub fn file(target: &Path) -> Result<Self> {
        let temporary = sibling(target, "part")?;
        File::create_new(&temporary).map_err(|source| refused(target, source))?;
        Ok(Self { temporary, target: target.to_owned(), kind: Kind::File, finished: false })
    }

    /// Creates an empty temporary folder beside `target`.
    ///
    /// # Errors
    /// Like [`file`](Self::file).
    pub fn folder(target: &Path) -> Result<Self> {
        let temporary = sibling(target, "part")?;
        fs::create_dir(&temporary).map_err(|source| refused(target, source))?;
        Ok(Self { temporary, target: target.to_owned(), kind: Kind::Folder, finished: false })
    }

    /// The path to write to.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The final path.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the complete output on disk under its final name, replacing what stood there.
    ///
    /// # Errors
    /// A failed file operation; what stood under the final name is then still there.
    pub fn finish(mut self) -> Result<()> {
        synchronise(&self.temporary)?;
        match self.kind {
            Kind::File => self.rename()?,
            Kind::Folder => self.replace_folder()?,
        }
        self.finished = true;
        synchronise(folder_of(&self.target))
    }

    fn rename(&self) -> Result<()> {
        fs::rename(&self.temporary, &self.target).map_err(|source| {
            Error::io("renaming the finished output to", &self.target, source, "check what stands under that name")
        })
    }

    /// A folder with contents cannot be renamed over: the old one steps aside first, and back if the rename fails.
    fn replace_folder(&self) -> Result<()> {
        if !self.target.is_dir() {
            return self.rename();
        }
        let old = sibling(&self.target, "old")?;
        fs::rename(&self.target, &old).map_err(|source| {
            Error::io("replacing", &self.target, source, "check the permissions of the folder above it")
        })?;
        if let Err(error) = self.rename() {
            fs::rename(&old, &self.target).map_err(|source| {
                let hint = format!("the earlier frames are in {}", old.display());
                Error::io("restoring", &self.target, source, hint)
            })?;
            return Err(error);
        }
        fs::remove_dir_all(&old).map_err(|source| {
            Error::io("removing the replaced frames in", &old, source, "the new frames are complete; remove it by hand")
        })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let removed = match self.kind {
            Kind::File => fs::remove_file(&self.temporary),
            Kind::Folder => fs::remove_dir_all(&self.temporary),
        };
        if let Err(error) = removed {
            tracing::warn!("could not remove the unfinished {}: {error}", self.temporary.display());
        }
    }
}

/// The folder that holds `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `.NAME.LABEL-PID-N` in the folder of `target`.
fn sibling(target: &Path, label: &str) -> Result<PathBuf> {
    let Some(name) = target.file_name() else {
        return Err(Error::input(
            format!("output {}", target.display()),
            "a path that ends in a name",
            "one that ends in none",
            "name a file such as clip.mp4, or a folder such as frames/",
        ));
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{label}-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    Ok(folder_of(target).join(hidden))
}

/// Why nothing can be made beside `target`: a matter of the command line, not of the run.
fn refused(target: &Path, source: std::io::Error) -> Error {
    let folder = folder_of(target);
    let (found, hint) = match source.kind() {
        std::io::ErrorKind::NotFound => {
            (format!("no folder {}", folder.display()), format!("create it: mkdir -p {}", folder.display()))
        }
        std::io::ErrorKind::NotADirectory => {
            (format!("{}, which is not a folder", folder.display()), "choose another folder".to_owned())
        }
        _ => (format!("{} ({source})", folder.display()), "choose a folder that you may write to".to_owned()),
    };
    Error::input(format!("output {}", target.display()), "a folder that can be written to", found, hint)
}

/// Waits until a file or a folder's entries are on the disk, so that a crash cannot leave an empty file under the final name.
fn synchronise(path: &Path) -> Result<()> {
    // Only Unix can open a folder like a file; elsewhere its entries are safe once the rename has returned.
    if cfg!(not(unix)) && path.is_dir() {
        return Ok(());
    }
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|source| Error::io("flushing to disk", path, source, "check the disk's space and health"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_is_a_hidden_sibling() {
        let path = sibling(Path::new("some/clip.mp4"), "part").unwrap();
        assert_eq!(path.parent(), Some(Path::new("some")));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!(".clip.mp4.part-{}-", std::process::id())), "{name}");
        assert_eq!(sibling(Path::new("clip.mp4"), "part").unwrap().parent(), Some(Path::new(".")));
    }

    #[test]
    fn a_target_needs_a_name() {
        let error = Staged::file(Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "output /: wanted a path that ends in a name, found one that ends in none");
    }
}
