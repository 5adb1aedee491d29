//! What every writer checks: the size and the number of the frames it gets.

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::units::Clip;

/// Frames taken so far of a clip.
#[derive(Debug)]
pub(super) struct FrameCount {
    clip: Clip,
    taken: usize,
}

impl FrameCount {
    /// A clip without frames yet.
    ///
    /// # Errors
    /// A clip of no pixels or no frames.
    pub fn new(clip: &Clip) -> Result<Self> {
        if clip.width == 0 || clip.height == 0 || clip.frames.0 == 0 {
            return Err(Error::input(
                "the clip",
                "at least one frame of at least one pixel",
                format!("{} frames of {}x{}", clip.frames.0, clip.width, clip.height),
                "choose a larger size or a longer duration",
            ));
        }
        Ok(Self { clip: *clip, taken: 0 })
    }

    /// A clip whose format halves the resolution of colour, so that its sides have to be even.
    ///
    /// # Errors
    /// An odd side, or a clip of no pixels or no frames.
    pub fn new_even(clip: &Clip) -> Result<Self> {
        if !clip.width.is_multiple_of(2) || !clip.height.is_multiple_of(2) {
            return Err(Error::input(
                "the clip's size",
                "an even width and an even height",
                format!("{}x{}", clip.width, clip.height),
                format!(
                    "choose {}x{}, or a folder of PNG frames as output",
                    clip.width.next_multiple_of(2),
                    clip.height.next_multiple_of(2)
                ),
            ));
        }
        Self::new(clip)
    }

    /// Counts a frame and says its index.
    ///
    /// # Errors
    /// A frame of another size, or one frame too many.
    pub fn accept(&mut self, frame: &Picture) -> Result<usize> {
        let index = self.taken;
        if (frame.width(), frame.height()) != (self.clip.width, self.clip.height) {
            return Err(defect(
                format!("frame {index}"),
                format!("{}x{}", self.clip.width, self.clip.height),
                format!("{}x{}", frame.width(), frame.height()),
            ));
        }
        if index == self.clip.frames.0 {
            return Err(defect(
                "the clip".to_owned(),
                format!("{} frames", self.clip.frames.0),
                format!("frame {}", index + 1),
            ));
        }
        self.taken += 1;
        Ok(index)
    }

    /// Checks that all frames have come.
    ///
    /// # Errors
    /// Fewer frames than the clip has.
    pub fn complete(&self) -> Result<()> {
        if self.taken == self.clip.frames.0 {
            return Ok(());
        }
        Err(defect(
            "the clip".to_owned(),
            format!("{} frames", self.clip.frames.0),
            format!("its end after {}", self.taken),
        ))
    }
}

fn defect(thing: String, wanted: String, found: String) -> Error {
    Error::run(thing, wanted, found, "this is a defect of stir: report it with the exact command")
}
