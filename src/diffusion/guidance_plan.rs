//! Guidance that changes on the way from noise to the clean clip.

use super::guidance::Guidance;

/// Guidance for every noise level.
#[derive(Debug, Clone, PartialEq)]
pub struct GuidancePlan {
    first: GuidanceRange,
    rest: Vec<GuidanceRange>,
}

/// Guidance down to one noise level.
#[derive(Debug, Clone, PartialEq)]
pub struct GuidanceRange {
    /// The lowest noise level that it is for, in 0 to 1.
    pub down_to: f64,
    /// How predictions are combined.
    pub guidance: Guidance,
    /// The blocks of the network that are perturbed where the guidance needs it; none makes a perturbed prediction that changes nothing.
    pub perturbed_blocks: Vec<usize>,
}

impl GuidancePlan {
    /// `first`, then `rest` in order of falling levels; the last one goes on below its own level too.
    pub fn new(first: GuidanceRange, rest: Vec<GuidanceRange>) -> Self {
        Self { first, rest }
    }

    /// The range, where it is the same for all levels.
    pub fn only(&self) -> Option<&GuidanceRange> {
        self.rest.is_empty().then_some(&self.first)
    }

    /// The first range that reaches down to `sigma` or below it, or else the last one.
    pub fn at(&self, sigma: f64) -> &GuidanceRange {
        let mut ranges = std::iter::once(&self.first).chain(&self.rest);
        ranges.find(|range| range.down_to <= sigma).or(self.rest.last()).unwrap_or(&self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(down_to: f64, scale: f64) -> GuidanceRange {
        GuidanceRange { down_to, guidance: Guidance { scale, ..Guidance::NONE }, perturbed_blocks: vec![] }
    }

    /// The classifier-free scales of LTX-Video 13B 0.9.8-dev, made distinct.
    #[test]
    fn the_first_level_that_is_not_above_counts_and_else_the_last() {
        let levels = [0.996, 0.9933, 0.985, 0.9767, 0.9008, 0.618];
        let rest = levels.iter().zip(2..).map(|(level, scale)| range(*level, f64::from(scale))).collect();
        let plan = GuidancePlan::new(range(1.0, 1.0), rest);
        let expected = [(1.0, 1.0), (0.9999, 2.0), (0.996, 2.0), (0.99, 4.0), (0.95, 6.0), (0.7, 7.0), (0.2, 7.0)];
        for (sigma, scale) in expected {
            assert_eq!(plan.at(sigma).guidance.scale, scale, "{sigma}");
        }
    }

    #[test]
    fn a_single_range_is_for_all_levels() {
        let plan = GuidancePlan::new(range(1.0, 3.0), vec![]);
        assert_eq!((plan.at(1.0).guidance.scale, plan.at(0.1).guidance.scale), (3.0, 3.0));
    }
}
