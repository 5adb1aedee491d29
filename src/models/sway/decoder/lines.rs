//! Straight lines in the background: they must stay straight, so hair beside them moves less.

use crate::models::sway::plane::Plane;
use crate::ops::warp::STEP;
use crate::picture::Picture;

/// 1 at nodes on a strong straight edge outside the figure, else 0. `figure` is 1 on figures, at the nodes of the puppet.
///
/// An edge counts as straight where gradients agree in direction over about 12 nodes (structure tensor, coherence above 0.8).
pub fn straight_lines(picture: &Picture, figure: &Plane) -> Plane {
    let (columns, rows) = (figure.width(), figure.height());
    let brightness = Plane::from_fn(columns, rows, |column, row| mean_brightness(picture, column, row));
    // Outlines of the figure are strong edges too, and not meant.
    let outside = figure.clone().spread(0.25).map(|p| if p > 0.02 { 0.0 } else { 1.0 });
    let gradient = |column: usize, row: usize| {
        let at = |c: usize, r: usize| brightness.at(c.min(columns - 1), r.min(rows - 1));
        let x = at(column + 1, row) - at(column.saturating_sub(1), row);
        let y = at(column, row + 1) - at(column, row.saturating_sub(1));
        (x * outside.at(column, row) / 2.0, y * outside.at(column, row) / 2.0)
    };
    let tensor = |product: fn(f32, f32) -> f32| {
        Plane::from_fn(columns, rows, |column, row| {
            let (x, y) = gradient(column, row);
            product(x, y)
        })
        .blurred(4.0)
    };
    let (xx, yy, xy) = (tensor(|x, _| x * x), tensor(|_, y| y * y), tensor(|x, y| x * y));
    Plane::from_fn(columns, rows, |column, row| {
        let (a, b, c) = (xx.at(column, row), yy.at(column, row), xy.at(column, row));
        let energy = a + b;
        let coherence = ((a - b).powi(2) + 4.0 * c * c).sqrt() / (energy + 1e-6);
        let (x, y) = gradient(column, row);
        // Levels of 0 to 255 a node: 8 is a clear edge at a quarter of the resolution.
        let strong = x.hypot(y) > 8.0;
        if strong && coherence > 0.8 { 1.0 } else { 0.0 }
    })
}

/// Mean of the green and red around a node: brightness is what lines are seen by.
fn mean_brightness(picture: &Picture, column: usize, row: usize) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0);
    for y in row * STEP..((row + 1) * STEP).min(picture.height()) {
        for x in column * STEP..((column + 1) * STEP).min(picture.width()) {
            let [red, green, blue] = picture.pixel(x, y).map(f32::from);
            sum += 0.299 * red + 0.587 * green + 0.114 * blue;
            count += 1.0;
        }
    }
    sum / count
}
