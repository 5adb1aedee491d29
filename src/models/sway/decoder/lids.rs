//! Blinking: an eye's upper lid, drawn from the picture's own skin and lash.

use crate::models::sway::class_map::{ClassMap, bilinear, class};
use crate::models::sway::parts::Eye;
use crate::models::sway::plane::{Plane, smooth_step};
use crate::ops::warp::PixelRectangle;
use crate::picture::Picture;

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
    /// 1 where the eye is drawn: what the lid must hide as it passes.
    eye: Plane,
    /// 1 where hair hangs in front.
    hair: Plane,
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
    /// Colour of the lash.
    colour: Colour,
    /// 1 over the aperture's width, 0 where the lash's wing has ended.
    presence: f32,
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
        let face = probability(&[class::FACE]);
        let drawn = probability(&[class::EYE, class::LASH]);
        let brow = probability(&[class::BROW]);
        let hair = probability(&[class::HAIR, class::ACCESSORY]).map(|p| smooth_step(0.35, 0.65, p));
        let curves: Vec<(f32, f32)> = (0..width)
            .map(|column| {
                let x = (place.left + column) as f64 + 0.5;
                let top = place.top as f64;
                let (upper, lower) = ((eye.upper.at(x) - top) as f32, (eye.lower.at(x) - top) as f32);
                (upper, lower.max(upper))
            })
            .collect();
        // 0 inside the aperture, growing to 1 at a fifth of the eye's width beyond its edges.
        let outside = Plane::from_fn(width, height, |column, row| {
            let (upper, lower) = curves[column];
            let x = (place.left + column) as f32 + 0.5;
            let across = (eye.left as f32 - x).max(x - eye.right as f32).max(0.0);
            let y = row as f32 + 0.5;
            let down = (upper - y).max(y - lower).max(0.0);
            across.hypot(down) / (0.2 * eye_width)
        });
        let bare = Plane::from_fn(width, height, |column, row| {
            let clear = smooth_step(0.1, 0.35, outside.at(column, row));
            face.at(column, row) * clear * (1.0 - smooth_step(0.2, 0.5, brow.at(column, row)))
        });
        let skin = skin_plate(&original, &bare, eye_width)?;
        let unlike = Plane::from_fn(width, height, |column, row| {
            let (a, b) = (original.at(column, row), skin.at(column, row));
            (0..3).map(|lane| (a[lane] - b[lane]).powi(2)).sum::<f32>().sqrt()
        });
        let allowed = Plane::from_fn(width, height, |column, row| {
            let near = outside.at(column, row) < 0.35 || drawn.at(column, row) > 0.2;
            if near && brow.at(column, row) < 0.4 && hair.at(column, row) < 0.5 { 1.0 } else { 0.0 }
        });
        let filled = flood(width, height, |column, row| {
            let inside = outside.at(column, row) <= 0.0;
            (inside, inside || (allowed.at(column, row) > 0.5 && unlike.at(column, row) > 0.12))
        });
        let eye_mask = eye_mask(&filled, &unlike, &outside);
        let mut lid = Self { place, original, skin, eye: eye_mask, hair, columns: Vec::new(), height: eye_height };
        lid.columns = lid.trace_lash(&filled, &curves, eye);
        Some(lid)
    }

    /// The patch's place in the picture.
    pub fn place(&self) -> PixelRectangle {
        self.place
    }

    /// Thickness and colour of the lash, column by column.
    fn trace_lash(&self, filled: &[bool], curves: &[(f32, f32)], eye: &Eye) -> Vec<LidColumn> {
        let (width, height) = (self.place.width, self.place.height);
        let (eye_width, reach) = (eye.width() as f32, 0.3 * eye.width() as f32);
        let mut columns: Vec<LidColumn> = curves
            .iter()
            .enumerate()
            .map(|(column, &(upper, lower))| {
                let x = (self.place.left + column) as f32 + 0.5;
                let beyond = (eye.left as f32 - x).max(x - eye.right as f32).max(0.0);
                let mut top = upper;
                // From a little below the edge upwards, over gaps of one pixel.
                let start = ((upper + 0.12 * self.height) as usize).min(height - 1);
                let end = (upper - 0.55 * self.height.max(0.4 * eye_width)).max(0.0) as usize;
                let mut gap = 0;
                for row in (end..=start).rev() {
                    if filled[row * width + column] {
                        gap = 0;
                        top = top.min(row as f32);
                    } else {
                        gap += 1;
                        if gap > 1 && (row as f32) < upper {
                            break;
                        }
                    }
                }
                LidColumn {
                    upper,
                    lower,
                    lash: upper - top,
                    colour: self.lash_colour(column, top, upper),
                    presence: 1.0 - smooth_step(0.0, reach, beyond),
                }
            })
            .collect();
        let smoothing = (0.05 * eye_width).max(0.8);
        let line = |value: &dyn Fn(&LidColumn) -> f32| {
            let values: Vec<f32> = columns.iter().map(value).collect();
            Plane::from_fn(width, 1, |column, _| values[column]).blurred(smoothing)
        };
        let thickness = line(&|column| column.lash);
        let colours: [Plane; 3] = std::array::from_fn(|lane| line(&|column| column.colour[lane]));
        let thinnest = (0.035 * eye_width).clamp(0.8, 2.5);
        for (index, column) in columns.iter_mut().enumerate() {
            // Beyond the corners there is a lash only where one is drawn.
            let wing = smooth_step(0.2, 1.0, thickness.at(index, 0) / thinnest);
            column.presence *= if column.presence < 1.0 { wing } else { 1.0 };
            column.lash = thickness.at(index, 0).clamp(thinnest, (0.32 * self.height).max(thinnest));
            column.colour = std::array::from_fn(|lane| colours[lane].at(index, 0));
        }
        columns
    }

    /// The darkest of the lash in one column, and in any case darker than the skin.
    fn lash_colour(&self, column: usize, top: f32, upper: f32) -> Colour {
        let brightness = |colour: Colour| colour.iter().sum::<f32>();
        let mut colour = self.skin.at(column, (upper as usize).min(self.place.height - 1));
        let most = 0.55 * brightness(colour);
        for row in top.max(0.0) as usize..=(upper as usize).min(self.place.height - 1) {
            let here = self.original.at(column, row);
            if brightness(here) < brightness(colour) {
                colour = here;
            }
        }
        let scale = (most / brightness(colour).max(1e-3)).min(1.0);
        colour.map(|value| value * scale)
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
        // The lower lid comes up a little to meet the upper one, late.
        let rise = LOWER_LID_RISE * (edge.lower - edge.upper) * smooth_step(0.25, 1.0, closure);
        let meeting = edge.lower - LOWER_LID_RISE * (edge.lower - edge.upper) + 0.02 * self.height;
        let lid = edge.upper + (meeting - edge.upper) * closure;
        let floor = edge.lower - rise;
        let lash = (edge.lash * (1.0 - LASH_THINNING * closure)).max(1.0) * edge.presence;
        // Antialiased over one pixel.
        let above = (lid - y + 0.5).clamp(0.0, 1.0);
        let below = (y - floor + 0.5).clamp(0.0, 1.0) * (rise * 4.0).min(1.0);
        let in_lash = if lash > 0.0 { (y - (lid - lash) + 0.5).clamp(0.0, 1.0).min(above) } else { 0.0 };
        let lined =
            self.eye.sample(column as f32 + 0.5, y + rise) * below * (y + rise - edge.lower + 0.5).clamp(0.0, 1.0);
        let erase = self.eye.at(column, row) * above.max(below);
        let cover = erase.max(in_lash).max(lined) * (1.0 - self.hair.at(column, row));
        if cover == 0.0 {
            return ([0.0; 3], 0.0);
        }
        let shade = 1.0 - 0.05 * ((y - edge.upper) / self.height).clamp(0.0, 1.0) * above;
        let skin = self.skin.at(column, row).map(|value| shade * value);
        let lower = self.original.sample(column as f32 + 0.5, y + rise);
        let lower_strength = lined * (1.0 - 0.5 * smooth_step(0.6, 1.0, closure));
        // The picture's own lash moves down with the lid, ever more of one colour as it gets thinner.
        let from = edge.upper - (lid - y) * edge.lash / lash.max(0.5);
        let own = self.original.sample(column as f32 + 0.5, from.clamp(edge.upper - edge.lash, edge.upper - 0.5));
        let colour = std::array::from_fn(|lane| {
            let line = own[lane] + closure * 0.7 * (edge.colour[lane] - own[lane]);
            let under = skin[lane] + lower_strength * (lower[lane] - skin[lane]);
            under + in_lash * (line - under)
        });
        (colour, cover)
    }
}

/// How much of each pixel the eye covers, with soft edges.
fn eye_mask(filled: &[bool], unlike: &Plane, outside: &Plane) -> Plane {
    let (width, height) = (unlike.width(), unlike.height());
    Plane::from_fn(width, height, |column, row| {
        if outside.at(column, row) <= 0.0 {
            return 1.0;
        }
        let mut near = false;
        for y in row.saturating_sub(2)..=(row + 2).min(height - 1) {
            for x in column.saturating_sub(2)..=(column + 2).min(width - 1) {
                near |= filled[y * width + x];
            }
        }
        if near { smooth_step(0.015, 0.07, unlike.at(column, row)) } else { 0.0 }
    })
}

/// Cells that can be reached from seeds; `cell` says of each whether it is a seed and whether it can be entered.
fn flood(width: usize, height: usize, cell: impl Fn(usize, usize) -> (bool, bool)) -> Vec<bool> {
    let mut open = vec![false; width * height];
    let mut reached = vec![false; width * height];
    let mut queue = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let (seed, enters) = cell(column, row);
            open[row * width + column] = enters;
            if seed {
                reached[row * width + column] = true;
                queue.push((column, row));
            }
        }
    }
    while let Some((column, row)) = queue.pop() {
        for y in row.saturating_sub(1)..=(row + 1).min(height - 1) {
            for x in column.saturating_sub(1)..=(column + 1).min(width - 1) {
                let index = y * width + x;
                if open[index] && !reached[index] {
                    reached[index] = true;
                    queue.push((x, y));
                }
            }
        }
    }
    reached
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
