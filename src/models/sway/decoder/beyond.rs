//! What lies beyond the borders: the warp mirrors the picture there; out of focus, the mirrored band draws no attention.

use crate::models::sway::plane::Plane;
use crate::ops::soften::{BlurredPicture, CELL};
use crate::picture::Picture;

/// The picture out of focus.
pub fn out_of_focus(picture: &Picture) -> BlurredPicture {
    let (width, height) = (picture.width(), picture.height());
    let (columns, rows) = (width.div_ceil(CELL), height.div_ceil(CELL));
    let short_side = width.min(height) as f32;
    let planes = std::array::from_fn(|lane| {
        Plane::from_fn(columns, rows, |column, row| {
            let (mut sum, mut count) = (0.0, 0.0);
            for y in row * CELL..((row + 1) * CELL).min(height) {
                for x in column * CELL..((column + 1) * CELL).min(width) {
                    sum += f32::from(picture.pixel(x, y)[lane]);
                    count += 1.0;
                }
            }
            sum / count
        })
        .blurred(0.012 * short_side / CELL as f32)
        .values()
        .to_vec()
    });
    BlurredPicture { width, height, planes, depth: 0.06 * short_side }
}
