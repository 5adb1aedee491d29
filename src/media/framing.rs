//! How the picture, the frames that a model makes of it and the frames that are written lie on each other.

use super::image;
use crate::error::{Error, Result};
use crate::picture::{Color, Picture, PixelBox};

/// How a picture fills a clip of another aspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It covers the clip; what sticks out is cut off evenly.
    Cover,
    /// All of it is seen, between bars of the background's colour.
    Contain,
    /// It is stretched.
    Stretch,
}

impl std::str::FromStr for Fit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "cover" => Ok(Self::Cover),
            "contain" => Ok(Self::Contain),
            "stretch" => Ok(Self::Stretch),
            _ => {
                let found = format!("\"{text}\"");
                Err(Error::input("--fit", "cover, contain or stretch", found, "cover is the default"))
            }
        }
    }
}

/// The way from a picture to the frames that a model makes, and from those to the frames that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    written: (usize, usize),
}

impl Framing {
    /// The size in pixels, width and height, of the frames that the model makes.
    pub fn generated(&self) -> (usize, usize) {
        self.written
    }

    /// The picture as the model gets it, of the size [`generated`](Self::generated).
    pub fn prepare(&self, picture: &Picture) -> Picture {
        image::cover(picture, self.written.0, self.written.1)
    }

    /// Where a box of the picture lies in what [`prepare`](Self::prepare) makes of it.
    pub fn place(&self, picture: &Picture, place: PixelBox) -> PixelBox {
        image::cover_box(picture, place, self.written.0, self.written.1)
    }

    /// Left, top, width and height of the part of the picture that the clip shows.
    pub fn shown_part(&self, picture: &Picture) -> [usize; 4] {
        image::shown_part(picture, self.written.0, self.written.1)
    }

    /// A frame as it is written, from a frame as it was made.
    pub fn finish(&self, frame: Picture) -> Picture {
        frame
    }
}

/// What a framing is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramingRequest {
    /// Width and height of the written frames.
    pub written: (usize, usize),
    /// How the picture fills them.
    pub fit: Fit,
    /// The colour of the bars of [`Fit::Contain`].
    pub background: Color,
    /// A model makes only sides that are multiples of this.
    pub side_multiple: usize,
}

impl FramingRequest {
    /// The framing of `picture`.
    pub fn of(&self, _picture: &Picture) -> Framing {
        Framing { written: self.written }
    }
}
