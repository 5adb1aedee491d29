//! Eyes that may blink: plausible, visible and open.

use super::class_map::{ClassMap, class};
use super::curve::{Curve, Point};
use super::parts::{Eye, Head};
use crate::backend::cpu::bilinear::bilinear;

/// The eyes of a head, by their side of the screen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FoundEyes {
    pub left: Option<Eye>,
    pub right: Option<Eye>,
    /// Why fewer than two eyes blink.
    pub note: Option<String>,
}

/// Finds the eyes of `head` in a picture of `width` x `height` pixels.
///
/// In doubt there is no blink: a wrong lid is worse than an eye that stays open.
pub(super) fn find_eyes(map: &ClassMap, head: &Head, width: usize, height: usize) -> FoundEyes {
    let (cell_width, cell_height) = map.cell_size(width, height);
    let face_size = head.face.width().max(head.face.height());
    let mut eyes: Vec<Eye> = map
        .components(|cell| map.at(class::EYE, cell) > 0.5)
        .iter()
        .filter(|cells| cells.len() >= 6 && cells.len() as f64 * cell_width * cell_height > (0.05 * face_size).powi(2))
        .filter_map(|cells| trace_eye(map, cells, cell_width, cell_height))
        .filter(|eye| {
            eye.width() >= 0.06 * face_size
                && eye.width() <= 0.6 * face_size
                && eye.height() <= 1.8 * eye.width()
                && head.face.contains(eye.centre(), 0.05 * face_size)
        })
        .collect();
    eyes.sort_by(|a, b| (b.width() * b.height()).total_cmp(&(a.width() * a.height())));
    match eyes.len() {
        0 => FoundEyes {
            note: Some("no open eyes found: nothing blinks (--eyes X,Y,W,H points them out)".into()),
            ..FoundEyes::default()
        },
        1 => single_eye(map, head, eyes.remove(0), [width as f64, height as f64]),
        _ => {
            let largest = eyes.remove(0);
            match eyes.iter().position(|other| are_a_pair(&largest, other)) {
                Some(index) => {
                    let other = eyes.remove(index);
                    let (left, right) =
                        if largest.centre().x < other.centre().x { (largest, other) } else { (other, largest) };
                    FoundEyes { left: Some(left), right: Some(right), note: None }
                }
                None => single_eye(map, head, largest, [width as f64, height as f64]),
            }
        }
    }
}

/// Two eyes of one face: apart, at a similar height, and not of very different size.
fn are_a_pair(one: &Eye, other: &Eye) -> bool {
    let (a, b) = (one.centre(), other.centre());
    let apart = (a.x - b.x).abs();
    apart > 0.55 * (one.width() + other.width())
        && (a.y - b.y).abs() < 0.45 * apart
        && other.width() > 0.3 * one.width()
        && other.height() > 0.25 * one.height()
}

/// One eye blinks alone only where the other is hidden or closed; otherwise it was overlooked, and one lid moving alone would be a wink.
fn single_eye(map: &ClassMap, head: &Head, eye: Eye, size: [f64; 2]) -> FoundEyes {
    let is_left = eye.centre().x < head.centre.x;
    let mirrored = Point { x: 2.0 * head.centre.x - eye.centre().x, y: eye.centre().y };
    let reach = [0.5 * eye.width(), 0.5 * eye.height().max(0.5 * eye.width())];
    let (mut hidden, mut lash, mut count) = (0.0, 0.0_f32, 0.0);
    for row in -3..=3 {
        for column in -3..=3 {
            let x = mirrored.x + f64::from(column) / 3.0 * reach[0];
            let y = mirrored.y + f64::from(row) / 3.0 * reach[1];
            count += 1.0;
            if x < 0.0 || y < 0.0 || x >= size[0] || y >= size[1] {
                hidden += 1.0;
                continue;
            }
            let probability = |class: usize| {
                let (u, v) = (x / size[0] * map.width() as f64, y / size[1] * map.height() as f64);
                bilinear(map.plane(class), map.width(), map.height(), u as f32, v as f32)
            };
            let face = probability(class::FACE) + probability(class::EYE) + probability(class::BROW);
            lash = lash.max(probability(class::LASH));
            hidden += 1.0 - (face + probability(class::LASH)).min(1.0);
        }
    }
    if hidden / count < 0.6 && lash < 0.5 {
        let note = "only one open eye found, and the other is not hidden: nothing blinks".into();
        return FoundEyes { note: Some(note), ..FoundEyes::default() };
    }
    let note = Some("one open eye found: it blinks alone".into());
    if is_left {
        FoundEyes { left: Some(eye), right: None, note }
    } else {
        FoundEyes { left: None, right: Some(eye), note }
    }
}

/// Curves of a component's edges; `None` where it is a single column.
fn trace_eye(map: &ClassMap, cells: &[usize], cell_width: f64, cell_height: f64) -> Option<Eye> {
    let columns = |cell: &usize| cell % map.width();
    let first = cells.iter().map(columns).min()?;
    let last = cells.iter().map(columns).max()?;
    if last <= first {
        return None;
    }
    let mut rows = vec![(usize::MAX, 0); last - first + 1];
    for &cell in cells {
        let entry = &mut rows[cell % map.width() - first];
        let row = cell / map.width();
        *entry = (entry.0.min(row), entry.1.max(row));
    }
    let plane = map.plane(class::EYE);
    // How far towards an outer cell the probability stays above one half, 0.5 where it lies outside the map.
    let crossing = |inner: usize, outer: Option<usize>| {
        outer.map_or(0.5, |outer| {
            let (a, b) = (f64::from(plane[inner]), f64::from(plane[outer]));
            if a - b > 1e-6 { ((a - 0.5) / (a - b)).clamp(0.0, 1.0) } else { 0.5 }
        })
    };
    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    for (offset, &(top, bottom)) in rows.iter().enumerate() {
        if top > bottom {
            continue;
        }
        let column = first + offset;
        let x = (column as f64 + 0.5) * cell_width;
        let cell = |row: usize| row * map.width() + column;
        let rise = crossing(cell(top), top.checked_sub(1).map(cell));
        let fall = crossing(cell(bottom), (bottom + 1 < map.height()).then(|| cell(bottom + 1)));
        upper.push(Point { x, y: (top as f64 + 0.5 - rise) * cell_height });
        lower.push(Point { x, y: (bottom as f64 + 0.5 + fall) * cell_height });
    }
    let (left, right) = (first as f64 * cell_width, (last + 1) as f64 * cell_width);
    let mean = cells.iter().map(|&cell| f64::from(plane[cell])).sum::<f64>() / cells.len() as f64;
    Some(Eye {
        left,
        right,
        upper: Curve::fit(&upper, left, right, if upper.len() < 9 { 2 } else { 4 }),
        lower: Curve::fit(&lower, left, right, 2),
        confidence: mean,
    })
}
