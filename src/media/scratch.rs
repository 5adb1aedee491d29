//! A folder for what nobody is to keep.

use std::path::{Path, PathBuf};

use crate::error::Result;

use super::staging::Staged;

/// An empty folder among the system's temporary files; dropped, or when a signal ends the program, it goes with all that is in it.
#[derive(Debug)]
pub struct ScratchFolder {
    staged: Staged,
}

impl ScratchFolder {
    /// `purpose` goes into its name.
    ///
    /// # Errors
    /// A system that has no place for it.
    pub fn create(purpose: &str) -> Result<Self> {
        Ok(Self { staged: Staged::folder(&std::env::temp_dir().join(format!("stir-{purpose}")), true)? })
    }

    /// A file or folder in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.staged.temporary().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_all_that_is_in_it() {
        let folder = ScratchFolder::create("test").unwrap();
        let file = folder.path("file");
        std::fs::write(&file, "content").unwrap();
        drop(folder);
        assert!(!file.exists() && !file.parent().unwrap().exists());
    }
}
