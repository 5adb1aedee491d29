//! The camera: where the picture's points go when it moves, and how far it must be zoomed in so that no border shows.

use crate::models::sway::motion::ControlFrame;

/// Displacement at pan or truck 1, as a share of the width or height.
const TRAVEL: f64 = 0.08;
/// Zoom factor at zoom or push 1.
const ZOOM: f64 = 1.2;
/// Roll at 1, in degrees.
const ROLL_DEGREES: f64 = 1.5;
/// How much more near content travels and grows than far content, as a share of the mean.
const PARALLAX: f64 = 0.5;

/// Turning, zooming and shifting about the picture's middle: `to = middle + shift + scale turn (from - middle)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    middle: [f64; 2],
    shift: [f64; 2],
    sine: f64,
    cosine: f64,
    scale: f64,
    /// What parallax adds: displacement of content that is nearer by 1, in pixels; and its further growth.
    near_shift: [f64; 2],
    near_growth: f64,
}

impl Camera {
    /// The camera at one moment over a picture of `width` x `height` pixels, zoomed in by at least `cover`.
    pub fn new(control: &ControlFrame, cover: f64, width: usize, height: usize) -> Self {
        let size = [width as f64, height as f64];
        let pan = [f64::from(control.pan_x), f64::from(control.pan_y)];
        let truck = [f64::from(control.truck_x), f64::from(control.truck_y)];
        let angle = (f64::from(control.roll) * ROLL_DEGREES).to_radians();
        let zoom = ZOOM.powf(f64::from(control.zoom) + f64::from(control.push));
        Self {
            middle: size.map(|side| side / 2.0),
            shift: std::array::from_fn(|axis| TRAVEL * size[axis] * (pan[axis] + truck[axis])),
            sine: angle.sin(),
            cosine: angle.cos(),
            scale: if cover > 1.0 { zoom.max(cover) } else { zoom },
            near_shift: std::array::from_fn(|axis| PARALLAX * TRAVEL * size[axis] * truck[axis]),
            near_growth: PARALLAX * f64::from(control.push) * ZOOM.ln(),
        }
    }

    /// Where the point that is shown at `(x, y)` stands in the picture, relative to `(x, y)`: exactly 0 when the camera rests.
    pub fn source_offset(&self, x: f64, y: f64) -> [f64; 2] {
        let (x, y) = (x - self.middle[0] - self.shift[0], y - self.middle[1] - self.shift[1]);
        let (cosine, sine) = (self.cosine / self.scale - 1.0, self.sine / self.scale);
        [cosine * x + sine * y - self.shift[0], cosine * y - sine * x - self.shift[1]]
    }

    /// The further displacement, before turning and zooming, of a point of the picture that is nearer than the mean by `nearness`.
    pub fn parallax(&self, x: f64, y: f64, nearness: f64) -> [f64; 2] {
        let growth = (self.near_growth * nearness).exp_m1();
        [
            self.near_shift[0] * nearness / self.scale + growth * (x - self.middle[0]),
            self.near_shift[1] * nearness / self.scale + growth * (y - self.middle[1]),
        ]
    }

    /// Whether [`parallax`](Self::parallax) is zero everywhere.
    pub fn is_even(&self) -> bool {
        self.near_shift == [0.0, 0.0] && self.near_growth == 0.0
    }

    /// The factor by which the picture is zoomed in.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

/// The least zoom with which shift and roll of one moment show no border.
pub fn minimal_cover(control: &ControlFrame, width: usize, height: usize) -> f64 {
    let camera = Camera { scale: 1.0, ..Camera::new(control, 1.0, width, height) };
    let (width, height) = (width as f64, height as f64);
    let mut cover: f64 = 1.0;
    for (x, y) in [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)] {
        let offset = camera.source_offset(x, y);
        let from_middle = [x + offset[0] - width / 2.0, y + offset[1] - height / 2.0];
        cover = cover.max(from_middle[0].abs() / (width / 2.0)).max(from_middle[1].abs() / (height / 2.0));
    }
    cover
}

/// The zoom that covers the borders, for every frame of a clip: [`minimal_cover`] while that only grows, as in a pan; otherwise, as for a shaking camera, a
/// calm curve above it. 1 throughout when the camera zooms out, which shows what lies beyond the borders anyway.
pub fn cover_zooms(frames: &[ControlFrame], width: usize, height: usize) -> Vec<f64> {
    if frames.iter().any(|frame| frame.zoom + frame.push < -1e-3) {
        return vec![1.0; frames.len()];
    }
    let needed: Vec<f64> = frames.iter().map(|frame| minimal_cover(frame, width, height)).collect();
    if needed.windows(2).all(|pair| pair[1] >= pair[0] - 1e-6) {
        return needed;
    }
    // The highest so far, averaged over frames to come so that it has no corners; the average starts with the first frame alone, which must stay as it is.
    let mut highest = 1.0_f64;
    let so_far: Vec<f64> = needed
        .iter()
        .map(|&zoom| {
            highest = highest.max(zoom);
            highest
        })
        .collect();
    (0..so_far.len())
        .map(|index| {
            let reach = index.min(so_far.len() / 6);
            let window = &so_far[index..=(index + reach).min(so_far.len() - 1)];
            window.iter().sum::<f64>() / window.len() as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resting_camera_moves_nothing() {
        let camera = Camera::new(&ControlFrame::default(), 1.0, 1280, 720);
        assert_eq!(camera.source_offset(17.5, 300.25), [0.0, 0.0]);
        assert_eq!(minimal_cover(&ControlFrame::default(), 1280, 720), 1.0);
    }

    #[test]
    fn cover_is_exact() {
        let control = ControlFrame { pan_x: 1.0, pan_y: -0.3, roll: 0.7, ..ControlFrame::default() };
        let cover = minimal_cover(&control, 1280, 720);
        let camera = Camera::new(&control, cover, 1280, 720);
        let mut least = f64::INFINITY;
        for (x, y) in [(0.0, 0.0), (1280.0, 0.0), (0.0, 720.0), (1280.0, 720.0)] {
            let offset = camera.source_offset(x, y);
            let place = [x + offset[0], y + offset[1]];
            least = least.min(place[0]).min(1280.0 - place[0]).min(place[1]).min(720.0 - place[1]);
        }
        assert!(least.abs() < 1e-9, "the nearest corner stands {least} px inside");
    }

    #[test]
    fn cover_of_a_pan_is_minimal_and_of_a_shake_calm() {
        let pan: Vec<_> = (0..150).map(|n| ControlFrame { pan_x: n as f32 / 149.0, ..Default::default() }).collect();
        let cover = cover_zooms(&pan, 1280, 720);
        assert_eq!(cover[0], 1.0);
        assert!((cover[149] - 1.16).abs() < 1e-6);
        let shake: Vec<_> = (0..150)
            .map(|n| ControlFrame {
                pan_x: 0.1 * (n as f32 * 0.9).sin() * (n as f32 / 10.0).min(1.0),
                ..Default::default()
            })
            .collect();
        let cover = cover_zooms(&shake, 1280, 720);
        assert_eq!(cover[0], 1.0);
        for (index, frame) in shake.iter().enumerate() {
            assert!(cover[index] >= minimal_cover(frame, 1280, 720), "frame {index}");
        }
        let steepest = cover.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
        assert!(steepest < 0.004, "zoom changes by {steepest} a frame");
    }
}
