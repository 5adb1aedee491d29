//! How many frames an image file holds: its chunks, without their contents.

use std::borrow::Cow;

/// Frames of an animated PNG that show; 1 for any other.
///
/// # Source
/// PNG (Third Edition), 11.3.6.1: `acTL` holds the number of frames and stands before the first `IDAT`.
pub(super) fn png_frames(bytes: &[u8]) -> u32 {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((header, data)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *header;
        match (&kind, data) {
            (b"acTL", [a, b, c, d, ..]) => return u32::from_be_bytes([*a, *b, *c, *d]),
            (b"IDAT", _) => return 1,
            _ => {}
        }
        let Some(next) = data.get(u32::from_be_bytes([a, b, c, d]) as usize + 4..) else { return 1 };
        rest = next;
    }
    1
}

/// A chunk of a WebP.
pub(super) struct WebPChunk {
    pub kind: [u8; 4],
    /// Where its name stands in the file.
    pub start: usize,
    /// Where its data end, as it says.
    pub end: usize,
}

/// The chunks of a WebP; none follows one that leads out of the file.
///
/// # Source
/// RFC 9649, 2.3: after a header of 12 bytes come chunks of name, size (little-endian) and data padded to an even size.
pub(super) fn webp_chunks(bytes: &[u8]) -> impl Iterator<Item = WebPChunk> {
    let mut start = 12;
    std::iter::from_fn(move || {
        let [kind @ .., a, b, c, d] = *bytes.get(start..)?.first_chunk::<8>()?;
        let end = (start + 8).checked_add(u32::from_le_bytes([a, b, c, d]) as usize)?;
        let chunk = WebPChunk { kind, start, end };
        start = end.checked_next_multiple_of(2)?;
        Some(chunk)
    })
}

/// Frames of an animated WebP; 1 for any other.
///
/// # Source
/// RFC 9649, 2.7: the chunk `ANMF` is a frame.
pub(super) fn webp_frames(bytes: &[u8]) -> u32 {
    let frames = webp_chunks(bytes).filter(|chunk| chunk.kind == *b"ANMF").count();
    u32::try_from(frames.max(1)).unwrap_or(u32::MAX)
}

/// A WebP with the flag set that says that something may be transparent, if it is an animation: where its first frame leaves the
/// canvas free the canvas is transparent, and without the flag decoders give black.
///
/// # Source
/// RFC 9649, 2.7.1: `VP8X` comes first; the bit 0x10 of its flags is alpha, 0x02 animation.
pub(super) fn with_free_canvas(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.get(12..16) != Some(b"VP8X") || bytes.get(20).is_none_or(|flags| flags & 0x02 == 0) {
        return Cow::Borrowed(bytes);
    }
    let mut bytes = bytes.to_owned();
    bytes[20] |= 0x10;
    Cow::Owned(bytes)
}
