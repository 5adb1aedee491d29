//! Which pixels around an eye belong to it, at the picture's own resolution: the class map is too coarse to erase a lash by.

use crate::models::sway::plane::{Plane, smooth_step};

use super::skin::{Colour, ColourPatch};

/// Class probabilities at each pixel of an eye's patch.
pub struct PatchClasses {
    /// Skin of the face.
    pub face: Plane,
    /// The open eye.
    pub eye: Plane,
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
        // 1 for the lash's colour, also mixed with skin; -1 for skin in shadow.
        let lash_likeness = Plane::from_fn(width, height, |column, row| {
            let (amount, rest) = between(survey.original.at(column, row), survey.skin.at(column, row), lash);
            match (amount > 0.3, rest < 0.1) {
                (true, true) => 1.0,
                (false, true) => -1.0,
                (_, false) => 0.0,
            }
        });
        let unit = 0.2 * (survey.span[1] - survey.span[0]);
        let mut owners = Plane::from_fn(width, height, |column, row| {
            let outside = survey.outside.at(column, row);
            let hair = classes.hair.at(column, row);
            let is_lash = lash_likeness.at(column, row);
            let differs = unlike.at(column, row) > 0.12;
            // Hair of another colour than the lash shows itself; of the same colour it is as the encoder says.
            let shows = hair > 0.25 && is_lash <= 0.0 && outside > 0.3;
            let sure_lash = is_lash > 0.0 && classes.lash.at(column, row) > 0.5 && hair < 0.2 && outside < 1.2;
            if sure_lash || (outside <= 0.0 && classes.eye.at(column, row) > 0.6) {
                EYE
            } else if differs && (shows || hair > 0.6) {
                HAIR
            } else if outside <= 0.0 {
                FREE
            } else if !differs || classes.brow.at(column, row) > 0.4 {
                CLOSED
            } else {
                // The white of the eye, a lower lash, a shadow are right beside the aperture only.
                let clear = hair < 0.25 && unlike.at(column, row) > 0.2;
                let likely = classes.eye.at(column, row) + classes.lash.at(column, row) > 0.08;
                let near = outside < if clear { 0.8 } else { 0.45 };
                if (near && likely && is_lash >= 0.0) || is_lash > 0.0 { FREE } else { CLOSED }
            }
        });
        share_out(&mut owners);
        let mut filled: Vec<bool> = owners.values().iter().map(|&owner| owner == EYE).collect();
        drop_strays(&mut filled, survey.outside, &classes.lash, unit);
        keep_crease(&mut filled, survey);
        // The tips of single lashes, where they are too thin to be followed.
        let specks = components(width, height, |index| {
            let (column, row) = (index % width, index / width);
            let free = !filled[index] && owners.values()[index] != HAIR && classes.brow.values()[index] < 0.4;
            let beside = survey.outside.values()[index] < 1.5 && (row as f32) < survey.edges[column].1;
            free && beside && !is_middle(survey, column) && unlike.values()[index] > 0.05
        });
        for speck in specks.iter().filter(|speck| (speck.len() as f32) < (0.4 * unit).powi(2)) {
            for &pixel in speck {
                filled[pixel] = true;
            }
        }
        let mask = Plane::from_fn(width, height, |column, row| {
            if owners.at(column, row) == HAIR {
                return 0.0;
            }
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
            if owners.at(column, row) == HAIR { smooth_step(0.05, 0.15, unlike.at(column, row)) } else { 0.0 }
        })
        .blurred(0.5);
        Self { filled, mask, hair, lash }
    }
}

/// Whether a column lies in the middle three quarters of the aperture.
fn is_middle(survey: &EyeSurvey, column: usize) -> bool {
    let [left, right] = survey.span;
    let x = column as f32 + 0.5;
    (x - (left + right) / 2.0).abs() < 0.375 * (right - left)
}

/// Over the middle of the eye what stands above the lash, with skin between, is the crease of the lid, even where it runs into the lash at its end.
fn keep_crease(filled: &mut [bool], survey: &EyeSurvey) {
    let width = survey.skin.width();
    for (column, &(upper, _)) in survey.edges.iter().enumerate() {
        if !is_middle(survey, column) {
            continue;
        }
        let mut gap = 0;
        for row in (0..(upper.max(0.0) as usize).min(survey.skin.height())).rev() {
            let pixel = &mut filled[row * width + column];
            if gap > 1 {
                *pixel = false;
            } else if *pixel {
                gap = 0;
            } else {
                gap += 1;
            }
        }
    }
}

/// Takes out what was reached far from the aperture, unless it is the tip of a lash: a line that runs on is an outline or a crease.
fn drop_strays(filled: &mut [bool], outside: &Plane, lash: &Plane, unit: f32) {
    let far = |index: usize| outside.values()[index] > if lash.values()[index] > 0.4 { 1.2 } else { 0.8 };
    let strays = components(outside.width(), outside.height(), |index| filled[index] && far(index));
    for stray in &strays {
        let likely = stray.iter().map(|&pixel| lash.values()[pixel]).sum::<f32>() > 0.12 * stray.len() as f32;
        let small = (stray.len() as f32) < (0.5 * unit).powi(2);
        let ends = stray.iter().all(|&pixel| outside.values()[pixel] < 2.0);
        if small || (likely && ends) {
            continue;
        }
        for &pixel in stray {
            filled[pixel] = false;
        }
    }
}

/// Connected pixels, by edges and corners, where `inside` holds.
fn components(width: usize, height: usize, inside: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
    let mut open: Vec<bool> = (0..width * height).map(inside).collect();
    let mut components = Vec::new();
    for start in 0..open.len() {
        if !open[start] {
            continue;
        }
        open[start] = false;
        let mut pixels = vec![start];
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
        components.push(pixels);
    }
    components
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

/// Who owns a pixel: see [`share_out`].
const EYE: f32 = 1.0;
const HAIR: f32 = 2.0;
const FREE: f32 = 0.0;
const CLOSED: f32 = -1.0;

/// Gives every free pixel to the owner from whom it can be reached in fewer steps; what nobody reaches stays free.
fn share_out(owners: &mut Plane) {
    let (width, height) = (owners.width(), owners.height());
    let values = owners.values_mut();
    let mut queue: std::collections::VecDeque<usize> =
        (0..values.len()).filter(|&index| values[index] > FREE).collect();
    while let Some(index) = queue.pop_front() {
        let (column, row) = (index % width, index / width);
        for y in row.saturating_sub(1)..=(row + 1).min(height - 1) {
            for x in column.saturating_sub(1)..=(column + 1).min(width - 1) {
                if values[y * width + x] == FREE {
                    values[y * width + x] = values[index];
                    queue.push_back(y * width + x);
                }
            }
        }
    }
}
