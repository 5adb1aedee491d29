//! What is seen: the renderer on a drawn figure whose parts are known exactly.

use stir::models::sway::class_map::{ClassMap, class};
use stir::models::sway::decoder::FrameRenderer;
use stir::models::sway::decoder::camera::{Camera, minimal_cover};
use stir::models::sway::decoder::deform::Deformation;
use stir::models::sway::decoder::puppet::Puppet;
use stir::models::sway::motion::{ControlFrame, MotionFrame};
use stir::models::sway::parts::{Head, Parts};
use stir::ops::warp::{MARGIN, STEP};
use stir::picture::Picture;

use crate::drawn_figure::{Scene, everything, gust, with};

fn difference(a: &Picture, b: &Picture, column: usize, row: usize) -> u8 {
    let (a, b) = (a.pixel(column, row), b.pixel(column, row));
    (0..3).map(|lane| a[lane].abs_diff(b[lane])).max().unwrap()
}

/// Centre of mass of how much darker the picture is than `level`.
fn centre_of_dark(picture: &Picture, level: f64) -> [f64; 2] {
    let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
    for row in 0..picture.height() {
        for column in 0..picture.width() {
            let weight = (level - f64::from(picture.pixel(column, row)[0])).max(0.0);
            sum += weight;
            x += weight * (column as f64 + 0.5);
            y += weight * (row as f64 + 0.5);
        }
    }
    [x / sum, y / sum]
}

/// Soft dark dots of 5 px on white, without any figure.
fn dots(width: usize, height: usize, places: &[(f64, f64)]) -> (Picture, ClassMap) {
    let mut pixels = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let nearest = places
                .iter()
                .map(|(x, y)| (column as f64 + 0.5 - x).hypot(row as f64 + 0.5 - y))
                .fold(f64::INFINITY, f64::min);
            pixels.extend([(255.0 - 200.0 * (5.0 - nearest).clamp(0.0, 1.0)) as u8; 3]);
        }
    }
    let cells = width / 4 * (height / 4);
    let mut values = vec![0.0; class::COUNT * cells];
    values[..cells].fill(1.0);
    (Picture::new(width, height, pixels), ClassMap::new(width / 4, height / 4, values).unwrap())
}

#[test]
fn head_and_eyes_are_found_where_they_are() {
    let scene = Scene::portrait();
    let (_, map) = scene.draw();
    let parts = Parts::find(&map, scene.width, scene.height);
    let head = parts.head.unwrap();
    assert!((head.centre.x - 200.0).abs() < 2.0 && (head.centre.y - 124.0).abs() < 4.0, "{head:?}");
    assert!((45.0..56.0).contains(&head.radius), "{head:?}");
    for (eye, x) in [(parts.left_eye.unwrap(), 179.0), (parts.right_eye.unwrap(), 221.0)] {
        assert!((eye.centre().x - x).abs() < 2.0 && (eye.centre().y - 122.5).abs() < 3.0, "{eye:?}");
        assert!((eye.width() - 26.0).abs() < 4.0 && (eye.height() - 17.0).abs() < 4.0, "{eye:?}");
    }
    assert!(parts.notes.is_empty(), "{:?}", parts.notes);
}

#[test]
fn one_eye_blinks_only_if_the_other_is_hidden() {
    let scene = Scene { lock: true, ..Scene::portrait() };
    let parts = Parts::find(&scene.draw().1, scene.width, scene.height);
    assert_eq!(parts.eyes_open(), [true, false], "hidden by a lock: {:?}", parts.notes);
    let scene = Scene { eyes: [true, false], ..Scene::portrait() };
    let parts = Parts::find(&scene.draw().1, scene.width, scene.height);
    assert_eq!(parts.eyes_open(), [false, false], "the other one overlooked");
    assert!(parts.notes[0].contains("nothing blinks"), "{:?}", parts.notes);
    let scene = Scene { eyes: [false, false], ..Scene::portrait() };
    let parts = Parts::find(&scene.draw().1, scene.width, scene.height);
    assert_eq!(parts.eyes_open(), [false, false]);
    assert!(parts.notes[0].contains("no open eyes"), "{:?}", parts.notes);
}

#[test]
fn nothing_moves_without_motion() {
    let (picture, mut renderer) = Scene::portrait().renderer();
    assert!(renderer.render(&MotionFrame::default()) == picture);
    renderer.render(&everything());
    assert!(renderer.render(&MotionFrame::default()) == picture, "after another frame");
}

#[test]
fn a_frame_does_not_depend_on_the_frames_before() {
    let (_, mut renderer) = Scene::portrait().renderer();
    let first = renderer.render(&everything());
    renderer.render(&with(ControlFrame { zoom: -1.0, blink_left: 0.4, ..ControlFrame::default() }));
    assert!(renderer.render(&everything()) == first);
}

#[test]
fn threads_change_nothing() {
    let draw = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Scene::portrait().renderer().1.render(&everything()))
    };
    assert!(draw(1) == draw(4));
}

#[test]
fn hair_moves_and_face_and_background_do_not() {
    let (picture, mut renderer) = Scene::portrait().renderer();
    let frame = renderer.render(&MotionFrame { hair_field: gust(2.0), ..MotionFrame::default() });
    let mut moved = 0;
    for row in 0..picture.height() {
        for column in 0..picture.width() {
            let (x, y) = (column as f64 + 0.5 - 200.0, row as f64 + 0.5 - 120.0);
            let change = difference(&frame, &picture, column, row);
            let inside_face = x.hypot(y) < 44.0 && y > -30.0;
            let far = x.abs() > 110.0 || y < -90.0;
            assert!(change == 0 || !(inside_face || far), "({column}, {row}) changes by {change}");
            moved += usize::from(change > 20);
        }
    }
    assert!(moved > 300, "only {moved} pixels of hair move");
}

#[test]
fn the_face_stays_rigid() {
    let scene = Scene::portrait();
    let (picture, map) = scene.draw();
    let head = Parts::find(&map, scene.width, scene.height).head.unwrap();
    let deformation = deform(&picture, &map, &head, &everything());
    // Affine least squares over the face, per axis.
    let mut points = Vec::new();
    for row in -8..=8 {
        for column in -8..=8 {
            let (u, v) = (f64::from(column) / 10.0, f64::from(row) / 10.0);
            if u * u + v * v < 0.7 && v > -0.6 {
                let place = (head.centre.x + u * head.radius, head.centre.y + v * head.radius);
                points.push(([1.0, u, v], deformation.at(place.0 as f32, place.1 as f32)));
            }
        }
    }
    for axis in 0..2 {
        let mut residuals: Vec<f64> = points.iter().map(|(_, moved)| f64::from(moved[axis])).collect();
        // Enough sweeps of coordinate descent on three well separated unknowns.
        for sweep in 0..300 {
            let basis = sweep % 3;
            let top: f64 = points.iter().zip(&residuals).map(|((known, _), rest)| known[basis] * rest).sum();
            let bottom: f64 = points.iter().map(|(known, _)| known[basis] * known[basis]).sum();
            for ((known, _), rest) in points.iter().zip(&mut residuals) {
                *rest -= top / bottom * known[basis];
            }
        }
        let worst = residuals.iter().fold(0.0_f64, |worst, rest| worst.max(rest.abs()));
        assert!(worst < 0.3, "axis {axis}: {worst} px from an affine motion");
    }
}

/// The deformation of `motion` with the camera at rest but for parallax.
fn deform(picture: &Picture, map: &ClassMap, head: &Head, motion: &MotionFrame) -> Deformation {
    let puppet = Puppet::new(picture, map, Some(head));
    let size = [picture.width(), picture.height()];
    let control = ControlFrame { truck_y: 0.0, push: 0.0, ..motion.control };
    let motion = MotionFrame { control, ..*motion };
    Deformation::new(&puppet, &motion, &Camera::new(&control, 1.0, size[0], size[1]), size).unwrap()
}

#[test]
fn the_deformation_is_inverted_and_never_folds() {
    let scene = Scene::portrait();
    let (picture, map) = scene.draw();
    let head = Parts::find(&map, scene.width, scene.height).head.unwrap();
    for strength in [0.5, 2.0, 8.0] {
        let motion = MotionFrame { hair_field: gust(strength), cloth_field: gust(strength), ..everything() };
        let deformation = deform(&picture, &map, &head, &motion);
        let (mut worst, mut least) = (0.0_f32, f32::INFINITY);
        for row in 1..60 {
            for column in 1..80 {
                let (x, y) = (5.0 * column as f32 - 1.3, 5.0 * row as f32 - 0.7);
                let back = deformation.inverse(x, y);
                let forth = deformation.at(x + back[0], y + back[1]);
                worst = worst.max((back[0] + forth[0]).hypot(back[1] + forth[1]));
                let (right, below, here) =
                    (deformation.at(x + 1.0, y), deformation.at(x, y + 1.0), deformation.at(x, y));
                let determinant = (1.0 + right[0] - here[0]) * (1.0 + below[1] - here[1])
                    - (below[0] - here[0]) * (right[1] - here[1]);
                least = least.min(determinant);
            }
        }
        assert!(worst < 0.1, "strength {strength}: inverted with an error of {worst} px");
        assert!(least > 0.2, "strength {strength}: area shrinks to {least}");
    }
}

#[test]
fn pans_move_the_content_by_eight_percent() {
    for (control, wanted) in [
        (ControlFrame { pan_x: 1.0, ..ControlFrame::default() }, [25.6, 0.0]),
        (ControlFrame { pan_x: -1.0, ..ControlFrame::default() }, [-25.6, 0.0]),
        (ControlFrame { pan_y: 1.0, ..ControlFrame::default() }, [0.0, 16.0]),
        (ControlFrame { truck_x: 1.0, ..ControlFrame::default() }, [25.6, 0.0]),
        (ControlFrame { truck_y: -1.0, ..ControlFrame::default() }, [0.0, -16.0]),
    ] {
        let (picture, map) = dots(320, 200, &[(160.0, 100.0)]);
        let frame = FrameRenderer::new(picture, &map).render(&with(control));
        let [x, y] = centre_of_dark(&frame, 255.0);
        // Parallax of a picture without figure depends on the height.
        let tolerance = if control.truck_x != 0.0 || control.truck_y != 0.0 { 3.5 } else { 0.1 };
        let moved = [x - 160.0, y - 100.0];
        for axis in 0..2 {
            assert!((moved[axis] - wanted[axis]).abs() < tolerance, "{control:?} moves by {moved:?}");
        }
    }
}

#[test]
fn zooms_grow_the_content_by_a_fifth() {
    for (zoom, factor) in [(1.0, 1.2), (0.5, 1.2_f64.sqrt()), (-1.0, 1.0 / 1.2)] {
        let (picture, map) = dots(320, 200, &[(100.0, 100.0)]);
        let control = ControlFrame { zoom, ..ControlFrame::default() };
        let mut frame = FrameRenderer::new(picture, &map).render(&with(control));
        // What is mirrored beyond the border is not the dot.
        let width = frame.width();
        for pixel in 0..width * frame.height() {
            if pixel % width > 200 {
                frame.pixels_mut()[3 * pixel..3 * pixel + 3].fill(255);
            }
        }
        let [x, y] = centre_of_dark(&frame, 255.0);
        assert!((160.0 - x - 60.0 * factor).abs() < 0.2, "zoom {zoom}: the dot is {} px from the middle", 160.0 - x);
        assert!((y - 100.0).abs() < 0.1);
    }
}

#[test]
fn no_border_is_ever_shown() {
    let (_, renderer) = Scene::portrait().renderer();
    let mut controls = vec![everything().control];
    for step in 0..40 {
        let part = |shift: f64| ((step as f64 * 0.77 + shift) * 1.9).sin() as f32;
        controls.push(ControlFrame {
            pan_x: part(0.0),
            pan_y: part(1.0),
            truck_x: part(2.0),
            truck_y: part(3.0),
            roll: 2.0 * part(4.0),
            push: part(5.0).max(0.0),
            head_yaw: 2.0 * part(6.0),
            breath: part(7.0),
            ..ControlFrame::default()
        });
    }
    for control in controls {
        let motion = MotionFrame { control, hair_field: gust(2.0), cloth_field: gust(2.0) };
        let grid = renderer.displacements(&motion, minimal_cover(&control, 400, 300));
        for (node, value) in grid.values.iter().enumerate() {
            let place = |index: usize| (index as f32 - MARGIN as f32 + 0.5) * STEP as f32;
            let (x, y) = (place(node % grid.columns), place(node / grid.columns));
            if !(0.0..=400.0).contains(&x) || !(0.0..=300.0).contains(&y) {
                continue;
            }
            let (x, y) = (x + value[0], y + value[1]);
            let beyond = (-x).max(x - 400.0).max(-y).max(y - 300.0);
            assert!(beyond < 0.02, "{control:?} shows what is {beyond} px beyond the border");
        }
    }
}

#[test]
fn lids_change_their_eye_only() {
    let (picture, mut renderer) = Scene::portrait().renderer();
    let mut covered = Vec::new();
    for closure in [0.3, 0.7, 1.0] {
        let frame = renderer.render(&with(ControlFrame { blink_left: closure, ..ControlFrame::default() }));
        let mut changed = 0;
        for row in 0..picture.height() {
            for column in 0..picture.width() {
                let (x, y) = (column as f64 + 0.5 - 179.0, row as f64 + 0.5 - 122.5);
                let change = difference(&frame, &picture, column, row);
                assert!(change <= 2 || (x.abs() < 22.0 && y.abs() < 18.0), "({column}, {row}) changes by {change}");
                changed += usize::from(change > 40);
            }
        }
        covered.push(changed);
    }
    assert!(covered[0] > 60 && covered[1] > covered[0], "the lid covers {covered:?} pixels");
    let closed = renderer.render(&with(ControlFrame { blink_left: 1.0, ..ControlFrame::default() }));
    // Nothing of white or iris is left, and the lash is now low.
    for row in 105..140 {
        for column in 166..192 {
            let [red, green, blue] = closed.pixel(column, row).map(i32::from);
            assert!(blue < red + 25, "({column}, {row}) is still [{red}, {green}, {blue}]");
        }
    }
    let dark = (103..145).filter(|&row| closed.pixel(179, row)[0] < 110).collect::<Vec<_>>();
    assert!(!dark.is_empty() && dark.iter().all(|row| (122..133).contains(row)), "the closed lash stands at {dark:?}");
}

#[test]
fn light_brightens_dims_and_warms_without_clipping() {
    let (picture, mut renderer) = Scene::portrait().renderer();
    let mean = |picture: &Picture, lane: usize| {
        picture.pixels().iter().skip(lane).step_by(3).map(|&value| f64::from(value)).sum::<f64>()
            / (picture.width() * picture.height()) as f64
    };
    let bright = renderer.render(&with(ControlFrame { light_gain: 1.0, ..ControlFrame::default() }));
    let dim = renderer.render(&with(ControlFrame { light_gain: -1.0, ..ControlFrame::default() }));
    let warm = renderer.render(&with(ControlFrame { warmth: 1.0, ..ControlFrame::default() }));
    for lane in 0..3 {
        let (up, down) = (mean(&bright, lane) / mean(&picture, lane), mean(&dim, lane) / mean(&picture, lane));
        assert!((1.04..1.13).contains(&up) && (0.85..0.91).contains(&down), "lane {lane}: {up} and {down}");
    }
    assert!(mean(&warm, 0) > mean(&picture, 0) + 2.0 && mean(&warm, 2) < mean(&picture, 2) - 4.0);
}

#[test]
fn odd_pictures_do_not_stop_it() {
    let portrait = Scene::portrait();
    for scene in [
        Scene { width: 64, height: 64, face: (32.0, 28.0, 12.0), ..portrait },
        Scene { width: 32, height: 32, face: (16.0, 16.0, 5.0), ..portrait },
        Scene { width: 640, height: 64, face: (320.0, 30.0, 20.0), ..portrait },
        Scene { width: 66, height: 402, face: (30.0, 200.0, 25.0), ..portrait },
        // Eyes cut by the border.
        Scene { face: (20.0, 120.0, 50.0), ..portrait },
        Scene { face: (200.0, 2.0, 60.0), ..portrait },
        Scene { face: (390.0, 290.0, 50.0), ..portrait },
        // Larger than the picture, and nobody at all.
        Scene { face: (200.0, 150.0, 400.0), ..portrait },
        Scene { face: (200.0, 150.0, 0.0), ..portrait },
    ] {
        let (picture, mut renderer) = scene.renderer();
        assert!(renderer.render(&MotionFrame::default()) == picture);
        for motion in [everything(), with(ControlFrame { zoom: -1.5, pan_x: 1.0, ..ControlFrame::default() })] {
            let frame = renderer.render(&motion);
            assert_eq!((frame.width(), frame.height()), (scene.width, scene.height));
        }
    }
    for class in 0..class::COUNT {
        let mut values = vec![0.0; class::COUNT * 12];
        values[class * 12..(class + 1) * 12].fill(1.0);
        let picture = Picture::new(48, 36, vec![128; 48 * 36 * 3]);
        let mut renderer = FrameRenderer::new(picture, &ClassMap::new(4, 3, values).unwrap());
        renderer.render(&everything());
    }
}
