//! Brighter, dimmer, warmer: as light does it, stronger from where the picture's light comes, and without clipping.

use crate::models::sway::motion::ControlFrame;
use crate::models::sway::plane::Plane;
use crate::picture::Picture;

/// Gain at 1.
const GAIN: f32 = 0.12;
/// Share by which red rises and blue falls at warmth 1.
const WARMTH: f32 = 0.05;
/// Pixels a cell of the light map.
const CELL: usize = 16;

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

    /// Lights one row of values, `[width, 4]`, 0 to 255, and rounds them to bytes, `[width, 3]`. Without light to change they are only rounded.
    pub fn finish_row(&self, control: &ControlFrame, row: usize, values: &[[f32; 4]], bytes: &mut [u8]) {
        if control.light_gain == 0.0 && control.warmth == 0.0 {
            crate::ops::warp::round_row(values, bytes);
            return;
        }
        let warm = control.warmth * WARMTH;
        let y = (row as f32 + 0.5) / CELL as f32;
        for (column, (value, pixel)) in values.iter().zip(bytes.chunks_exact_mut(3)).enumerate() {
            let strength = self.strength.sample((column as f32 + 0.5) / CELL as f32, y);
            let gain = control.light_gain * GAIN * strength;
            let gains = [gain + warm, gain, gain - warm];
            let noise = dither(column, row);
            for lane in 0..3 {
                let before = value[lane].clamp(0.0, 255.0);
                let after = 255.0 * lit(before / 255.0, gains[lane]);
                // Smooth ramps of light would show steps of one level; the fixed pattern hides them, and fades in with the change.
                let after = after + noise * (after - before).abs().min(1.0);
                pixel[lane] = (after + 0.5) as u8;
            }
        }
    }
}

/// `value` in 0 to 1 under `1 + gain` times the light; what is bright already gains less, so that white stays white without clipping.
fn lit(value: f32, gain: f32) -> f32 {
    if gain > 0.0 { value * (1.0 + gain) / (1.0 + gain * value * value * value) } else { value * (1.0 + gain) }
}

/// A fixed, even pattern in -0.5 to 0.5.
///
/// # Source
/// Jimenez: "Next generation post processing in Call of Duty: Advanced Warfare" (2014), interleaved gradient noise.
fn dither(column: usize, row: usize) -> f32 {
    let inner = (0.067_110_56 * column as f32 + 0.005_837_15 * row as f32).fract();
    (52.982_918 * inner).fract() - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_keeps_order_and_range() {
        for gain in [-0.4, -0.12, 0.0, 0.12, 0.4] {
            let mut last = -1.0;
            for level in 0..=255 {
                let value = lit(level as f32 / 255.0, gain);
                assert!(value > last && value <= 1.0, "level {level} at gain {gain} becomes {value} after {last}");
                last = value;
            }
        }
    }

    #[test]
    fn the_light_map_has_mean_one() {
        let pixels = (0..64 * 48).flat_map(|i| [(i % 256) as u8, (i / 64) as u8, 90]).collect();
        let map = LightMap::new(&Picture::new(64, 48, pixels));
        assert!((map.strength.mean() - 1.0).abs() < 1e-4);
    }
}
