//! Frame rates as the ratios that containers store.

use crate::error::{Error, Result};
use crate::units::Fps;

use super::OutputFormat;

/// Frames a second as a reduced ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameRate {
    /// Frames in `denominator` seconds.
    pub numerator: u32,
    /// Seconds.
    pub denominator: u32,
}

impl FrameRate {
    /// The ratio that `fps` means: to the thousandth, and NTSC's rates (23.976, 29.97, 59.94) as multiples of 1000/1001.
    ///
    /// # Errors
    /// A rate below 0.001 or above 1000 frames a second, or not finite.
    pub fn from_fps(fps: Fps) -> Result<Self> {
        if !(0.001..=1000.0).contains(&fps.0) {
            return Err(Error::input(
                "--fps",
                "0.001 to 1000 frames a second",
                fps.0.to_string(),
                "leave it out for 25 frames a second",
            ));
        }
        let whole = (fps.0 * 1.001).round();
        if fps.0.fract() != 0.0 && whole > 0.0 && (fps.0 - whole / 1.001).abs() < 0.0005 {
            return Ok(Self { numerator: whole as u32 * 1000, denominator: 1001 });
        }
        let thousandths = (fps.0 * 1000.0).round() as u32;
        let common = greatest_common_divisor(thousandths, 1000);
        Ok(Self { numerator: thousandths / common, denominator: 1000 / common })
    }
}

impl FrameRate {
    /// Like [`from_fps`](Self::from_fps), for a clip in `format`. Animated pictures hold the time of each frame in hundredths (GIF) or
    /// thousandths (WebP) of a second, and browsers show frames of less than 20 or 11 ms for 100 ms instead.
    ///
    /// # Errors
    /// Another rate than the format has.
    pub fn for_format(fps: Fps, format: OutputFormat) -> Result<Self> {
        let rate = Self::from_fps(fps)?;
        let (least, most) = match format {
            // A frame's time in a GIF has 16 bits.
            OutputFormat::Gif => (0.002, 50.0),
            OutputFormat::Webp => (0.001, 90.0),
            _ => return Ok(rate),
        };
        if (least..=most).contains(&fps.0) {
            return Ok(rate);
        }
        Err(Error::input(
            "--fps",
            format!("{least} to {most} frames a second for {format}: browsers slow faster ones down"),
            fps.0.to_string(),
            "leave it out for 25 frames a second, or write .mp4",
        ))
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(fps: f64) -> (u32, u32) {
        let rate = FrameRate::from_fps(Fps(fps)).unwrap();
        (rate.numerator, rate.denominator)
    }

    #[test]
    fn rates_become_reduced_ratios() {
        assert_eq!(ratio(25.0), (25, 1));
        assert_eq!(ratio(12.5), (25, 2));
        assert_eq!(ratio(1000.0), (1000, 1));
        assert_eq!(ratio(0.5), (1, 2));
        assert_eq!(ratio(0.001), (1, 1000));
    }

    #[test]
    fn ntsc_rates_are_exact() {
        assert_eq!(ratio(23.976), (24000, 1001));
        assert_eq!(ratio(29.97), (30000, 1001));
        assert_eq!(ratio(30000.0 / 1001.0), (30000, 1001));
        assert_eq!(ratio(59.94), (60000, 1001));
    }

    #[test]
    fn animated_pictures_have_rates_of_their_own() {
        let fits = |fps: f64, format: OutputFormat| FrameRate::for_format(Fps(fps), format).is_ok();
        assert!(fits(50.0, OutputFormat::Gif) && !fits(50.1, OutputFormat::Gif) && !fits(0.001, OutputFormat::Gif));
        assert!(fits(60.0, OutputFormat::Webp) && !fits(120.0, OutputFormat::Webp));
        assert!(fits(120.0, OutputFormat::Mp4));
        let error = FrameRate::for_format(Fps(60.0), OutputFormat::Gif).unwrap_err();
        assert!(error.to_string().starts_with("--fps: wanted 0.002 to 50 frames a second for GIF"), "{error}");
    }

    #[test]
    fn impossible_rates_are_refused() {
        for fps in [0.0, -25.0, f64::NAN, f64::INFINITY, 1001.0] {
            assert_eq!(FrameRate::from_fps(Fps(fps)).unwrap_err().exit_code(), 2, "{fps}");
        }
    }
}
