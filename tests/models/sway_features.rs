//! Image features against the reference in Python.

use stir::models::sway::class_map::ClassMap;
use stir::models::sway::curve::Point;
use stir::models::sway::features::{Figure, features};
use stir::models::sway::parts::{Head, Rectangle};

use crate::fixture::{assert_close, fixture, values};

/// float64 sums on both sides, rounded to float32.
const TOLERANCE: f64 = 2.0 * f32::EPSILON as f64;

#[test]
fn features_are_those_of_the_reference() {
    let reference = fixture("sway/features.safetensors");
    let map = ClassMap::from_tensor(&reference.get("probabilities")).unwrap();
    let [x, y, radius] = reference.values("head")[..] else { panic!("head is x, y, radius") };
    // The face's bounds do not enter into the features.
    let face = Rectangle { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius };
    let head = Head { centre: Point { x, y }, radius, face };
    let eyes = reference.values("open_eyes");
    let eyes_open = [eyes[0] > 0.5, eyes[1] > 0.5];
    let figure = Figure { width: map.width(), height: map.height(), head: Some(&head), eyes_open };
    for (name, figure) in [("features", figure), ("features_without_head", Figure { head: None, ..figure })] {
        let found = features(&map, figure).unwrap();
        assert_eq!(found.dims(), [1, 6, 6, 16]);
        assert_close(name, &values(&found), &reference.values(name), TOLERANCE);
    }
}
