//! Pixels in, video out: the only place that knows file formats.

use std::path::PathBuf;

use crate::error::Result;
use crate::picture::Picture;

/// Writes a clip frame by frame. Until [`finish`](Self::finish) nothing stands under the final name; dropping a writer before leaves nothing behind.
pub trait ClipWriter {
    /// Adds a frame of exactly the clip's size.
    ///
    /// # Errors
    /// A failed encoder or file operation.
    fn write(&mut self, frame: &Picture) -> Result<()>;

    /// Completes the clip and gives it its final name.
    ///
    /// # Errors
    /// A failed encoder or file operation, or another number of frames than the clip has.
    fn finish(self: Box<Self>) -> Result<WrittenClip>;
}

/// A finished clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenClip {
    /// The file, or the folder of PNGs.
    pub path: PathBuf,
    /// Its size in bytes (of all files together).
    pub bytes: u64,
}
