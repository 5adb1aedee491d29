//! Image latents: what the denoiser knows of the picture.
//!
//! The grid is the picture stretched to 6 x 6 cells; a map cell belongs to the grid cell that contains its centre. Channels:
//!
//! * 0-9: mean probability of each class;
//! * 10: mean of hair probability times hair flexibility;
//! * 11, 12: offset of the cell's centre from the head's centre in head radii, x and y, clipped to [-4, 4], divided by 4;
//! * 13: 4 head radii divided by the picture's short side; 0 without a head;
//! * 14, 15: 1 where the left (smaller x on the screen) and right eye are open and visible.
//!
//! Without a head, offsets are measured from the picture's centre, with a radius of a fifth of the short side.
//!
//! # Source
//! `scripts/sway/features.py`.

use candle_core::{Device, Tensor};

use super::class_map::{ClassMap, class};
use super::curve::Point;
use super::parts::Head;
use super::{FEATURE_CHANNELS, GRID};
use crate::error::{Error, Result};

const FLEXIBLE_HAIR: usize = 10;
const OFFSET_X: usize = 11;
const OFFSET_Y: usize = 12;
const HEAD_SIZE: usize = 13;
/// Channels that say whether an eye may blink, left and right.
pub const EYES_OPEN: [usize; 2] = [14, 15];
const OFFSET_LIMIT: f64 = 4.0;
const RADIUS_WITHOUT_HEAD: f64 = 0.2;

/// What the features say beyond class probabilities.
#[derive(Debug, Clone, Copy)]
pub struct Figure<'a> {
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// The head, in picture pixels.
    pub head: Option<&'a Head>,
    /// Whether the left and the right eye are open and visible.
    pub eyes_open: [bool; 2],
}

/// Features `[1, 6, 6, 16]` (row, column, channel), float32.
///
/// # Errors
/// A map of fewer than six cells a side.
pub fn features(map: &ClassMap, figure: Figure) -> Result<Tensor> {
    let (columns, rows) = (map.width(), map.height());
    if columns.min(rows) < GRID {
        return Err(Error::input(
            "class probabilities",
            format!("at least {GRID} cells a side"),
            format!("{columns}x{rows}"),
            "use the probabilities of the model's own image encoder",
        ));
    }
    let (width, height) = (figure.width as f64, figure.height as f64);
    let short_side = width.min(height);
    let (centre, radius) = figure.head.map_or_else(
        || (Point { x: width / 2.0, y: height / 2.0 }, RADIUS_WITHOUT_HEAD * short_side),
        |head| (head.centre, head.radius),
    );
    let (cell_width, cell_height) = map.cell_size(figure.width, figure.height);

    let mut sums = [[[0f64; FLEXIBLE_HAIR + 1]; GRID]; GRID];
    let mut counts = [[0u32; GRID]; GRID];
    for row in 0..rows {
        for column in 0..columns {
            let (grid_row, grid_column) = (grid_cell(row, rows), grid_cell(column, columns));
            let sums = &mut sums[grid_row][grid_column];
            let cell = row * columns + column;
            for (class, sum) in sums[..class::COUNT].iter_mut().enumerate() {
                *sum += f64::from(map.at(class, cell));
            }
            let place = Point { x: (column as f64 + 0.5) * cell_width, y: (row as f64 + 0.5) * cell_height };
            sums[FLEXIBLE_HAIR] += f64::from(map.at(class::HAIR, cell)) * hair_flexibility(place, centre, radius);
            counts[grid_row][grid_column] += 1;
        }
    }

    let mut values = Vec::with_capacity(GRID * GRID * FEATURE_CHANNELS);
    let offset = |distance: f64| ((distance / radius).clamp(-OFFSET_LIMIT, OFFSET_LIMIT) / OFFSET_LIMIT) as f32;
    let middle = |index: usize, side: f64| (index as f64 + 0.5) / GRID as f64 * side;
    for (row, (sums, counts)) in sums.iter().zip(&counts).enumerate() {
        for (column, (sums, &count)) in sums.iter().zip(counts).enumerate() {
            let mut cell = [0f32; FEATURE_CHANNELS];
            for (mean, sum) in cell.iter_mut().zip(sums) {
                *mean = (sum / f64::from(count)) as f32;
            }
            cell[OFFSET_X] = offset(middle(column, width) - centre.x);
            cell[OFFSET_Y] = offset(middle(row, height) - centre.y);
            if figure.head.is_some() {
                cell[HEAD_SIZE] = (4.0 * radius / short_side) as f32;
                for (channel, open) in EYES_OPEN.into_iter().zip(figure.eyes_open) {
                    cell[channel] = f32::from(u8::from(open));
                }
            }
            values.extend_from_slice(&cell);
        }
    }
    Ok(Tensor::from_vec(values, (1, GRID, GRID, FEATURE_CHANNELS), &Device::Cpu)?)
}

/// How far hair at `place` can move, 0 at the scalp to 1.24 at far tips, by its distance from a point above the head's centre.
fn hair_flexibility(place: Point, head: Point, radius: f64) -> f64 {
    let distance = (place.x - head.x).hypot(place.y - (head.y - 0.2 * radius));
    ((distance - 0.9 * radius) / (2.2 * radius)).clamp(0.0, 1.2).powf(1.2)
}

/// The grid cell that contains the centre of map cell `index` of `count`.
fn grid_cell(index: usize, count: usize) -> usize {
    (2 * index + 1) * GRID / (2 * count)
}
