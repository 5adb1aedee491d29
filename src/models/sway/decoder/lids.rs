//! Blinking: an eye's upper lid, drawn from the picture's own skin and lash.

use crate::backend::cpu::bilinear::bilinear;
use crate::models::sway::class_map::{ClassMap, class};
use crate::models::sway::parts::Eye;
use crate::models::sway::plane::{Plane, smooth_step};
use crate::ops::warp::PixelRectangle;
use crate::picture::Picture;

use super::eye_region::{EyeRegion, EyeSurvey, PatchClasses, brightness};
use super::skin::{Colour, ColourPatch, skin_plate};

/// How far the lower lid comes up, as a share of the aperture's height.
const LOWER_LID_RISE: f32 = 0.2;
/// How much thinner the lash of a closed eye looks.
const LASH_THINNING: f32 = 0.3;

/// An eye ready to be closed: everything is in pixels of its patch, whose upper left corner is that of `place`.
pub struct Lid {
    place: PixelRectangle,
    original: ColourPatch,
    skin: ColourPatch,
    region: EyeRegion,
    columns: Vec<LidColumn>,
    height: f32,
}

/// One column of pixels of an eye.
#[derive(Debug, Clone, Copy, Default)]
struct LidColumn {
    /// Upper edge of the aperture: the lower edge of the lash.
    upper: f32,
    /// Lower edge of the aperture.
    lower: f32,
    /// Thickness of the lash.
    lash: f32,
    /// 1 over the aperture's width, 0 where the lash's wing has ended.
    presence: f32,
    /// 0 over the aperture's width, growing to 1 beyond its corners.
    beyond: f32,
    /// How far down the closed lash runs on beyond the corner, in the direction that it has there.
    flick: f32,
}

impl Lid {
    /// Prepares `eye` of `picture`; `None` where there is too little skin around it to tell what a lid would look like.
    pub fn new(picture: &Picture, map: &ClassMap, eye: &Eye) -> Option<Self> {
        let (eye_width, eye_height) = (eye.width() as f32, eye.height() as f32);
        let place = surroundings(picture, eye);
        let original = cut(picture, place);
        let (width, height) = (place.width, place.height);
        let probability = |classes: &[usize]| {
            let (u, v) = (map.width() as f32 / picture.width() as f32, map.height() as f32 / picture.height() as f32);
            Plane::from_fn(width, height, |column, row| {
                let x = ((place.left + column) as f32 + 0.5) * u;
                let y = ((place.top + row) as f32 + 0.5) * v;
                classes.iter().map(|&class| bilinear(map.plane(class), map.width(), map.height(), x, y)).sum()
            })
        };
        let classes = PatchClasses {
            face: probability(&[class::FACE]),
            eye: probability(&[class::EYE]),
            lash: probability(&[class::LASH]),
            brow: probability(&[class::BROW]),
            hair: probability(&[class::HAIR, class::ACCESSORY]),
        };
        let edges: Vec<(f32, f32)> = (0..width)
            .map(|column| {
                let x = (place.left + column) as f64 + 0.5;
                let top = place.top as f64;
                let (upper, lower) = ((eye.upper.at(x) - top) as f32, (eye.lower.at(x) - top) as f32);
                (upper, lower.max(upper))
            })
            .collect();
        // 0 inside the aperture, growing to 1 at a fifth of the eye's width beyond its edges.
        let outside = Plane::from_fn(width, height, |column, row| {
            let (upper, lower) = edges[column];
            let x = (place.left + column) as f32 + 0.5;
            let across = (eye.left as f32 - x).max(x - eye.right as f32).max(0.0);
            let y = row as f32 + 0.5;
            let down = (upper - y).max(y - lower).max(0.0);
            across.hypot(down) / (0.2 * eye_width)
        });
        let bare = Plane::from_fn(width, height, |column, row| {
            let clear = smooth_step(0.1, 0.35, outside.at(column, row));
            classes.face.at(column, row) * clear * (1.0 - smooth_step(0.2, 0.5, classes.brow.at(column, row)))
        });
        let skin = skin_plate(&original, &bare, eye_width)?;
        let region = EyeRegion::find(&EyeSurvey {
            original: &original,
            skin: &skin,
            classes: &classes,
            outside: &outside,
            edges: &edges,
            span: [eye.left as f32 - place.left as f32, eye.right as f32 - place.left as f32],
        });
        let mut lid = Self { place, original, skin, region, columns: Vec::new(), height: eye_height };
        lid.columns = lid.trace_lash(&edges, eye);
        Some(lid)
    }

    /// The patch's place in the picture.
    pub fn place(&self) -> PixelRectangle {
        self.place
    }

    /// Thickness of the lash and reach of its wing, column by column.
    fn trace_lash(&self, edges: &[(f32, f32)], eye: &Eye) -> Vec<LidColumn> {
        let (width, height) = (self.place.width, self.place.height);
        let eye_width = eye.width() as f32;
        let thinnest = (0.035 * eye_width).clamp(0.8, 2.5);
        let thickest = (0.3 * self.height).max(thinnest);
        let measured: Vec<f32> = edges
            .iter()
            .enumerate()
            .map(|(column, &(upper, _))| {
                let mut top = upper;
                // From a little below the edge upwards, over gaps of one pixel.
                let start = ((upper + 0.12 * self.height) as usize).min(height - 1);
                let end = (upper - 1.5 * thickest).max(0.0) as usize;
                let mut gap = 0;
                for row in (end..=start).rev() {
                    if self.region.filled[row * width + column] {
                        gap = 0;
                        top = top.min(row as f32);
                    } else {
                        gap += 1;
                        if gap > 1 && (row as f32) < upper {
                            break;
                        }
                    }
                }
                upper - top
            })
            .collect();
        // Single lashes stick out of the line; the median leaves them out.
        let reach = (0.08 * eye_width).round() as usize;
        let calm = Plane::from_fn(width, 1, |column, _| {
            let mut window = measured[column.saturating_sub(reach)..=(column + reach).min(width - 1)].to_vec();
            let middle = window.len() / 2;
            *window.select_nth_unstable_by(middle, f32::total_cmp).1
        })
        .blurred((0.05 * eye_width).max(0.8));
        edges
            .iter()
            .enumerate()
            .map(|(column, &(upper, lower))| {
                let x = (self.place.left + column) as f32 + 0.5;
                let beyond = (eye.left as f32 - x).max(x - eye.right as f32).max(0.0);
                let thickness = calm.at(column, 0);
                // Beyond the corners there is a lash only where one is drawn, and it ends in a point.
                let wing = smooth_step(0.3, 1.0, thickness / thinnest) * (1.0 - beyond / (0.22 * eye_width)).max(0.0);
                let inner =
                    if x < eye.left as f32 { eye.left + 0.15 * eye.width() } else { eye.right - 0.15 * eye.width() };
                let corner = f64::from(x).clamp(eye.left, eye.right);
                let fall = (eye.lower.at(corner) - eye.lower.at(inner)) / (0.15 * eye.width());
                let within = (x - eye.left as f32).min(eye.right as f32 - x).max(0.0) / (0.15 * eye_width);
                LidColumn {
                    upper,
                    lower,
                    lash: thickness.clamp(thinnest, thickest),
                    presence: if beyond > 0.0 { 0.6 * wing } else { 0.6 + 0.4 * smooth_step(0.0, 1.0, within) },
                    flick: beyond * fall.clamp(-0.7, 0.7) as f32,
                    beyond: (beyond / (0.06 * eye_width)).min(1.0),
                }
            })
            .collect()
    }

    /// The patch with the eye closed by `closure`, 0 to 1, over what `current` shows there; bytes `[height, width, 3]`.
    pub fn paint(&self, current: &Picture, closure: f32) -> Vec<u8> {
        let closure = closure.clamp(0.0, 1.0);
        let mut bytes = Vec::with_capacity(self.place.width * self.place.height * 3);
        for row in 0..self.place.height {
            for column in 0..self.place.width {
                let before = current.pixel(self.place.left + column, self.place.top + row);
                let (lid, cover) = self.lid_colour(column, row, closure);
                if cover == 0.0 {
                    bytes.extend(before);
                    continue;
                }
                for lane in 0..3 {
                    let old = f32::from(before[lane]);
                    bytes.push((old + cover * (255.0 * lid[lane] - old) + 0.5) as u8);
                }
            }
        }
        bytes
    }

    /// Colour of the lids at a pixel, and how much they cover what lies under them.
    fn lid_colour(&self, column: usize, row: usize, closure: f32) -> (Colour, f32) {
        let edge = &self.columns[column];
        let y = row as f32 + 0.5;
        let aperture = edge.lower - edge.upper;
        // The lower lid comes up a little to meet the upper one, late.
        let rise = LOWER_LID_RISE * aperture * smooth_step(0.25, 1.0, closure);
        let meeting = edge.lower - LOWER_LID_RISE * aperture + 0.02 * self.height;
        let lid = edge.upper + (meeting + edge.flick - edge.upper) * closure;
        let lash = (edge.lash * (1.0 - LASH_THINNING * closure)).max(1.0) * edge.presence;
        // Antialiased over one pixel.
        let above = (lid - y + 0.5).clamp(0.0, 1.0);
        let below = (y - (edge.lower - rise) + 0.5).clamp(0.0, 1.0) * (rise * 4.0).min(1.0);
        let in_lash = if lash > 0.0 {
            (y - (lid - lash) + 0.5).clamp(0.0, 1.0).min(above) * smooth_step(0.0, 0.8, lash)
        } else {
            0.0
        };
        // What is drawn beside the corners goes as the eye closes: the corners of the white, the ends of the lower lash.
        let corner = edge.beyond * smooth_step(0.0, 0.6, closure);
        let lower_lash = self.region.mask.sample(column as f32 + 0.5, y + rise)
            * below
            * (y + rise - edge.lower + 0.5).clamp(0.0, 1.0)
            * (1.0 - edge.beyond)
            * (1.0 - smooth_step(0.5, 1.0, closure));
        let erase = self.region.mask.at(column, row) * above.max(below).max(corner);
        let cover = erase.max(in_lash).max(lower_lash) * (1.0 - self.region.hair.at(column, row));
        if cover == 0.0 {
            return ([0.0; 3], 0.0);
        }
        let shade = 1.0 - 0.05 * ((y - edge.upper) / self.height).clamp(0.0, 1.0) * above;
        let skin = self.skin.at(column, row).map(|value| shade * value);
        let lower = self.original.sample(column as f32 + 0.5, y + rise);
        // The picture's own lash moves down with the lid; where the skin shows between single lashes, and ever more as it closes, it is one colour.
        let from = edge.upper - (lid - y) * edge.lash / lash.max(0.5);
        let own = self.original.sample(column as f32 + 0.5, from.clamp(edge.upper - edge.lash, edge.upper - 0.5));
        let too_bright = smooth_step(0.2, 0.6, brightness(own) - brightness(self.region.lash));
        let plain = (0.7 * closure).max(too_bright);
        let colour = std::array::from_fn(|lane| {
            let line = own[lane] + plain * (self.region.lash[lane] - own[lane]);
            let under = skin[lane] + lower_lash * (lower[lane] - skin[lane]);
            under + in_lash * (line - under)
        });
        (colour, cover)
    }
}

/// The part of the picture that holds the eye, its lash and enough skin.
fn surroundings(picture: &Picture, eye: &Eye) -> PixelRectangle {
    let (width, height) = (eye.width(), eye.height().max(0.35 * eye.width()));
    let top = eye.upper.at(eye.left).min(eye.upper.at(eye.right)).min(eye.centre().y - eye.height() / 2.0);
    let bottom = eye.lower.at(eye.left).max(eye.lower.at(eye.right)).max(eye.centre().y + eye.height() / 2.0);
    let bound = |value: f64, limit: usize| value.clamp(0.0, limit as f64);
    let left = bound((eye.left - 0.6 * width).floor(), picture.width() - 1) as usize;
    let top = bound((top - 1.1 * height).floor(), picture.height() - 1) as usize;
    let right = bound((eye.right + 0.6 * width).ceil(), picture.width()) as usize;
    let bottom = bound((bottom + 0.8 * height).ceil(), picture.height()) as usize;
    PixelRectangle { left, top, width: right.max(left + 1) - left, height: bottom.max(top + 1) - top }
}

/// A part of the picture as colours.
fn cut(picture: &Picture, place: PixelRectangle) -> ColourPatch {
    ColourPatch {
        planes: std::array::from_fn(|lane| {
            Plane::from_fn(place.width, place.height, |column, row| {
                f32::from(picture.pixel(place.left + column, place.top + row)[lane]) / 255.0
            })
        }),
    }
}
