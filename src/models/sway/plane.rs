//! A coarse map of numbers over the picture, and what the decoder does with such maps.

use rayon::prelude::*;

use super::class_map::bilinear;

/// Numbers on a grid, `[height, width]`, float32.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    /// A plane filled by `value(column, row)`.
    pub fn from_fn(width: usize, height: usize, value: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let mut values = vec![0.0; width * height];
        values.par_chunks_mut(width).enumerate().for_each(|(row, line)| {
            for (column, target) in line.iter_mut().enumerate() {
                *target = value(column, row);
            }
        });
        Self { width, height, values }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The value at (column, row).
    pub fn at(&self, column: usize, row: usize) -> f32 {
        self.values[row * self.width + column]
    }

    /// The value at a continuous place, cell centres at half-integers; bilinear, edges repeated.
    pub fn sample(&self, x: f32, y: f32) -> f32 {
        bilinear(&self.values, self.width, self.height, x, y)
    }

    /// Every value mapped.
    pub fn map(mut self, change: impl Fn(f32) -> f32) -> Self {
        for value in &mut self.values {
            *value = change(*value);
        }
        self
    }

    /// Two planes of one size combined value by value.
    pub fn zip(&self, other: &Self, combine: impl Fn(f32, f32) -> f32) -> Self {
        assert_eq!((self.width, self.height), (other.width, other.height), "planes of one size");
        let values = self.values.iter().zip(&other.values).map(|(&a, &b)| combine(a, b)).collect();
        Self { width: self.width, height: self.height, values }
    }

    /// Mean of all values.
    pub fn mean(&self) -> f32 {
        (self.values.iter().map(|&value| f64::from(value)).sum::<f64>() / self.values.len() as f64) as f32
    }

    /// Gaussian blur; `sigma` in cells, edges repeated.
    pub fn blurred(&self, sigma: f32) -> Self {
        let radius = (3.0 * sigma).ceil() as usize;
        if radius == 0 {
            return self.clone();
        }
        let weights: Vec<f32> = (0..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
        let total = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
        let weights: Vec<f32> = weights.iter().map(|weight| weight / total).collect();
        let rows = Self::from_fn(self.width, self.height, |column, row| {
            let line = &self.values[row * self.width..(row + 1) * self.width];
            let pair = |i: usize| line[column.saturating_sub(i)] + line[(column + i).min(self.width - 1)];
            weights[0] * line[column] + (1..=radius).map(|i| weights[i] * pair(i)).sum::<f32>()
        });
        Self::from_fn(self.width, self.height, |column, row| {
            let pair =
                |i: usize| rows.at(column, row.saturating_sub(i)) + rows.at(column, (row + i).min(self.height - 1));
            weights[0] * rows.at(column, row) + (1..=radius).map(|i| weights[i] * pair(i)).sum::<f32>()
        })
    }

    /// Raises values so that none is more than `slope` a cell below a neighbour (1.41 `slope` diagonally): the upper envelope of cones on all values.
    pub fn spread(mut self, slope: f32) -> Self {
        let (width, height) = (self.width, self.height);
        for row in 0..height {
            if row > 0 {
                let (above, line) = self.values.split_at_mut(row * width);
                raise_from_neighbour(&mut line[..width], &above[(row - 1) * width..], slope);
            }
            self.spread_along_row(row, slope);
        }
        for row in (0..height.saturating_sub(1)).rev() {
            let (head, below) = self.values.split_at_mut((row + 1) * width);
            raise_from_neighbour(&mut head[row * width..], &below[..width], slope);
            self.spread_along_row(row, slope);
        }
        self
    }

    fn spread_along_row(&mut self, row: usize, slope: f32) {
        let line = &mut self.values[row * self.width..(row + 1) * self.width];
        let mut carried = f32::NEG_INFINITY;
        for value in line.iter_mut() {
            carried = value.max(carried - slope);
            *value = carried;
        }
        carried = f32::NEG_INFINITY;
        for value in line.iter_mut().rev() {
            carried = value.max(carried - slope);
            *value = carried;
        }
    }

    /// Distance of every cell from the nearest where `inside` holds, in cells, approximately; `far` where there is none within that.
    pub fn distance(width: usize, height: usize, far: f32, inside: impl Fn(usize, usize) -> bool + Sync) -> Self {
        let nearness = Self::from_fn(width, height, |column, row| if inside(column, row) { far } else { 0.0 });
        nearness.spread(1.0).map(|value| far - value)
    }
}

/// 0 below `low`, 1 above `high`, smooth between.
pub fn smooth_step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Raises a row so that no value is more than `slope` below the one beside it in the `neighbour` row, or 1.41 `slope` below a diagonal one.
fn raise_from_neighbour(line: &mut [f32], neighbour: &[f32], slope: f32) {
    let diagonal = slope * std::f32::consts::SQRT_2;
    for (column, value) in line.iter_mut().enumerate() {
        *value = value.max(neighbour[column] - slope);
        if column > 0 {
            *value = value.max(neighbour[column - 1] - diagonal);
        }
        if column + 1 < neighbour.len() {
            *value = value.max(neighbour[column + 1] - diagonal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blurring_keeps_a_level_plane() {
        let plane = Plane::from_fn(9, 7, |_, _| 0.7).blurred(2.5);
        assert!(plane.values().iter().all(|value| (value - 0.7).abs() < 1e-5));
    }

    #[test]
    fn distances_grow_from_the_inside() {
        let plane = Plane::distance(20, 10, 100.0, |column, row| column == 5 && row == 5);
        assert_eq!(plane.at(5, 5), 0.0);
        assert_eq!(plane.at(9, 5), 4.0);
        assert!((plane.at(8, 8) - 18.0_f32.sqrt()).abs() < 1e-4);
    }

    #[test]
    fn a_spread_peak_is_a_cone() {
        let plane = Plane::from_fn(21, 21, |column, row| if (column, row) == (10, 10) { 3.0 } else { 0.0 }).spread(0.5);
        assert_eq!(plane.at(10, 10), 3.0);
        assert_eq!(plane.at(14, 10), 1.0);
        assert_eq!(plane.at(20, 10), 0.0);
    }
}
