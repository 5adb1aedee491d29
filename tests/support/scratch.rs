//! Folders that clean up after themselves.

use std::path::{Path, PathBuf};

/// A folder that is removed at the end of the test.
pub struct Scratch(PathBuf);

impl Scratch {
    /// `name` is unique among the tests of one binary.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("stir-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
