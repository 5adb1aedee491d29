//! The coefficients of the spline through a picture, made once and patched where the picture changes.

use std::ops::Range;

use rayon::prelude::*;

use crate::picture::Picture;

/// Mirrored pixels kept beyond each border. The filter's impulse response has died down to 1e-8 after 14.
pub const PADDING: usize = 16;

/// The pole of the cubic spline's prefilter, `sqrt(3) - 2`.
const POLE: f32 = -0.267_949_2;

/// Coefficients of the cubic spline through a picture's pixels.
///
/// # Source
/// Unser, Aldroubi, Eden: "B-spline signal processing" (1993). Interpolates exactly, and keeps fine lines better than Catmull-Rom's kernel does
/// at the same 16 taps; we sharpen between pixels (see [`super::sample`]). The picture is continued by mirroring at its borders.
#[derive(Clone)]
pub struct SplinePicture {
    width: usize,
    height: usize,
    /// Coefficients of a row: `width + 2 PADDING`.
    pub(super) stride: usize,
    /// `[height + 2 PADDING, stride]`: red, green, blue in 0 to 255, and 0.
    pub(super) coefficients: Vec<[f32; 4]>,
    picture: Picture,
}

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelRectangle {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// The rows that a replacement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedRows {
    /// Of the picture.
    pub pixels: Range<usize>,
    /// Of the coefficients, padding counted.
    pub coefficients: Range<usize>,
}

/// What [`SplinePicture::replace`] has overwritten.
pub struct Replaced {
    place: PixelRectangle,
    bytes: Vec<u8>,
    part: Block,
    coefficients: Vec<[f32; 4]>,
}

impl Replaced {
    /// The rows that were changed, and that [`SplinePicture::restore`] changes again.
    pub fn rows(&self) -> ReplacedRows {
        let first = (self.part.top + PADDING as isize) as usize;
        let PixelRectangle { top, height, .. } = self.place;
        ReplacedRows { pixels: top..top + height, coefficients: first..first + self.part.height }
    }
}

impl SplinePicture {
    /// Coefficients for `picture`.
    pub fn new(picture: Picture) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let stride = width + 2 * PADDING;
        let coefficients = vec![[0.0; 4]; stride * (height + 2 * PADDING)];
        let mut spline = Self { width, height, stride, coefficients, picture };
        let whole =
            Block { left: -(PADDING as isize), top: -(PADDING as isize), width: stride, height: height + 2 * PADDING };
        // A further padding around the stored one lets the filter settle before the first stored coefficient.
        let block = whole.grown(PADDING as isize);
        let values = spline.filtered(&block);
        spline.store(&values, &block, &whole);
        spline
    }

    /// The pixels that the spline goes through.
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// The coefficients, `[height + 2 PADDING, width + 2 PADDING]`: red, green, blue in 0 to 255, and 0.
    pub fn coefficients(&self) -> &[[f32; 4]] {
        &self.coefficients
    }

    /// Rows of coefficients: `height + 2 PADDING`.
    pub fn rows(&self) -> usize {
        self.height + 2 * PADDING
    }

    /// Puts other pixels, `[height, width, 3]`, into a rectangle, and returns what [`restore`](Self::restore) needs to undo it exactly.
    ///
    /// # Panics
    /// If the rectangle does not lie within the picture or `pixels` has another size.
    pub fn replace(&mut self, place: PixelRectangle, pixels: &[u8]) -> Replaced {
        assert_eq!(pixels.len(), place.width * place.height * 3, "pixels of the rectangle");
        let bytes = self.swap_pixels(place, pixels);
        let (left, top) = (place.left as isize, place.top as isize);
        let changed = Block { left, top, width: place.width, height: place.height };
        // Beyond 10 pixels a change is below 1e-3 of a level; mirrored copies in the padding are covered by the same margin.
        let written = changed.grown(10);
        let block = written.grown(14);
        let values = self.filtered(&block);
        let limit = PADDING as isize;
        let part = written.within(-limit, -limit, self.width as isize + limit, self.height as isize + limit);
        let mut coefficients = Vec::with_capacity(part.width * part.height);
        for row in 0..part.height {
            let start = self.index(part.left, part.top + row as isize);
            coefficients.extend_from_slice(&self.coefficients[start..start + part.width]);
        }
        self.store(&values, &block, &part);
        Replaced { place, bytes, part, coefficients }
    }

    /// Undoes [`replace`](Self::replace); the last replacement first.
    pub fn restore(&mut self, replaced: Replaced) {
        self.swap_pixels(replaced.place, &replaced.bytes);
        self.store(&replaced.coefficients, &replaced.part, &replaced.part);
    }

    /// Puts pixels into a rectangle and returns those that were there.
    fn swap_pixels(&mut self, place: PixelRectangle, pixels: &[u8]) -> Vec<u8> {
        let mut before = Vec::with_capacity(pixels.len());
        for (row, line) in pixels.chunks_exact(place.width * 3).enumerate() {
            let start = ((place.top + row) * self.width + place.left) * 3;
            let target = &mut self.picture.pixels_mut()[start..start + line.len()];
            before.extend_from_slice(target);
            target.copy_from_slice(line);
        }
        before
    }

    /// Index of the coefficient at (x, y), which may lie in the padding.
    fn index(&self, x: isize, y: isize) -> usize {
        let padding = PADDING as isize;
        (y + padding) as usize * self.stride + (x + padding) as usize
    }

    /// Coefficients of `block`, less exact towards its edges, where the filter starts.
    fn filtered(&self, block: &Block) -> Vec<[f32; 4]> {
        let mut values = vec![[0.0; 4]; block.width * block.height];
        let columns: Vec<usize> =
            (0..block.width).map(|column| mirrored(block.left + column as isize, self.width)).collect();
        values.par_chunks_mut(block.width).enumerate().for_each(|(row, line)| {
            let source = mirrored(block.top + row as isize, self.height);
            for (value, &column) in line.iter_mut().zip(&columns) {
                let [red, green, blue] = self.picture.pixel(column, source);
                *value = [f32::from(red), f32::from(green), f32::from(blue), 0.0];
            }
            filter_line(line);
        });
        filter_columns(&mut values, block.width);
        values
    }

    /// Stores the part of `values`, which fill `block`, that lies in `part`.
    fn store(&mut self, values: &[[f32; 4]], block: &Block, part: &Block) {
        for row in 0..part.height {
            let y = part.top + row as isize;
            let from = (y - block.top) as usize * block.width + (part.left - block.left) as usize;
            let to = self.index(part.left, y);
            self.coefficients[to..to + part.width].copy_from_slice(&values[from..from + part.width]);
        }
    }
}

/// A rectangle of pixels that may reach beyond the picture.
#[derive(Debug, Clone, Copy)]
struct Block {
    left: isize,
    top: isize,
    width: usize,
    height: usize,
}

impl Block {
    fn grown(&self, margin: isize) -> Self {
        let more = 2 * margin as usize;
        Self { left: self.left - margin, top: self.top - margin, width: self.width + more, height: self.height + more }
    }

    fn within(&self, left: isize, top: isize, right: isize, bottom: isize) -> Self {
        let (x0, y0) = (self.left.max(left), self.top.max(top));
        let x1 = (self.left + self.width as isize).min(right);
        let y1 = (self.top + self.height as isize).min(bottom);
        Self { left: x0, top: y0, width: (x1 - x0) as usize, height: (y1 - y0) as usize }
    }
}

/// The index that stands at `index` when `0..size` is mirrored at its borders again and again.
fn mirrored(index: isize, size: usize) -> usize {
    let period = 2 * size as isize;
    let index = index.rem_euclid(period);
    (if index < size as isize { index } else { period - 1 - index }) as usize
}

/// One recursive pass forth and back along a line.
fn filter_line(line: &mut [[f32; 4]]) {
    let mut carried = [0.0_f32; 4];
    for value in line.iter_mut() {
        for (lane, carried) in value.iter_mut().zip(&mut carried) {
            *lane += POLE * *carried;
            *carried = *lane;
        }
    }
    // Where the line goes on as its last value does.
    carried = carried.map(|lane| 6.0 * lane / (POLE - 1.0) + 6.0 * lane);
    for value in line.iter_mut().rev() {
        for (lane, carried) in value.iter_mut().zip(&mut carried) {
            *lane = POLE * (*carried - 6.0 * *lane);
            *carried = *lane;
        }
    }
}

/// The same down the columns of `[height, width]`.
fn filter_columns(values: &mut [[f32; 4]], width: usize) {
    let height = values.len() / width;
    for row in 1..height {
        let (before, rest) = values.split_at_mut(row * width);
        for (value, above) in rest[..width].iter_mut().zip(&before[(row - 1) * width..]) {
            for lane in 0..4 {
                value[lane] += POLE * above[lane];
            }
        }
    }
    let last = (height - 1) * width;
    for value in &mut values[last..] {
        for lane in value.iter_mut() {
            *lane *= 6.0 * POLE / (POLE - 1.0);
        }
    }
    for row in (0..height - 1).rev() {
        let (head, below) = values.split_at_mut((row + 1) * width);
        for (value, below) in head[row * width..].iter_mut().zip(&below[..width]) {
            for lane in 0..4 {
                value[lane] = POLE * (below[lane] - 6.0 * value[lane]);
            }
        }
    }
}
