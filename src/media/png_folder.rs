//! Clips as a folder of numbered PNG pictures: `000000.png`, `000001.png` and so on, lossless.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::units::Clip;

use super::disk_space::write_failed;
use super::frame_count::FrameCount;
use super::staging::{Staged, without_separator};
use super::{ClipWriter, WrittenClip};

/// Writes one PNG a frame.
pub(super) struct PngFolderWriter {
    staged: Staged,
    count: FrameCount,
    bytes: u64,
}

impl PngFolderWriter {
    /// Starts a clip in the folder `target`.
    ///
    /// # Errors
    /// A target that cannot be written, or that holds anything but earlier frames.
    pub fn create(target: &Path, replace: bool, clip: &Clip) -> Result<Self> {
        let count = FrameCount::new(clip)?;
        check_replaceable(target)?;
        Ok(Self { staged: Staged::folder(target, replace)?, count, bytes: 0 })
    }
}

impl ClipWriter for PngFolderWriter {
    fn write(&mut self, frame: &Picture) -> Result<()> {
        let index = self.count.accept(frame)?;
        let path = self.staged.temporary().join(format!("{index:06}.png"));
        // Named by where it would be found at the end.
        self.bytes += write_png(&path, frame)
            .map_err(|source| write_failed(&self.staged.target().join(format!("{index:06}.png")), source))?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<WrittenClip> {
        let Self { staged, count, bytes } = *self;
        count.complete()?;
        // Again: something may have been put there while the clip was made.
        check_replaceable(staged.target())?;
        let path = staged.target().to_owned();
        staged.finish()?;
        Ok(WrittenClip { path, bytes })
    }
}

/// What a clip takes at least, in bytes: Deflate shrinks nothing to less than a 1032nd.
pub(super) fn least_size(clip: &Clip) -> u64 {
    clip.frames.0 as u64 * (clip.width as u64 * clip.height as u64 * 3 / 1032)
}

/// Writes one picture, on disk when this returns, and says its size in bytes.
fn write_png(path: &Path, picture: &Picture) -> std::io::Result<u64> {
    // In memory first: the encoder would hide what kind of error the disk has.
    let mut bytes = Vec::new();
    // The fast setting keeps up with rendering; the files are about a fifth larger than the smallest.
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(picture.pixels(), picture.width() as u32, picture.height() as u32, ExtendedColorType::Rgb8)
        .map_err(std::io::Error::other)?;
    let mut file = File::create_new(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok(bytes.len() as u64)
}

/// Refuses a target that is a file, or a folder with anything in it but frames: replacing it would destroy the user's files.
///
/// # Errors
/// Such a target, or a folder that cannot be read.
pub(super) fn check_replaceable(target: &Path) -> Result<()> {
    let thing = format!("output {}", target.display());
    let wanted = "a new folder, an empty one, or one with frames 000000.png, 000001.png, ... only";
    if !target.is_dir() {
        return match fs::symlink_metadata(without_separator(target)) {
            Err(_) => Ok(()),
            Ok(_) => Err(Error::input(
                thing,
                wanted,
                "something else than a folder of that name",
                "choose another name, or one that ends in .mp4 or .y4m for a single file",
            )),
        };
    }
    let unreadable = |error: std::io::Error| {
        Error::input(thing.as_str(), "a folder that can be read", error.to_string(), "choose another one")
    };
    for entry in fs::read_dir(target).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let is_file = entry.file_type().map_err(unreadable)?.is_file();
        if !(is_file && name.to_str().is_some_and(is_frame_name)) {
            return Err(Error::input(
                thing,
                wanted,
                format!("a folder that also holds {}", Path::new(&name).display()),
                "choose another folder: this one would be replaced as a whole",
            ));
        }
    }
    Ok(())
}

/// Whether a file is named like a frame: six digits and `.png`.
fn is_frame_name(name: &str) -> bool {
    name.strip_suffix(".png").is_some_and(|stem| stem.len() == 6 && stem.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_names() {
        assert!(is_frame_name("000000.png"));
        assert!(is_frame_name("000149.png"));
        for name in ["0000.png", "00000a.png", "000000.PNG", "000000.png.bak", "photo.png", "0000000.png", ".png"] {
            assert!(!is_frame_name(name), "{name}");
        }
    }
}
