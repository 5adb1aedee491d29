//! How the picture, the frames that a model makes of it and the frames that are written lie on each other.

use super::resize;
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

impl Fit {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cover => "cover",
            Self::Contain => "contain",
            Self::Stretch => "stretch",
        }
    }
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
///
/// ```text
///   picture            generated                     written
///   +-------+   fit    +- - - - - - - - -+           +-------------------+
///   |       |  ----->  | +-------------+ |  finish   | bar |       | bar |
///   |       |          | |    shown    | |  ----->   |     | shown |     |
///   +-------+          | +-------------+ |           |     |       |     |
///                      +- -mirrored  - - +           +-------------------+
/// ```
///
/// `shown` is where the picture is: all of `written`, or with [`Fit::Contain`] what is left between the bars. A model makes `shown`,
/// enlarged to the sides that it can make; what it makes too much shows the picture mirrored at its borders, and is cut off again.
/// The bars come last, so that they stand still while the picture moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    fit: Fit,
    background: Color,
    written: (usize, usize),
    shown: (usize, usize),
    generated: (usize, usize),
}

impl Framing {
    /// How the picture fills the written frames.
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// The colour of bars.
    pub fn background(&self) -> Color {
        self.background
    }

    /// The size in pixels, width and height, at which the picture is shown.
    pub fn shown(&self) -> (usize, usize) {
        self.shown
    }

    /// The size in pixels, width and height, of the frames that the model makes.
    pub fn generated(&self) -> (usize, usize) {
        self.generated
    }

    /// The picture as the model gets it, of the size [`generated`](Self::generated).
    pub fn prepare(&self, picture: &Picture) -> Picture {
        extended(self.fitted(picture), self.generated)
    }

    /// As [`prepare`](Self::prepare), at another size, to which the whole frame is stretched: that of a pass that is made smaller or larger.
    pub fn prepare_at(&self, picture: &Picture, (width, height): (usize, usize)) -> Picture {
        if (width, height) == self.generated {
            return self.prepare(picture);
        }
        // From twice the size, so that a larger pass sees what the picture has.
        let double = |(width, height): (usize, usize)| (2 * width, 2 * height);
        let doubled = Self { shown: double(self.shown), generated: double(self.generated), ..*self }.prepare(picture);
        stretched(doubled, (width, height))
    }

    /// Where a box of the picture lies in what [`prepare`](Self::prepare) makes of it; partly or wholly outside where it is cut off.
    pub fn place(&self, picture: &Picture, place: PixelBox) -> PixelBox {
        let [left, top, width, height] = self.shown_part(picture);
        let (across, down) = (self.shown.0 as f64 / width as f64, self.shown.1 as f64 / height as f64);
        let (margin_left, margin_top) = margins(self.shown, self.generated);
        PixelBox {
            left: (place.left - left as f64) * across + margin_left as f64,
            top: (place.top - top as f64) * down + margin_top as f64,
            width: place.width * across,
            height: place.height * down,
        }
    }

    /// Left, top, width and height of the part of the picture that the clip shows.
    pub fn shown_part(&self, picture: &Picture) -> [usize; 4] {
        match self.fit {
            Fit::Cover => covering_part(picture, self.shown),
            Fit::Contain | Fit::Stretch => [0, 0, picture.width(), picture.height()],
        }
    }

    /// A frame as it is written, from a frame as it was made; one of another size than [`generated`](Self::generated) is stretched to it.
    pub fn finish(&self, frame: Picture) -> Picture {
        let frame = stretched(frame, self.generated);
        if self.shown == self.written && self.generated == self.written {
            return frame;
        }
        let (width, height) = self.written;
        let mut pixels = self.background.0.repeat(width * height);
        let from = margins(self.shown, self.generated);
        let to = margins(self.shown, self.written);
        let length = self.shown.0 * 3;
        for y in 0..self.shown.1 {
            let source = ((from.1 + y) * frame.width() + from.0) * 3;
            let target = ((to.1 + y) * width + to.0) * 3;
            pixels[target..target + length].copy_from_slice(&frame.pixels()[source..source + length]);
        }
        Picture::new(width, height, pixels)
    }

    /// The picture of the size `shown`.
    fn fitted(&self, picture: &Picture) -> Picture {
        resized(picture, self.shown_part(picture), self.shown)
    }
}

/// The picture resized to cover `width` x `height` pixels, with what sticks out cut off evenly on both sides. A picture of that size
/// already comes back unchanged.
///
/// # Panics
/// If a side is zero: sizes are checked with the request.
pub fn cover(picture: &Picture, width: usize, height: usize) -> Picture {
    assert!(width > 0 && height > 0, "a picture of {width}x{height} pixels");
    resized(picture, covering_part(picture, (width, height)), (width, height))
}

/// The whole picture at another size, width and height.
pub fn stretched(picture: Picture, size: (usize, usize)) -> Picture {
    if (picture.width(), picture.height()) == size {
        return picture;
    }
    resized(&picture, [0, 0, picture.width(), picture.height()], size)
}

/// A part of a picture at another size. Cut first: an extreme aspect would make a huge picture in between.
fn resized(picture: &Picture, part: [usize; 4], (width, height): (usize, usize)) -> Picture {
    let [left, top, part_width, part_height] = part;
    if (part_width, part_height) != (width, height) {
        return resize::resize(picture, part, width, height);
    }
    if (picture.width(), picture.height()) == (width, height) {
        return picture.clone();
    }
    let rows = picture.pixels().chunks_exact(picture.width() * 3).skip(top).take(height);
    Picture::new(width, height, rows.flat_map(|row| &row[left * 3..(left + width) * 3]).copied().collect())
}

/// The largest part of a picture, to the pixel, with the aspect of a size: its middle.
fn covering_part(picture: &Picture, (width, height): (usize, usize)) -> [usize; 4] {
    let cut = |side: usize, other: usize, wanted: usize, wanted_other: usize| {
        let fitting = (other as f64 * wanted as f64 / wanted_other as f64).round() as usize;
        fitting.clamp(1, side)
    };
    let cut_width = cut(picture.width(), picture.height(), width, height);
    let cut_height = cut(picture.height(), picture.width(), height, width);
    [(picture.width() - cut_width) / 2, (picture.height() - cut_height) / 2, cut_width, cut_height]
}

/// The largest size with even sides (a clip's colours are stored by pairs of pixels) within `written` that has the picture's aspect.
fn contained(picture: &Picture, written: (usize, usize)) -> (usize, usize) {
    let side = |side: usize, other: usize, wanted: usize, wanted_other: usize| {
        let fitting = (side as f64 * wanted_other as f64 / (2 * other) as f64).round() as usize * 2;
        fitting.clamp(2, wanted)
    };
    (
        side(picture.width(), picture.height(), written.0, written.1),
        side(picture.height(), picture.width(), written.1, written.0),
    )
}

/// Left and top of a size in the middle of a larger one.
fn margins(inner: (usize, usize), outer: (usize, usize)) -> (usize, usize) {
    ((outer.0 - inner.0) / 2, (outer.1 - inner.1) / 2)
}

/// A picture in the middle of a larger one that goes on mirrored beyond its borders.
fn extended(picture: Picture, size: (usize, usize)) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    if (width, height) == size {
        return picture;
    }
    let (left, top) = margins((width, height), size);
    let columns: Vec<usize> = (0..size.0).map(|x| mirrored(x, left, width)).collect();
    let mut pixels = Vec::with_capacity(size.0 * size.1 * 3);
    for y in 0..size.1 {
        let row = &picture.pixels()[mirrored(y, top, height) * width * 3..][..width * 3];
        columns.iter().for_each(|x| pixels.extend_from_slice(&row[x * 3..x * 3 + 3]));
    }
    Picture::new(size.0, size.1, pixels)
}

/// Which sample of a line of `length`, which begins at `start`, shows at `position`: the line and its mirror image by turns.
fn mirrored(position: usize, start: usize, length: usize) -> usize {
    let period = 2 * length as isize;
    let at = (position as isize - start as isize).rem_euclid(period) as usize;
    at.min(2 * length - 1 - at)
}

/// What a framing is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramingRequest {
    /// Width and height of the written frames; with [`Fit::Contain`] both are even.
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
    pub fn of(&self, picture: &Picture) -> Framing {
        let shown = match self.fit {
            Fit::Contain => contained(picture, self.written),
            Fit::Cover | Fit::Stretch => self.written,
        };
        self.framing(shown)
    }

    /// The framing of a picture that is shown at this size in pixels, width and height; `None` where no picture is.
    pub fn showing(&self, shown: (usize, usize)) -> Option<Framing> {
        let contained = |side: usize, written: usize| side > 0 && side <= written && side.is_multiple_of(2);
        let possible = match self.fit {
            Fit::Contain => contained(shown.0, self.written.0) && contained(shown.1, self.written.1),
            Fit::Cover | Fit::Stretch => shown == self.written,
        };
        possible.then(|| self.framing(shown))
    }

    fn framing(&self, shown: (usize, usize)) -> Framing {
        let made = |side: usize| side.next_multiple_of(self.side_multiple);
        Framing {
            fit: self.fit,
            background: self.background,
            written: self.written,
            shown,
            generated: (made(shown.0), made(shown.1)),
        }
    }
}
