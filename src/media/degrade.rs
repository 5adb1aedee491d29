//! Making a still picture look like a frame of a video, as far as the user wants it.
//!
//! Video models have learned from compressed videos. A pristine still is nothing they have seen move, and tends to stay a still; one that has been
//! through a video encoder moves more readily. It costs sharpness of line in the first frame, and so in the clip.

use rayon::prelude::*;

use crate::error::{Error, Result, quoted};
use crate::picture::Picture;
use crate::units::MotionLevel;

use super::yuv420::Yuv420;

#[cfg(feature = "ffmpeg")]
use super::recode;

/// How far a picture is made to look like a frame of a video.
///
/// On the example picture (1280x720), with the luma's likeness to the original, and what is left of its steps between neighbouring pixels of
/// more than 24 levels, which are its lines:
///
/// | degradation | luma    | lines |
/// |-------------|---------|-------|
/// | mild        | 43.3 dB | 95 %  |
/// | official    | 32.9 dB | 47 %  |
///
/// Mild is hardly seen; of official's loss the blur is nearly all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Degradation {
    /// Not at all.
    #[default]
    Off,
    /// One frame of H.264 at rate factor 26.
    Mild,
    /// What LTX-Video's makers do: a slight blur, then one frame of H.264 at rate factor 29.
    Official,
}

impl Degradation {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mild => "mild",
            Self::Official => "official",
        }
    }
}

impl std::str::FromStr for Degradation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "off" => Ok(Self::Off),
            "mild" => Ok(Self::Mild),
            "official" => Ok(Self::Official),
            _ => Err(Error::input(
                "--degrade",
                "off, mild or official",
                quoted(text),
                "left out, it follows from the model and the motion",
            )),
        }
    }
}

/// The degradation that goes with a motion intensity of 0 to 2: low keeps the picture as it is, medium takes [`Degradation::Mild`] and high
/// [`Degradation::Official`], because the more is to move, the less the model may take its picture for a still.
pub fn for_motion(intensity: f64) -> Degradation {
    match MotionLevel::of(intensity) {
        MotionLevel::Still | MotionLevel::Low => Degradation::Off,
        MotionLevel::Medium => Degradation::Mild,
        MotionLevel::High => Degradation::Official,
    }
}

impl Degradation {
    /// x264's constant rate factor, if there is any compression.
    fn rate_factor(self) -> Option<u8> {
        match self {
            Self::Off => None,
            Self::Mild => Some(26),
            Self::Official => Some(29),
        }
    }

    /// Checks that this program, with these libraries, can degrade so.
    ///
    /// # Errors
    /// An input error where there is no encoder or decoder of H.264.
    pub fn check(self) -> Result<()> {
        self.rate_factor().map_or(Ok(()), |_| recode::check())
    }
}

/// Makes a picture of any size, prepared for the model, look like a frame of a video. It keeps its size.
///
/// The same picture gives the same result on every machine with the same x264.
///
/// # Errors
/// Like [`Degradation::check`]; also a failed encoder.
///
/// # Source
/// LTX-Video's `inference.py` and `crf_compressor.py`. They degrade before they resize, so that a large picture hardly loses anything; here it
/// happens at the size that the model sees. They drop the last column and row of an odd size; here these are doubled for the encoder and stay.
/// Colours go through BT.709, as in our videos, not BT.601.
pub fn degrade(picture: Picture, how: Degradation) -> Result<Picture> {
    let Some(rate_factor) = how.rate_factor() else { return Ok(picture) };
    recode::check()?;
    let size = (picture.width(), picture.height());
    let softened = if how == Degradation::Official { blurred(&picture) } else { picture };
    let softened = resized_by_repeating(softened, (size.0.next_multiple_of(2), size.1.next_multiple_of(2)));
    let mut planes = Yuv420::new(softened.width(), softened.height());
    planes.fill(&softened);
    let planes = recode::recode(planes, rate_factor)?;
    Ok(resized_by_repeating(planes.to_picture(), size))
}

/// A picture that is cut off at the right and below, or goes on with its last column and row.
fn resized_by_repeating(picture: Picture, (width, height): (usize, usize)) -> Picture {
    if (picture.width(), picture.height()) == (width, height) {
        return picture;
    }
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let y = y.min(picture.height() - 1);
        (0..width).for_each(|x| pixels.extend(picture.pixel(x.min(picture.width() - 1), y)));
    }
    Picture::new(width, height, pixels)
}

/// Weights of a Gaussian of standard deviation 1 at distances 0 and 1, such that three of them sum to 1.
const MIDDLE: f32 = 0.451_862_76;
const BESIDE: f32 = 0.274_068_62;

/// A Gaussian blur of 3x3 pixels with a standard deviation of 1 pixel; beyond its border the picture is mirrored about the outermost pixel.
fn blurred(picture: &Picture) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let source = picture.pixels();
    let mut pixels = vec![0; source.len()];
    pixels.par_chunks_exact_mut(width * 3).enumerate().for_each_init(Vec::new, |mixed, (y, out)| {
        let [above, below] = neighbours(y, height).map(|y| &source[y * width * 3..][..width * 3]);
        let row = &source[y * width * 3..][..width * 3];
        mixed.clear();
        mixed.extend((0..width * 3).map(|at| weighted(above[at].into(), row[at].into(), below[at].into())));
        for (x, out) in out.chunks_exact_mut(3).enumerate() {
            let [left, right] = neighbours(x, width);
            for (channel, out) in out.iter_mut().enumerate() {
                let [left, here, right] = [left, x, right].map(|x| mixed[x * 3 + channel]);
                *out = weighted(left, here, right).round() as u8;
            }
        }
    });
    Picture::new(width, height, pixels)
}

fn weighted(before: f32, here: f32, after: f32) -> f32 {
    MIDDLE * here + BESIDE * (before + after)
}

/// Indices before and after `index` in a line of `length`.
fn neighbours(index: usize, length: usize) -> [usize; 2] {
    let second = 1.min(length - 1);
    let before = index.checked_sub(1).unwrap_or(second);
    let after = if index + 1 < length { index + 1 } else { length - 1 - second };
    [before, after]
}

/// What stands in for the encoder where there is none.
#[cfg(not(feature = "ffmpeg"))]
mod recode {
    use super::*;

    pub fn check() -> Result<()> {
        Err(missing())
    }

    pub fn recode(_planes: Yuv420, _rate_factor: u8) -> Result<Yuv420> {
        Err(missing())
    }

    fn missing() -> Error {
        Error::input(
            "--degrade",
            "a stir with FFmpeg, whose H.264 encoder does it",
            "one that was built without it",
            "leave the picture as it is: --degrade off; or build stir with: cargo build --release --features ffmpeg",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_refused() {
        for (text, how) in [("off", Degradation::Off), ("mild", Degradation::Mild), ("official", Degradation::Official)]
        {
            assert_eq!(text.parse::<Degradation>().unwrap(), how);
        }
        for text in ["", "on", "Mild", "29"] {
            let error = text.parse::<Degradation>().unwrap_err();
            assert_eq!(error.to_string(), format!("--degrade: wanted off, mild or official, found \"{text}\""));
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn more_motion_degrades_more() {
        let levels = [0.0, 0.74, 0.75, 1.0, 1.25, 1.26, 2.0].map(for_motion);
        use Degradation::{Mild, Off, Official};
        assert_eq!(levels, [Off, Off, Mild, Mild, Mild, Official, Official]);
    }

    #[test]
    fn the_blur_is_a_gaussian_of_one_pixel() {
        let beside = (-0.5_f64).exp();
        let middle = 1.0 / (1.0 + 2.0 * beside);
        assert!((f64::from(MIDDLE) - middle).abs() < 1e-7 && (f64::from(BESIDE) - beside * middle).abs() < 1e-7);
        let mut point = Picture::new(5, 5, vec![0; 75]);
        point.pixels_mut()[36..39].copy_from_slice(&[255, 100, 0]);
        let point = blurred(&point);
        for (y, x, share) in
            [(2, 2, 0.20418), (1, 2, 0.12384), (2, 3, 0.12384), (3, 1, 0.07511), (0, 2, 0.0), (4, 4, 0.0)]
        {
            let expected = [255.0, 100.0, 0.0].map(|value: f64| (value * share).round() as u8);
            assert_eq!(point.pixel(x, y), expected, "{x} {y}");
        }
    }

    /// Like PyTorch's `reflect`: what lies beside the first column is the second one.
    #[test]
    fn the_blur_mirrors_the_picture_about_its_border() {
        let row = blurred(&Picture::new(3, 1, [[200; 3], [0; 3], [100; 3]].concat()));
        let values = [0, 1, 2].map(|x| row.pixel(x, 0)[0]);
        assert_eq!(values, [0.45186 * 200.0, 0.27407 * 300.0, 0.45186 * 100.0].map(|value: f64| value.round() as u8));
        assert_eq!(blurred(&Picture::new(1, 1, vec![9, 90, 255])).pixels(), [9, 90, 255]);
    }

    #[test]
    fn sides_are_repeated_and_cut_off_again() {
        let picture = Picture::new(3, 1, (0..9).collect());
        let even = resized_by_repeating(picture.clone(), (4, 2));
        assert_eq!(even.pixels(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8].repeat(2));
        assert_eq!(resized_by_repeating(even, (3, 1)), picture);
    }
}
