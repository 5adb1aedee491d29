//! Units as types, so that seconds, frames of pixels and frames of latents are never mixed up.

use std::fmt;

/// A length of time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(pub f64);

/// Frames a second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Fps(pub f64);

/// A number of frames of the clip as it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PixelFrames(pub usize);

/// A number of frames of the latent sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LatentFrames(pub usize);

/// How much motion an intensity asks for, where it can only be said in words or by a few settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MotionLevel {
    /// Hardly any: intensity 0.
    Still,
    /// Below 0.75.
    Low,
    /// 0.75 to 1.25.
    Medium,
    /// Above 1.25.
    High,
}

impl MotionLevel {
    /// The level of a motion intensity of 0 to 2.
    pub fn of(intensity: f64) -> Self {
        match intensity {
            none if none <= 0.0 => Self::Still,
            low if low < 0.75 => Self::Low,
            high if high > 1.25 => Self::High,
            _ => Self::Medium,
        }
    }
}

impl Seconds {
    /// Frames that a clip of this length has: `round(duration x fps)`.
    pub fn frames(self, fps: Fps) -> PixelFrames {
        PixelFrames((self.0 * fps.0).round() as usize)
    }
}

impl PixelFrames {
    /// Length of a clip with this many frames.
    pub fn duration(self, fps: Fps) -> Seconds {
        Seconds(self.0 as f64 / fps.0)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0)
    }
}

/// A size of data in bytes; shown rounded, in decimal units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000_000 => write!(f, "{:.0} kB", self.0 as f64 / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.0} MB", self.0 as f64 / 1e6),
            _ => write!(f, "{:.1} GB", self.0 as f64 / 1e9),
        }
    }
}

/// The shape of the clip that is written: what was asked for, exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// Width in pixels, even.
    pub width: usize,
    /// Height in pixels, even.
    pub height: usize,
    /// Number of frames.
    pub frames: PixelFrames,
    /// Frame rate.
    pub fps: Fps,
}

impl Clip {
    /// Time of frame `index` as a share of the clip: 0 for the first frame, 1 for the last.
    pub fn position(&self, index: usize) -> f64 {
        if self.frames.0 < 2 { 0.0 } else { index as f64 / (self.frames.0 - 1) as f64 }
    }

    /// Time of frame `index` since the first frame.
    pub fn time(&self, index: usize) -> Seconds {
        Seconds(index as f64 / self.fps.0)
    }
}

/// The sizes and lengths that a model can make: sides are multiples of `side` pixels, and frames one more than a multiple of `frames`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// 1 for any side.
    pub side: usize,
    /// 1 for any number of frames.
    pub frames: usize,
}

impl Grid {
    /// The smallest number of frames on the grid that is not less than `wanted`, at least 1.
    pub fn cover(self, wanted: PixelFrames) -> PixelFrames {
        PixelFrames(wanted.0.saturating_sub(1).next_multiple_of(self.frames) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        let sizes = [1_500, 415_000_000, 7_550_000_000].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(sizes, ["2 kB", "415 MB", "7.5 GB"]);
    }

    #[test]
    fn six_seconds_at_25_are_150_frames() {
        assert_eq!(Seconds(6.0).frames(Fps(25.0)), PixelFrames(150));
        assert_eq!(PixelFrames(150).duration(Fps(25.0)), Seconds(6.0));
    }

    #[test]
    fn a_grid_covers_what_is_wanted() {
        let grid = Grid { side: 32, frames: 8 };
        for (wanted, covered) in [(150, 153), (153, 153), (1, 1), (2, 9)] {
            assert_eq!(grid.cover(PixelFrames(wanted)), PixelFrames(covered));
        }
        assert_eq!(Grid { side: 1, frames: 1 }.cover(PixelFrames(150)), PixelFrames(150));
    }

    #[test]
    fn the_last_frame_is_at_position_one() {
        let clip = Clip { width: 64, height: 64, frames: PixelFrames(150), fps: Fps(25.0) };
        assert_eq!(clip.position(0), 0.0);
        assert_eq!(clip.position(149), 1.0);
    }
}
