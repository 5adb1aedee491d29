//! Curves over x, fitted to points.

/// A place in picture pixels; the centre of the first pixel is at (0.5, 0.5).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// Rightwards.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

/// Highest degree of a [`Curve`].
const MAX_DEGREE: usize = 4;

/// A polynomial `y(t)`, `t = (x - centre) / half_width`, continued beyond `t = -1` and `1` by its values there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    centre: f64,
    half_width: f64,
    coefficients: [f64; MAX_DEGREE + 1],
}

impl Curve {
    /// Least-squares fit between `left` and `right`; of lower degree than asked where there are few points.
    ///
    /// # Panics
    /// Without points, or if `right` is not greater than `left`: the caller has to know that there is something to fit.
    pub fn fit(points: &[Point], left: f64, right: f64, degree: usize) -> Self {
        assert!(!points.is_empty() && right > left, "a curve needs points and a width");
        let centre = (left + right) / 2.0;
        let half_width = (right - left) / 2.0;
        let degree = degree.min(MAX_DEGREE).min((points.len() - 1) / 2);
        let size = degree + 1;
        let mut matrix = [[0.0; MAX_DEGREE + 2]; MAX_DEGREE + 1];
        for point in points {
            let t = (point.x - centre) / half_width;
            let mut powers = [1.0; 2 * MAX_DEGREE + 1];
            for i in 1..powers.len() {
                powers[i] = powers[i - 1] * t;
            }
            for (row, equation) in matrix.iter_mut().enumerate().take(size) {
                for column in 0..size {
                    equation[column] += powers[row + column];
                }
                equation[size] += powers[row] * point.y;
            }
        }
        for (i, equation) in matrix.iter_mut().enumerate().take(size) {
            equation[i] += 1e-6 * points.len() as f64; // keeps points at few different x from making it singular
        }
        Self { centre, half_width, coefficients: solve(matrix, size) }
    }

    /// The curve's y at `x`.
    pub fn at(&self, x: f64) -> f64 {
        let t = ((x - self.centre) / self.half_width).clamp(-1.0, 1.0);
        self.coefficients.iter().rev().fold(0.0, |sum, &coefficient| sum * t + coefficient)
    }
}

/// Gaussian elimination with pivoting; `matrix` holds the right-hand side in column `size`.
fn solve(mut matrix: [[f64; MAX_DEGREE + 2]; MAX_DEGREE + 1], size: usize) -> [f64; MAX_DEGREE + 1] {
    for pivot in 0..size {
        let best = (pivot..size)
            .max_by(|&a, &b| matrix[a][pivot].abs().total_cmp(&matrix[b][pivot].abs()))
            .expect("at least one row");
        matrix.swap(pivot, best);
        let base = matrix[pivot];
        for equation in matrix.iter_mut().take(size).skip(pivot + 1) {
            let factor = equation[pivot] / base[pivot];
            for (value, &other) in equation.iter_mut().zip(&base) {
                *value -= factor * other;
            }
        }
    }
    let mut solution = [0.0; MAX_DEGREE + 1];
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| matrix[row][column] * solution[column]).sum();
        solution[row] = (matrix[row][size] - known) / matrix[row][row];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_is_found_again() {
        let points: Vec<Point> =
            (0..=20).map(|i| f64::from(i) + 30.0).map(|x| Point { x, y: 0.02 * (x - 40.0).powi(2) + 7.0 }).collect();
        let curve = Curve::fit(&points, 30.0, 50.0, 4);
        for point in &points {
            assert!((curve.at(point.x) - point.y).abs() < 1e-3, "{point:?} against {}", curve.at(point.x));
        }
        assert_eq!(curve.at(60.0), curve.at(50.0));
    }

    #[test]
    fn one_point_makes_a_level_curve() {
        let curve = Curve::fit(&[Point { x: 3.0, y: 5.0 }], 2.0, 4.0, 4);
        assert!((curve.at(2.0) - 5.0).abs() < 1e-3 && (curve.at(4.0) - 5.0).abs() < 1e-3);
    }
}
