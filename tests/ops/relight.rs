//! Light on rows against its formula in float64, on every instruction set of this machine.

use proptest::prelude::*;
use stir::ops::gemm::Kernels;
use stir::ops::relight::{Light, LightGains, relight_row_with};
use stir::ops::warp::RowColours;

/// A value under a gain by the operation's formula.
fn defined(value: f32, gain: f64, dither: f64) -> f64 {
    let before = f64::from(value).clamp(0.0, 255.0);
    let after = before * (1.0 + gain) / (1.0 + gain.max(0.0) * (before / 255.0).powi(3));
    after + dither * (after - before).abs().min(1.0)
}

/// In float32, whose rounding is part of the pattern.
fn dither(column: usize, row: usize) -> f64 {
    let inner = (0.067_110_56_f32 * column as f32 + 0.005_837_15_f32 * row as f32).fract();
    f64::from((52.982_918_f32 * inner).fract() - 0.5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn rows_follow_the_formula_on_every_instruction_set(
        pixels in prop::collection::vec((-3.0..258.0_f32, -3.0..258.0_f32, -3.0..258.0_f32, -0.4..0.4_f32), 1..70),
        warm in prop_oneof![Just(0.0_f32), -0.05..0.05_f32],
        row in 0..2000_usize,
    ) {
        let mut colours = RowColours::new(pixels.len());
        for (column, pixel) in pixels.iter().enumerate() {
            colours.set_pixel(column, [pixel.0, pixel.1, pixel.2]);
        }
        let gains = LightGains::new(pixels.iter().map(|pixel| pixel.3).collect());
        let light = Light { gains: &gains, warm, row };
        let mut first: Option<Vec<u8>> = None;
        for kernels in Kernels::available() {
            let mut bytes = vec![0; 3 * pixels.len()];
            relight_row_with(&colours, &light, kernels, &mut bytes);
            for (column, (found, pixel)) in bytes.chunks_exact(3).zip(&pixels).enumerate() {
                let values = [(pixel.0, warm), (pixel.1, 0.0), (pixel.2, -warm)];
                for (found, (value, warm)) in found.iter().zip(values) {
                    let gain = f64::from(pixel.3) + f64::from(warm);
                    let wanted = defined(value, gain, dither(column, row)).clamp(0.0, 255.0);
                    let error = (f64::from(*found) - wanted).abs();
                    prop_assert!(error < 0.501, "column {column} on {}: {found}, {wanted}", kernels.name());
                }
            }
            prop_assert_eq!(first.get_or_insert_with(|| bytes.clone()), &bytes, "{} differs", kernels.name());
        }
    }
}
