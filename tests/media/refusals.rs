//! Pictures that are refused: each by a message that names what was wanted, what was found and the next step, and at once.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use image::ImageFormat;
use stir::error::Result;
use stir::media::image::{ImageSource, LARGEST_FILE, OpenedPicture, ReadOptions, decode};
use stir::picture::{Color, Picture};

use super::reading::{LOSSY_WEBP, dynamic, encoded, fixture, jpeg};
use super::{Folder, drawing, open, refusal};

/// Reads with the limits that only guard quality.
fn open_within_limits(path: &Path) -> Result<OpenedPicture> {
    let options = ReadOptions { background: Color::WHITE, any_image: false };
    stir::media::image::open(&ImageSource::File(path.to_owned()), &options)
}

/// The refusal of a file with these contents.
#[track_caller]
fn refused(bytes: &[u8]) -> String {
    let options = ReadOptions { background: Color::WHITE, any_image: true };
    refusal(decode(bytes, "image", &options))
}

/// A PNG's chunk with its checksum.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &(!crc).to_be_bytes()].concat()
}

/// A grey PNG whose header claims this size.
fn png_claiming(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1A\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", data), chunk(b"IEND", &[])].concat()
}

/// A JPEG with another size in its frame header: marker FF C0, length, precision, height, width.
fn jpeg_claiming(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg(&drawing(16, 16, 0));
    let header = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[header + 5..header + 7].copy_from_slice(&height.to_be_bytes());
    bytes[header + 7..header + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

#[test]
fn what_is_no_picture_is_refused_by_name() {
    let folder = Folder::new("refusals");
    let missing = folder.path("missing.png");
    let message = refusal(open(&missing));
    let start = format!("image {}: wanted a JPEG, PNG or WebP file, ", missing.display());
    assert!(message.starts_with(&start), "{message}");
    assert!(message.contains("found no such file; check the path"), "{message}");
    assert!(refusal(open(&folder.0)).contains("found a folder; name a picture in it"));
    let empty = folder.write("empty.png", b"");
    assert!(refusal(open(&empty)).contains("found an empty file; copy or download the picture again"));
    let text = folder.write("text.png", b"this is no picture at all, only a line of text");
    assert!(refusal(open(&text)).contains("found no picture; check that it is the right file"));
}

#[test]
fn other_formats_are_refused_by_name() {
    for (bytes, name) in [
        (&b"GIF89a\x01\0\x01\0\0\0\0;"[..], "a GIF"),
        (b"GIF89a\0\0\0\0\0\0\0;", "a GIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "an HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "an HEIC"),
        (b"\0\0\0\x1Cftypavif\0\0\0\0avifmif1", "an AVIF"),
        (b"\xFF\x0A\x10\x10", "a JPEG XL"),
        (b"\0\0\0\x0CJXL \r\n\x87\n", "a JPEG XL"),
        (b"<?xml version=\"1.0\"?>\n<svg width=\"4\"/>", "an SVG"),
        (b"\xEF\xBB\xBF  <svg xmlns=\"x\"/>", "an SVG"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"8BPS\0\x01", "a Photoshop document"),
        // These can hold numbers that are none.
        (b"\x76\x2F\x31\x01\x02\0\0\0", "an OpenEXR"),
        (b"II*\0\x08\0\0\0", "a TIFF or a camera's raw picture"),
        (b"MM\0*\0\0\0\x08", "a TIFF or a camera's raw picture"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "a Radiance HDR"),
        (b"PF\n2 2\n-1.0\n\0\0\xC0\x7F", "a PFM"),
        (b"BM\x3A\0\0\0", "a BMP"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0", "a video"),
    ] {
        let message = refused(bytes);
        let wanted = format!("wanted a JPEG, PNG or WebP picture, found {name}; convert it to PNG first");
        assert!(message.contains(&wanted), "{message}");
    }
    assert!(refused(b"<html><body></body></html>").contains("found no picture"));
}

/// The superuser may read everything, so this also asks for what nobody can read.
#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new("unreadable");
    let closed = folder.write("closed.png", &encoded(&dynamic(&drawing(16, 16, 0)), ImageFormat::Png));
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&closed).is_ok() {
        assert_eq!(open(&closed).unwrap().width(), 16);
    } else {
        assert!(refusal(open(&closed)).contains("check the path and the file's permissions"));
    }
    let around = folder.path("around.png");
    symlink(&around, &around).unwrap();
    assert!(refusal(open(&around)).contains("check the path and the file's permissions"));
    assert!(refusal(open(&closed.join("below.png"))).contains("check the path and the file's permissions"));
}

/// A regular file that cannot be read even by the superuser: the first page of a program's memory.
#[cfg(target_os = "linux")]
#[test]
fn a_failing_read_is_refused() {
    assert!(refusal(open(Path::new("/proc/self/mem"))).contains("check the path and the file's permissions"));
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_is_refused_without_waiting() {
    let folder = Folder::new("pipes");
    let pipe = folder.path("pipe.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/zero")] {
        // On a thread of its own, so that a reader that waits for a writer fails the test instead of hanging it.
        let (sender, receiver) = std::sync::mpsc::channel();
        let waiting = path.to_owned();
        std::thread::spawn(move || sender.send(refusal(open(&waiting))));
        let message = receiver.recv_timeout(std::time::Duration::from_secs(60)).expect("an answer");
        assert!(message.contains("found a pipe or a device; read from a pipe with -i -"), "{message}");
    }
}

/// What `stir` says when it reads a picture from standard input that holds these bytes.
fn from_stdin(bytes: &[u8]) -> String {
    let folder = Folder::new(&format!("stdin-{}", bytes.len()));
    let out = folder.path("clip.y4m");
    let mut child = Command::new(env!("CARGO_BIN_EXE_stir"))
        .args(["generate", "-i", "-", "-p", "hair flowing", "-o"])
        .arg(&out)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may stop reading before the end.
    child.stdin.take().unwrap().write_all(bytes).ok();
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    message
}

#[test]
fn standard_input_is_held_to_the_same_rules() {
    for (bytes, wanted) in [
        (vec![], "wanted a JPEG, PNG or WebP file, found nothing"),
        (b"only text".to_vec(), "found no picture"),
        (b"GIF89a".to_vec(), "found a GIF"),
        (vec![0; LARGEST_FILE as usize + 1], "wanted at most 20 MB, found 20.00 MB (20000001 bytes)"),
        (encoded(&dynamic(&drawing(299, 300, 0)), ImageFormat::Png), "wanted a short side of 300 pixels or more"),
    ] {
        let message = from_stdin(&bytes);
        assert!(message.contains("the image from standard input: "), "{message}");
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn limits_of_quality_are_named_with_the_option_that_lifts_them() {
    let folder = Folder::new("limits");
    for (width, height, wanted) in [
        (300, 300, None),
        (750, 300, None),
        (300, 750, None),
        (
            299,
            400,
            Some("wanted a short side of 300 pixels or more, found 299x400 pixels; choose a larger picture, or"),
        ),
        (
            400,
            299,
            Some("wanted a short side of 300 pixels or more, found 400x299 pixels; choose a larger picture, or"),
        ),
        (751, 300, Some("wanted an aspect from 2:5 to 5:2, found 751x300 pixels, 2.51:1; crop the picture, or")),
        (300, 900, Some("wanted an aspect from 2:5 to 5:2, found 300x900 pixels, 1:3.00; crop the picture, or")),
    ] {
        let path = folder.write("picture.png", &encoded(&dynamic(&drawing(width, height, 0)), ImageFormat::Png));
        assert_eq!(open(&path).unwrap().width(), width);
        match wanted {
            None => assert_eq!(open_within_limits(&path).unwrap().picture.width(), width),
            Some(wanted) => {
                let message = refusal(open_within_limits(&path));
                assert!(message.contains(&format!("{wanted} lift the limit by --allow-any-image")), "{message}");
            }
        }
    }
}

#[test]
fn a_turned_picture_is_measured_as_it_is_seen() {
    let wide = jpeg(&drawing(1000, 300, 0));
    let path = Folder::new("turned");
    let turned = [&wide[..2], &super::reading::exif_segment(6), &wide[2..]].concat();
    let message = refusal(open_within_limits(&path.write("turned.jpg", &turned)));
    assert!(message.contains("found 300x1000 pixels, 1:3.34"), "{message}");
}

#[test]
fn a_large_file_is_refused_before_it_is_read() {
    let folder = Folder::new("large");
    let mut bytes = encoded(&dynamic(&drawing(300, 300, 0)), ImageFormat::Png);
    bytes.resize(LARGEST_FILE as usize, 0);
    let path = folder.write("picture.png", &bytes);
    assert_eq!(open_within_limits(&path).unwrap().picture.width(), 300);
    bytes.push(0);
    let message = refusal(open_within_limits(&folder.write("picture.png", &bytes)));
    assert!(
        message.contains("wanted at most 20 MB, found 20.00 MB (20000001 bytes); make the file smaller"),
        "{message}"
    );
    assert!(message.contains("--allow-any-image"), "{message}");
    assert_eq!(open(&path).unwrap().width(), 300);
    // A file of holes: two gigabytes that take no room.
    let path = folder.path("holes.png");
    std::fs::File::create(&path).unwrap().set_len(2 << 30).unwrap();
    assert!(refusal(open(&path)).contains("wanted at most 1 GiB"));
}

#[test]
fn a_truncated_picture_is_refused() {
    let picture = drawing(80, 64, 0);
    for (name, bytes) in [
        ("JPEG", jpeg(&picture)),
        ("JPEG", fixture("progressive.jpg")),
        ("JPEG", fixture("420-restarts.jpg")),
        ("PNG", encoded(&dynamic(&picture), ImageFormat::Png)),
        ("WebP", encoded(&dynamic(&picture), ImageFormat::WebP)),
        ("WebP", LOSSY_WEBP.to_vec()),
        ("WebP", fixture("animated.webp")),
    ] {
        let options = ReadOptions { background: Color::WHITE, any_image: true };
        decode(&bytes, "image", &options).unwrap();
        // From where the format can be known at all, to the last byte but one; a progressive JPEG also between its scans.
        let lengths = (16..bytes.len()).step_by(bytes.len() / 20 + 1).chain([bytes.len() - 2, bytes.len() - 1]);
        let scans = bytes.windows(2).enumerate().filter(|(at, pair)| *at > 16 && pair == b"\xFF\xDA");
        for length in lengths.chain(scans.map(|(at, _)| at)) {
            let message = refused(&bytes[..length]);
            let wanted = format!("wanted a complete {name} picture, found one that breaks off after {length} bytes");
            assert!(message.contains(&wanted), "{message}");
        }
    }
}

/// A lenient decoder stops at a code that is none, and leaves the rest of the picture grey.
#[test]
fn a_jpeg_with_impossible_codes_is_refused() {
    let mut bytes = jpeg(&drawing(200, 160, 0));
    let middle = bytes.len() * 3 / 4;
    // Ones only: no code may be that (a byte of ones is written as FF 00).
    for pair in bytes[middle..middle + 32].chunks_exact_mut(2) {
        pair.copy_from_slice(&[0xFF, 0]);
    }
    let message = refused(&bytes);
    assert!(message.contains("wanted a complete JPEG picture, found one that cannot be decoded"), "{message}");
}

#[test]
fn damaged_contents_are_refused_or_read_but_never_crash() {
    let picture = drawing(80, 64, 0);
    for bytes in [
        jpeg(&picture),
        fixture("progressive.jpg"),
        fixture("cmyk.jpg"),
        fixture("ycck.jpg"),
        fixture("411.jpg"),
        encoded(&dynamic(&picture), ImageFormat::WebP),
        LOSSY_WEBP.to_vec(),
        fixture("animated.webp"),
    ] {
        let options = ReadOptions { background: Color::WHITE, any_image: true };
        for at in (3..bytes.len()).step_by(bytes.len() / 200 + 1) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xFF;
            if let Err(error) = decode(&damaged, "image", &options) {
                assert_eq!(error.exit_code(), 2, "{error}");
            }
        }
    }
    // A PNG has a checksum for every chunk.
    let mut bytes = encoded(&dynamic(&picture), ImageFormat::Png);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    let message = refused(&bytes);
    assert!(message.contains("wanted a complete PNG picture, found one that cannot be decoded"), "{message}");
}

#[test]
fn a_picture_without_pixels_is_refused() {
    let mut lossy = LOSSY_WEBP.to_vec();
    // Width in the frame's header: chunk header, frame tag, start code.
    lossy[26..28].copy_from_slice(&[0, 0]);
    for bytes in [png_claiming(0, 0, &[]), png_claiming(0, 7, &[]), jpeg_claiming(0, 0), jpeg_claiming(16, 0), lossy] {
        let message = refused(&bytes);
        assert!(message.contains("picture"), "{message}");
    }
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    for bytes in [png_claiming(50_000, 50_000, &[0; 100]), jpeg_claiming(50_000, 50_000)] {
        let message = refused(&bytes);
        assert!(
            message.contains("wanted at most 100 megapixels, found 50000x50000 pixels, 2500 megapixels"),
            "{message}"
        );
    }
    assert!(refused(&png_claiming(10_001, 10_000, &[0; 100])).contains("100.01 megapixels"));
    assert!(refused(&png_claiming(u32::MAX, u32::MAX, &[0; 100])).contains("picture"));
    // A profile of which a few bytes would take much memory is left aside.
    let mut bomb = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bomb);
    image::ImageEncoder::set_icc_profile(&mut encoder, vec![0; 300 << 20]).unwrap();
    image::ImageEncoder::write_image(encoder, &[0; 3], 1, 1, image::ExtendedColorType::Rgb8).unwrap();
    assert!(bomb.len() < 2 << 20, "{} bytes", bomb.len());
    let options = ReadOptions { background: Color::WHITE, any_image: true };
    assert_eq!(decode(&bomb, "image", &options).unwrap().picture.pixel(0, 0), [0; 3]);
}

#[test]
fn a_large_plain_picture_is_read() {
    let plain = image::GrayImage::new(9000, 9000);
    let bytes = encoded(&plain.into(), ImageFormat::Png);
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    let options = ReadOptions { background: Color::WHITE, any_image: false };
    let picture: Picture = decode(&bytes, "image", &options).unwrap().picture;
    assert_eq!((picture.width(), picture.height()), (9000, 9000));
    assert!(picture.pixels().iter().all(|value| *value == 0));
}
