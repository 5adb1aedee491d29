//! What lies beyond the borders: the warp mirrors the picture there; out of focus, the mirrored band draws no attention.

use crate::models::sway::plane::{Plane, smooth_step};
use crate::ops::warp::{RowColours, RowDisplacements};
use crate::picture::Picture;

/// Pixels a cell of the blurred picture.
const CELL: usize = 4;

/// The picture out of focus.
pub struct Beyond {
    width: f32,
    height: f32,
    blurred: [Plane; 3],
    /// Pixels beyond the border over which the focus is lost.
    depth: f32,
}

impl Beyond {
    /// For `picture`.
    pub fn new(picture: &Picture) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let (columns, rows) = (width.div_ceil(CELL), height.div_ceil(CELL));
        let short_side = width.min(height) as f32;
        let blurred = std::array::from_fn(|lane| {
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
        });
        Self { width: width as f32, height: height as f32, blurred, depth: 0.06 * short_side }
    }

    /// Takes the focus from the pixels of a row that come from beyond the border.
    pub fn soften_row(&self, row: usize, displacements: &RowDisplacements, colours: &mut RowColours) {
        let [along_x, along_y] = displacements.values();
        for column in 0..colours.width() {
            let (x, y) = (column as f32 + 0.5 + along_x[column], row as f32 + 0.5 + along_y[column]);
            let outside = (-x).max(x - self.width).max(-y).max(y - self.height);
            if outside <= 0.0 {
                continue;
            }
            let share = smooth_step(0.0, self.depth, outside);
            let (x, y) = (mirrored(x, self.width) / CELL as f32, mirrored(y, self.height) / CELL as f32);
            let mut colour = colours.pixel(column);
            for (value, plane) in colour.iter_mut().zip(&self.blurred) {
                *value += share * (plane.sample(x, y) - *value);
            }
            colours.set_pixel(column, colour);
        }
    }
}

/// `place` mirrored into 0 to `size`.
fn mirrored(place: f32, size: f32) -> f32 {
    let place = place.rem_euclid(2.0 * size);
    place.min(2.0 * size - place)
}
