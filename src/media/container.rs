//! Whether a file that FFmpeg wrote is as long as it says itself: a write that fell short somewhere must not pass for a clip.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::OutputFormat;

/// Whether the file at `path` ends where its own outermost headers say, and has the parts that a clip needs.
///
/// # Errors
/// A file that cannot be read.
///
/// # Source
/// ISO/IEC 14496-12, 4.2 (boxes of MP4 and QuickTime); RFC 8794, sections 4 to 6 (EBML, of which WebM is made); the WebP container
/// specification (RIFF).
pub(super) fn is_complete(path: &Path, format: OutputFormat) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let said = match format {
        OutputFormat::Webm => webm_length(&mut file),
        OutputFormat::Webp => webp_length(&mut file),
        _ => movie_length(&mut file, length),
    };
    match said {
        Ok(said) => Ok(said == Some(length)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where the last box ends, if the index and the data are among them.
fn movie_length(file: &mut File, length: u64) -> io::Result<Option<u64>> {
    let (mut end, mut index, mut data) = (0, false, false);
    while end < length {
        file.seek(SeekFrom::Start(end))?;
        let [size, name] = [read::<4>(file)?, read::<4>(file)?];
        index |= &name == b"moov";
        data |= &name == b"mdat";
        // 1: the real size follows, in 64 bits.
        let size = match u32::from_be_bytes(size) {
            1 => u64::from_be_bytes(read::<8>(file)?),
            size => u64::from(size),
        };
        if size < 8 {
            return Ok(None);
        }
        end = end.saturating_add(size);
    }
    Ok((index && data).then_some(end))
}

/// Where the segment ends that follows the EBML header.
fn webm_length(file: &mut File) -> io::Result<Option<u64>> {
    if read::<4>(file)? != [0x1A, 0x45, 0xDF, 0xA3] {
        return Ok(None);
    }
    let Some(header) = ebml_size(file)? else { return Ok(None) };
    file.seek(SeekFrom::Current(header as i64))?;
    if read::<4>(file)? != [0x18, 0x53, 0x80, 0x67] {
        return Ok(None);
    }
    let size = ebml_size(file)?;
    let start = file.stream_position()?;
    Ok(size.and_then(|size| start.checked_add(size)))
}

/// A size of one to eight bytes, of which the leading zeros of the first tell how many; `None` if it is left open.
fn ebml_size(file: &mut File) -> io::Result<Option<u64>> {
    let [first] = read::<1>(file)?;
    let further = first.leading_zeros();
    if further > 7 {
        return Ok(None);
    }
    let mut size = u64::from(first) & ((1 << (7 - further)) - 1);
    for _ in 0..further {
        size = size << 8 | u64::from(read::<1>(file)?[0]);
    }
    let open = (1 << (7 * (further + 1))) - 1;
    Ok((size != open).then_some(size))
}

/// Where the RIFF chunk ends.
fn webp_length(file: &mut File) -> io::Result<Option<u64>> {
    let [riff, size, webp] = [read::<4>(file)?, read::<4>(file)?, read::<4>(file)?];
    Ok((&riff == b"RIFF" && &webp == b"WEBP").then_some(u64::from(u32::from_le_bytes(size)) + 8))
}

fn read<const COUNT: usize>(file: &mut File) -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    file.read_exact(&mut bytes).map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box of MP4 with so many bytes in it.
    fn movie_box(name: &[u8; 4], contents: usize) -> Vec<u8> {
        [&(contents as u32 + 8).to_be_bytes()[..], name, &vec![0; contents]].concat()
    }

    fn complete(bytes: &[u8], format: OutputFormat) -> bool {
        let path = std::env::temp_dir().join(format!("stir-container-{}-{format}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let result = is_complete(&path, format);
        std::fs::remove_file(&path).unwrap();
        result.unwrap()
    }

    #[test]
    fn whole_files_are_complete_and_shorter_ones_are_not() {
        let large = [&1_u32.to_be_bytes()[..], b"mdat", &20_u64.to_be_bytes(), &[0; 4]].concat();
        let movie = [movie_box(b"ftyp", 12), movie_box(b"moov", 90), large].concat();
        let matroska = |size: &[u8]| [b"\x1A\x45\xDF\xA3\x82ab\x18\x53\x80\x67", size, &[0; 300]].concat();
        let webm = matroska(&[0x41, 0x2C]);
        let riff = [b"RIFF", &24_u32.to_le_bytes()[..], b"WEBP", &[0; 20]].concat();
        for (format, bytes) in [
            (OutputFormat::Mp4, &movie),
            (OutputFormat::Mov, &movie),
            (OutputFormat::Webm, &webm),
            (OutputFormat::Webp, &riff),
        ] {
            assert!(complete(bytes, format), "{format}");
            for length in 0..bytes.len() {
                assert!(!complete(&bytes[..length], format), "{format}, {length} bytes");
            }
            assert!(!complete(&[bytes.as_slice(), &[0]].concat(), format), "{format}, a byte too many");
        }
        // The size is open while the file grows.
        assert!(!complete(&matroska(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), OutputFormat::Webm));
        assert!(complete(&matroska(&[0x01, 0, 0, 0, 0, 0, 0x01, 0x2C]), OutputFormat::Webm));
        assert!(!complete(&[movie_box(b"ftyp", 12), movie_box(b"mdat", 90)].concat(), OutputFormat::Mp4));
        assert!(!complete(&[0; 100], OutputFormat::Mp4));
    }
}
