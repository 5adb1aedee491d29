//! Nothing appears under its final name before it is complete: output grows in a hidden sibling and is renamed at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result, shell_word};

use super::unfinished;

/// Tells apart several unfinished outputs of one process for the same target.
static COUNTER: AtomicUsize = AtomicUsize::new(0);
/// Folders that one folder replaces, at most: more than one only where other processes write to the same target.
const MOST_REPLACED: usize = 100;
/// File systems take names of at most this many bytes.
const LONGEST_NAME: usize = 255;

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
    /// Whether what stands under the final name is replaced.
    replace: bool,
    /// Whether the temporary has become the target.
    moved: bool,
}

impl Staged {
    /// Creates an empty temporary file beside `target`.
    ///
    /// # Errors
    /// A target without a name, a missing parent folder, or one that cannot be written to.
    pub fn file(target: &Path, replace: bool) -> Result<Self> {
        Self::create(target, replace, Kind::File)
    }

    /// Creates an empty temporary folder beside `target`.
    ///
    /// # Errors
    /// Like [`file`](Self::file).
    pub fn folder(target: &Path, replace: bool) -> Result<Self> {
        Self::create(target, replace, Kind::Folder)
    }

    fn create(target: &Path, replace: bool, kind: Kind) -> Result<Self> {
        let mut unfinished = unfinished::lock();
        let temporary = loop {
            let temporary = sibling(target, "part")?;
            let created = match kind {
                Kind::File => File::create_new(&temporary).map(drop),
                Kind::Folder => fs::create_dir(&temporary),
            };
            match created {
                Ok(()) => break temporary,
                // Of a process of the same number, which was killed or runs in another container.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(refused(target, error)),
            }
        };
        unfinished.insert(temporary.clone());
        Ok(Self { temporary, target: target.to_owned(), kind, replace, moved: false })
    }

    /// The path to write to. It must not be created again: it may have been removed because the process is about to exit.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Opens the temporary file for reading and writing.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self) -> io::Result<File> {
        File::options().read(true).write(true).open(&self.temporary)
    }

    /// The final path.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the complete output on disk under its final name, replacing what stood there unless that is to be kept.
    ///
    /// # Errors
    /// A failed file operation, or something under the final name that is to be kept; it is then still there.
    pub fn finish(mut self) -> Result<()> {
        if !self.temporary.exists() {
            return Err(self.lost());
        }
        synchronise(&self.temporary)?;
        let mut unfinished = unfinished::lock();
        match (self.kind, self.replace) {
            (Kind::File, true) => self.rename()?,
            (Kind::File, false) => self.place_file()?,
            (Kind::Folder, true) => self.replace_folder()?,
            (Kind::Folder, false) => self.place_folder()?,
        }
        unfinished.remove(&self.temporary);
        self.moved = true;
        drop(unfinished);
        synchronise(folder_of(&self.target))
    }

    fn rename(&self) -> Result<()> {
        fs::rename(&self.temporary, &self.target).map_err(|source| self.misplaced(source))
    }

    /// Gives the file its final name only if nothing has that name: making a hard link checks and acts at once.
    fn place_file(&self) -> Result<()> {
        match fs::hard_link(&self.temporary, &self.target) {
            Ok(()) => fs::remove_file(&self.temporary),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
            // A file system without hard links: an empty file claims the name.
            Err(_) => File::create_new(&self.target).and_then(|_| {
                fs::rename(&self.temporary, &self.target).inspect_err(|_| _ = fs::remove_file(&self.target))
            }),
        }
        .map_err(|source| self.misplaced(source))
    }

    /// Gives the folder its final name only if nothing has that name: an empty folder claims it, and a rename replaces nothing else.
    fn place_folder(&self) -> Result<()> {
        fs::create_dir(&self.target)
            .and_then(|()| {
                if cfg!(not(unix)) {
                    // Only Unix renames over an empty folder.
                    fs::remove_dir(&self.target)?;
                }
                fs::rename(&self.temporary, &self.target).inspect_err(|_| _ = fs::remove_dir(&self.target))
            })
            .map_err(|source| self.misplaced(source))
    }

    /// A folder with contents cannot be renamed over: the old one steps aside first, and back if the rename fails. Another process may put its own folder there
    /// in between; then that one steps aside too.
    fn replace_folder(&self) -> Result<()> {
        let mut aside: Vec<PathBuf> = Vec::new();
        while let Err(error) = fs::rename(&self.temporary, &self.target) {
            if !self.target.is_dir() && error.kind() != ErrorKind::DirectoryNotEmpty || aside.len() == MOST_REPLACED {
                return Err(self.restored(aside, error));
            }
            let old = sibling(&self.target, "old")?;
            match fs::rename(&self.target, &old) {
                Ok(()) => aside.push(old),
                // Another process has just moved it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => {
                    let hint = "check the permissions of the folder above it";
                    return Err(Error::io("replacing", &self.target, source, hint));
                }
            }
        }
        aside.iter().try_for_each(|old| {
            let hint = "the new frames are complete; remove it by hand";
            let removed = fs::remove_dir_all(old);
            removed.map_err(|source| Error::io("removing the replaced frames in", old, source, hint))
        })
    }

    /// The folder could not get its name: gives it back to the last that had it.
    fn restored(&self, mut aside: Vec<PathBuf>, source: io::Error) -> Error {
        let Some(last) = aside.pop() else { return self.misplaced(source) };
        aside.iter().for_each(|old| _ = fs::remove_dir_all(old));
        match fs::rename(&last, &self.target) {
            Ok(()) => self.misplaced(source),
            Err(source) => {
                let hint = format!("the earlier frames are in {}", last.display());
                Error::io("restoring", &self.target, source, hint)
            }
        }
    }

    /// Somebody has removed what was written, or the folder that it was in.
    fn lost(&self) -> Error {
        let folder = folder_of(&self.target).display();
        Error::run(
            format!("output {}", self.target.display()),
            "what was written so far",
            format!("it removed from {folder}, or {folder} with it"),
            "leave the folder as it is until the run has ended, and run it again",
        )
    }

    /// The final name could not be given.
    fn misplaced(&self, source: io::Error) -> Error {
        if source.kind() == ErrorKind::AlreadyExists {
            return Error::run(
                format!("output {}", self.target.display()),
                "a name that is still free at the end, as --no-clobber asks",
                "something that has appeared there meanwhile",
                "run it again with another name; the same seed makes the same clip",
            );
        }
        Error::io("renaming the finished output to", &self.target, source, "check what stands under that name")
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.moved {
            return;
        }
        let mut unfinished = unfinished::lock();
        let removed = match self.kind {
            Kind::File => fs::remove_file(&self.temporary),
            Kind::Folder => fs::remove_dir_all(&self.temporary),
        };
        unfinished.remove(&self.temporary);
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
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

/// The path without a separator at its end, with which a file of that name would not be found.
pub(super) fn without_separator(path: &Path) -> &Path {
    path.components().as_path()
}

/// What killed runs have left of these targets: nobody removes a `.NAME.part-PID-N` if its process is killed outright. Each folder is read
/// once, however many targets it has.
///
/// Only where processes can be looked up by number. They are named and not removed: the process may live on another machine or in another
/// container that shares the folder.
pub(super) fn leftovers(targets: &[PathBuf]) -> Vec<PathBuf> {
    if !Path::new("/proc/self").exists() {
        return Vec::new();
    }
    let mut names: BTreeMap<&Path, BTreeSet<&OsStr>> = BTreeMap::new();
    for target in targets {
        names.entry(folder_of(target)).or_default().extend(target.file_name());
    }
    let mut found = Vec::new();
    for (folder, names) in names {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let is_leftover = |name: &OsStr| {
            let parts = name.to_str().and_then(|name| name.strip_prefix('.')?.rsplit_once(".part-"));
            parts.is_some_and(|(name, process)| names.contains(OsStr::new(name)) && is_dead(process))
        };
        found.extend(entries.flatten().filter(|entry| is_leftover(&entry.file_name())).map(|entry| entry.path()));
    }
    found.sort();
    found
}

/// Whether the process of a `PID-N` is no more.
fn is_dead(process: &str) -> bool {
    let id = process.split_once('-').and_then(|(id, _)| id.parse::<u32>().ok());
    id.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists())
}

/// `.NAME.LABEL-PID-N` in the folder of `target`, the name shortened where it would become too long, and in Unicode whatever the
/// target's is.
fn sibling(target: &Path, label: &str) -> Result<PathBuf> {
    let Some(name) = target.file_name() else {
        return Err(Error::input(
            format!("output {}", target.display()),
            "a path that ends in a name",
            "one that ends in none",
            "name a file such as clip.mp4, or a folder such as frames/",
        ));
    };
    let suffix = format!(".{label}-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let name = name.to_string_lossy();
    let kept = (0..=name.len().min(LONGEST_NAME - 1 - suffix.len())).rev().find(|&end| name.is_char_boundary(end));
    Ok(folder_of(target).join(format!(".{}{suffix}", &name[..kept.unwrap_or(0)])))
}

/// Why nothing can be made beside `target`: a matter of the command line, not of the run.
fn refused(target: &Path, source: io::Error) -> Error {
    let folder = folder_of(target);
    let (found, hint) = match source.kind() {
        // The system says so too of folders that hold no files at all, such as /proc.
        ErrorKind::NotFound if !folder.exists() => {
            let hint = if folder.starts_with("~") {
                "write your home folder out: shells know ~ only at the beginning of a word".to_owned()
            } else {
                format!("create it: mkdir -p {}", shell_word(&folder.display().to_string()))
            };
            (format!("no folder {}", folder.display()), hint)
        }
        ErrorKind::NotADirectory => {
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
    fn the_temporary_of_a_long_name_is_no_longer() {
        for letter in ["x", "é", "語"] {
            let name = format!("{}.mp4", letter.repeat(251 / letter.len()));
            let path = sibling(Path::new(&name), "part").unwrap();
            let hidden = path.file_name().unwrap().to_str().unwrap();
            assert!((250..=255).contains(&hidden.len()), "{} bytes", hidden.len());
            assert!(hidden.contains(".part-"), "{hidden}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_killed_run_left_is_found() {
        let folder = std::env::temp_dir().join(format!("stir-leftovers-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let (dead, alive) = (ended.id(), std::process::id());
        let left = [format!(".clip.mp4.part-{dead}-0"), format!(".frames.part-{dead}-12")];
        let others = [
            format!(".clip.mp4.part-{alive}-0"),
            format!(".other.mp4.part-{dead}-0"),
            format!("clip.mp4.part-{dead}-0"),
            ".clip.mp4.part-x-0".to_owned(),
            format!(".clip.mp4.part-{dead}"),
        ];
        left.iter().chain(&others).for_each(|name| fs::write(folder.join(name), "").unwrap());
        let targets = ["clip.mp4", "frames/", "missing/clip.mp4"].map(|name| folder.join(name));
        assert_eq!(leftovers(&targets), left.map(|name| folder.join(name)));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn folders_that_replace_each_other_are_whole() {
        let folder = std::env::temp_dir().join(format!("stir-replacing-{}", std::process::id()));
        let target = folder.join("frames");
        fs::create_dir_all(&target).unwrap();
        let write = |writer: usize| {
            for _ in 0..50 {
                let staged = Staged::folder(&target, true).unwrap();
                (0..5).for_each(|file| fs::write(staged.temporary().join(format!("{writer}-{file}")), "").unwrap());
                staged.finish().unwrap();
            }
        };
        // Without the lock, as another process.
        std::thread::scope(|scope| {
            scope.spawn(|| write(1));
            for _ in 0..200 {
                let other = folder.join("other");
                fs::create_dir(&other).unwrap();
                fs::write(other.join("2-0"), "").unwrap();
                if fs::rename(&other, &target).is_err() {
                    fs::remove_dir_all(&other).unwrap();
                }
                let gone = folder.join("gone");
                if fs::rename(&target, &gone).is_ok() {
                    fs::remove_dir_all(&gone).unwrap();
                }
            }
        });
        write(1);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 5);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// A killed process leaves its files, and another may get its number.
    #[test]
    fn a_temporary_that_exists_is_not_taken() {
        let folder = std::env::temp_dir().join(format!("stir-taken-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let target = folder.join("clip.y4m");
        let next = COUNTER.load(Ordering::Relaxed);
        let taken: Vec<PathBuf> = (next..next + 40)
            .map(|number| folder.join(format!(".clip.y4m.part-{}-{number}", std::process::id())))
            .collect();
        taken.iter().for_each(|path| fs::write(path, "theirs").unwrap());
        let staged = Staged::file(&target, true).unwrap();
        assert!(!taken.contains(&staged.temporary));
        staged.finish().unwrap();
        assert!(taken.iter().all(|path| fs::read(path).unwrap() == b"theirs"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_target_needs_a_name() {
        let error = Staged::file(Path::new("/"), true).unwrap_err();
        assert_eq!(error.to_string(), "output /: wanted a path that ends in a name, found one that ends in none");
    }
}
