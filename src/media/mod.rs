//! Pixels in, video out: the only place that knows file formats.
//!
//! [`image`] reads the picture. [`create`] starts a clip in the format that the output's name asks for, after
//! [`check_target`] has said, before anything else runs, that it can.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::units::Clip;

mod frame_count;
pub mod framing;
pub mod image;
mod png_folder;
mod rate;
mod resize;
mod staging;
#[cfg(feature = "ffmpeg")]
mod video;
pub mod watermark;
mod y4m;
mod yuv420;

/// Writes a clip frame by frame. Until [`finish`](Self::finish) nothing stands under the final name; dropping a writer before leaves nothing behind.
pub trait ClipWriter {
    /// Adds a frame of exactly the clip's size.
    ///
    /// # Errors
    /// A failed encoder or file operation, a frame of another size, or more frames than the clip has.
    fn write(&mut self, frame: &Picture) -> Result<()>;

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

/// A file format of clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// H.264 in MP4.
    Mp4,
    /// H.264 in QuickTime.
    Mov,
    /// VP9 in WebM.
    Webm,
    /// Animated GIF.
    Gif,
    /// Animated WebP.
    Webp,
    /// Uncompressed YUV 4:2:0.
    Y4m,
    /// A folder of numbered PNG pictures.
    PngFolder,
}

impl OutputFormat {
    /// The format for a name: by its extension; a folder of PNGs if it ends in `/`, has no extension or is an existing folder.
    ///
    /// # Errors
    /// An unknown extension.
    pub fn of(target: &Path) -> Result<Self> {
        let ends_in_separator = target.as_os_str().to_str().is_some_and(|text| text.ends_with(std::path::is_separator));
        if ends_in_separator {
            return Ok(Self::PngFolder);
        }
        let extension = target.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("mp4") => Ok(Self::Mp4),
            Some("y4m") => Ok(Self::Y4m),
            None => Ok(Self::PngFolder),
            Some(_) if target.is_dir() => Ok(Self::PngFolder),
            Some(other) => Err(Error::input(
                format!("output {}", target.display()),
                "a name that ends in .mp4 or .y4m, or a folder for PNG frames",
                format!(".{other}"),
                "end the name in .mp4; for a folder, end it in /",
            )),
        }
    }
}

impl std::str::FromStr for OutputFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mp4" => Ok(Self::Mp4),
            "mov" => Ok(Self::Mov),
            "webm" => Ok(Self::Webm),
            "gif" => Ok(Self::Gif),
            "webp" => Ok(Self::Webp),
            "y4m" => Ok(Self::Y4m),
            "png" => Ok(Self::PngFolder),
            _ => {
                let found = format!("\"{text}\"");
                Err(Error::input("--format", "mp4, mov, webm, gif, webp, y4m or png", found, "mp4 is the default"))
            }
        }
    }
}

/// Where a clip goes, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The file, or the folder of PNGs.
    pub path: PathBuf,
    /// What is written there.
    pub format: OutputFormat,
    /// Quality of a lossy format, 20 to 99.
    pub quality: u8,
    /// Whether what stands there is replaced, or refused.
    pub replace: bool,
}

/// Checks, in milliseconds, that a clip can be written to `target`: a format that this build can write, a folder that can be
/// written to, nothing there that must not be replaced, and not the picture itself, `input`.
///
/// # Errors
/// What is in the way.
pub fn check_target(target: &Target, input: Option<&Path>) -> Result<()> {
    match target.format {
        OutputFormat::Y4m => check_file(&target.path, input),
        OutputFormat::PngFolder => check_png_folder(&target.path, input),
        _ => {
            check_mp4()?;
            check_file(&target.path, input)
        }
    }
}

/// Like [`check_target`], for a folder of PNG frames.
///
/// # Errors
/// What is in the way.
pub fn check_png_folder(target: &Path, input: Option<&Path>) -> Result<()> {
    check_not_input(target, input)?;
    png_folder::check_replaceable(target)?;
    staging::Staged::folder(target).map(drop)
}

/// Like [`check_target`], for any other file.
///
/// # Errors
/// What is in the way.
pub fn check_file(target: &Path, input: Option<&Path>) -> Result<()> {
    check_not_input(target, input)?;
    check_not_folder(target)?;
    staging::Staged::file(target).map(drop)
}

fn check_not_input(target: &Path, input: Option<&Path>) -> Result<()> {
    let Some(input) = input else { return Ok(()) };
    match (target.canonicalize(), input.canonicalize()) {
        (Ok(target_path), Ok(input_path)) if input_path.starts_with(&target_path) => Err(Error::input(
            format!("output {}", target.display()),
            "another file than the input picture, and not the folder that holds it",
            format!("the input {}", input.display()),
            "choose another output: this one would replace the picture",
        )),
        _ => Ok(()),
    }
}

/// Writes a whole file; until it is complete nothing stands under its name.
///
/// # Errors
/// A failed file operation; what stood there before is then still there.
pub fn write_atomically(target: &Path, bytes: &[u8]) -> Result<()> {
    let staged = staging::Staged::file(target)?;
    fs::write(staged.temporary(), bytes)
        .map_err(|source| Error::io("writing", target, source, "check the disk's free space"))?;
    staged.finish()
}

/// Starts a folder of PNGs whatever its name.
///
/// # Errors
/// Like [`check_png_folder`].
pub fn create_png_folder(target: &Path, clip: &Clip) -> Result<Box<dyn ClipWriter>> {
    Ok(Box::new(png_folder::PngFolderWriter::create(target, clip)?))
}

/// Starts a clip: `.mp4` with the given quality of 20 to 99, `.y4m`, or a folder of PNGs (both lossless in 8 bits, the quality does not matter).
///
/// # Errors
/// Like [`check_target`]; also an odd size (but for PNGs), a frame rate that no file can hold, or a quality out of range.
pub fn create(target: &Target, clip: &Clip) -> Result<Box<dyn ClipWriter>> {
    match target.format {
        OutputFormat::Y4m => {
            check_not_folder(&target.path)?;
            Ok(Box::new(y4m::Y4mWriter::create(&target.path, clip)?))
        }
        OutputFormat::PngFolder => create_png_folder(&target.path, clip),
        _ => create_mp4(&target.path, clip, target.quality),
    }
}

#[cfg(feature = "ffmpeg")]
fn create_mp4(target: &Path, clip: &Clip, quality: u8) -> Result<Box<dyn ClipWriter>> {
    check_not_folder(target)?;
    Ok(Box::new(video::Mp4Writer::create(target, clip, quality)?))
}

#[cfg(not(feature = "ffmpeg"))]
fn create_mp4(_target: &Path, _clip: &Clip, _quality: u8) -> Result<Box<dyn ClipWriter>> {
    check_mp4().map(|()| unreachable!("without FFmpeg there is no MP4"))
}

#[cfg(feature = "ffmpeg")]
fn check_mp4() -> Result<()> {
    video::check_encoder()
}

#[cfg(not(feature = "ffmpeg"))]
fn check_mp4() -> Result<()> {
    Err(Error::input(
        "MP4 output",
        "a stir with FFmpeg",
        "one that was built without it",
        "build it with: cargo build --release --features ffmpeg; or write .y4m or a folder of PNG frames",
    ))
}

/// A file cannot replace a folder.
fn check_not_folder(target: &Path) -> Result<()> {
    match fs::metadata(target) {
        Ok(metadata) if !metadata.is_file() => Err(Error::input(
            format!("output {}", target.display()),
            "a file's name",
            if metadata.is_dir() { "an existing folder" } else { "a device or a pipe" },
            "choose another name",
        )),
        _ => Ok(()),
    }
}
