//! From the colour space that a picture names by an ICC profile to sRGB. Phones write Display P3; taken for sRGB it looks pale.

use std::borrow::Cow;

use moxcms::{CmsError, ColorProfile, DataColorSpace, Layout, TransformOptions};
use rayon::prelude::*;

use super::samples::Color;

/// Levels by which colours may differ for a profile to count as sRGB: the many profiles by that name differ by rounding.
const SAME: u8 = 2;
/// Pixels that are converted at a time.
const PART: usize = 1 << 16;

/// Converts samples from the colour space of the profile `icc` to sRGB (`[N, 3]`, uint8), relative colorimetric. `None` for a variant
/// of sRGB, which changes nothing.
///
/// # Errors
/// A damaged profile, one of an unknown kind, or one of another colour than the samples are.
pub(super) fn to_srgb(color: Color, values: &[u8], icc: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let profile = ColorProfile::new_from_slice(icc).map_err(|error| error.to_string())?;
    let (layout, values) = match (profile.color_space, color) {
        (DataColorSpace::Rgb, Color::Rgb) => (Layout::Rgb, values.into()),
        // A grey picture with the profile of the coloured one that it was made from.
        (DataColorSpace::Rgb, Color::Grey) => (Layout::Rgb, values.iter().flat_map(|value| [*value; 3]).collect()),
        (DataColorSpace::Gray, Color::Grey) => (Layout::Gray, values.into()),
        (DataColorSpace::Cmyk, Color::Inks) => (Layout::Rgba, Cow::Borrowed(values)),
        (space, _) => return Err(format!("it is for {space:?}, the picture is not")),
    };
    convert(&profile, layout, &values).map_err(|error| error.to_string())
}

fn convert(profile: &ColorProfile, layout: Layout, values: &[u8]) -> Result<Option<Vec<u8>>, CmsError> {
    let srgb = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(layout, &srgb, Layout::Rgb, TransformOptions::default())?;
    let apply = |values: &[u8]| {
        let mut converted = vec![0; values.len() / layout.channels() * 3];
        let parts = values.par_chunks(layout.channels() * PART).zip(converted.par_chunks_mut(3 * PART));
        parts.try_for_each(|(values, converted)| transform.transform(values, converted))?;
        Ok(converted)
    };
    if layout == Layout::Rgb {
        let levels = |index: u32| [index / 256, index / 16 % 16, index % 16].map(|level| level as u8 * 17);
        let probes: Vec<u8> = (0..16 * 16 * 16).flat_map(levels).collect();
        if apply(&probes)?.iter().zip(&probes).all(|(found, probe)| found.abs_diff(*probe) <= SAME) {
            return Ok(None);
        }
    }
    apply(values).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Display P3 to sRGB by their definitions: both have sRGB's curve and the white D65.
    ///
    /// # Source
    /// Matrix from the primaries of SMPTE EG 432-1 and BT.709.
    fn exact(color: [u8; 3]) -> [f64; 3] {
        let linear = color.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        let matrix = [[1.224_940, -0.224_940, 0.0], [-0.042_057, 1.042_057, 0.0], [-0.019_638, -0.078_636, 1.098_274]];
        matrix.map(|row| {
            let value: f64 = row.iter().zip(linear).map(|(weight, value)| weight * value).sum();
            let value = value.clamp(0.0, 1.0);
            255.0 * if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 }
        })
    }

    #[test]
    fn display_p3_becomes_srgb() {
        let icc = ColorProfile::new_display_p3().encode().unwrap();
        for color in [[200, 100, 50], [90, 160, 120], [128, 128, 128], [255, 255, 255], [0, 0, 0], [20, 30, 200]] {
            let found = to_srgb(Color::Rgb, &color, &icc).unwrap().expect("another space");
            for (found, exact) in found.iter().zip(exact(color)) {
                assert!((f64::from(*found) - exact).abs() <= 1.6, "{color:?}: {found}, {exact}");
            }
        }
    }

    #[test]
    fn variants_of_srgb_change_nothing() {
        let icc = ColorProfile::new_srgb().encode().unwrap();
        let values: Vec<u8> = (0..=254).collect();
        assert_eq!(to_srgb(Color::Rgb, &values, &icc).unwrap(), None);
        assert_eq!(to_srgb(Color::Grey, &values, &icc).unwrap(), None);
    }

    #[test]
    fn grey_becomes_srgb() {
        let linear = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let found = to_srgb(Color::Grey, &[0, 55, 255], &linear).unwrap().expect("another curve");
        // 55/255 by sRGB's curve: 0.216^(1/2.4) 1.055 - 0.055 of 255.
        for (found, exact) in found.iter().zip([0, 0, 0, 128, 128, 128, 255, 255, 255_u8]) {
            assert!(found.abs_diff(exact) <= 1, "{found}, {exact}");
        }
        // A grey picture may carry the profile of the coloured one that it was made from.
        let wide = ColorProfile::new_adobe_rgb().encode().unwrap();
        assert!(to_srgb(Color::Grey, &[0, 55, 255], &wide).unwrap().is_some());
    }

    #[test]
    fn a_damaged_profile_and_one_of_another_colour_are_errors() {
        let grey = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        assert!(to_srgb(Color::Rgb, &[1, 2, 3], b"no profile").is_err());
        assert!(to_srgb(Color::Rgb, &[1, 2, 3], &grey).is_err());
        assert!(to_srgb(Color::Inks, &[1, 2, 3, 4], &grey).is_err());
    }
}
