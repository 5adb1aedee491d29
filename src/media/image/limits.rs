//! How large a picture may be: what protects the machine always, what guards quality unless the user lifts it.

use std::ops::RangeInclusive;

use image::metadata::Orientation;

use crate::error::{Error, Result};

/// A picture may have at most this many pixels. Checked before decoding: a few kilobytes can unpack to gigabytes.
pub const MOST_PIXELS: u64 = 100_000_000;
/// No picture within [`MOST_PIXELS`] needs a larger file.
pub(super) const MOST_BYTES: u64 = 1 << 30;

/// Bytes of a file, as the hosted services allow. Lifted by [`any_image`](super::ReadOptions::any_image).
pub const LARGEST_FILE: u64 = 20_000_000;
/// Fewest pixels of the short side: an enlarged stamp makes a blurred clip. Lifted by [`any_image`](super::ReadOptions::any_image).
pub const SHORTEST_SIDE: usize = 300;
/// Width by height: narrower or wider pictures have too little room to move. Lifted by [`any_image`](super::ReadOptions::any_image).
pub const ASPECTS: RangeInclusive<f64> = 0.4..=2.5;

/// Refuses a file that is too large, from its size alone.
pub(super) fn check_bytes(bytes: u64, thing: &str, any_image: bool) -> Result<()> {
    if !any_image && bytes > LARGEST_FILE {
        let wanted = format!("at most {} MB", LARGEST_FILE / 1_000_000);
        // Two digits: a file that is only just too large must not seem to have the size that is allowed.
        let found = format!("{:.2} MB ({bytes} bytes)", bytes as f64 / 1e6);
        return Err(Error::input(
            thing,
            wanted,
            found,
            "make the file smaller, or lift the limit by --allow-any-image",
        ));
    }
    if bytes > MOST_BYTES {
        return Err(Error::input(thing, "at most 1 GiB", "more than that", "choose a smaller picture"));
    }
    Ok(())
}

/// Width and height as seen, from those in the file.
pub(super) fn turned(width: u32, height: u32, orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

/// Refuses a picture that is too small, too narrow or too large, from its header alone.
pub(super) fn check_size((width, height): (u32, u32), thing: &str, any_image: bool) -> Result<()> {
    let refused = |wanted: String, found: String, hint: &str| {
        Err(Error::input(thing, wanted, format!("{width}x{height} pixels{found}"), hint))
    };
    if width == 0 || height == 0 {
        return refused("a picture with pixels".to_owned(), String::new(), "export the picture again");
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        let megapixels = (f64::from(width) * f64::from(height) / 1e4).ceil() / 100.0;
        return refused(
            format!("at most {} megapixels", MOST_PIXELS / 1_000_000),
            format!(", {megapixels} megapixels"),
            "make the picture smaller first",
        );
    }
    if any_image {
        return Ok(());
    }
    if (width.min(height) as usize) < SHORTEST_SIDE {
        return refused(
            format!("a short side of {SHORTEST_SIDE} pixels or more"),
            String::new(),
            "choose a larger picture, or lift the limit by --allow-any-image",
        );
    }
    let aspect = f64::from(width) / f64::from(height);
    if !ASPECTS.contains(&aspect) {
        // Rounded up: a picture that is only just too long must not seem to have the aspect that is allowed.
        let times = (f64::from(width.max(height)) / f64::from(width.min(height)) * 100.0).ceil() / 100.0;
        let parts = if aspect > 1.0 { format!("{times:.2}:1") } else { format!("1:{times:.2}") };
        return refused(
            "an aspect from 2:5 to 5:2".to_owned(),
            format!(", {parts}"),
            "crop the picture, or lift the limit by --allow-any-image",
        );
    }
    Ok(())
}
