//! The displacement of one frame: hair, cloth, head and breath, then the camera; forward at the puppet's nodes, and its inverse for the warp.

use rayon::prelude::*;

use super::camera::Camera;
use super::puppet::Puppet;
use crate::models::sway::motion::{ControlFrame, Field, GRID, MotionFrame};
use crate::models::sway::plane::{Plane, spread_together};
use crate::ops::warp::{DisplacementGrid, STEP};

/// Steepest displacement of hair and cloth against what is next to them, in pixels a pixel.
const SLOPE: f32 = 0.6;
/// Bound of the Frobenius norm of the displacement's Jacobian: below 1 the mapping can be inverted and nothing folds.
const STEEPEST: f32 = 0.8;
/// How fast the displacement may grow with the distance from the border of the picture.
const BORDER_SLOPE: f32 = 0.6;
/// Head shift at yaw or pitch 1, in head radii.
const TURN: f32 = 0.05;
/// Head roll at 1, in degrees.
const HEAD_ROLL_DEGREES: f32 = 2.0;
/// The neck below the middle of the face, in head radii: what the head rolls about.
const NECK: f32 = 1.15;
/// Head shift at bob 1, in head radii.
const BOB: f32 = 0.02;
/// Rise of the shoulders and of the head with a full breath, and widening of the chest, in head radii.
const BREATH: f32 = 0.03;
const BREATH_HEAD: f32 = 0.018;
const BREATH_WIDTH: f32 = 0.01;

/// Displacement in pixels at every node of the puppet: the picture's parts, without the camera's turning, zooming and shifting.
#[derive(Debug, Clone, PartialEq)]
pub struct Deformation {
    columns: usize,
    rows: usize,
    values: Vec<[f32; 2]>,
}

impl Deformation {
    /// The deformation of one frame; `None` if nothing deforms at all.
    pub fn new(puppet: &Puppet, motion: &MotionFrame, camera: &Camera, size: [usize; 2]) -> Option<Self> {
        let (columns, rows) = (puppet.columns, puppet.rows);
        let flexible = flexible_parts(puppet, motion);
        let control = &motion.control;
        let moves_head = [control.head_yaw, control.head_pitch, control.head_roll, control.head_bob, control.breath];
        if flexible.is_none() && moves_head == [0.0; 5] && camera.is_even() {
            return None;
        }
        let (width, height) = (size[0] as f32, size[1] as f32);
        let mut values = vec![[0.0; 2]; columns * rows];
        values.par_chunks_mut(columns).enumerate().for_each(|(row, line)| {
            let y = (row as f32 + 0.5) * STEP as f32;
            for (column, value) in line.iter_mut().enumerate() {
                let x = (column as f32 + 0.5) * STEP as f32;
                let mut sum = rigid_parts(puppet, control, column, row);
                if let Some([along_x, along_y]) = &flexible {
                    sum[0] += along_x.at(column, row);
                    sum[1] += along_y.at(column, row);
                }
                if !camera.is_even() {
                    let parallax = camera.parallax(x.into(), y.into(), puppet.near.at(column, row).into());
                    sum[0] += parallax[0] as f32;
                    sum[1] += parallax[1] as f32;
                }
                // The border maps onto itself, so that deforming never shows what lies beyond it.
                *value = [
                    soft_limit(sum[0], BORDER_SLOPE * x.min(width - x).max(0.0)),
                    soft_limit(sum[1], BORDER_SLOPE * y.min(height - y).max(0.0)),
                ];
            }
        });
        let mut deformation = Self { columns, rows, values };
        deformation.keep_invertible();
        Some(deformation)
    }

    /// Displacement at a place in pixels; bilinear between nodes.
    pub fn at(&self, x: f32, y: f32) -> [f32; 2] {
        let column = (x / STEP as f32 - 0.5).clamp(0.0, (self.columns - 1) as f32);
        let row = (y / STEP as f32 - 0.5).clamp(0.0, (self.rows - 1) as f32);
        let (left, top) = (column as usize, row as usize);
        let (tx, ty) = (column - left as f32, row - top as f32);
        let (right, bottom) = ((left + 1).min(self.columns - 1), (top + 1).min(self.rows - 1));
        let node = |column: usize, row: usize| self.values[row * self.columns + column];
        let (a, b, c, d) = (node(left, top), node(right, top), node(left, bottom), node(right, bottom));
        std::array::from_fn(|axis| {
            let upper = a[axis] + (b[axis] - a[axis]) * tx;
            let lower = c[axis] + (d[axis] - c[axis]) * tx;
            upper + (lower - upper) * ty
        })
    }

    /// The place `p` with `p + displacement(p) = (x, y)`, relative to `(x, y)`.
    ///
    /// Fixed-point iteration: it converges because the displacement's slope stays below 1.
    pub fn inverse(&self, x: f32, y: f32) -> [f32; 2] {
        let mut offset = [0.0_f32; 2];
        for _ in 0..30 {
            let moved = self.at(x + offset[0], y + offset[1]);
            let next = [-moved[0], -moved[1]];
            let change = (next[0] - offset[0]).abs().max((next[1] - offset[1]).abs());
            offset = next;
            if change < 0.01 {
                break;
            }
        }
        offset
    }

    /// Scales everything down where the mapping would come close to folding; this happens at the highest intensities only.
    fn keep_invertible(&mut self) {
        let (columns, rows) = (self.columns, self.rows);
        let steepest = (0..rows.saturating_sub(1))
            .into_par_iter()
            .map(|row| {
                (0..columns.saturating_sub(1))
                    .map(|column| {
                        let node = self.values[row * columns + column];
                        let right = self.values[row * columns + column + 1];
                        let below = self.values[(row + 1) * columns + column];
                        let squares =
                            (0..2).map(|axis| (right[axis] - node[axis]).powi(2) + (below[axis] - node[axis]).powi(2));
                        squares.sum::<f32>()
                    })
                    .fold(0.0, f32::max)
            })
            .reduce(|| 0.0, f32::max)
            .sqrt()
            / STEP as f32;
        if steepest > STEEPEST {
            let scale = STEEPEST / steepest;
            for value in &mut self.values {
                *value = value.map(|component| component * scale);
            }
        }
    }
}

/// From where each pixel of the frame is taken: the camera undone, then the deformation.
pub fn source_grid(deformation: Option<&Deformation>, camera: &Camera, size: [usize; 2]) -> DisplacementGrid {
    DisplacementGrid::from_fn(size[0], size[1], |x, y| {
        let offset = camera.source_offset(x.into(), y.into());
        let [dx, dy] = deformation.map_or([0.0; 2], |deformation| {
            deformation.inverse((f64::from(x) + offset[0]) as f32, (f64::from(y) + offset[1]) as f32)
        });
        [(offset[0] + f64::from(dx)) as f32, (offset[1] + f64::from(dy)) as f32]
    })
}

/// Head and breath at one node.
fn rigid_parts(puppet: &Puppet, control: &ControlFrame, column: usize, row: usize) -> [f32; 2] {
    let radius = puppet.radius as f32;
    let x = (column as f32 + 0.5) * STEP as f32 - puppet.centre.x as f32;
    let y = (row as f32 + 0.5) * STEP as f32 - puppet.centre.y as f32;
    let (head, turn, torso) = (puppet.head.at(column, row), puppet.turn.at(column, row), puppet.torso.at(column, row));
    let (sine, cosine) = (control.head_roll * HEAD_ROLL_DEGREES).to_radians().sin_cos();
    let from_neck = y - NECK * radius;
    let widening = (x / radius).clamp(-1.0, 1.0);
    [
        head * ((cosine - 1.0) * x - sine * from_neck)
            + turn * TURN * radius * control.head_yaw
            + torso * BREATH_WIDTH * radius * control.breath * widening,
        head * (sine * x + (cosine - 1.0) * from_neck)
            + turn * TURN * radius * control.head_pitch
            + head * BOB * radius * control.head_bob
            - (head * BREATH_HEAD).max(torso * BREATH) * radius * control.breath,
    ]
}

/// Displacement of hair and cloth along x and y; `None` if they rest.
fn flexible_parts(puppet: &Puppet, motion: &MotionFrame) -> Option<[Plane; 2]> {
    let resting: Field = Default::default();
    if motion.hair_field == resting && motion.cloth_field == resting {
        return None;
    }
    let (columns, rows) = (puppet.columns, puppet.rows);
    let across = SplineWeights::new(columns);
    let down = SplineWeights::new(rows);
    let mut values = vec![[0.0_f32; 2]; columns * rows];
    values.par_chunks_mut(columns).enumerate().for_each(|(row, line)| {
        let hair_line = down.combine(&motion.hair_field, row);
        let cloth_line = down.combine(&motion.cloth_field, row);
        for (column, value) in line.iter_mut().enumerate() {
            let (hair, cloth) = (puppet.hair.at(column, row), puppet.cloth.at(column, row));
            if hair == 0.0 && cloth == 0.0 {
                continue;
            }
            let (hair_motion, cloth_motion) = (across.point(&hair_line, column), across.point(&cloth_line, column));
            let moved: [f32; 2] = std::array::from_fn(|axis| hair * hair_motion[axis] + cloth * cloth_motion[axis]);
            let length = moved[0].hypot(moved[1]);
            if length > 0.0 {
                let allowed = soft_limit(length, puppet.limit.at(column, row)) / length;
                *value = moved.map(|component| component * allowed);
            }
        }
    });
    // Forth and back along x, forth and back along y.
    let mut ways: Vec<[f32; 4]> = values.into_iter().map(|[x, y]| [x, -x, y, -y].map(|way| way.max(0.0))).collect();
    spread_together(&mut ways, columns, SLOPE * STEP as f32);
    let along = |axis: usize| {
        Plane::from_fn(columns, rows, |column, row| {
            let ways = ways[row * columns + column];
            ways[2 * axis] - ways[2 * axis + 1]
        })
        .blurred(1.0)
    };
    Some([along(0), along(1)])
}

/// `value` bounded by `limit`, smoothly.
fn soft_limit(value: f32, limit: f32) -> f32 {
    if limit <= 0.0 {
        return 0.0;
    }
    let ratio = (value / limit).powi(2);
    value / (1.0 + ratio * ratio).sqrt().sqrt()
}

/// Which control points of a [`Field`] make up each of `count` nodes along one axis, and with what weights: a uniform cubic B-spline, ends repeated.
struct SplineWeights {
    nodes: Vec<[(usize, f32); 4]>,
}

impl SplineWeights {
    fn new(count: usize) -> Self {
        let nodes = (0..count)
            .map(|node| {
                let place = (node as f32 + 0.5) / count as f32 * GRID as f32 - 0.5;
                let first = place.floor();
                let t = place - first;
                let u = 1.0 - t;
                let weights = [
                    u * u * u / 6.0,
                    (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
                    (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0,
                    t * t * t / 6.0,
                ];
                std::array::from_fn(|tap| {
                    let index = (first as isize + tap as isize - 1).clamp(0, GRID as isize - 1);
                    (index as usize, weights[tap])
                })
            })
            .collect();
        Self { nodes }
    }

    /// The control points of a row of nodes.
    fn combine(&self, field: &Field, row: usize) -> [[f32; 2]; GRID] {
        std::array::from_fn(|column| {
            std::array::from_fn(|axis| {
                self.nodes[row].iter().map(|&(index, weight)| weight * field[index][column][axis]).sum()
            })
        })
    }

    /// The field at one node of a row.
    fn point(&self, line: &[[f32; 2]; GRID], column: usize) -> [f32; 2] {
        std::array::from_fn(|axis| self.nodes[column].iter().map(|&(index, weight)| weight * line[index][axis]).sum())
    }
}
