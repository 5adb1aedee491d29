//! A coarse map of numbers over the picture, and what the decoder does with such maps.

use rayon::prelude::*;

use crate::backend::cpu::bilinear::bilinear;

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
        let (width, height) = (self.width, self.height);
        let across = self.by_rows(|row, sums| {
            let source = self.row(row);
            // Edges repeated, so that the loops over a row have none.
            let mut padded = vec![source[0]; radius];
            padded.extend_from_slice(source);
            padded.resize(width + 2 * radius, source[width - 1]);
            let from = |start: usize| &padded[start..start + width];
            for (i, &weight) in weights.iter().enumerate().skip(1) {
                add_pair(sums, weight, from(radius - i), from(radius + i));
            }
            add(sums, weights[0], source);
        });
        across.by_rows(|row, sums| {
            let from = |row: usize| across.row(row);
            for (i, &weight) in weights.iter().enumerate().skip(1) {
                add_pair(sums, weight, from(row.saturating_sub(i)), from((row + i).min(height - 1)));
            }
            add(sums, weights[0], from(row));
        })
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// A plane of this size, filled row by row by `fill(row, values)`; the values are 0 before.
    fn by_rows(&self, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let mut values = vec![0.0; self.values.len()];
        values.par_chunks_mut(self.width).enumerate().for_each(|(row, line)| fill(row, line));
        Self { width: self.width, height: self.height, values }
    }

    /// Raises values so that none is more than `slope` a cell below a neighbour (1.41 `slope` diagonally): the upper envelope of cones on all values.
    pub fn spread(mut self, slope: f32) -> Self {
        let (values, _) = self.values.as_chunks_mut::<1>();
        spread_together(values, self.width, slope);
        self
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

/// `sums += weight (left + right)`.
fn add_pair(sums: &mut [f32], weight: f32, left: &[f32], right: &[f32]) {
    for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
        *sum += weight * (left + right);
    }
}

/// `sums += weight values`.
fn add(sums: &mut [f32], weight: f32, values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

/// [`Plane::spread`] for several planes of one width at once, whose values stand side by side: what a value waits for is then shared by all.
pub fn spread_together<const PLANES: usize>(values: &mut [[f32; PLANES]], width: usize, slope: f32) {
    let height = values.len() / width;
    for row in 0..height {
        if row > 0 {
            let (above, line) = values.split_at_mut(row * width);
            raise_from_neighbour(&mut line[..width], &above[(row - 1) * width..], slope);
        }
        spread_along_row(&mut values[row * width..(row + 1) * width], slope);
    }
    for row in (0..height.saturating_sub(1)).rev() {
        let (head, below) = values.split_at_mut((row + 1) * width);
        raise_from_neighbour(&mut head[row * width..], &below[..width], slope);
        spread_along_row(&mut values[row * width..(row + 1) * width], slope);
    }
}

fn spread_along_row<const PLANES: usize>(line: &mut [[f32; PLANES]], slope: f32) {
    let mut carried = [f32::NEG_INFINITY; PLANES];
    for value in line.iter_mut() {
        carried = at_least(*value, carried, slope);
        *value = carried;
    }
    carried = [f32::NEG_INFINITY; PLANES];
    for value in line.iter_mut().rev() {
        carried = at_least(*value, carried, slope);
        *value = carried;
    }
}

/// Raises a row so that no value is more than `slope` below the one beside it in the `neighbour` row, or 1.41 `slope` below a diagonal one.
fn raise_from_neighbour<const PLANES: usize>(line: &mut [[f32; PLANES]], neighbour: &[[f32; PLANES]], slope: f32) {
    let diagonal = slope * std::f32::consts::SQRT_2;
    for (value, beside) in line.iter_mut().zip(neighbour) {
        *value = at_least(*value, *beside, slope);
    }
    for (value, beside) in line[1..].iter_mut().zip(neighbour) {
        *value = at_least(*value, *beside, diagonal);
    }
    for (value, beside) in line.iter_mut().zip(&neighbour[1..]) {
        *value = at_least(*value, *beside, diagonal);
    }
}

/// `values`, but at least `slope` below `beside`. Not `f32::max`, whose care for NaN costs as much as the rest.
#[inline(always)]
fn at_least<const PLANES: usize>(values: [f32; PLANES], beside: [f32; PLANES], slope: f32) -> [f32; PLANES] {
    std::array::from_fn(|plane| {
        let least = beside[plane] - slope;
        if values[plane] > least { values[plane] } else { least }
    })
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
    #[test]
    fn planes_spread_together_as_they_do_alone() {
        let planes: [Plane; 2] = [(7, 3), (2, 9)].map(|place| {
            Plane::from_fn(13, 11, |column, row| if (column, row) == place { 4.0 } else { 0.1 * (column % 3) as f32 })
        });
        let mut together: Vec<[f32; 2]> =
            planes[0].values().iter().zip(planes[1].values()).map(|(&a, &b)| [a, b]).collect();
        spread_together(&mut together, 13, 0.5);
        for (index, plane) in planes.into_iter().enumerate() {
            let alone = plane.spread(0.5);
            assert!(alone.values().iter().zip(&together).all(|(alone, together)| *alone == together[index]));
        }
    }

    /// An impulse in a corner, against the sum by the definition.
    #[test]
    fn blurring_repeats_the_edges() {
        let plane = Plane::from_fn(6, 5, |column, row| if (column, row) == (0, 4) { 1.0 } else { 0.0 });
        let weight = |i: i32| (-0.5 * (i as f32 / 1.5).powi(2)).exp();
        let total: f32 = (-5..=5).map(weight).sum();
        let line = |place: i32, at: i32, last: i32| -> f32 {
            (-5..=5).filter(|i| (place + i).clamp(0, last) == at).map(weight).sum::<f32>() / total
        };
        let blurred = plane.blurred(1.5);
        for (row, column) in [(4, 0), (3, 1), (0, 5), (2, 2)] {
            let wanted = line(column, 0, 5) * line(row, 4, 4);
            assert!((blurred.at(column as usize, row as usize) - wanted).abs() < 1e-6, "({column}, {row})");
        }
    }
}
