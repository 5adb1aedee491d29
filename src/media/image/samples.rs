//! From the samples that a file holds to pixels: 8-bit sRGB, transparent parts laid over a background.

use image::DynamicImage;

use super::color_profile;
use crate::picture;

/// What the values of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Color {
    /// One value.
    Grey,
    /// Red, green and blue.
    Rgb,
    /// Cyan, magenta, yellow and black; 255 is full ink.
    Inks,
}

/// A decoded file before its colours are converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) color: Color,
    /// `[N, 1]`, `[N, 3]` or `[N, 4]`, uint8.
    pub(super) values: Vec<u8>,
    /// `[N]`, uint8; 255 is opaque.
    pub(super) alpha: Option<Vec<u8>>,
}

impl Samples {
    /// Of any kind that the decoders give; 16 bits are rounded to 8.
    pub(super) fn of(image: DynamicImage) -> Self {
        let (color, alpha) = (image.color(), image.color().has_alpha());
        let split = |values: Vec<u8>, channels: usize| {
            let mut colors = vec![0; values.len() / channels * (channels - 1)];
            for (colors, pixel) in colors.chunks_exact_mut(channels - 1).zip(values.chunks_exact(channels)) {
                colors.copy_from_slice(&pixel[..channels - 1]);
            }
            (colors, Some(values.into_iter().skip(channels - 1).step_by(channels).collect()))
        };
        let ((values, alpha), color) = match (color.has_color(), alpha) {
            (false, false) => ((image.into_luma8().into_raw(), None), Color::Grey),
            (false, true) => (split(image.into_luma_alpha8().into_raw(), 2), Color::Grey),
            (true, false) => ((image.into_rgb8().into_raw(), None), Color::Rgb),
            (true, true) => (split(image.into_rgba8().into_raw(), 4), Color::Rgb),
        };
        Self { color, values, alpha }
    }

    /// Pixels, `[N, 3]`, uint8, sRGB; their alpha; and what the user should know about them.
    pub(super) fn into_srgb(self, profile: Option<&[u8]>) -> (Vec<u8>, Option<Vec<u8>>, Option<String>) {
        let converted = profile.map(|profile| color_profile::to_srgb(self.color, &self.values, profile));
        let (pixels, note) = match converted {
            Some(Ok(Some(pixels))) => (pixels, None),
            Some(Ok(None)) => (plainly(self.color, self.values), None),
            // As browsers do: a defect in the profile is no reason to lose the picture.
            Some(Err(error)) => {
                let note = format!("the colour profile cannot be used ({error}), the colours may be a little off");
                (plainly(self.color, self.values), Some(note))
            }
            None if self.color == Color::Inks => {
                let note =
                    "inks (CMYK) without a colour profile are converted plainly, the colours may be a little off";
                (plainly(self.color, self.values), Some(note.to_owned()))
            }
            None => (plainly(self.color, self.values), None),
        };
        (pixels, self.alpha, note)
    }
}

/// RGB without a profile.
fn plainly(color: Color, values: Vec<u8>) -> Vec<u8> {
    match color {
        Color::Rgb => values,
        Color::Grey => {
            let mut pixels = vec![0; values.len() * 3];
            pixels.chunks_exact_mut(3).zip(values).for_each(|(pixel, value)| pixel.fill(value));
            pixels
        }
        Color::Inks => {
            let left = |ink: u8| 255 - u32::from(ink);
            let mixed = |ink: u8, black: u8| ((left(ink) * left(black) + 127) / 255) as u8;
            values.chunks_exact(4).flat_map(|inks| [0, 1, 2].map(|ink| mixed(inks[ink], inks[3]))).collect()
        }
    }
}

/// Lays pixels over a colour, in sRGB values as browsers do.
pub(in crate::media) fn lay_over(pixels: &mut [u8], alpha: &[u8], background: picture::Color) {
    for (pixel, &alpha) in pixels.chunks_exact_mut(3).zip(alpha) {
        for (value, below) in pixel.iter_mut().zip(background.0) {
            let alpha = u32::from(alpha);
            *value = ((u32::from(*value) * alpha + u32::from(below) * (255 - alpha) + 127) / 255) as u8;
        }
    }
}
