//! Which kind of file the first bytes show.

use image::ImageFormat;

use crate::error::{Error, Result};

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
}

impl Format {
    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        }
    }

    /// Its decoder.
    pub(super) fn decoder(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::WebP => ImageFormat::WebP,
        }
    }
}

/// What a file starts with that people take for a picture: where, the bytes, the name.
const OTHERS: [(usize, &[u8], &str); 39] = [
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\0", "a TIFF or a camera's raw picture"),
    (0, b"MM\0*", "a TIFF or a camera's raw picture"),
    (0, b"II+\0", "a TIFF"),
    (0, b"MM\0+", "a TIFF"),
    (0, b"\x76\x2F\x31\x01", "an OpenEXR"),
    (0, b"#?RADIANCE", "a Radiance HDR"),
    (0, b"#?RGBE", "a Radiance HDR"),
    (0, b"PF\n", "a PFM"),
    (0, b"Pf\n", "a PFM"),
    (0, b"P1", "a PNM"),
    (0, b"P2", "a PNM"),
    (0, b"P3", "a PNM"),
    (0, b"P4", "a PNM"),
    (0, b"P5", "a PNM"),
    (0, b"P6", "a PNM"),
    (0, b"P7", "a PAM"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%PDF-", "a PDF"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"\0\0\x01\0", "an icon"),
    (0, b"DDS ", "a DDS"),
    (0, b"qoif", "a QOI"),
    (0, b"farbfeld", "a farbfeld picture"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"\xFF\x0A", "a JPEG XL"),
    (0, b"\0\0\0\x0CJXL ", "a JPEG XL"),
    (0, b"\0\0\0\x0CjP  ", "a JPEG 2000"),
    (0, b"\xFF\x4F\xFF\x51", "a JPEG 2000"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftypavis", "an AVIF"),
    (4, b"ftyphe", "an HEIC"),
    (4, b"ftypmif1", "an HEIC"),
    (4, b"ftypmsf1", "an HEIC"),
    (4, b"ftypcrx ", "a camera's raw picture"),
    (4, b"ftyp", "a video"),
    (0, b"\x1A\x45\xDF\xA3", "a video"),
    (0, b"PK\x03\x04", "a ZIP archive or a document"),
];

/// The format of a file's bytes.
///
/// # Errors
/// Any other kind of file, by its name where it is a known one.
pub(super) fn of(bytes: &[u8], thing: &str) -> Result<Format> {
    if bytes.starts_with(b"\xFF\xD8\xFF") {
        return Ok(Format::Jpeg);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1A\n") {
        return Ok(Format::Png);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(Format::WebP);
    }
    let named = OTHERS.iter().find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    let (found, hint) = match named {
        Some((_, _, name)) => (*name, "convert it to PNG first"),
        None if is_svg(bytes) => ("an SVG", "convert it to PNG first"),
        None => ("no picture", "check that it is the right file"),
    };
    Err(Error::input(thing, "a JPEG, PNG or WebP picture", found, hint))
}

/// Whether a text is a drawing: its root element is `svg`, which may stand behind a declaration and comments.
fn is_svg(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    start.trim_start_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']).starts_with('<') && start.contains("<svg")
}
