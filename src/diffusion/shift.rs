//! Shifts of a schedule towards noise: clips of many tokens need more steps where little can be seen yet.

/// What is done with evenly spaced noise levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shift {
    /// Nothing.
    None,
    /// `e^mu / (e^mu + 1 / sigma - 1)` with the same `mu` for every clip, and no stretch.
    Constant {
        /// 0 shifts nothing.
        mu: f64,
    },
    /// The same with a `mu` that grows with the number of tokens, then stretched.
    ByTokens(TokenShift),
}

/// A shift that grows in proportion to the number of tokens, beyond the two given points too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenShift {
    /// A number of tokens, and `mu` there.
    pub low: TokenShiftPoint,
    /// A larger number of tokens, and `mu` there.
    pub high: TokenShiftPoint,
    /// The level, above 0 and below 1, that the last step is made to begin at; `None` stretches nothing.
    pub terminal: Option<f64>,
}

/// One point of the line that `mu` lies on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenShiftPoint {
    /// Tokens of the latents.
    pub tokens: usize,
    /// The shift.
    pub mu: f64,
}

impl TokenShift {
    /// What LTX-Video 0.9.0 and 0.9.1 use.
    pub const LTX: Self = Self {
        low: TokenShiftPoint { tokens: 1024, mu: 0.95 },
        high: TokenShiftPoint { tokens: 4096, mu: 2.05 },
        terminal: Some(0.1),
    };

    /// The shift for latents of `tokens` tokens.
    pub fn mu(&self, tokens: usize) -> f64 {
        let slope = (self.high.mu - self.low.mu) / (self.high.tokens as f64 - self.low.tokens as f64);
        self.low.mu + slope * (tokens as f64 - self.low.tokens as f64)
    }
}

impl Shift {
    /// `levels`: above 0 and at most 1, falling, not empty.
    ///
    /// # Source
    /// Esser et al., "Scaling Rectified Flow Transformers" (2024), section 5.3.2; `FlowMatchEulerDiscreteScheduler` of diffusers 0.42.1.
    pub(super) fn apply(&self, levels: Vec<f64>, tokens: usize) -> Vec<f64> {
        match self {
            Self::None => levels,
            Self::Constant { mu } => shifted(levels, *mu),
            Self::ByTokens(shift) => {
                let levels = shifted(levels, shift.mu(tokens));
                shift.terminal.map_or(levels.clone(), |terminal| stretched(levels, terminal))
            }
        }
    }
}

fn shifted(levels: Vec<f64>, mu: f64) -> Vec<f64> {
    let factor = libm::exp(mu);
    levels.into_iter().map(|sigma| factor / (factor + 1.0 / sigma - 1.0)).collect()
}

/// Distances from 1 in one proportion, such that the last level is `terminal`. A single level of 1 stays.
fn stretched(levels: Vec<f64>, terminal: f64) -> Vec<f64> {
    let covered = levels.last().map_or(0.0, |last| 1.0 - last);
    if covered == 0.0 {
        return levels;
    }
    levels.into_iter().map(|sigma| 1.0 - (1.0 - sigma) * (1.0 - terminal) / covered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_is_a_line_that_goes_on() {
        for (tokens, mu) in [(1024, 0.95), (4096, 2.05), (2560, 1.5), (7168, 3.15)] {
            assert!((TokenShift::LTX.mu(tokens) - mu).abs() < 1e-12);
        }
    }

    /// By hand: e^(ln 3) = 3, and 3 / (3 + 2 - 1) = 0.75.
    #[test]
    fn a_constant_shift_by_hand() {
        let levels = Shift::Constant { mu: 3f64.ln() }.apply(vec![1.0, 0.5], 7);
        assert!((levels[0] - 1.0).abs() < 1e-12 && (levels[1] - 0.75).abs() < 1e-12, "{levels:?}");
    }

    #[test]
    fn the_stretch_ends_at_the_terminal_and_leaves_one_alone() {
        let levels = stretched(vec![1.0, 0.5, 0.25], 0.1);
        assert!((levels[1] - 0.4).abs() < 1e-12 && (levels[2] - 0.1).abs() < 1e-12, "{levels:?}");
        assert_eq!(stretched(vec![1.0], 0.1), [1.0]);
    }
}
