//! Pixels in, video out: the only place that knows file formats.
//!
//! [`image`] reads the picture. [`create`] starts a clip in the format that the output's name asks for, after
//! [`check_target`] has said, before anything else runs, that it can.

use std::io::Write;
use std::path::{Path, PathBuf};

#[cfg(not(feature = "ffmpeg"))]
use crate::error::Error;
use crate::error::Result;
use crate::picture::Picture;
use crate::units::Clip;

mod clip_record;
mod colour;
#[cfg(feature = "ffmpeg")]
mod container;
pub mod degrade;
mod disk_space;
#[cfg(feature = "ffmpeg")]
mod encoding;
mod expected_size;
mod frame_count;
pub mod frames;
pub mod framing;
mod gif;
pub mod image;
mod output_format;
mod palette;
#[cfg(feature = "ffmpeg")]
mod playback;
mod png_folder;
mod rate;
#[cfg(feature = "ffmpeg")]
mod recode;
mod resize;
mod scratch;
mod staging;
mod target;
mod unfinished;
#[cfg(feature = "ffmpeg")]
mod video;
mod video_encoder;
pub mod watermark;
mod y4m;
mod yuv420;

pub use clip_record::{LONGEST_RECORD, read_record, sidecar};
pub use expected_size::{Disk, ExpectedSize, expected_size, waiting_bytes};
pub use output_format::OutputFormat;
pub use scratch::ScratchFolder;
pub use target::{Target, check_apart, check_clip, check_file, check_target, warn_of_leftovers};
pub use unfinished::{abandon_unfinished, keep_at_an_early_end, remove_at_an_early_end};
pub use video_encoder::VideoEncoder;

/// Qualities that a clip in a lossy format may have.
pub const QUALITY: std::ops::RangeInclusive<u8> = 20..=99;
/// The quality where none is asked for.
pub const DEFAULT_QUALITY: u8 = 95;

/// Writes a clip frame by frame. Until [`finish`](Self::finish) nothing stands under the final name; dropping a writer before leaves nothing behind.
pub trait ClipWriter: Send {
    /// Adds a frame of exactly the clip's size.
    ///
    /// # Errors
    /// A failed encoder or file operation, a frame of another size, or more frames than the clip has.
    fn write(&mut self, frame: &Picture) -> Result<()>;

    /// Replaces the record that the clip was created with, where the format can still take another one: all can but WebM.
    fn describe(&mut self, _record: String) {}

    /// Completes the clip and gives it its final name.
    ///
    /// # Errors
    /// A failed encoder or file operation, or fewer frames than the clip has.
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

/// Writes a whole file; until it is complete nothing stands under its name. `replace`: whether what stood there goes, or is an error.
///
/// # Errors
/// A failed file operation; what stood there before is then still there.
pub fn write_atomically(target: &Path, bytes: &[u8], replace: bool) -> Result<()> {
    let staged = staging::Staged::file(target, replace)?;
    staged
        .open()
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|source| disk_space::write_failed(target, source))?;
    staged.finish()
}

/// Starts a clip: a video or animated picture of the given quality of 20 to 99, or Y4M or a folder of PNGs, whose quality is the highest.
///
/// # Errors
/// Like [`check_target`] and [`check_clip`]; also a quality out of range.
pub fn create(target: &Target, clip: &Clip) -> Result<Box<dyn ClipWriter>> {
    create_with(target, clip, None)
}

/// As [`create`], for a clip that carries this text about how it was made: an MP4, QuickTime or WebM in its metadata, any other in [`sidecar`].
///
/// # Errors
/// As [`create`].
pub fn create_described(target: &Target, clip: &Clip, record: String) -> Result<Box<dyn ClipWriter>> {
    match sidecar(target) {
        None => create_with(target, clip, Some(record)),
        Some(path) => {
            if !target.replace {
                target::check_free(&path)?;
            }
            let clip = create_with(target, clip, None)?;
            Ok(Box::new(clip_record::WithSidecar::create(clip, &path, (target.replace, record))?))
        }
    }
}

fn create_with(target: &Target, clip: &Clip, record: Option<String>) -> Result<Box<dyn ClipWriter>> {
    check_clip(target, clip)?;
    if !target.replace {
        target::check_free(&target.path)?;
    }
    if target.format == OutputFormat::PngFolder {
        return Ok(Box::new(png_folder::PngFolderWriter::create(&target.path, target.replace, clip)?));
    }
    target::check_not_folder(&target.path)?;
    match target.format {
        OutputFormat::Y4m => Ok(Box::new(y4m::Y4mWriter::create(target, clip)?)),
        OutputFormat::Gif => Ok(Box::new(gif::GifWriter::create(target, clip)?)),
        _ => create_video(target, clip, record),
    }
}

#[cfg(feature = "ffmpeg")]
fn create_video(target: &Target, clip: &Clip, record: Option<String>) -> Result<Box<dyn ClipWriter>> {
    let encoding = encoding::Encoding::of(target).expect("the other formats have been dealt with");
    Ok(Box::new(video::VideoWriter::create(target, encoding, (clip, record))?))
}

#[cfg(not(feature = "ffmpeg"))]
fn create_video(target: &Target, _clip: &Clip, _record: Option<String>) -> Result<Box<dyn ClipWriter>> {
    Err(without_ffmpeg(target.format))
}

/// What encodes `target`, and the versions of its libraries: what a file's bytes depend on besides the frames. `None` where that is a part of stir.
pub fn encoder(target: &Target) -> Option<String> {
    #[cfg(feature = "ffmpeg")]
    return encoding::Encoding::of(target).map(|encoding| format!("{} of {}", encoding.encoder, video::libraries()));
    #[cfg(not(feature = "ffmpeg"))]
    {
        let _ = target;
        None
    }
}

/// Checks that this build, with these libraries, can write `target`'s format.
#[cfg(feature = "ffmpeg")]
fn check_encoder(target: &Target) -> Result<()> {
    encoding::Encoding::of(target).map_or(Ok(()), |encoding| video::check(&target.path, encoding))
}

/// Checks that the encoder takes such frames, where that cannot be known without it.
#[cfg(feature = "ffmpeg")]
fn check_encoding(target: &Target, clip: &Clip) -> Result<()> {
    match encoding::Encoding::of(target) {
        Some(encoding) if target.encoder == VideoEncoder::Nvenc => video::check_opens(target, encoding, clip),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "ffmpeg"))]
fn check_encoding(_target: &Target, _clip: &Clip) -> Result<()> {
    Ok(())
}

#[cfg(not(feature = "ffmpeg"))]
fn check_encoder(target: &Target) -> Result<()> {
    match target.format {
        OutputFormat::Gif | OutputFormat::Y4m | OutputFormat::PngFolder => Ok(()),
        format => Err(without_ffmpeg(format)),
    }
}

#[cfg(not(feature = "ffmpeg"))]
fn without_ffmpeg(format: OutputFormat) -> Error {
    Error::input(
        format!("{format} output"),
        "a stir with FFmpeg",
        "one that was built without it",
        "build it with: cargo build --release --features ffmpeg; or write .gif, .y4m or a folder of PNG frames",
    )
}
