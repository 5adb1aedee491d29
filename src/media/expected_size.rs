//! How much a clip takes on disk and in memory before it is written.

use std::path::Path;

use super::staging::folder_of;
use super::{OutputFormat, Target, gif, y4m};
use crate::error::Result;
use crate::units::Clip;

/// Frames that a video encoder holds back until it knows what comes after them, each with as much again of what it knows of it: measured with x264,
/// 200 bytes a pixel.
const WAITING_FRAMES: u64 = 66;

/// A size on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedSize {
    /// Bytes.
    pub bytes: u64,
    /// Whether it is known, rather than usual for pictures of this size: how far they can be compressed depends on what they show.
    pub exact: bool,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that are free.
    pub free: u64,
    /// What tells it from others.
    pub number: u64,
}

impl Disk {
    /// The disk that a file of this name would be on; `None` where the system does not tell.
    pub fn of(path: &Path) -> Option<Self> {
        let folder = folder_of(path);
        Some(Self { free: fs4::available_space(folder).ok()?, number: number(folder)? })
    }
}

#[cfg(unix)]
fn number(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(folder.metadata().ok()?.dev())
}

/// One for each folder.
#[cfg(not(unix))]
fn number(folder: &Path) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    folder.canonicalize().ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

/// What a clip takes on disk while it is written and after.
///
/// # Errors
/// A frame rate that the format does not have.
pub fn expected_size(target: &Target, clip: &Clip) -> Result<ExpectedSize> {
    let pixels = (clip.width * clip.height * clip.frames.0) as f64;
    let about = |bytes_of_pixel: f64| ExpectedSize { bytes: (pixels * bytes_of_pixel) as u64, exact: false };
    // Halved for every ten points of quality below the highest, as rate factors do.
    let lossy = 2f64.powf((f64::from(target.quality) - 95.0) / 10.0);
    Ok(match target.format {
        OutputFormat::Y4m => ExpectedSize { bytes: y4m::size(clip)?, exact: true },
        // Frames wait beside it until the palette is known.
        OutputFormat::Gif => ExpectedSize { bytes: gif::spool_size(clip) + about(0.6).bytes, exact: false },
        OutputFormat::PngFolder => about(1.5),
        OutputFormat::Mp4 | OutputFormat::Mov | OutputFormat::Webm | OutputFormat::Webp => about(0.03 * lossy),
    })
}

/// Bytes of memory that frames take on their way into the clip's file.
pub fn waiting_bytes(target: &Target, clip: &Clip) -> u64 {
    let frame = (clip.width * clip.height) as u64 * 3 / 2;
    match target.format {
        OutputFormat::Mp4 | OutputFormat::Mov | OutputFormat::Webm => {
            2 * WAITING_FRAMES.min(clip.frames.0 as u64) * frame
        }
        OutputFormat::Gif | OutputFormat::Webp | OutputFormat::Y4m | OutputFormat::PngFolder => 2 * frame,
    }
}
