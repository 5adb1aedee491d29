//! Pictures: any bytes either decode to a whole picture or are refused.

use std::io::Cursor;
use std::ops::RangeInclusive;

use stir::media::image::{self, MOST_PIXELS, ReadOptions};
use stir::picture::Color;

/// The small pictures of the corpus are refused otherwise, before much of them is read.
const OPTIONS: ReadOptions = ReadOptions { background: Color::WHITE, any_image: true };
/// Pictures of so many pixels are taken, and take up to some seconds for their size alone: a few bytes can ask for that.
const SLOW_PIXELS: RangeInclusive<u64> = 4_000_000..=MOST_PIXELS;

/// One input.
pub fn run(bytes: &[u8]) {
    let reader = ::image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("bytes can be read");
    let size = reader.into_dimensions();
    if size.is_ok_and(|(width, height)| SLOW_PIXELS.contains(&(u64::from(width) * u64::from(height)))) {
        return;
    }
    if let Ok(opened) = image::decode(bytes, "fuzzed picture", &OPTIONS) {
        let picture = opened.picture;
        assert!(picture.width() > 0 && picture.height() > 0);
        assert_eq!(picture.pixels().len(), picture.width() * picture.height() * 3);
    }
}
