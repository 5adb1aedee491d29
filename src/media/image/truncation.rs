//! Whether an image file is all there. Decoders show what they have, with the rest grey; a clip of that is not what anyone asked for.

use super::containers::webp_chunks;

/// Whether a JPEG ends with its end marker. Looks at every marker from the start, since thumbnails within and appendices behind
/// the picture have end markers of their own.
///
/// # Source
/// ITU-T T.81, B.1.1: a marker is `FF` and a byte other than `00` and `FF`; segments start with their length; after a scan's header
/// come coded data, in which `FF 00` is a byte and `FF D0` to `FF D7` are restart markers.
pub(super) fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut position = 2;
    loop {
        // To the next marker: over coded data, padding and restart markers.
        let marker = loop {
            let Some(found) = bytes.get(position..).and_then(|rest| rest.iter().position(|byte| *byte == 0xFF)) else {
                return false;
            };
            position += found + 1;
            match bytes.get(position) {
                None => return false,
                Some(0x00 | 0x01 | 0xD0..=0xD8 | 0xFF) => {}
                Some(marker) => break *marker,
            }
        };
        position += 1;
        if marker == END {
            return true;
        }
        let Some([high, low]) = bytes.get(position..position + 2) else { return false };
        // A scan's coded data follow its header, and are searched like a gap between segments.
        position += usize::from(u16::from_be_bytes([*high, *low]));
    }
}

/// Whether a PNG ends with its end chunk.
///
/// # Source
/// PNG (Third Edition), 5.2 and 5.3: an 8-byte signature, then chunks of length, type, data and CRC; `IEND` is the last.
pub(super) fn png_is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((header, data)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *header;
        let Some(next) = data.get(u32::from_be_bytes([a, b, c, d]) as usize + 4..) else { return false };
        if kind == *b"IEND" {
            return true;
        }
        rest = next;
    }
    false
}

/// Whether a WebP is as long as its header and its chunks say: the decoder takes as much memory as a chunk claims.
///
/// # Source
/// RFC 9649, 2.4: `RIFF`, the size of what follows (little-endian), `WEBP`.
pub(super) fn webp_is_complete(bytes: &[u8]) -> bool {
    let Some(&[a, b, c, d]) = bytes.get(4..8) else { return false };
    let end = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    let mut chunks = webp_chunks(bytes).take_while(|chunk| chunk.start as u64 + 8 <= end);
    bytes.len() as u64 >= end && chunks.all(|chunk| chunk.end <= bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_ends_at_its_own_end_marker() {
        // Start, a segment that holds an end marker, a scan header, data with a stuffed byte and a restart, end.
        let whole = [
            &[0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xD9, 0xFF, 0xDA, 0, 3, 1][..],
            &[7, 0xFF, 0x00, 8, 0xFF, 0xD3, 9, 0xFF, 0xD9],
        ]
        .concat();
        assert!(jpeg_is_complete(&whole));
        assert!(jpeg_is_complete(&[&whole[..], &[0, 0, 0]].concat()), "an appendix does no harm");
        for length in 0..whole.len() {
            assert!(!jpeg_is_complete(&whole[..length]), "cut to {length} bytes");
        }
    }

    #[test]
    fn a_png_ends_at_its_end_chunk() {
        let whole = [&[0; 8][..], &[0, 0, 0, 2], b"IDAT", &[1, 2], &[0; 4], &[0; 4], b"IEND", &[0; 4]].concat();
        assert!(png_is_complete(&whole));
        for length in 0..whole.len() {
            assert!(!png_is_complete(&whole[..length]), "cut to {length} bytes");
        }
    }

    #[test]
    fn a_webp_is_as_long_as_it_says() {
        let whole = [b"RIFF", &[6, 0, 0, 0][..], b"WEBP", &[1, 2]].concat();
        assert!(webp_is_complete(&whole));
        for length in 0..whole.len() {
            assert!(!webp_is_complete(&whole[..length]), "cut to {length} bytes");
        }
    }

    #[test]
    fn a_chunk_of_a_webp_does_not_lead_out_of_the_file() {
        let with_chunk =
            |size: u32| [b"RIFF", &[14, 0, 0, 0][..], b"WEBP", b"EXIF", &size.to_le_bytes(), &[1, 2]].concat();
        assert!(webp_is_complete(&with_chunk(2)) && webp_is_complete(&with_chunk(1)));
        assert!(!webp_is_complete(&with_chunk(3)) && !webp_is_complete(&with_chunk(u32::MAX - 25)));
    }
}
