//! A drawn figure whose parts are known exactly, and motion of all of it.

use stir::models::sway::class_map::{ClassMap, class};
use stir::models::sway::decoder::FrameRenderer;
use stir::models::sway::motion::{ControlFrame, Field, MotionFrame};
use stir::picture::Picture;

/// A figure: where it is drawn, and what of it.
#[derive(Clone, Copy)]
pub struct Scene {
    pub width: usize,
    pub height: usize,
    /// Middle of the face and its radius, in pixels.
    pub face: (f64, f64, f64),
    /// Which eyes are drawn, left and right on the screen.
    pub eyes: [bool; 2],
    /// Whether a lock hangs over the right eye.
    pub lock: bool,
}

impl Scene {
    /// In the middle of a picture.
    pub fn portrait() -> Self {
        Self { width: 400, height: 300, face: (200.0, 120.0, 50.0), eyes: [true, true], lock: false }
    }

    /// The class and the colour at a place in pixels.
    fn at(&self, x: f64, y: f64) -> (usize, [f64; 3]) {
        let (cx, cy, r) = self.face;
        let (u, v) = ((x - cx) / r, (y - cy) / r);
        if r <= 0.0 {
            return (class::BACKGROUND, background(x, y));
        }
        if self.lock && (0.1..0.9).contains(&u) && (-1.5..0.4).contains(&v) {
            return (class::HAIR, [90.0, 60.0, 150.0]);
        }
        for (side, drawn) in [(-1.0, self.eyes[0]), (1.0, self.eyes[1])] {
            let (a, b) = ((u - 0.42 * side) / 0.26, (v - 0.05) / 0.17);
            if drawn && a * a + b * b < 1.0 {
                let iris = (a * a * 2.2 + b * b) < 0.8;
                return (class::EYE, if iris { [40.0, 110.0, 160.0] } else { [250.0, 250.0, 250.0] });
            }
            let (a, b) = ((u - 0.42 * side) / 0.3, (v - 0.03) / 0.23);
            if drawn && a * a + b * b < 1.0 && v < 0.03 {
                return (class::LASH, [40.0, 25.0, 35.0]);
            }
            if (u - 0.42 * side).abs() < 0.27 && (v + 0.42).abs() < 0.04 {
                return (class::BROW, [80.0, 50.0, 60.0]);
            }
        }
        if u.abs() < 0.15 && (v - 0.6).abs() < 0.04 {
            return (class::MOUTH, [200.0, 80.0, 80.0]);
        }
        if u * u + v * v < 1.0 && v > -0.7 {
            return (class::FACE, [250.0 - 8.0 * v, 222.0, 200.0]);
        }
        if u.abs() < 0.3 && (0.9..1.4).contains(&v) {
            return (class::SKIN, [240.0, 205.0, 185.0]);
        }
        if u * u + (v + 0.1) * (v + 0.1) < 1.45 || ((1.0..1.5).contains(&u.abs()) && (0.0..2.6).contains(&v)) {
            let strand = ((u * 9.0).floor() as i64).rem_euclid(2) as f64;
            return (class::HAIR, [90.0 + 15.0 * strand, 60.0, 150.0]);
        }
        if u.abs() < 1.2 + 0.4 * (v - 1.3) && v > 1.3 {
            return (class::CLOTH, [70.0, 120.0 + 3.0 * v, 190.0]);
        }
        (class::BACKGROUND, background(x, y))
    }

    /// The picture and its classes.
    pub fn draw(&self) -> (Picture, ClassMap) {
        const SAMPLES: usize = 3;
        let mut pixels = Vec::with_capacity(self.width * self.height * 3);
        for row in 0..self.height {
            for column in 0..self.width {
                let mut sum = [0.0; 3];
                for sample in 0..SAMPLES * SAMPLES {
                    let offset = |index: usize| (index as f64 + 0.5) / SAMPLES as f64;
                    let (x, y) = (column as f64 + offset(sample % SAMPLES), row as f64 + offset(sample / SAMPLES));
                    let (_, colour) = self.at(x, y);
                    for lane in 0..3 {
                        sum[lane] += colour[lane] / (SAMPLES * SAMPLES) as f64;
                    }
                }
                pixels.extend(sum.map(|value| value.round() as u8));
            }
        }
        let (columns, rows) = (self.width / 2, self.height / 2);
        let mut values = vec![0.0; class::COUNT * columns * rows];
        for row in 0..rows {
            for column in 0..columns {
                let (class, _) = self.at(2.0 * column as f64 + 1.0, 2.0 * row as f64 + 1.0);
                values[class * columns * rows + row * columns + column] = 1.0;
            }
        }
        (Picture::new(self.width, self.height, pixels), ClassMap::new(columns, rows, values).unwrap())
    }

    /// The picture, and what draws frames of it.
    pub fn renderer(&self) -> (Picture, FrameRenderer) {
        let (picture, map) = self.draw();
        (picture.clone(), FrameRenderer::new(picture, &map))
    }
}

/// What is behind the figure.
pub fn background(x: f64, y: f64) -> [f64; 3] {
    [150.0 + 20.0 * (0.07 * x).sin(), 190.0 + 20.0 * (0.05 * y).cos(), 160.0]
}

/// A strong gust: alternating over the picture.
pub fn gust(strength: f32) -> Field {
    std::array::from_fn(|row| {
        std::array::from_fn(|column| {
            let phase = 0.9 * column as f32 + 0.6 * row as f32;
            [strength * phase.sin(), 0.5 * strength * (1.7 * phase).cos()]
        })
    })
}

/// The controls alone.
pub fn with(control: ControlFrame) -> MotionFrame {
    MotionFrame { control, ..MotionFrame::default() }
}

/// All that there is, at once.
pub fn everything() -> MotionFrame {
    let control = ControlFrame {
        blink_left: 0.7,
        blink_right: 1.0,
        pan_x: 0.5,
        truck_y: -0.4,
        zoom: 0.3,
        push: 0.4,
        roll: 0.6,
        head_yaw: 1.0,
        head_pitch: -0.5,
        head_roll: 1.0,
        head_bob: 1.0,
        breath: 1.0,
        light_gain: 0.8,
        warmth: -0.5,
        ..ControlFrame::default()
    };
    MotionFrame { control, hair_field: gust(2.0), cloth_field: gust(-1.5) }
}
