//! Brighter, dimmer, warmer: as light does it, stronger from where the picture's light comes, and without clipping.

use rayon::prelude::*;

use crate::models::sway::motion::ControlFrame;
use crate::models::sway::plane::Plane;
use crate::ops::relight::{Light, LightGains, relight_row};
use crate::ops::warp::{RowColours, round_row};
use crate::picture::Picture;

/// Gain at 1.
const GAIN: f32 = 0.12;
/// Share by which red rises and blue falls at warmth 1.
const WARMTH: f32 = 0.05;
/// Pixels a cell of the light map.
const CELL: usize = 16;

/// How light changes in a frame.
pub struct LightChange {
    /// Gain where the strength is 1, as a share of a pixel's light.
    pub gain: f32,
    /// What is added to the gain of red and taken from that of blue.
    pub warm: f32,
}

impl LightChange {
    /// What the controls ask for.
    pub fn of(control: &ControlFrame) -> Self {
        Self { gain: control.light_gain * GAIN, warm: control.warmth * WARMTH }
    }
}

/// Where light falls: a smooth map with mean 1, made once per picture.
pub struct LightMap {
    strength: Plane,
}

impl LightMap {
    /// Half from above, half from where the picture is bright.
    pub fn new(picture: &Picture) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let (columns, rows) = (width.div_ceil(CELL), height.div_ceil(CELL));
        let brightness = Plane::from_fn(columns, rows, |column, row| {
            let (x, y) = ((column * CELL + CELL / 2).min(width - 1), (row * CELL + CELL / 2).min(height - 1));
            picture.pixel(x, y).iter().map(|&value| f32::from(value)).sum::<f32>() / 765.0
        })
        .blurred(0.15 * columns.min(rows) as f32);
        let mean = brightness.mean();
        let strength = Plane::from_fn(columns, rows, |column, row| {
            let above = 0.5 - (row as f32 + 0.5) / rows as f32;
            1.0 + (0.5 * above + 1.2 * (brightness.at(column, row) - mean)).clamp(-0.6, 0.6)
        });
        let mean = strength.mean();
        Self { strength: strength.map(|value| value / mean) }
    }

    /// Lights one row of colours and rounds them to bytes, `[width, 3]`. Without light to change they are only rounded.
    pub fn finish_row(&self, control: &ControlFrame, row: usize, colours: &RowColours, bytes: &mut [u8]) {
        if control.light_gain == 0.0 && control.warmth == 0.0 {
            round_row(colours, bytes);
            return;
        }
        let change = LightChange::of(control);
        let strengths = self.row(row, colours.width());
        let gains = LightGains::new(strengths.into_iter().map(|strength| change.gain * strength).collect());
        relight_row(colours, &Light { gains: &gains, warm: change.warm, row }, bytes);
    }

    /// The strength at each pixel of a picture, `[height, width]`.
    pub fn strengths(&self, width: usize, height: usize) -> Vec<f32> {
        (0..height).into_par_iter().flat_map_iter(|row| self.row(row, width)).collect()
    }

    /// The strength at each pixel of a row: bilinear between the middles of cells.
    fn row(&self, row: usize, width: usize) -> Vec<f32> {
        let y = (row as f32 + 0.5) / CELL as f32;
        let line: Vec<f32> =
            (0..self.strength.width()).map(|column| self.strength.sample(column as f32 + 0.5, y)).collect();
        let mut strengths = vec![0.0; width];
        for (cell, pixels) in strengths.chunks_mut(CELL).enumerate() {
            let (before, here) = (line[cell.saturating_sub(1)], line[cell]);
            let after = line[(cell + 1).min(line.len() - 1)];
            for (index, strength) in pixels.iter_mut().enumerate() {
                let way = (index as f32 + 0.5) / CELL as f32 - 0.5;
                let next = if way < 0.0 { before } else { after };
                *strength = here * (1.0 - way.abs()) + next * way.abs();
            }
        }
        strengths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_light_map_has_mean_one() {
        let pixels = (0..64 * 48).flat_map(|i| [(i % 256) as u8, (i / 64) as u8, 90]).collect();
        let map = LightMap::new(&Picture::new(64, 48, pixels));
        assert!((map.strength.mean() - 1.0).abs() < 1e-4);
    }
    #[test]
    fn strengths_of_a_row_are_the_map_s() {
        let pixels = (0..70 * 48).flat_map(|i| [(i % 256) as u8, (i / 70) as u8, 90]).collect();
        let map = LightMap::new(&Picture::new(70, 48, pixels));
        for row in [0, 7, 8, 30, 47] {
            for (column, strength) in map.row(row, 70).into_iter().enumerate() {
                let place = [column, row].map(|index| (index as f32 + 0.5) / CELL as f32);
                assert!((strength - map.strength.sample(place[0], place[1])).abs() < 1e-6, "({column}, {row})");
            }
        }
    }
}
