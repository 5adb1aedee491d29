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
    /// No light.
    pub const BLACK: Self = Self([0; 3]);
}

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl std::str::FromStr for Color {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "white" => return Ok(Self::WHITE),
            "black" => return Ok(Self::BLACK),
            _ => {}
        }
        // `from_str_radix` alone would take a sign for a digit.
        let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.filter(|digits| digits.len() == 6).map(|digits| u32::from_str_radix(digits, 16)) {
            Some(Ok(value)) => Ok(Self([(value >> 16) as u8, (value >> 8) as u8, value as u8])),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_names_or_six_digits() {
        assert_eq!("white".parse::<Color>().unwrap(), Color([255; 3]));
        assert_eq!("black".parse::<Color>().unwrap(), Color([0; 3]));
        assert_eq!("#0aF5e0".parse::<Color>().unwrap(), Color([10, 245, 224]));
        for text in ["", "#", "red", "0af5e0", "#0af5e", "#0af5e00", "#+f+f+f", "#0af5eg", "#0af5é", "#fff"] {
            let message = text.parse::<Color>().unwrap_err().to_string();
            assert!(message.contains("#rrggbb") && message.contains(text), "{message}");
        }
    }
}
