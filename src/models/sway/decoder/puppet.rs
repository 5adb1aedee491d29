//! What of the picture moves, and how freely: maps made once per picture, at a node every four pixels.

use crate::backend::cpu::bilinear::bilinear;
use crate::models::sway::class_map::{ClassMap, class};
use crate::models::sway::curve::Point;
use crate::models::sway::parts::{Head, Rectangle, find_heads};
use crate::models::sway::plane::{Plane, smooth_step};
use crate::ops::warp::STEP;
use crate::picture::Picture;

use super::lines::straight_lines;

/// Displacement in head radii of hair or cloth at field value 1 and flexibility 1.
const FLEXIBLE_TRAVEL: f32 = 0.16;

/// Where hair is taken to hang from when there is no face: the head's radius as a share of the short side.
const HEADLESS_RADIUS: f64 = 0.2;

/// How fast hair may gain displacement with its distance from the face or from a straight line behind it, in pixels a pixel.
const PINNED_SLOPE: f32 = 0.35;

/// How the maps come by: node (column, row) stands at `((column + 0.5) STEP, (row + 0.5) STEP)` pixels.
pub struct Puppet {
    /// Nodes in a row and rows of nodes.
    pub columns: usize,
    /// Rows of nodes.
    pub rows: usize,
    /// Middle of the head, or of the picture.
    pub centre: Point,
    /// Radius of the head.
    pub radius: f64,
    /// Pixels of displacement for hair field 1.
    pub hair: Plane,
    /// Pixels of displacement for cloth field 1.
    pub cloth: Plane,
    /// Greatest displacement of hair and cloth in pixels.
    pub limit: Plane,
    /// 1 where the head's motion is followed fully. All 0 without a head.
    pub head: Plane,
    /// 1 on the face, less on what lies behind it: how far a turn shifts it.
    pub turn: Plane,
    /// 1 where the chest rises with the breath.
    pub torso: Plane,
    /// Nearness less its mean: about 0.6 on a figure, -0.4 behind it.
    pub near: Plane,
}

impl Puppet {
    /// Maps for a picture, from its class probabilities and the head that is animated.
    pub fn new(picture: &Picture, map: &ClassMap, head: Option<&Head>) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let (columns, rows) = (width.div_ceil(STEP), height.div_ceil(STEP));
        let classes = NodeClasses { map, columns, rows, width, height };
        let short_side = width.min(height) as f64;
        let figure = classes.plane(|at| 1.0 - at(class::BACKGROUND)).map(|p| smooth_step(0.3, 0.7, p));
        let hair_share = classes.plane(|at| at(class::HAIR)).map(|p| smooth_step(0.25, 0.75, p));
        let (centre, radius) = match head {
            Some(head) => (head.centre, head.radius),
            None => (
                centroid(&hair_share).unwrap_or(Point { x: width as f64 / 2.0, y: height as f64 / 2.0 }),
                HEADLESS_RADIUS * short_side,
            ),
        };
        let (cx, cy, r) = (centre.x as f32, centre.y as f32, radius as f32);
        let place = |node: usize| (node as f32 + 0.5) * STEP as f32;
        let in_cells = |pixels: f32| pixels / STEP as f32;
        let others: Vec<Head> = match head {
            Some(head) => {
                let heads = find_heads(map, width, height);
                heads.into_iter().filter(|other| other != head && other.radius > 0.3 * head.radius).collect()
            }
            None => Vec::new(),
        };
        // 1 for what is nearer, in head radii, to the animated head than to any other.
        let own = Plane::from_fn(columns, rows, |column, row| {
            let distance =
                |to: Point, radius: f64| (place(column) - to.x as f32).hypot(place(row) - to.y as f32) / radius as f32;
            let mine = distance(centre, radius);
            others
                .iter()
                .map(|other| smooth_step(-0.4, 0.4, distance(other.centre, other.radius) - mine))
                .fold(1.0, f32::min)
        });

        // Ornaments move with the hair that they sit in.
        let around_hair = hair_share.blurred(in_cells(0.12 * r));
        let ornaments =
            classes.plane(|at| at(class::ACCESSORY)).zip(&around_hair, |p, near| 0.6 * p * (2.0 * near).min(1.0));
        let flexible = Plane::from_fn(columns, rows, |column, row| {
            let distance = (place(column) - cx).hypot(place(row) - (cy - 0.2 * r));
            ((distance - 0.9 * r) / (2.2 * r)).clamp(0.0, 1.2).powf(1.2)
        });
        let hair = hair_share
            .zip(&ornaments, f32::max)
            .zip(&flexible, |share, flexibility| share * flexibility)
            .zip(&own, |weight, own| weight * own * FLEXIBLE_TRAVEL * r);
        let cloth_share = classes.plane(|at| at(class::CLOTH)).map(|p| smooth_step(0.3, 0.8, p));
        let cloth = Plane::from_fn(columns, rows, |column, row| {
            let flexibility = ((place(row) - (cy + 1.1 * r)) / (3.0 * r)).clamp(0.0, 1.0);
            cloth_share.at(column, row) * flexibility * own.at(column, row) * FLEXIBLE_TRAVEL * r
        });

        let lines = straight_lines(picture, &figure);
        let limit = pinned_limit(&classes, head.iter().copied().chain(&others), &lines);

        // Background within a quarter of a head radius is drawn along a little, so that nothing tears.
        let reach = in_cells((0.25 * r).max(12.0));
        let drawn_along = figure.clone().spread(1.0 / reach).map(|p| smooth_step(0.0, 1.0, p)).blurred(1.5);
        let headless = if head.is_some() { 1.0 } else { 0.0 };
        let weighted = |weight: &(dyn Fn(f32, f32) -> f32 + Sync)| {
            Plane::from_fn(columns, rows, |column, row| {
                let at = drawn_along.at(column, row) * own.at(column, row) * headless;
                at * weight((place(column) - cx) / r, (place(row) - cy) / r)
            })
        };
        let head_weight = weighted(&|x, y| (1.0 - smooth_step(0.6, 2.1, y)) * (1.0 - smooth_step(2.2, 4.5, x.abs())));
        let turn = Plane::from_fn(columns, rows, |column, row| {
            let distance = (place(column) - cx).hypot(place(row) - cy) / r;
            head_weight.at(column, row) * (1.0 - 0.6 * smooth_step(1.0, 2.2, distance))
        });
        let torso = weighted(&|x, y| {
            smooth_step(0.4, 1.8, y) * (1.0 - smooth_step(2.0, 6.5, y)) * (1.0 - smooth_step(3.0, 5.5, x.abs()))
        });
        Self {
            columns,
            rows,
            centre,
            radius,
            hair,
            cloth,
            limit,
            head: head_weight,
            turn,
            torso,
            near: nearness(&figure, in_cells(0.06 * short_side as f32)),
        }
    }
}

/// Class probabilities at the nodes.
struct NodeClasses<'a> {
    map: &'a ClassMap,
    columns: usize,
    rows: usize,
    width: usize,
    height: usize,
}

impl NodeClasses<'_> {
    /// `value` gets a function that tells the probability of a class at the node.
    fn plane(&self, value: impl Fn(&dyn Fn(usize) -> f32) -> f32 + Sync) -> Plane {
        let (u, v) = (self.map.width() as f32 / self.width as f32, self.map.height() as f32 / self.height as f32);
        let planes: Vec<_> = (0..class::COUNT).map(|class| self.map.plane(class)).collect();
        Plane::from_fn(self.columns, self.rows, |column, row| {
            let (x, y) = ((column as f32 + 0.5) * STEP as f32 * u, (row as f32 + 0.5) * STEP as f32 * v);
            let at = |class: usize| bilinear(planes[class], self.map.width(), self.map.height(), x, y);
            value(&at)
        })
    }
}

/// How far hair and cloth may go: not at all on a face or a straight line, more with the distance from them.
fn pinned_limit<'a>(classes: &NodeClasses, heads: impl Iterator<Item = &'a Head>, lines: &Plane) -> Plane {
    let face =
        classes.plane(|at| at(class::FACE) + at(class::EYE) + at(class::MOUTH) + at(class::BROW) + at(class::LASH));
    let faces: Vec<Rectangle> = heads.map(|head| head.face).collect();
    let far = (classes.columns + classes.rows) as f32;
    let distance = Plane::distance(classes.columns, classes.rows, far, |column, row| {
        let point = Point { x: (column as f64 + 0.5) * STEP as f64, y: (row as f64 + 0.5) * STEP as f64 };
        let on_face = face.at(column, row) > 0.4 && faces.iter().any(|face| face.contains(point, STEP as f64));
        on_face || lines.at(column, row) > 0.5
    });
    // One cell off, because the field is smoothed by about a cell afterwards.
    distance.map(|cells| (cells - 1.5).max(0.0) * STEP as f32 * PINNED_SLOPE)
}

/// A figure is near, what is behind it far; without a figure what stands lower is nearer.
fn nearness(figure: &Plane, sigma: f32) -> Plane {
    let near = if figure.mean() > 0.03 {
        figure.blurred(sigma)
    } else {
        let rows = figure.height() as f32;
        Plane::from_fn(figure.width(), figure.height(), |_, row| 0.8 * ((row as f32 + 0.5) / rows).powf(1.5))
    };
    let mean = near.mean();
    near.map(|value| value - mean)
}

/// Centre of mass in pixels; `None` for an almost empty plane.
fn centroid(plane: &Plane) -> Option<Point> {
    let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
    for row in 0..plane.height() {
        for column in 0..plane.width() {
            let weight = f64::from(plane.at(column, row));
            sum += weight;
            x += weight * (column as f64 + 0.5);
            y += weight * (row as f64 + 0.5);
        }
    }
    let cells = (plane.width() * plane.height()) as f64;
    (sum > 0.002 * cells).then(|| Point { x: x / sum * STEP as f64, y: y / sum * STEP as f64 })
}
