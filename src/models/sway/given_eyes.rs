//! Eyes that the user pointed out, in place of those that the encoder finds.

use candle_core::{DType, Device, Tensor};

use super::class_map::{ClassMap, class};
use super::curve::{Curve, Point};
use super::parts::{Eye, Head, Rectangle};
use crate::error::Result;
use crate::models::Tensors;
use crate::picture::PixelBox;
use crate::shape;

/// Name, among the tensors of the image condition, of the boxes around the eyes that the user pointed out: `[n, 4]` (left, top, width, height), float64,
/// as shares of the picture's width and height. Absent where the user pointed out none.
pub const EYES: &str = "eyes";

/// Radius, in widths of the wider eye, of the face that is assumed around eyes where the encoder sees none.
const FACE_RADIUS: f64 = 2.2;

/// Boxes in a picture of `width` x `height` pixels as the tensor [`EYES`].
///
/// # Errors
/// A failed tensor operation.
pub fn to_tensor(eyes: &[PixelBox], width: usize, height: usize) -> Result<Tensor> {
    let (width, height) = (width as f64, height as f64);
    let shares = |eye: &PixelBox| [eye.left / width, eye.top / height, eye.width / width, eye.height / height];
    Ok(Tensor::from_vec(eyes.iter().flat_map(shares).collect::<Vec<f64>>(), (eyes.len(), 4), &Device::Cpu)?)
}

/// The boxes that the tensor [`EYES`] of an image condition holds, in a picture of `width` x `height` pixels; none where it is absent.
///
/// # Errors
/// Another shape.
pub fn from_tensors(tensors: &Tensors, width: usize, height: usize) -> Result<Vec<PixelBox>> {
    let Some(eyes) = tensors.get(EYES) else { return Ok(Vec::new()) };
    shape::expect(EYES, eyes, &[eyes.dims().first().copied().unwrap_or(0), 4], "encode with the same version")?;
    let rows = eyes.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let (across, down) = (width as f64, height as f64);
    let place = |row: &Vec<f64>| PixelBox {
        left: row[0] * across,
        top: row[1] * down,
        width: row[2] * across,
        height: row[3] * down,
    };
    Ok(rows.iter().map(place).collect())
}

/// The head that holds the middle of the given eyes, the largest first in `heads`.
pub fn head_around(eyes: &[PixelBox], heads: &[Head]) -> Option<Head> {
    let middle = middle(eyes);
    heads.iter().find(|head| head.face.contains(middle, 0.0)).copied()
}

/// The head to assume where the encoder sees none: a disc around the eyes.
pub fn assumed_head(eyes: &[PixelBox]) -> Head {
    let centre = middle(eyes);
    let widest = eyes.iter().map(|eye| eye.width.max(eye.height)).fold(0.0, f64::max);
    // Both eyes lie inside, however far apart they are.
    let reach = eyes.iter().map(|eye| (eye.centre().0 - centre.x).abs()).fold(0.0, f64::max) + widest;
    let radius = reach.max(FACE_RADIUS * widest);
    let face = Rectangle {
        left: centre.x - radius,
        top: centre.y - radius,
        right: centre.x + radius,
        bottom: centre.y + radius,
    };
    Head { centre, radius, face }
}

/// Makes the given eyes the only ones of the map, in a picture of `width` x `height` pixels: every other eye becomes face, and so does the disc
/// of `face`, where there is one.
pub fn paint(map: &mut ClassMap, eyes: &[PixelBox], face: Option<&Head>, width: usize, height: usize) {
    let (cell_width, cell_height) = map.cell_size(width, height);
    map.change(|column, row, shares| {
        let (x, y) = ((column as f64 + 0.5) * cell_width, (row as f64 + 0.5) * cell_height);
        shares[class::FACE] += std::mem::take(&mut shares[class::EYE]);
        if face.is_some_and(|head| (x - head.centre.x).hypot(y - head.centre.y) < head.radius) {
            *shares = [0.0; class::COUNT];
            shares[class::FACE] = 1.0;
        }
        let eye = eyes.iter().map(|eye| coverage(eye, x, y, cell_width.min(cell_height))).fold(0.0, f32::max);
        for share in shares.iter_mut() {
            *share *= 1.0 - eye;
        }
        shares[class::EYE] = eye;
    });
}

/// The given eyes as parts, by their side of the screen; one alone by its side of `head`.
pub(super) fn eyes_of(eyes: &[PixelBox], head: &Head) -> [Option<Eye>; 2] {
    match eyes {
        [] => [None, None],
        [eye] if eye.centre().0 < head.centre.x => [Some(trace(eye)), None],
        [eye] => [None, Some(trace(eye))],
        [one, other, ..] => {
            let (left, right) = if one.centre().0 <= other.centre().0 { (one, other) } else { (other, one) };
            [Some(trace(left)), Some(trace(right))]
        }
    }
}

/// The mean of the boxes' centres.
fn middle(eyes: &[PixelBox]) -> Point {
    let count = eyes.len() as f64;
    let sum = eyes.iter().map(PixelBox::centre).fold((0.0, 0.0), |sum, centre| (sum.0 + centre.0, sum.1 + centre.1));
    Point { x: sum.0 / count, y: sum.1 / count }
}

/// How much of the ellipse in the box covers the place, 0 to 1, with an edge as soft as `softness` pixels.
fn coverage(eye: &PixelBox, x: f64, y: f64, softness: f64) -> f32 {
    let (centre_x, centre_y) = eye.centre();
    let from_centre = ((x - centre_x) / (0.5 * eye.width)).hypot((y - centre_y) / (0.5 * eye.height));
    let inside = (1.0 - from_centre) * 0.5 * eye.width.min(eye.height);
    (0.5 + inside / softness).clamp(0.0, 1.0) as f32
}

/// The aperture: an ellipse in the box.
fn trace(eye: &PixelBox) -> Eye {
    const POINTS: usize = 32;
    let (centre_x, centre_y) = eye.centre();
    let (left, right) = (eye.left, eye.left + eye.width);
    let edge = |side: f64| {
        let point = |index: usize| {
            let t = (2 * index + 1) as f64 / POINTS as f64 - 1.0;
            let y = centre_y + side * 0.5 * eye.height * (1.0 - t * t).sqrt();
            Point { x: centre_x + t * 0.5 * eye.width, y }
        };
        Curve::fit(&(0..POINTS).map(point).collect::<Vec<_>>(), left, right, 4)
    };
    Eye { left, right, upper: edge(-1.0), lower: edge(1.0), confidence: 1.0 }
}
