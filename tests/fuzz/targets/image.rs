//! Pictures: any bytes either decode to a whole picture or are refused.

use stir::media::image::{self, ReadOptions};
use stir::picture::Color;

/// The small pictures of the corpus are refused otherwise, before much of them is read.
const OPTIONS: ReadOptions = ReadOptions { background: Color::WHITE, any_image: true };

/// One input.
pub fn run(bytes: &[u8]) {
    if let Ok(opened) = image::decode(bytes, "fuzzed picture", &OPTIONS) {
        let picture = opened.picture;
        assert!(picture.width() > 0 && picture.height() > 0);
        assert_eq!(picture.pixels().len(), picture.width() * picture.height() * 3);
    }
}
