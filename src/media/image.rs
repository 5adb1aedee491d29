//! The picture that starts a clip: from a JPEG, PNG or WebP file to 8-bit sRGB, and to the clip's size.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use crate::error::{Error, Result};
use crate::picture::{Color, Picture, PixelBox};

use super::{color_profile, truncation};

/// A picture may have at most this many pixels. Checked before decoding: a few kilobytes can unpack to gigabytes.
pub const MOST_PIXELS: u64 = 100_000_000;
/// No picture within [`MOST_PIXELS`] needs a larger file.
const MOST_BYTES: u64 = 1 << 30;
/// What decoding may take: 16-bit RGBA of [`MOST_PIXELS`], and as much again for the decoder's own buffers.
const MOST_MEMORY: u64 = 2 * MOST_PIXELS * 8;

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
    /// Take pictures beyond the limits that only guard quality.
    pub any_image: bool,
}

/// A picture as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedPicture {
    /// The pixels.
    pub picture: Picture,
    /// Lines for the user: for instance that of an animation the first frame is taken.
    pub notes: Vec<String>,
}

/// Reads a JPEG, PNG or WebP file: `[height, width, 3]`, uint8, sRGB.
///
/// The contents decide the format, not the name. The picture is turned as its EXIF orientation says, palettes, grey and 16 bits
/// become 8-bit RGB, colours in another space than sRGB are converted by their ICC profile, transparent parts are laid over white, and of an animation the first frame is taken.
///
/// # Errors
/// A path that names no readable file, and contents that are empty, no such picture, incomplete, damaged, or beyond [`MOST_PIXELS`].
pub fn open(source: &ImageSource, _options: &ReadOptions) -> Result<OpenedPicture> {
    let thing = source.to_string();
    let bytes = read(source.path().expect("standard input comes later"), &thing)?;
    Ok(OpenedPicture { picture: decode(&bytes, &thing)?, notes: Vec::new() })
}

/// The file's bytes.
fn read(path: &Path, thing: &str) -> Result<Vec<u8>> {
    let refused = |found: String, hint: &str| Error::input(thing, "a JPEG, PNG or WebP file", found, hint);
    let unreadable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => refused("no such file".to_owned(), "check the path"),
        _ => refused(source.to_string(), "check the path and the file's permissions"),
    };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(refused("a folder".to_owned(), "name a picture in it"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(refused("an empty file".to_owned(), "copy or download the picture again"));
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refused("more than 1 GiB".to_owned(), "choose a smaller picture"));
    }
    Ok(bytes)
}

/// The picture that a file's bytes hold. `thing` names it in errors.
///
/// # Errors
/// As [`open`].
pub fn decode(bytes: &[u8], thing: &str) -> Result<Picture> {
    let (format, name) = format_of(bytes, thing)?;
    let damaged = |found: String| {
        Error::input(thing, format!("a complete {name} picture"), found, "copy, download or export the picture again")
    };
    let complete = match format {
        ImageFormat::Jpeg => truncation::jpeg_is_complete(bytes),
        ImageFormat::Png => truncation::png_is_complete(bytes),
        _ => truncation::webp_is_complete(bytes),
    };
    if !complete {
        return Err(damaged(format!("one that breaks off after {} bytes", bytes.len())));
    }
    let undecodable = |error: image::ImageError| damaged(format!("one that cannot be decoded ({error})"));

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(Error::input(
            thing,
            format!("at most {} megapixels", MOST_PIXELS / 1_000_000),
            format!("{width}x{height}, {:.0} megapixels", f64::from(width) * f64::from(height) / 1e6),
            "make the picture smaller first",
        ));
    }
    let orientation = decoder.orientation().map_err(undecodable)?;
    let profile = decoder.icc_profile().map_err(undecodable)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut pixels = over_white(image);
    if let Some(profile) = profile {
        // As browsers do: a defect in the profile is no reason to lose the picture.
        if let Err(error) = color_profile::to_srgb(&mut pixels, &profile) {
            tracing::warn!("{thing}: its colour profile cannot be used ({error}); its colours are taken for sRGB");
        }
    }
    Ok(Picture::new(width, height, pixels))
}

/// The format that the first bytes show, and its name.
fn format_of(bytes: &[u8], thing: &str) -> Result<(ImageFormat, &'static str)> {
    let other = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => return Ok((ImageFormat::Jpeg, "JPEG")),
        Ok(ImageFormat::Png) => return Ok((ImageFormat::Png, "PNG")),
        Ok(ImageFormat::WebP) => return Ok((ImageFormat::WebP, "WebP")),
        Ok(other) => format!("{other:?}").to_uppercase(),
        Err(_) if bytes.get(4..12).is_some_and(|brand| brand == b"ftypheic" || brand == b"ftypmif1") => {
            "HEIC".to_owned()
        }
        Err(_) => {
            return Err(Error::input(
                thing,
                "a JPEG, PNG or WebP picture",
                "no picture",
                "check that it is the right file",
            ));
        }
    };
    Err(Error::input(thing, "a JPEG, PNG or WebP picture", other, "convert it to PNG first"))
}

/// 8-bit RGB; transparent pixels are laid over white.
fn over_white(image: DynamicImage) -> Vec<u8> {
    if !image.color().has_alpha() {
        return image.into_rgb8().into_raw();
    }
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixels = image.into_rgba8();
    pixels.pixels().flat_map(|pixel| [0, 1, 2].map(|channel| blend(pixel[channel], pixel[3]))).collect()
}

/// The picture resized to cover `width` x `height` pixels, with what sticks out cut off evenly on both sides. Lanczos-3, widened when
/// shrinking, so that fine lines neither alias nor vanish. A picture of that size already comes back unchanged.
///
/// # Panics
/// If a side is zero: sizes are checked with the request.
pub fn cover(picture: &Picture, width: usize, height: usize) -> Picture {
    assert!(width > 0 && height > 0, "a picture of {width}x{height} pixels");
    if (picture.width(), picture.height()) == (width, height) {
        return picture.clone();
    }
    // Cut first: an extreme aspect would make a huge picture in between.
    let [left, top, cut_width, cut_height] = shown_part(picture, width, height);
    let mut pixels = Vec::with_capacity(cut_width * cut_height * 3);
    for row in picture.pixels().chunks_exact(picture.width() * 3).skip(top).take(cut_height) {
        pixels.extend_from_slice(&row[left * 3..(left + cut_width) * 3]);
    }
    if (cut_width, cut_height) == (width, height) {
        return Picture::new(width, height, pixels);
    }
    let middle = RgbImage::from_raw(cut_width as u32, cut_height as u32, pixels).expect("the buffer was just filled");
    let resized = imageops::resize(&middle, width as u32, height as u32, FilterType::Lanczos3);
    Picture::new(width, height, resized.into_raw())
}

/// Where a box of `picture` lies in what [`cover`] makes of it; partly or wholly outside where it is cut off.
pub fn cover_box(picture: &Picture, place: PixelBox, width: usize, height: usize) -> PixelBox {
    let [left, top, cut_width, cut_height] = shown_part(picture, width, height);
    let (across, down) = (width as f64 / cut_width as f64, height as f64 / cut_height as f64);
    PixelBox {
        left: (place.left - left as f64) * across,
        top: (place.top - top as f64) * down,
        width: place.width * across,
        height: place.height * down,
    }
}

/// Left, top, width and height, to the pixel, of the part of `picture` that [`cover`] keeps.
pub fn shown_part(picture: &Picture, width: usize, height: usize) -> [usize; 4] {
    let cut = |side: usize, other: usize, wanted: usize, wanted_other: usize| {
        let fitting = (other as f64 * wanted as f64 / wanted_other as f64).round() as usize;
        fitting.clamp(1, side)
    };
    let cut_width = cut(picture.width(), picture.height(), width, height);
    let cut_height = cut(picture.height(), picture.width(), height, width);
    [(picture.width() - cut_width) / 2, (picture.height() - cut_height) / 2, cut_width, cut_height]
}
