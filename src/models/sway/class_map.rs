//! Class probabilities over a picture, on the CPU.

use candle_core::{DType, Device, Tensor};

use super::parts::Rectangle;
use crate::backend::cpu::bilinear::bilinear;
use crate::error::{Error, Result};

/// The encoder's classes, by channel.
#[allow(missing_docs)] // the names are the documentation
pub mod class {
    pub const BACKGROUND: usize = 0;
    pub const HAIR: usize = 1;
    pub const FACE: usize = 2;
    pub const SKIN: usize = 3;
    pub const CLOTH: usize = 4;
    /// The open eye: what lies between the lids.
    pub const EYE: usize = 5;
    pub const MOUTH: usize = 6;
    pub const BROW: usize = 7;
    pub const LASH: usize = 8;
    pub const ACCESSORY: usize = 9;
    /// Number of classes.
    pub const COUNT: usize = 10;
}

/// Probabilities `[10, height, width]`; the cells together cover exactly the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassMap {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl ClassMap {
    /// A map of the given values, `[10, height, width]`.
    ///
    /// # Errors
    /// An empty map or another number of values.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        if width == 0 || height == 0 || values.len() != class::COUNT * width * height {
            return Err(Error::input(
                "class probabilities",
                format!("{} values for 10 classes of {width}x{height} cells", class::COUNT * width * height),
                values.len().to_string(),
                "use the probabilities of the model's own image encoder",
            ));
        }
        Ok(Self { width, height, values })
    }

    /// Reads `[10, h, w]`, on any device and of any float type.
    ///
    /// # Errors
    /// Another shape, or a failed copy.
    pub fn from_tensor(probabilities: &Tensor) -> Result<Self> {
        let (classes, height, width) = probabilities.dims3()?;
        if classes != class::COUNT {
            return Err(Error::input(
                "tensor `probabilities`",
                "shape [10, h, w]",
                format!("{:?}", probabilities.dims()),
                "use the probabilities of the model's own image encoder",
            ));
        }
        let values = probabilities.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Self::new(width, height, values)
    }

    /// The map as a tensor `[10, h, w]`, float32, on the CPU.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values, (class::COUNT, self.height, self.width), &Device::Cpu)?)
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Probability of `class` at `cell`, counted row by row.
    pub fn at(&self, class: usize, cell: usize) -> f32 {
        self.values[class * self.width * self.height + cell]
    }

    /// All probabilities of one class, `[height, width]`.
    pub fn plane(&self, class: usize) -> &[f32] {
        let cells = self.width * self.height;
        &self.values[class * cells..(class + 1) * cells]
    }

    /// Changes the probabilities of every cell: `change` gets column, row and the shares of the classes, which must still sum to 1 after it.
    pub fn change(&mut self, change: impl Fn(usize, usize, &mut [f32; class::COUNT])) {
        let cells = self.width * self.height;
        for cell in 0..cells {
            let mut shares = std::array::from_fn(|class| self.at(class, cell));
            change(cell % self.width, cell / self.width, &mut shares);
            for (class, share) in shares.into_iter().enumerate() {
                self.values[class * cells + cell] = share;
            }
        }
    }

    /// Width and height of a cell in pixels of a picture of this size.
    pub fn cell_size(&self, width: usize, height: usize) -> (f64, f64) {
        (width as f64 / self.width as f64, height as f64 / self.height as f64)
    }

    /// Connected cells (by edges) where `inside` holds, each component in the order in which it was walked.
    pub fn components(&self, inside: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let mut open: Vec<bool> = (0..self.width * self.height).map(inside).collect();
        let mut components = Vec::new();
        for start in 0..open.len() {
            if !open[start] {
                continue;
            }
            open[start] = false;
            let mut cells = vec![start];
            let mut next = 0;
            while next < cells.len() {
                let cell = cells[next];
                next += 1;
                let (column, row) = (cell % self.width, cell / self.width);
                let mut visit = |neighbour: usize| {
                    if open[neighbour] {
                        open[neighbour] = false;
                        cells.push(neighbour);
                    }
                };
                if column > 0 {
                    visit(cell - 1);
                }
                if column + 1 < self.width {
                    visit(cell + 1);
                }
                if row > 0 {
                    visit(cell - self.width);
                }
                if row + 1 < self.height {
                    visit(cell + self.width);
                }
            }
            components.push(cells);
        }
        components
    }

    /// The map at another resolution: bilinear, cell centres at half-integers, edges repeated.
    ///
    /// Meant for enlarging: it does not average over source cells.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let mut values = Vec::with_capacity(class::COUNT * width * height);
        for class in 0..class::COUNT {
            let plane = self.plane(class);
            for row in 0..height {
                let y = (row as f32 + 0.5) / height as f32 * self.height as f32;
                for column in 0..width {
                    let x = (column as f32 + 0.5) / width as f32 * self.width as f32;
                    values.push(bilinear(plane, self.width, self.height, x, y));
                }
            }
        }
        Self { width, height, values }
    }

    /// Blends the probabilities of a part of the picture into the map: 0.7 of `part` inside `place`, fading out over the outer 8 % of it.
    ///
    /// `place` is in pixels of a picture of `width` x `height`; `part` covers exactly `place`.
    pub fn blend(&mut self, part: &Self, place: &Rectangle, width: usize, height: usize) {
        let (cell_width, cell_height) = self.cell_size(width, height);
        let cells = self.width * self.height;
        for row in 0..self.height {
            let v = ((row as f64 + 0.5) * cell_height - place.top) / place.height();
            for column in 0..self.width {
                let u = ((column as f64 + 0.5) * cell_width - place.left) / place.width();
                // At the border of the picture nothing lies outside the part, so there it need not fade.
                let left = if place.left <= 0.0 { 1.0 } else { u };
                let right = if place.right >= width as f64 { 1.0 } else { 1.0 - u };
                let top = if place.top <= 0.0 { 1.0 } else { v };
                let bottom = if place.bottom >= height as f64 { 1.0 } else { 1.0 - v };
                let depth = left.min(right).min(top).min(bottom);
                if depth <= 0.0 {
                    continue;
                }
                let weight = 0.7 * (depth / 0.08).min(1.0) as f32;
                let (x, y) = ((u * part.width as f64) as f32, (v * part.height as f64) as f32);
                for class in 0..class::COUNT {
                    let value = &mut self.values[class * cells + row * self.width + column];
                    *value += weight * (bilinear(part.plane(class), part.width, part.height, x, y) - *value);
                }
            }
        }
    }
}
