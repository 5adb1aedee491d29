//! What lies beyond the borders, out of focus: few pixels, and only of clips that zoom out.

use super::bilinear::bilinear;
use super::pixels::RowColours;
use super::warp::RowDisplacements;

/// Pixels a cell of a [`BlurredPicture`].
pub const CELL: usize = 4;

/// A picture out of focus.
#[derive(Debug, Clone)]
pub struct BlurredPicture {
    /// Pixels in a row of the sharp picture.
    pub width: usize,
    /// Rows of the sharp picture.
    pub height: usize,
    /// Red, green and blue, 0 to 255, of `ceil(height / CELL)` rows of `ceil(width / CELL)` cells, centres at half-integers.
    pub planes: [Vec<f32>; 3],
    /// Pixels beyond the border over which the focus is lost; above 0.
    pub depth: f32,
}

impl BlurredPicture {
    /// Cells in a row.
    pub fn columns(&self) -> usize {
        self.width.div_ceil(CELL)
    }

    /// Rows of cells.
    pub fn rows(&self) -> usize {
        self.height.div_ceil(CELL)
    }
}

/// Takes the focus from the pixels of a row that come from beyond the border.
pub fn soften_row(picture: &BlurredPicture, row: usize, displacements: &RowDisplacements, colours: &mut RowColours) {
    let (width, height) = (picture.width as f32, picture.height as f32);
    let [along_x, along_y] = displacements.values();
    for column in 0..colours.width() {
        let (x, y) = (column as f32 + 0.5 + along_x[column], row as f32 + 0.5 + along_y[column]);
        let outside = (-x).max(x - width).max(-y).max(y - height);
        if outside <= 0.0 {
            continue;
        }
        let way = (outside / picture.depth).clamp(0.0, 1.0);
        let share = way * way * (3.0 - 2.0 * way);
        let (x, y) = (mirrored(x, width) / CELL as f32, mirrored(y, height) / CELL as f32);
        let mut colour = colours.pixel(column);
        for (value, plane) in colour.iter_mut().zip(&picture.planes) {
            *value += share * (bilinear(plane, picture.columns(), picture.rows(), x, y) - *value);
        }
        colours.set_pixel(column, colour);
    }
}

/// `place` mirrored into 0 to `size`.
fn mirrored(place: f32, size: f32) -> f32 {
    let place = place.rem_euclid(2.0 * size);
    place.min(2.0 * size - place)
}
