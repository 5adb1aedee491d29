//! Reading pictures.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat};
use stir::picture::Picture;

use super::{Folder, drawing, open, refusal};

/// Made with Pillow: `Image.new("RGB", (16, 16), (200, 120, 40)).save("flat.webp", quality=90, method=6)`.
const LOSSY_WEBP: [u8; 70] = [
    82, 73, 70, 70, 62, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 32, 50, 0, 0, 0, 240, 1, 0, 157, 1, 42, 16, 0, 16, 0, 0,
    192, 18, 37, 160, 2, 116, 186, 1, 248, 0, 5, 244, 0, 0, 254, 192, 207, 255, 199, 54, 248, 173, 255, 21, 191, 254,
    57, 183, 254, 250, 1, 239, 64, 61, 232, 7, 245, 240, 0,
];

/// Made with Pillow: mode `P`, 4x2 pixels, indices 0 1 2 3 / 3 2 1 0 into red, green, blue and (250, 200, 100), 2 bits each.
const PALETTE_PNG: [u8; 93] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 4, 0, 0, 0, 2, 2, 3, 0, 0, 0, 2, 198, 149,
    240, 0, 0, 0, 12, 80, 76, 84, 69, 255, 0, 0, 0, 255, 0, 0, 0, 255, 250, 200, 100, 10, 17, 72, 229, 0, 0, 0, 12, 73,
    68, 65, 84, 120, 218, 99, 144, 102, 120, 2, 0, 1, 57, 1, 0, 123, 153, 66, 55, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66,
    96, 130,
];

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn dynamic(picture: &Picture) -> DynamicImage {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    image::RgbImage::from_raw(width, height, picture.pixels().to_vec()).unwrap().into()
}

fn jpeg(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 97)
        .encode(picture.pixels(), picture.width() as u32, picture.height() as u32, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

fn mean_difference(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let sum: u32 = a.pixels().iter().zip(b.pixels()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / a.pixels().len() as f64
}

#[test]
fn the_contents_decide_the_format_not_the_name() {
    let folder = Folder::new("formats");
    let picture = drawing(80, 64, 0);
    let png = folder.write("png.jpg", &encoded(&dynamic(&picture), ImageFormat::Png));
    let webp = folder.write("webp", &encoded(&dynamic(&picture), ImageFormat::WebP));
    let jpeg = folder.write("jpeg.png", &jpeg(&picture));
    assert_eq!(open(&png).unwrap(), picture);
    assert_eq!(open(&webp).unwrap(), picture);
    let difference = mean_difference(&open(&jpeg).unwrap(), &picture);
    assert!(0.0 < difference && difference < 2.0, "{difference}");
}

#[test]
fn lossy_webp() {
    let folder = Folder::new("lossy-webp");
    let picture = open(&folder.write("flat.webp", &LOSSY_WEBP)).unwrap();
    assert!(mean_difference(&picture, &Picture::new(16, 16, [200, 120, 40].repeat(256))) <= 4.0);
}

#[test]
fn palette() {
    let folder = Folder::new("palette");
    let picture = open(&folder.write("palette.png", &PALETTE_PNG)).unwrap();
    let colors = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [250, 200, 100]];
    assert_eq!((picture.width(), picture.height()), (4, 2));
    for x in 0..4 {
        assert_eq!(picture.pixel(x, 0), colors[x]);
        assert_eq!(picture.pixel(x, 1), colors[3 - x]);
    }
}

#[test]
fn grey_and_sixteen_bits_become_eight_bit_colour() {
    let folder = Folder::new("depths");
    let grey: DynamicImage = image::GrayImage::from_raw(2, 1, vec![0, 200]).unwrap().into();
    let grey16 = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![0, 200 * 257]).unwrap().into();
    let deep = vec![65535, 10 * 257, 0, 257, 128 * 257, 127 * 257 + 100];
    let rgb16 = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(2, 1, deep).unwrap().into();
    for (image, wanted) in [
        (grey, [[0, 0, 0], [200, 200, 200]]),
        (grey16, [[0, 0, 0], [200, 200, 200]]),
        (rgb16, [[255, 10, 0], [1, 128, 127]]),
    ] {
        let picture = open(&folder.write("picture.png", &encoded(&image, ImageFormat::Png))).unwrap();
        assert_eq!([picture.pixel(0, 0), picture.pixel(1, 0)], wanted, "{:?}", image.color());
    }
}

#[test]
fn transparent_parts_are_laid_over_white() {
    let folder = Folder::new("alpha");
    let pixels = vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 200, 128];
    let image: DynamicImage = image::RgbaImage::from_raw(3, 1, pixels).unwrap().into();
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let picture = open(&folder.write("alpha", &encoded(&image, format))).unwrap();
        assert_eq!(picture.pixel(0, 0), [10, 20, 30]);
        assert_eq!(picture.pixel(1, 0), [255, 255, 255]);
        // 255 - (255 - value) 128/255
        assert_eq!(picture.pixel(2, 0), [127, 177, 227]);
    }
    let grey: DynamicImage =
        image::ImageBuffer::<image::LumaA<u8>, _>::from_raw(2, 1, vec![50, 255, 50, 0]).unwrap().into();
    let picture = open(&folder.write("grey", &encoded(&grey, ImageFormat::Png))).unwrap();
    assert_eq!([picture.pixel(0, 0), picture.pixel(1, 0)], [[50; 3], [255; 3]]);
}

/// An EXIF segment for JPEG with nothing but the orientation tag (0x0112, a short).
fn exif_segment(orientation: u8) -> Vec<u8> {
    let tag = [&[0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0][..], &[orientation], &[0; 6]].concat();
    let contents = [b"Exif\0\0MM\0*\0\0\0\x08", &tag[..]].concat();
    [&[0xFF, 0xE1][..], &(contents.len() as u16 + 2).to_be_bytes(), &contents].concat()
}

#[test]
fn exif_orientation_is_honoured() {
    let folder = Folder::new("orientation");
    // Quarters: red, green / blue, white; large enough for JPEG to keep them.
    let (red, green, blue, white) = ([255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]);
    let mut pixels = Vec::new();
    for [left, right] in [[red, green], [blue, white]] {
        for _ in 0..16 {
            pixels.extend([left.repeat(32), right.repeat(32)].concat());
        }
    }
    let plain = jpeg(&Picture::new(64, 32, pixels));
    // Where the standard says that the file's first row and column belong on the screen; corners row by row.
    for (orientation, corners) in [
        (1, [red, green, blue, white]),
        (2, [green, red, white, blue]),
        (3, [white, blue, green, red]),
        (4, [blue, white, red, green]),
        (5, [red, blue, green, white]),
        (6, [blue, red, white, green]),
        (7, [white, green, blue, red]),
        (8, [green, white, red, blue]),
    ] {
        let bytes = [&plain[..2], &exif_segment(orientation), &plain[2..]].concat();
        let picture = open(&folder.write("turned.jpg", &bytes)).unwrap();
        let size = if orientation < 5 { (64, 32) } else { (32, 64) };
        assert_eq!((picture.width(), picture.height()), size, "orientation {orientation}");
        let (right, bottom) = (size.0 - 4, size.1 - 4);
        for ((x, y), wanted) in [(4, 4), (right, 4), (4, bottom), (right, bottom)].into_iter().zip(corners) {
            let found = picture.pixel(x, y);
            let close = found.iter().zip(wanted).all(|(found, wanted): (&u8, u8)| found.abs_diff(wanted) < 16);
            assert!(close, "orientation {orientation}, ({x}, {y}): wanted {wanted:?}, found {found:?}");
        }
    }
}

#[test]
fn colours_are_converted_by_the_embedded_profile() {
    let folder = Folder::new("profiles");
    let pixels = [200, 100, 50].repeat(64);
    for (profile, wanted) in [
        (moxcms::ColorProfile::new_srgb(), [200, 100, 50]),
        // Display P3 is wider: the same colour takes a stronger red in sRGB.
        (moxcms::ColorProfile::new_display_p3(), [215, 93, 31]),
    ] {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
        encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).unwrap();
        let found = open(&folder.write("picture.png", &bytes)).unwrap().pixel(3, 3);
        assert!(found.iter().zip(wanted).all(|(found, wanted): (&u8, u8)| found.abs_diff(wanted) <= 2), "{found:?}");
    }
}

#[test]
fn what_is_no_picture_is_refused_by_name() {
    let folder = Folder::new("refusals");
    let missing = folder.path("missing.png");
    let message = refusal(open(&missing));
    assert!(
        message.starts_with(&format!("image {}: wanted a JPEG, PNG or WebP file, ", missing.display())),
        "{message}"
    );
    assert!(message.contains("found no such file; check the path"), "{message}");
    assert!(refusal(open(&folder.0)).contains("found a folder; name a picture in it"));
    for (bytes, found) in [
        (&b""[..], "found an empty file"),
        (b"this is no picture at all, only a line of text", "found no picture"),
        (b"GIF89a\x01\0\x01\0\0\0\0;", "found GIF; convert it to PNG first"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "found HEIC; convert it to PNG first"),
    ] {
        let message = refusal(open(&folder.write("picture.png", bytes)));
        assert!(message.contains(found), "{message}");
    }
}

#[test]
fn a_truncated_picture_is_refused() {
    let folder = Folder::new("truncated");
    let picture = drawing(80, 64, 0);
    for (name, bytes) in [
        ("JPEG", jpeg(&picture)),
        ("PNG", encoded(&dynamic(&picture), ImageFormat::Png)),
        ("WebP", encoded(&dynamic(&picture), ImageFormat::WebP)),
        ("WebP", LOSSY_WEBP.to_vec()),
    ] {
        open(&folder.write("whole", &bytes)).unwrap();
        // From where the format can be known at all, to the last byte but one.
        let lengths = (16..bytes.len()).step_by(bytes.len() / 20 + 1).chain([bytes.len() - 2, bytes.len() - 1]);
        for length in lengths {
            let message = refusal(open(&folder.write("cut", &bytes[..length])));
            let wanted = format!("wanted a complete {name} picture, found one that breaks off after {length} bytes");
            assert!(message.contains(&wanted), "{message}");
        }
    }
}

#[test]
fn damaged_contents_are_refused() {
    let folder = Folder::new("damaged");
    let mut bytes = encoded(&dynamic(&drawing(80, 64, 0)), ImageFormat::Png);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    let message = refusal(open(&folder.write("damaged.png", &bytes)));
    assert!(message.contains("wanted a complete PNG picture, found one that cannot be decoded"), "{message}");
}

#[test]
fn a_huge_picture_is_refused_by_its_header() {
    let folder = Folder::new("huge");
    let mut bytes = jpeg(&drawing(16, 16, 0));
    // The frame header: marker FF C0, length, precision, height, width.
    let header = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[header + 5..header + 9].copy_from_slice(&[0x4E, 0x20, 0x4E, 0x20]);
    let message = refusal(open(&folder.write("huge.jpg", &bytes)));
    assert!(message.contains("wanted at most 100 megapixels, found 20000x20000, 400 megapixels"), "{message}");
}
