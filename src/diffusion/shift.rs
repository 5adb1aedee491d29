//! Shifts of a schedule towards noise: clips of many tokens need more steps where little can be seen yet.

/// What is done with the levels of a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Every level becomes `e^mu / (e^mu + 1 / sigma - 1)`.
    pub mu: Mu,
    /// Then distances from 1 are stretched, such that the last step begins at this level, above 0 and below 1; `None` stretches nothing.
    pub terminal: Option<f64>,
}

/// How far levels are shifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mu {
    /// The same for every clip; 0 leaves levels exactly as they are.
    Constant(f64),
    /// On the line through two points, and beyond them.
    ByTokens {
        /// The point of fewer tokens.
        low: MuPoint,
        /// The point of more tokens.
        high: MuPoint,
    },
}

/// One point of the line that `mu` lies on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuPoint {
    /// Tokens of the latents.
    pub tokens: f64,
    /// The shift there.
    pub mu: f64,
}

impl Mu {
    /// The shift for latents of `tokens` tokens.
    pub fn at(&self, tokens: usize) -> f64 {
        match self {
            Self::Constant(mu) => *mu,
            Self::ByTokens { low, high } => {
                let slope = (high.mu - low.mu) / (high.tokens - low.tokens);
                low.mu + slope * (tokens as f64 - low.tokens)
            }
        }
    }
}

impl Shift {
    /// Levels stay as they are.
    pub const NONE: Self = Self { mu: Mu::Constant(0.0), terminal: None };

    /// `levels`: above 0 and at most 1, falling. What is shifted or stretched is rounded to float32 at every step, as in the reference: the
    /// stretch magnifies roundings up to 1e-6, which a network that embeds 1000 times the level would see.
    ///
    /// # Source
    /// Esser et al., "Scaling Rectified Flow Transformers" (2024), section 5.3.2; `FlowMatchEulerDiscreteScheduler` of diffusers 0.42.1.
    pub(super) fn apply(&self, mut levels: Vec<f64>, tokens: usize) -> Vec<f64> {
        let mu = self.mu.at(tokens);
        if mu != 0.0 {
            let factor = libm::exp(mu) as f32;
            change(&mut levels, |sigma| factor / (factor + (1.0 / sigma - 1.0)));
        }
        let covered = levels.last().map_or(0.0, |last| 1.0 - *last as f32);
        // A single level of 1 stays: there is nothing to stretch.
        if let Some(terminal) = self.terminal.filter(|_| covered > 0.0) {
            let scale = covered / (1.0 - terminal) as f32;
            change(&mut levels, |sigma| 1.0 - (1.0 - sigma) / scale);
        }
        levels
    }
}

fn change(levels: &mut [f64], to: impl Fn(f32) -> f32) {
    for sigma in levels {
        *sigma = f64::from(to(*sigma as f32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_is_a_line_that_goes_on() {
        let line =
            Mu::ByTokens { low: MuPoint { tokens: 1024.0, mu: 0.95 }, high: MuPoint { tokens: 4096.0, mu: 2.05 } };
        for (tokens, mu) in [(1024, 0.95), (4096, 2.05), (2560, 1.5), (7168, 3.15)] {
            assert!((line.at(tokens) - mu).abs() < 1e-12);
        }
    }

    /// By hand: e^(ln 3) = 3, and 3 / (3 + 2 - 1) = 0.75.
    #[test]
    fn a_constant_shift_by_hand() {
        let levels = Shift { mu: Mu::Constant(3f64.ln()), terminal: None }.apply(vec![1.0, 0.5], 7);
        assert!((levels[0] - 1.0).abs() < 1e-6 && (levels[1] - 0.75).abs() < 1e-6, "{levels:?}");
        assert_eq!(Shift::NONE.apply(vec![1.0, 0.3], 7), [1.0, 0.3]);
    }

    #[test]
    fn the_stretch_ends_at_the_terminal_and_leaves_one_alone() {
        let stretch = Shift { mu: Mu::Constant(0.0), terminal: Some(0.1) };
        let levels = stretch.apply(vec![1.0, 0.5, 0.25], 7);
        assert!((levels[1] - 0.4).abs() < 1e-6 && (levels[2] - 0.1).abs() < 1e-6, "{levels:?}");
        assert_eq!(stretch.apply(vec![1.0], 7), [1.0]);
    }
}
