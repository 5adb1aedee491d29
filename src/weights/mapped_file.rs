//! Files mapped into memory, and what becomes of a run whose files change or fail beneath it.
//!
//! Pages of a map are read when they are used: by then the file may be shorter than it was, or its disk may fail. The system then sends SIGBUS to whoever
//! used the page ([`wait_for_unreadable`] makes an error of it). A file that was written to gives other values without any signal:
//! [`MappedFile::check_unchanged`] tells.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use memmap2::Mmap;

use super::guard::{self, Guarded};
use crate::error::{Error, Result};

/// What to do about a file that has changed.
const HINT: &str =
    "leave files of weights as they are while a run uses them, fetch this one again if need be, and run it again";

/// A checkpoint on disk, mapped into memory: pages are read when they are used and cost no memory of their own.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
    guarded: Guarded,
    origin: Arc<Origin>,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// No regular file, or one that cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self> {
        let refused = |found: String| {
            let thing = format!("weights {}", path.display());
            Error::input(thing, "a file that can be read", found, "check the path and that you may read the file")
        };
        // Before opening: to open a pipe waits for whoever writes to it.
        if !path.metadata().map_err(|error| refused(error.to_string()))?.is_file() {
            return Err(refused("no regular file".to_owned()));
        }
        let file = File::open(path).map_err(|error| refused(error.to_string()))?;
        // SAFETY: the map is read-only and lives as long as `self`. What the type system cannot check is that nobody else changes the file meanwhile.
        // Copying gigabytes is the alternative; where it happens, the run ends with an error.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|error| refused(error.to_string()))?;
        let state = State::of(&file).map_err(|error| refused(error.to_string()))?;
        let origin = Arc::new(Origin { path: path.to_owned(), file, state });
        let guarded = guard::guard(map.as_ptr() as usize, map.len());
        lock().push(Open { guarded: guarded.clone(), origin: origin.clone() });
        Ok(Self { map, guarded, origin })
    }

    /// The file's content.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Checks that the file is what it was when it was opened, by its size and time.
    ///
    /// # Errors
    /// A run error that names the file.
    pub fn check_unchanged(&self) -> Result<()> {
        self.origin.changed().map_or(Ok(()), Err)
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        self.guarded.release();
        lock().retain(|open| open.guarded != self.guarded);
    }
}

/// The file of a map.
#[derive(Debug)]
struct Origin {
    path: PathBuf,
    file: File,
    state: State,
}

/// A file that is mapped now.
struct Open {
    guarded: Guarded,
    origin: Arc<Origin>,
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    bytes: u64,
    /// `None` where the file system does not know.
    written: Option<SystemTime>,
}

impl State {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { bytes: metadata.len(), written: metadata.modified().ok() })
    }
}

static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Origin {
    /// The error of a file that has changed; `None` where it is as it was.
    fn changed(&self) -> Option<Error> {
        let found = match State::of(&self.file) {
            Ok(now) if now == self.state => return None,
            Ok(now) if now.bytes < self.state.bytes => {
                format!("it cut to {} bytes of {}", now.bytes, self.state.bytes)
            }
            Ok(_) => "it written to meanwhile".to_owned(),
            Err(error) => error.to_string(),
        };
        Some(Error::run(self.thing(), "the file as it was when the run began", found, HINT))
    }

    /// The error of a page that could not be read.
    fn unreadable(&self) -> Error {
        let hint = "check the disk that holds it, and fetch the file again";
        self.changed().unwrap_or_else(|| Error::run(self.thing(), "a file that can be read", "a read error", hint))
    }

    fn thing(&self) -> String {
        format!("weights {}", self.path.display())
    }
}

/// Waits until a page of a mapped file cannot be read, and says of which file and why; whoever used it waits for ever, so the program has to end. For a
/// thread of its own. Where the system cannot tell, it never returns.
pub fn wait_for_unreadable() -> Error {
    let unreadable = guard::wait();
    let origin = lock().iter().find(|open| open.guarded == unreadable).map(|open| open.origin.clone());
    let unknown = || Error::run("weights", "files that can be read", "one that could not be", HINT);
    origin.map_or_else(unknown, |origin| origin.unreadable())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file of a test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("stir-mapped-{name}-{}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            Self(path)
        }
    }

    fn complaint(map: &MappedFile) -> Option<String> {
        map.check_unchanged().err().map(|error| error.to_string())
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_file(&self.0).ok();
        }
    }

    #[test]
    fn a_file_on_disk_reads_as_the_same_bytes() {
        let file = Scratch::new("bytes", b"weights");
        assert_eq!(MappedFile::open(&file.0).unwrap().bytes(), b"weights");
        std::fs::remove_file(&file.0).unwrap();
        assert_eq!(MappedFile::open(&file.0).unwrap_err().exit_code(), 2);
        let folder = MappedFile::open(&std::env::temp_dir()).unwrap_err();
        assert!(folder.to_string().ends_with("found no regular file"), "{folder}");
    }

    /// Bytes that are missing from a page that is there read as zeros: no signal tells.
    #[test]
    fn a_file_that_changes_is_named() {
        let file = Scratch::new("cut", &[7; 100]);
        let map = MappedFile::open(&file.0).unwrap();
        assert_eq!(complaint(&map), None);
        File::options().write(true).open(&file.0).unwrap().set_len(60).unwrap();
        let said = complaint(&map).unwrap();
        assert!(said.contains(&file.0.display().to_string()), "{said}");
        assert!(said.ends_with("found it cut to 60 bytes of 100"), "{said}");

        let map = MappedFile::open(&file.0).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        File::options().write(true).open(&file.0).unwrap().write_all(b"x").unwrap();
        assert!(complaint(&map).unwrap().ends_with("found it written to meanwhile"));
    }

    /// A download that replaces a file leaves the old one to those who read it.
    #[test]
    fn a_file_that_is_replaced_or_removed_stays_what_it_was() {
        let (file, other) = (Scratch::new("replaced", &[7; 100]), Scratch::new("replacing", &[8; 50]));
        let map = MappedFile::open(&file.0).unwrap();
        std::fs::rename(&other.0, &file.0).unwrap();
        assert_eq!((complaint(&map), map.bytes()), (None, [7; 100].as_slice()));
        std::fs::remove_file(&file.0).unwrap();
        assert_eq!((complaint(&map), map.bytes()), (None, [7; 100].as_slice()));
    }

    #[test]
    fn a_whole_file_that_could_not_be_read_has_a_read_error() {
        let file = Scratch::new("whole", &[7; 100]);
        let map = MappedFile::open(&file.0).unwrap();
        let error = map.origin.unreadable();
        assert!(error.to_string().ends_with("wanted a file that can be read, found a read error"), "{error}");
        assert_eq!(error.exit_code(), 1);
        File::options().write(true).open(&file.0).unwrap().set_len(0).unwrap();
        assert!(map.origin.unreadable().to_string().ends_with("found it cut to 0 bytes of 100"));
    }
}
