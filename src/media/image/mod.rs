//! The picture that starts a clip: from a JPEG, PNG or WebP file to 8-bit sRGB.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, Limits, RgbImage};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::picture::{Color, Picture};

mod bytes;
mod color_profile;
mod containers;
mod format;
mod jpeg;
mod limits;
mod samples;
mod truncation;

use format::Format;
pub use limits::{ASPECTS, LARGEST_FILE, MOST_PIXELS, SHORTEST_SIDE};
use samples::Samples;
pub(super) use samples::lay_over;

/// What a decoder may take besides the pixels: for texts and profiles, which a few bytes can unpack to.
const MOST_MEMORY: u64 = 64 << 20;

/// Where the picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl ImageSource {
    /// The source that `-i` names: `-` is standard input.
    pub fn named(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }

    /// The file, if it is one: no output may replace it.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin => None,
        }
    }
}

impl std::fmt::Display for ImageSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "image {}", path.display()),
            Self::Stdin => f.write_str("the image from standard input"),
        }
    }
}

/// What is refused of a picture, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// What shows through where the picture is transparent.
    pub background: Color,
    /// Take pictures beyond the limits that only guard quality: [`LARGEST_FILE`], [`SHORTEST_SIDE`] and [`ASPECTS`].
    pub any_image: bool,
}

/// A picture as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedPicture {
    /// The pixels.
    pub picture: Picture,
    /// The SHA-256 of the file in hexadecimal digits.
    pub sha256: String,
    /// Lines for the user: for instance that of an animation the first frame is taken.
    pub notes: Vec<String>,
}

/// Reads a JPEG, PNG or WebP picture: `[height, width, 3]`, uint8, sRGB.
///
/// The contents decide the format, not the name. The picture is turned as its EXIF orientation says; palettes, grey, inks and
/// 16 bits become 8-bit RGB; colours in another space than sRGB are converted by their ICC profile (a PNG's `gAMA`, `cHRM` and
/// `cICP` chunks are left aside); transparent parts are laid over the background; of an animation the first frame is taken.
///
/// # Errors
/// A source that is no readable file, and contents that are empty, no such picture, incomplete, damaged, or beyond a limit:
/// [`MOST_PIXELS`] always, the others unless [`ReadOptions::any_image`] is set.
pub fn open(source: &ImageSource, options: &ReadOptions) -> Result<OpenedPicture> {
    let thing = source.to_string();
    let bytes = match source {
        ImageSource::File(path) => bytes::of_file(path, &thing, options.any_image)?,
        ImageSource::Stdin => bytes::of_stdin(&thing, options.any_image)?,
    };
    decode(&bytes, &thing, options)
}

/// Reads a picture with its transparency, of any size up to [`MOST_PIXELS`]. `thing` names it in errors.
///
/// # Errors
/// Like [`open`].
pub(super) fn open_layer(path: &Path, thing: &str) -> Result<Layer> {
    decode_layer(&bytes::of_file(path, thing, true)?, thing, true)
}

/// A picture before it is laid over anything.
pub(super) struct Layer {
    /// The pixels; where nothing shows they may be of any colour.
    pub picture: Picture,
    /// How much shows of each, `[height, width]`, uint8; `None` if all of all.
    pub alpha: Option<Vec<u8>>,
    notes: Vec<String>,
}

/// Like [`open`], from the bytes of a file. `thing` names it in errors.
///
/// # Errors
/// Like [`open`].
pub fn decode(bytes: &[u8], thing: &str, options: &ReadOptions) -> Result<OpenedPicture> {
    let Layer { mut picture, alpha, notes } = decode_layer(bytes, thing, options.any_image)?;
    if let Some(alpha) = alpha {
        lay_over(picture.pixels_mut(), &alpha, options.background);
    }
    Ok(OpenedPicture { picture, sha256: format!("{:x}", Sha256::digest(bytes)), notes })
}

fn decode_layer(bytes: &[u8], thing: &str, any_image: bool) -> Result<Layer> {
    let format = format::of(bytes, thing)?;
    limits::check_bytes(bytes.len() as u64, thing, any_image)?;
    let damaged = |found: String| {
        let wanted = format!("a complete {} picture", format.name());
        Error::input(thing, wanted, found, "copy, download or export the picture again")
    };
    let complete = match format {
        Format::Jpeg => truncation::jpeg_is_complete(bytes),
        Format::Png => truncation::png_is_complete(bytes),
        Format::WebP => truncation::webp_is_complete(bytes),
    };
    if !complete {
        return Err(damaged(format!("one that breaks off after {} bytes", bytes.len())));
    }
    let undecodable = |error: image::ImageError| damaged(format!("one that cannot be decoded ({error})"));

    let mut notes = Vec::new();
    let (frames, bytes) = match format {
        Format::Jpeg => (1, Cow::Borrowed(bytes)),
        Format::Png => (containers::png_frames(bytes), Cow::Borrowed(bytes)),
        Format::WebP => (containers::webp_frames(bytes), containers::with_free_canvas(bytes)),
    };
    if frames > 1 {
        notes.push(format!("{thing} is an animation of {frames} frames; its first one is taken"));
    }

    let mut reader = ImageReader::with_format(Cursor::new(&*bytes), format.decoder());
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().map_err(undecodable)?;
    limits::check_size(limits::turned(width, height, orientation), thing, any_image)?;
    let profile = decoder.icc_profile().map_err(undecodable)?;
    let samples = match format {
        Format::Jpeg => jpeg::read(&bytes).map_err(|error| damaged(format!("one that cannot be decoded ({error})")))?,
        _ => Samples::of(DynamicImage::from_decoder(decoder).map_err(undecodable)?),
    };
    let (pixels, alpha, note) = samples.into_srgb(profile.as_deref());
    notes.extend(note.map(|note| format!("{thing}: {note}")));

    let pixels = turned(RgbImage::from_raw(width, height, pixels).expect("three bytes a pixel"), orientation);
    let alpha = alpha.map(|alpha| GrayImage::from_raw(width, height, alpha).expect("a byte a pixel"));
    let alpha = alpha.map(|alpha| turned(alpha, orientation).into_luma8().into_raw());
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    Ok(Layer { picture: Picture::new(width, height, pixels.into_rgb8().into_raw()), alpha, notes })
}

/// As it is to be seen.
fn turned(image: impl Into<DynamicImage>, orientation: Orientation) -> DynamicImage {
    let mut image = image.into();
    image.apply_orientation(orientation);
    image
}
