//! Reading pictures.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat};
use stir::media::image::{OpenedPicture, ReadOptions, decode};
use stir::picture::{Color, Picture};

use super::{Folder, drawing, open};

/// Made with Pillow: `Image.new("RGB", (16, 16), (200, 120, 40)).save("flat.webp", quality=90, method=6)`.
pub const LOSSY_WEBP: [u8; 70] = [
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

/// A picture of `tests/fixtures/media`; `make.py` there made it.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/media").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decoded_on(background: Color, bytes: &[u8]) -> OpenedPicture {
    decode(bytes, "image", &ReadOptions { background, any_image: true }).unwrap()
}

fn decoded(bytes: &[u8]) -> OpenedPicture {
    decoded_on(Color::WHITE, bytes)
}

/// Colours in the middle of the four quarters, row by row.
fn quarters(picture: &Picture) -> [[u8; 3]; 4] {
    let (left, top) = (picture.width() / 4, picture.height() / 4);
    [(left, top), (3 * left, top), (left, 3 * top), (3 * left, 3 * top)].map(|(x, y)| picture.pixel(x, y))
}

#[track_caller]
fn assert_close<const N: usize>(found: [[u8; 3]; N], wanted: [[u8; 3]; N], tolerance: u8) {
    let differences = found.as_flattened().iter().zip(wanted.as_flattened()).map(|(a, b)| a.abs_diff(*b));
    assert!(differences.max() <= Some(tolerance), "found {found:?}, wanted {wanted:?}");
}

pub fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn dynamic(picture: &Picture) -> DynamicImage {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    image::RgbImage::from_raw(width, height, picture.pixels().to_vec()).unwrap().into()
}

pub fn jpeg(picture: &Picture) -> Vec<u8> {
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
fn transparent_parts_are_laid_over_the_background() {
    let pixels = vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 200, 128];
    let image: DynamicImage = image::RgbaImage::from_raw(3, 1, pixels).unwrap().into();
    let grey: DynamicImage =
        image::ImageBuffer::<image::LumaA<u8>, _>::from_raw(3, 1, vec![50, 255, 50, 0, 50, 51]).unwrap().into();
    let deep = [[2570, 5140, 7710, 65535], [2570, 5140, 7710, 0], [0, 25700, 51400, 32896]].concat();
    let deep: DynamicImage = image::ImageBuffer::<image::Rgba<u16>, _>::from_raw(3, 1, deep).unwrap().into();
    // value 128/255 + background 127/255; grey: value 51/255 + background 204/255.
    for (background, half, grey_fifth) in [
        (Color::WHITE, [127, 177, 227], [214; 3]),
        (Color([0; 3]), [0, 50, 100], [10; 3]),
        (Color([200, 90, 10]), [100, 95, 105], [170, 82, 18]),
    ] {
        for (image, format) in [(&image, ImageFormat::Png), (&image, ImageFormat::WebP), (&deep, ImageFormat::Png)] {
            let picture = decoded_on(background, &encoded(image, format)).picture;
            let found = [picture.pixel(0, 0), picture.pixel(1, 0), picture.pixel(2, 0)];
            assert_eq!(found, [[10, 20, 30], background.0, half]);
        }
        let picture = decoded_on(background, &encoded(&grey, ImageFormat::Png)).picture;
        assert_eq!(
            [picture.pixel(0, 0), picture.pixel(1, 0), picture.pixel(2, 0)],
            [[50; 3], background.0, grey_fifth]
        );
    }
    let palette = decoded_on(Color([200, 90, 10]), &fixture("palette-transparency.png")).picture;
    assert_eq!(quarters(&palette), [[255, 0, 0], [200, 90, 10], [100, 45, 133], [250, 200, 100]]);
}

#[test]
fn interlaced_png() {
    let palette = decoded(&fixture("interlaced.png")).picture;
    assert_eq!((palette.width(), palette.height()), (5, 5));
    for (x, y) in (0..5).flat_map(|y| (0..5).map(move |x| (x, y))) {
        assert_eq!(palette.pixel(x, y), [(x * 50) as u8, (y * 50) as u8, 90], "({x}, {y})");
    }
}

#[test]
fn of_an_animation_the_first_frame_is_taken_and_it_is_said() {
    let opened = decoded(&fixture("animated.png"));
    assert_eq!(opened.notes, ["image is an animation of 2 frames; its first one is taken"]);
    assert_eq!(quarters(&opened.picture), [[220, 40, 30], [30, 180, 60], [20, 60, 200], [120, 120, 120]]);

    // The first frame covers columns and rows 4 to 11 of a canvas of 16x16, its right half is half transparent.
    let opened = decoded_on(Color([200, 90, 10]), &fixture("animated.webp"));
    assert_eq!(opened.notes, ["image is an animation of 3 frames; its first one is taken"]);
    assert_eq!((opened.picture.width(), opened.picture.height()), (16, 16));
    for (x, y) in (0..16).flat_map(|y| (0..16).map(move |x| (x, y))) {
        let wanted = match (x, y) {
            (4..8, 4..12) => [200, 100, 50],
            (8..12, 4..12) => [200, 95, 30],
            _ => [200, 90, 10],
        };
        assert_eq!(opened.picture.pixel(x, y), wanted, "({x}, {y})");
    }
    assert!(decoded(&LOSSY_WEBP).notes.is_empty());
    assert!(decoded(&PALETTE_PNG).notes.is_empty());
}

#[test]
fn every_common_kind_of_jpeg() {
    let (red, green, blue, grey) = ([220, 40, 30], [30, 180, 60], [20, 60, 200], [120; 3]);
    for name in ["progressive.jpg", "420-restarts.jpg"] {
        let opened = decoded(&fixture(name));
        assert_close(quarters(&opened.picture), [red, green, blue, grey], 3);
        assert!(opened.notes.is_empty());
    }
    // 0.299 red + 0.587 green + 0.114 blue.
    assert_close(quarters(&decoded(&fixture("grey.jpg")).picture), [[93; 3], [121; 3], [64; 3], [120; 3]], 2);
    // Four blocks of luma side by side share their chroma; values as libjpeg decodes them.
    let picture = decoded(&fixture("411.jpg")).picture;
    assert_eq!((picture.width(), picture.height()), (32, 8));
    let found = [4, 12, 20, 28].map(|x| picture.pixel(x, 4));
    assert_close(found, [[18, 113, 141], [18, 113, 141], [78, 173, 201], [78, 173, 201]], 2);
}

#[test]
fn inks_become_colours() {
    // Of cyan, magenta, yellow and black, see make.py: each colour is what the ink and the black leave over.
    let wanted = [[0, 255, 255], [255, 0, 0], [128, 128, 0], [163, 122, 204]];
    for name in ["cmyk.jpg", "ycck.jpg"] {
        let opened = decoded(&fixture(name));
        assert_close(quarters(&opened.picture), wanted, 3);
        assert_eq!(opened.notes.len(), 1);
        assert!(opened.notes[0].contains("without a colour profile"), "{:?}", opened.notes);
    }
}

/// An ICC profile of four inks that are mixed unlike any plain conversion: its table gives the lightness `100 - 40 K - 20 C` and no
/// hue, whatever the other inks are.
///
/// # Source
/// ICC.1:2001-04, 6.1 (header), 6.5.8 (`lut8Type`); Lab is stored as L 255/100, a + 128, b + 128.
fn ink_profile() -> Vec<u8> {
    let line: Vec<u8> = (0..=255).collect();
    let mut table = [&b"mft1\0\0\0\0"[..], &[4, 3, 2, 0]].concat();
    for value in [1_u32, 0, 0, 0, 1, 0, 0, 0, 1] {
        table.extend((value << 16).to_be_bytes());
    }
    (0..4).for_each(|_| table.extend(&line));
    for corner in 0..16 {
        // The first ink varies slowest.
        let (cyan, black) = (f64::from(corner >> 3), f64::from(corner & 1));
        table.extend([((100.0 - 40.0 * black - 20.0 * cyan) * 2.55).round() as u8, 128, 128]);
    }
    (0..3).for_each(|_| table.extend(&line));
    let white = [&b"XYZ \0\0\0\0"[..], &[0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]].concat();

    let size = 128 + 4 + 2 * 12 + white.len() + table.len();
    let mut profile = vec![0; 128];
    profile[..4].copy_from_slice(&(size as u32).to_be_bytes());
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    profile[68..80].copy_from_slice(&[0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]);
    profile.extend(2_u32.to_be_bytes());
    let mut offset = 128 + 4 + 2 * 12;
    for (name, data) in [(b"wtpt", &white), (b"A2B0", &table)] {
        profile.extend(name);
        profile.extend((offset as u32).to_be_bytes());
        profile.extend((data.len() as u32).to_be_bytes());
        offset += data.len();
    }
    [profile, white, table].concat()
}

/// A JPEG with a profile put behind its first marker.
fn with_profile(jpeg: &[u8], profile: &[u8]) -> Vec<u8> {
    let contents = [b"ICC_PROFILE\0\x01\x01", profile].concat();
    let segment = [&[0xFF, 0xE2][..], &(contents.len() as u16 + 2).to_be_bytes(), &contents].concat();
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

#[test]
fn inks_are_converted_by_the_embedded_profile() {
    for name in ["cmyk.jpg", "ycck.jpg"] {
        let opened = decoded(&with_profile(&fixture(name), &ink_profile()));
        assert!(opened.notes.is_empty(), "{:?}", opened.notes);
        // Lightness 80, 100, 80 (half black) and 88 (a fifth of cyan and of black) as sRGB's grey.
        assert_close(quarters(&opened.picture), [[198; 3], [255; 3], [198; 3], [221; 3]], 4);
    }
}

#[test]
fn grey_is_converted_by_a_grey_profile() {
    let profile = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let opened = decoded(&with_profile(&fixture("grey.jpg"), &profile));
    assert!(opened.notes.is_empty(), "{:?}", opened.notes);
    // Linear values 93, 121, 64 and 120 of 255 by sRGB's curve.
    assert_close(quarters(&opened.picture), [[162; 3], [183; 3], [137; 3], [182; 3]], 3);
}

#[test]
fn the_background_is_srgb_whatever_the_picture_is() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(moxcms::ColorProfile::new_display_p3().encode().unwrap()).unwrap();
    encoder.write_image(&[200, 100, 50, 255, 200, 100, 50, 0], 2, 1, ExtendedColorType::Rgba8).unwrap();
    let picture = decoded_on(Color([200, 100, 50]), &bytes).picture;
    assert_close([picture.pixel(0, 0), picture.pixel(1, 0)], [[215, 93, 31], [200, 100, 50]], 2);
    assert_eq!(picture.pixel(1, 0), [200, 100, 50]);
}

#[test]
fn a_profile_that_cannot_be_used_is_said() {
    let grey = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    for profile in [&b"no profile"[..], &grey] {
        let plain = decoded(&fixture("progressive.jpg"));
        let opened = decoded(&with_profile(&fixture("progressive.jpg"), profile));
        assert_eq!(opened.picture, plain.picture);
        assert_eq!(opened.notes.len(), 1);
        assert!(opened.notes[0].starts_with("image: the colour profile cannot be used"), "{:?}", opened.notes);
    }
}

/// EXIF with nothing but the orientation tag (0x0112, a short).
fn exif(orientation: u8) -> Vec<u8> {
    let tag = [&[0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0][..], &[orientation], &[0; 6]].concat();
    [b"MM\0*\0\0\0\x08", &tag[..]].concat()
}

/// The segment of a JPEG that holds it.
pub fn exif_segment(orientation: u8) -> Vec<u8> {
    let contents = [b"Exif\0\0", &exif(orientation)[..]].concat();
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
fn png_and_webp_are_turned_as_well() {
    let picture = drawing(40, 20, 0);
    let mut png = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(picture.pixels(), 40, 20, ExtendedColorType::Rgb8).unwrap();
    let mut webp = Vec::new();
    let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(picture.pixels(), 40, 20, ExtendedColorType::Rgb8).unwrap();
    for bytes in [png, webp] {
        let turned = decoded(&bytes).picture;
        assert_eq!((turned.width(), turned.height()), (20, 40));
        // A quarter to the right: the first row becomes the last column.
        for (x, y) in [(0, 0), (39, 0), (7, 19), (31, 4)] {
            assert_eq!(turned.pixel(19 - y, x), picture.pixel(x, y));
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
