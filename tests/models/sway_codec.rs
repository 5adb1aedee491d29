//! The codec against the reference in Python.

use stir::latents::Latents;
use stir::models::sway::codec::Motion;
use stir::units::{Clip, Fps, PixelFrames};

use crate::fixture::{assert_close, fixture};

/// float64 on both sides, but the fixture rounds positions and results to float32: measured 9e-7.
const TOLERANCE: f64 = 2e-6;

#[test]
fn curves_and_fields_are_those_of_the_reference() {
    let reference = fixture("sway/codec.safetensors");
    let parts = [("latents", reference.get("latents")), ("control", reference.get("control"))];
    let clip = Clip { width: 64, height: 64, frames: PixelFrames(150), fps: Fps(25.0) };
    let motion = Motion::decode(&Latents { parts: parts.into() }, &clip).unwrap();

    let (mut blink, mut camera, mut body) = (vec![vec![]; 2], vec![vec![]; 7], vec![vec![]; 7]);
    let mut fields = vec![vec![]; 4];
    for position in reference.values("positions") {
        let frame = motion.at(position, position);
        let control = frame.control;
        for (series, value) in blink.iter_mut().zip([control.blink_left, control.blink_right]) {
            series.push(f64::from(value));
        }
        let path =
            [control.pan_x, control.pan_y, control.truck_x, control.truck_y, control.zoom, control.push, control.roll];
        for (series, value) in camera.iter_mut().zip(path) {
            series.push(f64::from(value));
        }
        let pose = [
            control.head_yaw,
            control.head_pitch,
            control.head_roll,
            control.head_bob,
            control.breath,
            control.light_gain,
            control.warmth,
        ];
        for (series, value) in body.iter_mut().zip(pose) {
            series.push(f64::from(value));
        }
        for (channel, series) in fields.iter_mut().enumerate() {
            let field = if channel < 2 { frame.hair_field } else { frame.cloth_field };
            series.extend(field.iter().flatten().map(|point| f64::from(point[channel % 2])));
        }
    }
    for (name, series) in [("blink", blink), ("camera", camera), ("body", body), ("fields", fields)] {
        assert_close(name, &series.concat(), &reference.values(name), TOLERANCE);
    }
}
