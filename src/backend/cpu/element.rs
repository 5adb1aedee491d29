//! The types in which values are stored, for loops that compute in float32 whatever they read and write.

use super::gemm::{round, widen};

/// A stored value: float32, or bfloat16 as its bits.
pub trait Element: Copy + Send + Sync {
    /// The value.
    fn widened(self) -> f32;
    /// The nearest stored value.
    fn rounded(value: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn widened(self) -> f32 {
        self
    }
    #[inline(always)]
    fn rounded(value: f32) -> Self {
        value
    }
}

impl Element for u16 {
    #[inline(always)]
    fn widened(self) -> f32 {
        widen(self)
    }
    #[inline(always)]
    fn rounded(value: f32) -> Self {
        round(value)
    }
}
