//! The frames of a clip that stir has made, read back.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::AnimationDecoder;
use image::codecs::webp::WebPDecoder;

use crate::error::{Error, Result};

use super::OutputFormat;

/// The samples of one frame after the other, in the format's own order: equal frames of two clips of one format have equal samples.
pub type Frames = Box<dyn Iterator<Item = Result<Vec<u8>>>>;

/// The frames of the clip at `path`.
///
/// # Errors
/// A clip that cannot be opened; each frame may fail by itself.
pub fn read(path: &Path, format: OutputFormat) -> Result<Frames> {
    let thing = format!("clip {}", path.display());
    match format {
        OutputFormat::PngFolder => pictures(path.to_owned()),
        OutputFormat::Webp => animation(path, thing),
        _ => video(path, &thing),
    }
}

/// Whether frames of the format are as the decoder made them, except for the conversion to the format's colours.
pub fn is_lossless(format: OutputFormat) -> bool {
    matches!(format, OutputFormat::Y4m | OutputFormat::PngFolder)
}

fn pictures(folder: PathBuf) -> Result<Frames> {
    let frames = (0..).map(move |index| folder.join(format!("{index:06}.png"))).take_while(|path| path.exists());
    Ok(Box::new(frames.map(|path| {
        image::open(&path)
            .map(|frame| frame.into_rgb8().into_raw())
            .map_err(|error| broken(&path.display().to_string(), &error))
    })))
}

fn animation(path: &Path, thing: String) -> Result<Frames> {
    let file = File::open(path).map_err(|error| broken(&thing, &error))?;
    let decoder = WebPDecoder::new(BufReader::new(file)).map_err(|error| broken(&thing, &error))?;
    let frames = decoder
        .into_frames()
        .map(move |frame| frame.map(|frame| frame.into_buffer().into_raw()).map_err(|error| broken(&thing, &error)));
    Ok(Box::new(frames))
}

fn broken(thing: &str, error: &dyn std::fmt::Display) -> Error {
    Error::input(thing, "pictures that can be read", error.to_string(), "copy or make the clip again")
}

#[cfg(feature = "ffmpeg")]
fn video(path: &Path, thing: &str) -> Result<Frames> {
    Ok(Box::new(super::playback::Player::open(path, thing)?))
}

#[cfg(not(feature = "ffmpeg"))]
fn video(_path: &Path, _thing: &str) -> Result<Frames> {
    Err(super::without_ffmpeg(OutputFormat::Mp4))
}
