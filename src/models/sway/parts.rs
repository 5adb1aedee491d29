//! Head and eyes, found in the class probabilities of a picture.
//!
//! Lengths and places are in picture pixels, continuous: the centre of the first pixel is at (0.5, 0.5). `x` grows right, `y` down.

use candle_core::Tensor;

use super::class_map::ClassMap;
use super::class_map::class;
use super::curve::{Curve, Point};
use super::eyes::find_eyes;
use super::given_eyes;
use crate::error::Result;
use crate::picture::PixelBox;

/// Name, among the tensors of the image condition, of the class probabilities `[10, h, w]`, float32, summing to 1 over the classes.
///
/// They cover exactly the picture; everything in this file is derived from them.
pub const PROBABILITIES: &str = "probabilities";

/// A rectangle in picture pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Lower edge.
    pub bottom: f64,
}

impl Rectangle {
    /// Width in pixels.
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    /// Height in pixels.
    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Whether the point lies inside when the rectangle is grown by `margin` on every side.
    pub fn contains(&self, point: Point, margin: f64) -> bool {
        point.x >= self.left - margin
            && point.x <= self.right + margin
            && point.y >= self.top - margin
            && point.y <= self.bottom + margin
    }
}

/// The largest face of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Head {
    /// Centroid of the face.
    pub centre: Point,
    /// `1.05 sqrt(area / pi)` of the face.
    pub radius: f64,
    /// Bounding box of the face.
    pub face: Rectangle,
}

/// An open, visible eye.
#[derive(Debug, Clone, PartialEq)]
pub struct Eye {
    /// Inner and outer corner, whichever is left.
    pub left: f64,
    /// The other corner.
    pub right: f64,
    /// Upper edge of the aperture over its width.
    pub upper: Curve,
    /// Lower edge of the aperture over its width.
    pub lower: Curve,
    /// Mean probability of the aperture, 0 to 1.
    pub confidence: f64,
}

impl Eye {
    /// Width of the aperture in pixels.
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    /// Greatest height of the aperture in pixels.
    pub fn height(&self) -> f64 {
        (0..=16)
            .map(|step| {
                let x = self.left + self.width() * f64::from(step) / 16.0;
                self.lower.at(x) - self.upper.at(x)
            })
            .fold(0.0, f64::max)
    }

    /// Middle of the aperture.
    pub fn centre(&self) -> Point {
        let x = (self.left + self.right) / 2.0;
        Point { x, y: (self.upper.at(x) + self.lower.at(x)) / 2.0 }
    }
}

/// What was found in a picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// The largest face, if there is any.
    pub head: Option<Head>,
    /// The eye with the smaller x, where it may blink.
    pub left_eye: Option<Eye>,
    /// The other eye, where it may blink.
    pub right_eye: Option<Eye>,
    /// Lines for the user: what was not found, and what is left alone.
    pub notes: Vec<String>,
}

impl Parts {
    /// Finds head and eyes in probabilities `[10, h, w]` of a picture of `width` x `height` pixels.
    ///
    /// # Errors
    /// A tensor of another shape or type.
    pub fn from_tensor(probabilities: &Tensor, width: usize, height: usize) -> Result<Self> {
        Ok(Self::find(&ClassMap::from_tensor(probabilities)?, width, height))
    }

    /// Finds head and eyes in a picture of `width` x `height` pixels.
    pub fn find(map: &ClassMap, width: usize, height: usize) -> Self {
        let heads = find_heads(map, width, height);
        let Some(&head) = heads.first() else {
            return Self {
                notes: vec!["no face found: nothing blinks, and there is no head motion".into()],
                ..Self::default()
            };
        };
        let mut notes = Vec::new();
        let others = heads[1..].iter().filter(|other| other.radius > 0.3 * head.radius).count();
        if others > 0 {
            notes.push(format!("{} faces found: the largest is animated, the others are left alone", others + 1));
        }
        let eyes = find_eyes(map, &head, width, height);
        notes.extend(eyes.note);
        Self { head: Some(head), left_eye: eyes.left, right_eye: eyes.right, notes }
    }

    /// Like [`find`](Self::find), with the eyes that the user pointed out, if any, in place of those in the map.
    ///
    /// They are eyes whatever they look like: the user knows better. The head is the one around them.
    pub fn with_eyes(map: &ClassMap, eyes: &[PixelBox], width: usize, height: usize) -> Self {
        if eyes.is_empty() {
            return Self::find(map, width, height);
        }
        let head = given_eyes::head_around(eyes, &find_heads(map, width, height))
            .unwrap_or_else(|| given_eyes::assumed_head(eyes));
        let [left_eye, right_eye] = given_eyes::eyes_of(eyes, &head);
        Self { head: Some(head), left_eye, right_eye, notes: vec!["eyes as given by --eyes".into()] }
    }

    /// Whether an eye is open and visible, left and right, as the image features state it.
    pub fn eyes_open(&self) -> [bool; 2] {
        [self.left_eye.is_some(), self.right_eye.is_some()]
    }
}

/// All faces by area, the largest first; specks of less than 12 cells of the map are none.
pub fn find_heads(map: &ClassMap, width: usize, height: usize) -> Vec<Head> {
    let (cell_width, cell_height) = map.cell_size(width, height);
    let face = [class::FACE, class::EYE, class::MOUTH, class::BROW, class::LASH];
    let mut components = map.components(|cell| face.iter().map(|&c| map.at(c, cell)).sum::<f32>() > 0.5);
    components.retain(|component| component.len() >= 12);
    components.sort_by_key(|component| std::cmp::Reverse(component.len()));
    components
        .iter()
        .map(|cells| {
            let area = cells.len() as f64 * cell_width * cell_height;
            let (mut sum_x, mut sum_y) = (0.0, 0.0);
            let mut bounds = (usize::MAX, usize::MAX, 0, 0);
            for &cell in cells {
                let (column, row) = (cell % map.width(), cell / map.width());
                sum_x += column as f64 + 0.5;
                sum_y += row as f64 + 0.5;
                bounds = (bounds.0.min(column), bounds.1.min(row), bounds.2.max(column + 1), bounds.3.max(row + 1));
            }
            let count = cells.len() as f64;
            Head {
                centre: Point { x: sum_x / count * cell_width, y: sum_y / count * cell_height },
                radius: 1.05 * (area / std::f64::consts::PI).sqrt(),
                face: Rectangle {
                    left: bounds.0 as f64 * cell_width,
                    top: bounds.1 as f64 * cell_height,
                    right: bounds.2 as f64 * cell_width,
                    bottom: bounds.3 as f64 * cell_height,
                },
            }
        })
        .collect()
}

/// The square around a head that the encoder looks at a second time, in whole picture pixels: left, top and side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadCrop {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Width and height.
    pub side: usize,
}

impl HeadCrop {
    /// 1.9 times the longer side of the face, its middle a little above the face's, moved and clipped into the picture.
    pub fn around(head: &Head, width: usize, height: usize) -> Self {
        let longest = head.face.width().max(head.face.height());
        let side = ((1.9 * longest).round() as usize).clamp(1, width.min(height));
        let half = side as f64 / 2.0;
        let x = (head.face.left + head.face.right) / 2.0 - half;
        let y = (head.face.top + head.face.bottom) / 2.0 - 0.1 * half - half;
        let place = |start: f64, limit: usize| (start.round().max(0.0) as usize).min(limit - side);
        Self { left: place(x, width), top: place(y, height), side }
    }

    /// The same as a rectangle.
    pub fn rectangle(&self) -> Rectangle {
        Rectangle {
            left: self.left as f64,
            top: self.top as f64,
            right: (self.left + self.side) as f64,
            bottom: (self.top + self.side) as f64,
        }
    }
}
