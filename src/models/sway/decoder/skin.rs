//! What the skin around an eye looks like without the eye.

use crate::models::sway::plane::{Plane, smooth_step};

/// Red, green and blue, 0 to 1.
pub type Colour = [f32; 3];

/// A small picture with three planes of colour, 0 to 1.
#[derive(Debug, Clone)]
pub struct ColourPatch {
    /// Red, green, blue.
    pub planes: [Plane; 3],
}

impl ColourPatch {
    /// The colour at (column, row).
    pub fn at(&self, column: usize, row: usize) -> Colour {
        std::array::from_fn(|lane| self.planes[lane].at(column, row))
    }

    /// The colour at a continuous place, pixel centres at half-integers.
    pub fn sample(&self, x: f32, y: f32) -> Colour {
        std::array::from_fn(|lane| self.planes[lane].sample(x, y))
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.planes[0].width()
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.planes[0].height()
    }
}

/// Skin everywhere in `patch`: the pixels that are skin already, spread into the others at ever coarser scales, so that the shading runs on.
///
/// `skin` is how surely a pixel is bare skin, 0 to 1; `scale` is the width of the eye in pixels. `None` where there is hardly any skin.
pub fn skin_plate(patch: &ColourPatch, skin: &Plane, scale: f32) -> Option<ColourPatch> {
    let (width, height) = (patch.width(), patch.height());
    let typical = median_colour(patch, skin)?;
    let alike = Plane::from_fn(width, height, |column, row| {
        let colour = patch.at(column, row);
        let squares: f32 = (0..3).map(|lane| (colour[lane] - typical[lane]).powi(2)).sum();
        let weight = skin.at(column, row) * (-squares / 0.03).exp();
        smooth_step(0.3, 0.7, weight)
    });
    // Pixels beside a line carry some of its colour.
    let clean = Plane::from_fn(width, height, |column, row| {
        let mut least = 1.0_f32;
        for y in row.saturating_sub(1)..=(row + 1).min(height - 1) {
            for x in column.saturating_sub(1)..=(column + 1).min(width - 1) {
                least = least.min(alike.at(x, y));
            }
        }
        least
    });
    let mut sum: [Plane; 3] = std::array::from_fn(|_| Plane::from_fn(width, height, |_, _| 0.0));
    let mut filled = Plane::from_fn(width, height, |_, _| 0.0);
    for sigma in [0.02, 0.05, 0.12, 0.3, 0.8].map(|share| (share * scale).max(0.7)) {
        let weight = clean.blurred(sigma);
        let share = filled.zip(&weight, |filled, weight| (1.0 - filled) * (6.0 * weight).min(1.0));
        for lane in 0..3 {
            let colour = clean.zip(&patch.planes[lane], |weight, value| weight * value).blurred(sigma);
            let colour = colour.zip(&weight, |colour, weight| colour / weight.max(1e-6));
            sum[lane] = sum[lane].zip(&colour.zip(&share, |colour, share| colour * share), |sum, part| sum + part);
        }
        filled = filled.zip(&share, |filled, share| filled + share);
    }
    let planes = std::array::from_fn(|lane| sum[lane].zip(&filled, |sum, filled| sum + (1.0 - filled) * typical[lane]));
    Some(ColourPatch { planes })
}

/// Median, channel by channel, of the pixels that are surely skin; `None` where there are fewer than 12.
fn median_colour(patch: &ColourPatch, skin: &Plane) -> Option<Colour> {
    let sure: Vec<usize> = (0..skin.values().len()).filter(|&index| skin.values()[index] > 0.7).collect();
    if sure.len() < 12 {
        return None;
    }
    Some(std::array::from_fn(|lane| {
        let mut values: Vec<f32> = sure.iter().map(|&index| patch.planes[lane].values()[index]).collect();
        let middle = values.len() / 2;
        *values.select_nth_unstable_by(middle, f32::total_cmp).1
    }))
}
