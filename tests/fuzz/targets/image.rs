//! Pictures: any bytes either decode to a whole picture or are refused.

use stir::media::image::{self, ReadOptions};
use stir::picture::Color;

/// One input.
pub fn run(bytes: &[u8]) {
    let options = ReadOptions { background: Color::WHITE, any_image: true };
    if let Ok(image::OpenedPicture { picture, .. }) = image::decode(bytes, "fuzzed picture", &options) {
        assert_eq!(picture.pixels().len(), picture.width() * picture.height() * 3);
    }
}
