//! A decoded image, and equally one frame of a clip: 8-bit sRGB without alpha.

use crate::error::{Error, Result};

/// Pixels row by row, three bytes (red, green, blue) each: `[height, width, 3]`, uint8, sRGB.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of the given pixels.
    ///
    /// # Panics
    /// If `pixels` does not hold `width * height * 3` bytes: the caller has just made the buffer, so another size is a defect.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width * height * 3, "pixel buffer of a {width}x{height} picture");
        Self { width, height, pixels }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes, `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All bytes, to be changed in place.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The pixel at column `x` and row `y`.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let start = (y * self.width + x) * 3;
        [self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]]
    }
}

/// An opaque colour: red, green, blue, 8-bit sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// Paper, and what transparent pictures are mostly made for.
    pub const WHITE: Self = Self([255; 3]);
}

impl std::str::FromStr for Color {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let pair = |start: usize| text.get(start..start + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match text {
            "white" => Ok(Self::WHITE),
            "black" => Ok(Self([0; 3])),
            _ if text.len() == 7 && text.starts_with('#') => {
                let parts = [pair(1), pair(3), pair(5)];
                if let [Some(red), Some(green), Some(blue)] = parts {
                    return Ok(Self([red, green, blue]));
                }
                Err(unknown_color(text))
            }
            _ => Err(unknown_color(text)),
        }
    }
}

fn unknown_color(text: &str) -> Error {
    Error::input("colour", "white, black or #rrggbb", format!("\"{text}\""), "such as #f5f0e6")
}

/// A box in pixels of a picture; the first pixel reaches from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelBox {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width, above 0.
    pub width: f64,
    /// Height, above 0.
    pub height: f64,
}

impl PixelBox {
    /// The middle, x and y.
    pub fn centre(&self) -> (f64, f64) {
        (self.left + self.width / 2.0, self.top + self.height / 2.0)
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}
