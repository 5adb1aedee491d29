//! Several measurements of one thing in three numbers.

use serde::{Deserialize, Serialize};

/// The least, the middle and the greatest of several values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values.
    pub count: usize,
    /// The least.
    pub minimum: f64,
    /// As many values are above as below; the mean of the two in the middle where their number is even.
    pub median: f64,
    /// The greatest.
    pub maximum: f64,
}

impl Summary {
    /// `None` of no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (minimum, maximum) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let below = if sorted.len().is_multiple_of(2) { middle - 1 } else { middle };
        Some(Self { count: sorted.len(), minimum, median: (sorted[below] + sorted[middle]) / 2.0, maximum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let median = |values: &[f64]| Summary::of(values).unwrap().median;
        assert_eq!([median(&[3.0, 1.0, 8.0]), median(&[4.0, 1.0, 2.0, 9.0]), median(&[5.0])], [3.0, 3.0, 5.0]);
        let expected = Summary { count: 4, minimum: 1.0, median: 3.0, maximum: 9.0 };
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 9.0]), Some(expected));
        assert_eq!(Summary::of(&[]), None);
    }
}
