//! From the colour space that a picture names by an ICC profile to sRGB. Phones write Display P3; taken for sRGB it looks pale.

use moxcms::{CmsError, ColorProfile, DataColorSpace, Layout, TransformExecutor, TransformOptions};

use super::samples::Color;

/// Levels by which colours may differ for a profile to count as sRGB: the many profiles by that name differ by rounding.
const SAME: u8 = 2;

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
        (DataColorSpace::Cmyk, Color::Inks) => (Layout::Rgba, std::borrow::Cow::Borrowed(values)),
        (space, _) => return Err(format!("it is for {space:?}, the picture is not")),
    };
    convert(&profile, layout, &values).map_err(|error| error.to_string())
}

fn convert(profile: &ColorProfile, layout: Layout, values: &[u8]) -> Result<Option<Vec<u8>>, CmsError> {
    let srgb = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(layout, &srgb, Layout::Rgb, TransformOptions::default())?;
    let changes_nothing = match layout {
        Layout::Rgb => {
            let probes: Vec<u8> = (0..16 * 16 * 16)
                .flat_map(|i| [i / 256 * 17, i / 16 % 16 * 17, i % 16 * 17])
                .map(|v| v as u8)
                .collect();
            is_close(&applied(transform.as_ref(), &probes, 3)?, &probes)
        }
        _ => false,
    };
    if changes_nothing { Ok(None) } else { applied(transform.as_ref(), values, layout.channels()).map(Some) }
}

fn is_close(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= SAME)
}

/// Values of this many channels as RGB.
fn applied(
    transform: &(dyn TransformExecutor<u8> + Send + Sync),
    values: &[u8],
    channels: usize,
) -> Result<Vec<u8>, CmsError> {
    let mut converted = vec![0; values.len() / channels * 3];
    transform.transform(values, &mut converted)?;
    Ok(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(pixels: &[u8], icc: &[u8]) -> Vec<u8> {
        let mut pixels = pixels.to_vec();
        to_srgb(&mut pixels, icc).unwrap();
        pixels
    }

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
            let found = converted(&color, &icc);
            for (found, exact) in found.iter().zip(exact(color)) {
                assert!((f64::from(*found) - exact).abs() <= 1.6, "{color:?}: {found}, {exact}");
            }
        }
    }

    #[test]
    fn srgb_and_grey_profiles_change_nothing() {
        let pixels: Vec<u8> = (0..=254).collect();
        for profile in [ColorProfile::new_srgb(), ColorProfile::new_gray_with_gamma(1.0)] {
            assert_eq!(converted(&pixels, &profile.encode().unwrap()), pixels);
        }
    }

    #[test]
    fn a_damaged_profile_is_an_error() {
        let mut pixels = vec![1, 2, 3];
        assert!(to_srgb(&mut pixels, b"no profile").is_err());
        assert_eq!(pixels, [1, 2, 3]);
    }
}
