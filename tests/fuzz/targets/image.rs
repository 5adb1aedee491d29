//! Pictures: any bytes either decode to a whole picture or are refused.

use stir::media::image;

/// One input.
pub fn run(bytes: &[u8]) {
    if let Ok(picture) = image::decode(bytes, "fuzzed picture") {
        assert_eq!(picture.pixels().len(), picture.width() * picture.height() * 3);
    }
}
