//! A folder for inputs that are read as files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Removed when it is dropped.
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// An empty folder of its own.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Each target that is tested in a process counts for itself.
        let target = module_path!().replace("::", "-");
        let folder = std::env::temp_dir().join(format!("stir-fuzz-{}-{target}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        Self { folder }
    }

    /// Writes a file into it, and gives its path.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
