//! From 8-bit RGB to the components of ITU-R BT.709 in limited ("tv") range, in 16-bit fixed point: the same bits on every processor.
//!
//! With `R`, `G`, `B` in 0..=255, `Kr = 0.2126`, `Kb = 0.0722` and `Kg = 1 - Kr - Kb`:
//!
//! ```text
//! Y' = Kr R + Kg G + Kb B                   luma = 16  + 219/255 Y'
//!                                           blue = 128 + 224/255 (B - Y') / (2 (1 - Kb))
//!                                           red  = 128 + 224/255 (R - Y') / (2 (1 - Kr))
//! ```
//!
//! # Source
//! ITU-R BT.709-6, items 3.2 to 3.5, at 8 bits.

/// Fraction bits of the fixed-point weights.
pub const BITS: u32 = 16;

/// `Kr`.
pub const RED_SHARE: f64 = 0.2126;
/// `Kb`.
pub const BLUE_SHARE: f64 = 0.0722;
/// `Kg`.
pub const GREEN_SHARE: f64 = 1.0 - RED_SHARE - BLUE_SHARE;
/// Steps of luma for one of `Y'`.
pub const LUMA_RANGE: f64 = 219.0 / 255.0;
/// Steps of a colour difference for one of its own, which reaches from -127.5 to 127.5.
pub const CHROMA_RANGE: f64 = 224.0 / 255.0;

/// Weights of red, green and blue in fixed point, and the value for black.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    weights: [i32; 3],
    offset: i32,
}

/// Brightness.
pub const LUMA: Component = Component {
    weights: [fixed(RED_SHARE * LUMA_RANGE), fixed(GREEN_SHARE * LUMA_RANGE), fixed(BLUE_SHARE * LUMA_RANGE)],
    offset: 16,
};
const BLUE_SIDE: i32 = fixed(0.5 * CHROMA_RANGE);
const RED_IN_BLUE: i32 = -fixed(RED_SHARE / (2.0 * (1.0 - BLUE_SHARE)) * CHROMA_RANGE);
const BLUE_IN_RED: i32 = -fixed(BLUE_SHARE / (2.0 * (1.0 - RED_SHARE)) * CHROMA_RANGE);
/// The blue difference. Green's weights are what makes the sum zero, so that every grey is exactly 128.
pub const CHROMA_BLUE: Component =
    Component { weights: [RED_IN_BLUE, -(RED_IN_BLUE + BLUE_SIDE), BLUE_SIDE], offset: 128 };
/// The red difference.
pub const CHROMA_RED: Component =
    Component { weights: [BLUE_SIDE, -(BLUE_IN_RED + BLUE_SIDE), BLUE_IN_RED], offset: 128 };

/// A non-negative number in fixed point, rounded to nearest.
pub const fn fixed(value: f64) -> i32 {
    (value * (1 << BITS) as f64 + 0.5) as i32
}

impl Component {
    /// The component's value for the sum of `2^extra` pixels, at most 0.51 from the exact one.
    #[inline(always)]
    pub fn of(&self, sum: [i32; 3], extra: u32) -> u8 {
        let [red, green, blue] = self.weights;
        let shift = BITS + extra;
        let value = red * sum[0] + green * sum[1] + blue * sum[2];
        ((value + (1 << (shift - 1)) + (self.offset << shift)) >> shift) as u8
    }
}
