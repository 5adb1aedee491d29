//! Noise levels: sigma is 1 for pure noise and 0 for the clean clip.
//!
//! Every schedule ends with 0, so `steps` steps have `steps + 1` levels.

use super::shift::Shift;

/// `steps + 1` levels from 1 to 0 in equal distances; the last is the clean clip.
///
/// # Source
/// Liu et al., "Flow Straight and Fast" (2022): the uniform discretisation of rectified flow.
pub fn linear(steps: usize) -> Vec<f64> {
    (0..=steps).map(|step| 1.0 - step as f64 / steps as f64).collect()
}

/// The noise levels that a model was made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Where the levels lie at first.
    pub spacing: Spacing,
    /// What is then done with them.
    pub shift: Shift,
}

/// Where the levels lie before they are shifted.
#[derive(Debug, Clone, PartialEq)]
pub enum Spacing {
    /// In equal distances.
    Uniform,
    /// In small distances at first, then in larger and larger ones.
    LinearQuadratic,
    /// At these levels, without the 0 at the end: above 0, at most 1, falling. The number of steps is theirs.
    Explicit(Vec<f64>),
}

impl Schedule {
    /// The levels of `steps` steps, 1 or more, for latents of `tokens` tokens; both count only where the schedule depends on them.
    pub fn levels(&self, steps: usize, tokens: usize) -> Vec<f64> {
        let levels = match &self.spacing {
            Spacing::Uniform => uniform(steps),
            Spacing::LinearQuadratic => linear_quadratic(steps),
            Spacing::Explicit(levels) => levels.clone(),
        };
        let mut levels = self.shift.apply(levels, tokens);
        levels.push(0.0);
        levels
    }
}

/// A part of a schedule's levels, for passes that share one: without the first `skip_first` and the last `skip_last` levels before the 0,
/// so that the last step that is left goes straight to 0.
///
/// At least one level has to be left besides the 0: `skip_first + skip_last < levels.len() - 1`.
pub fn part(levels: &[f64], skip_first: usize, skip_last: usize) -> Vec<f64> {
    let steps = levels.len() - 1;
    let mut kept = levels[skip_first..steps - skip_last].to_vec();
    kept.push(0.0);
    kept
}

/// Whether levels are those of a schedule: from at most 1 to at least 0, none above the one before. What a configuration asks for need not be.
pub fn falls(levels: &[f64]) -> bool {
    levels.iter().all(|level| (0.0..=1.0).contains(level)) && levels.is_sorted_by(|one, next| one >= next)
}

/// `1, 1 - 1/steps, ..., 1/steps`.
fn uniform(steps: usize) -> Vec<f64> {
    (0..steps).map(|step| 1.0 - step as f64 / steps as f64).collect()
}

/// The first half of the steps goes evenly from 1 to 0.975, the second on a parabola from there to 0 that begins with the same slope.
///
/// # Source
/// `linear_quadratic_schedule` of diffusers 0.42.1 and of Lightricks/LTX-Video; Polyak et al., "Movie Gen" (2024), section 3.3.3.
fn linear_quadratic(steps: usize) -> Vec<f64> {
    /// How much noise the linear steps take away.
    const THRESHOLD: f64 = 0.025;
    if steps == 1 {
        return vec![1.0];
    }
    let linear_steps = steps / 2;
    let (linear, quadratic, all) = (linear_steps as f64, (steps - linear_steps) as f64, steps as f64);
    let slope = THRESHOLD / linear;
    // The rest of the way, less what the slope alone would cover.
    let curvature = (1.0 - slope * all) / (quadratic * quadratic);
    (0..steps)
        .map(|step| {
            let beyond = step.saturating_sub(linear_steps) as f64;
            1.0 - slope * step as f64 - curvature * beyond * beyond
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::shift::{Mu, MuPoint};

    #[test]
    fn four_steps_are_five_levels() {
        assert_eq!(linear(4), [1.0, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(unshifted(Spacing::Uniform).levels(4, 100), linear(4));
    }

    fn unshifted(spacing: Spacing) -> Schedule {
        Schedule { spacing, shift: Shift::NONE }
    }

    /// The released list of the distilled models is exactly this, rounded.
    #[test]
    fn eight_linear_quadratic_steps_are_the_distilled_list() {
        let levels = unshifted(Spacing::LinearQuadratic).levels(8, 100);
        let distilled = [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219, 0.0];
        assert!(levels.iter().zip(distilled).all(|(level, rounded)| (level - rounded).abs() <= 5.001e-5), "{levels:?}");
        assert_eq!(unshifted(Spacing::LinearQuadratic).levels(1, 100), [1.0, 0.0]);
    }

    #[test]
    fn a_shift_without_measure_makes_no_schedule() {
        let shifted = |mu| Schedule { spacing: Spacing::Uniform, shift: Shift { mu, terminal: None } }.levels(4, 100);
        assert!(falls(&shifted(Mu::Constant(1.0))) && falls(&shifted(Mu::Constant(-5.0))));
        assert!(!falls(&shifted(Mu::Constant(1e3))), "{:?}", shifted(Mu::Constant(1e3)));
        let point = MuPoint { tokens: 256.0, mu: 0.5 };
        assert!(!falls(&shifted(Mu::ByTokens { low: point, high: point })));
        assert!(!falls(&[1.0, 0.5, 0.6, 0.0]) && !falls(&[1.5, 0.0]));
    }

    #[test]
    fn a_list_is_what_it_is() {
        assert_eq!(unshifted(Spacing::Explicit(vec![1.0, 0.725])).levels(30, 100), [1.0, 0.725, 0.0]);
    }

    #[test]
    fn a_part_ends_at_zero_too() {
        let levels = [1.0, 0.8, 0.6, 0.4, 0.2, 0.0];
        assert_eq!(part(&levels, 0, 2), [1.0, 0.8, 0.6, 0.0]);
        assert_eq!(part(&levels, 3, 0), [0.4, 0.2, 0.0]);
        assert_eq!(part(&levels, 0, 0), levels);
    }
}
