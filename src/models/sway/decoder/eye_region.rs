//! Which pixels around an eye belong to it, at the picture's own resolution: the class map is too coarse to erase a lash by.

use crate::models::sway::plane::{Plane, smooth_step};

use super::skin::{Colour, ColourPatch};

/// Class probabilities at each pixel of an eye's patch.
pub struct PatchClasses {
    /// Skin of the face.
    pub face: Plane,
    /// Lash.
    pub lash: Plane,
    /// Brow.
    pub brow: Plane,
    /// Hair and what is worn in it.
    pub hair: Plane,
}

/// What is known of an eye's patch before its pixels are told apart.
pub struct EyeSurvey<'a> {
    /// The picture.
    pub original: &'a ColourPatch,
    /// The same without the eye.
    pub skin: &'a ColourPatch,
    /// What the encoder saw.
    pub classes: &'a PatchClasses,
    /// Distance from the aperture in fifths of its width; 0 inside.
    pub outside: &'a Plane,
    /// Upper and lower edge of the aperture in each column.
    pub edges: &'a [(f32, f32)],
    /// First and last column of the aperture.
    pub span: [f32; 2],
}

/// The pixels of an eye.
pub struct EyeRegion {
    /// Whether a pixel belongs to the eye, row by row.
    pub filled: Vec<bool>,
    /// How much of a pixel the eye covers, with soft edges.
    pub mask: Plane,
    /// How much of a pixel is covered by hair in front.
    pub hair: Plane,
    /// The darkest colour of the lash.
    pub lash: Colour,
}

impl EyeRegion {
    /// Grows from the aperture over lash and what else is not skin, but not into hair, brow or the crease of the lid.
    pub fn find(survey: &EyeSurvey) -> Self {
        let (width, height) = (survey.skin.width(), survey.skin.height());
        let unlike = Plane::from_fn(width, height, |column, row| {
            distance(survey.original.at(column, row), survey.skin.at(column, row))
        });
        let lash = lash_colour(survey);
        let classes = survey.classes;
        let is_lash = Plane::from_fn(width, height, |column, row| {
            let (amount, rest) = between(survey.original.at(column, row), survey.skin.at(column, row), lash);
            if amount > 0.2 && rest < 0.1 { 1.0 } else { 0.0 }
        });
        let unit = 0.2 * (survey.span[1] - survey.span[0]);
        let beside_hair = Plane::distance(width, height, 100.0, |column, row| {
            let hair = classes.hair.at(column, row);
            // Hair of another colour than the lash shows itself; of the same colour it is as the encoder says.
            let shows = hair > 0.25 && is_lash.at(column, row) == 0.0 && survey.outside.at(column, row) > 0.3;
            unlike.at(column, row) > 0.12 && (shows || hair > 0.4)
        });
        // The outline of a lock is dark like a lash.
        let outline = (0.2 * unit).max(1.5);
        let enters = |column: usize, row: usize| {
            let outside = survey.outside.at(column, row);
            if outside <= 0.0 {
                return true;
            }
            if unlike.at(column, row) < 0.12
                || classes.brow.at(column, row) > 0.4
                || beside_hair.at(column, row) < outline
            {
                return false;
            }
            // The white of the eye, a lower lash, a shadow are right beside the aperture only.
            let clear = classes.hair.at(column, row) < 0.25 && unlike.at(column, row) > 0.2;
            is_lash.at(column, row) > 0.0 || outside < if clear { 0.8 } else { 0.45 }
        };
        let mut filled =
            flood(width, height, |column, row| (survey.outside.at(column, row) <= 0.0, enters(column, row)));
        drop_strays(&mut filled, survey.outside, &classes.lash, unit);
        let mask = Plane::from_fn(width, height, |column, row| {
            if survey.outside.at(column, row) <= 0.0 {
                return 1.0;
            }
            let rows = row.saturating_sub(2)..=(row + 2).min(height - 1);
            let near = rows
                .into_iter()
                .any(|y| (column.saturating_sub(2)..=(column + 2).min(width - 1)).any(|x| filled[y * width + x]));
            if near { smooth_step(0.015, 0.07, unlike.at(column, row)) } else { 0.0 }
        });
        let hair = Plane::from_fn(width, height, |column, row| {
            let drawn = smooth_step(0.05, 0.15, unlike.at(column, row));
            smooth_step(0.35, 0.65, classes.hair.at(column, row)) * drawn
        });
        Self { filled, mask, hair, lash }
    }
}

/// Takes out what was reached far from the aperture, unless it is small, like the tip of a lash: a line that runs on is an outline or a crease.
fn drop_strays(filled: &mut [bool], outside: &Plane, lash: &Plane, unit: f32) {
    let (width, height) = (outside.width(), outside.height());
    let far = |index: usize| outside.values()[index] > if lash.values()[index] > 0.4 { 1.2 } else { 0.8 };
    let mut open: Vec<bool> = (0..width * height).map(|index| filled[index] && far(index)).collect();
    for start in 0..open.len() {
        if !open[start] {
            continue;
        }
        let mut pixels = vec![start];
        open[start] = false;
        let mut next = 0;
        while next < pixels.len() {
            let (column, row) = (pixels[next] % width, pixels[next] / width);
            next += 1;
            for y in row.saturating_sub(1)..=(row + 1).min(height - 1) {
                for x in column.saturating_sub(1)..=(column + 1).min(width - 1) {
                    if open[y * width + x] {
                        open[y * width + x] = false;
                        pixels.push(y * width + x);
                    }
                }
            }
        }
        if pixels.len() as f32 > (0.5 * unit).powi(2) {
            for pixel in pixels {
                filled[pixel] = false;
            }
        }
    }
}

/// The darkest tenth of the pixels just above the aperture, and in any case darker than the skin.
fn lash_colour(survey: &EyeSurvey) -> Colour {
    let [left, right] = survey.span;
    let (width, height) = (survey.skin.width(), survey.skin.height());
    let margin = 0.15 * (right - left);
    let mut seen: Vec<Colour> = Vec::new();
    let mut skin = [0.0_f32; 3];
    for (column, &(upper, _)) in survey.edges.iter().enumerate() {
        if (column as f32) < left + margin || column as f32 > right - margin {
            continue;
        }
        let reach = (0.12 * (right - left)).max(2.0);
        let first = (upper - reach).max(0.0) as usize;
        for row in first..=((upper + 0.5) as usize).min(height - 1) {
            seen.push(survey.original.at(column, row));
            let colour = survey.skin.at(column, row);
            skin = std::array::from_fn(|lane| skin[lane] + colour[lane]);
        }
    }
    if seen.is_empty() {
        return survey.skin.at(width / 2, height / 2).map(|value| 0.4 * value);
    }
    let skin = skin.map(|value| value / seen.len() as f32);
    seen.sort_by(|a, b| brightness(*a).total_cmp(&brightness(*b)));
    let darkest = &seen[..seen.len().div_ceil(10)];
    let mean: Colour =
        std::array::from_fn(|lane| darkest.iter().map(|colour| colour[lane]).sum::<f32>() / darkest.len() as f32);
    let scale = (0.55 * brightness(skin) / brightness(mean).max(1e-3)).min(1.0);
    mean.map(|value| value * scale)
}

/// How far `colour` lies on the way from `from` to `to`, and how far beside that way.
fn between(colour: Colour, from: Colour, to: Colour) -> (f32, f32) {
    let way: Colour = std::array::from_fn(|lane| to[lane] - from[lane]);
    let length: f32 = way.iter().map(|value| value * value).sum();
    let along: f32 = (0..3).map(|lane| way[lane] * (colour[lane] - from[lane])).sum::<f32>() / length.max(1e-6);
    let nearest = std::array::from_fn(|lane| from[lane] + along.clamp(0.0, 1.2) * way[lane]);
    (along, distance(colour, nearest))
}

/// Euclidean distance of two colours.
fn distance(a: Colour, b: Colour) -> f32 {
    (0..3).map(|lane| (a[lane] - b[lane]).powi(2)).sum::<f32>().sqrt()
}

/// Sum of the channels.
pub fn brightness(colour: Colour) -> f32 {
    colour.iter().sum()
}

/// Pixels that can be reached from seeds; `pixel` says of each whether it is a seed and whether it can be entered.
fn flood(width: usize, height: usize, pixel: impl Fn(usize, usize) -> (bool, bool)) -> Vec<bool> {
    let mut open = vec![false; width * height];
    let mut reached = vec![false; width * height];
    let mut queue = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let (seed, enters) = pixel(column, row);
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
