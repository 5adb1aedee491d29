//! Fitting a picture to the clip's size.

use stir::media::image::{cover, cover_box};
use stir::picture::{Picture, PixelBox};

use super::drawing;

#[test]
fn the_same_size_is_the_same_picture() {
    let picture = drawing(50, 40, 0);
    assert_eq!(cover(&picture, 50, 40), picture);
}

#[test]
fn what_sticks_out_is_cut_evenly() {
    let steps: Vec<u8> = (0..6).flat_map(|step| [step * 40; 3]).collect();
    let middle = cover(&Picture::new(6, 2, steps.repeat(2)), 2, 2);
    assert_eq!([middle.pixel(0, 0), middle.pixel(1, 1)], [[80; 3], [120; 3]]);
    let middle = cover(&Picture::new(1, 6, steps), 1, 2);
    assert_eq!([middle.pixel(0, 0), middle.pixel(0, 1)], [[80; 3], [120; 3]]);
}

/// A dark box on white is found again where the mapping says, however the picture is cut and scaled.
#[test]
fn a_box_goes_where_its_pixels_go() {
    let place = PixelBox { left: 90.0, top: 42.0, width: 24.0, height: 12.0 };
    let inside = |x: usize, y: usize| (90..114).contains(&x) && (42..54).contains(&y);
    let pixels = (0..200 * 100).flat_map(|index| [if inside(index % 200, index / 200) { 0 } else { 255 }; 3]).collect();
    let picture = Picture::new(200, 100, pixels);
    for (width, height) in [(200, 100), (400, 200), (100, 100), (50, 48), (400, 60), (41, 100)] {
        let covered = cover(&picture, width, height);
        let dark = |x: usize, y: usize| (255.0 - f64::from(covered.pixel(x, y)[0])) / 255.0;
        let (mut mass, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            mass += dark(x, y);
            sum_x += dark(x, y) * (x as f64 + 0.5);
            sum_y += dark(x, y) * (y as f64 + 0.5);
        }
        let mapped = cover_box(&picture, place, width, height);
        let (x, y) = mapped.centre();
        assert!((sum_x / mass - x).abs() < 0.1 && (sum_y / mass - y).abs() < 0.1, "{width}x{height}: {mapped:?}");
        assert!((mass / (mapped.width * mapped.height) - 1.0).abs() < 0.03, "{width}x{height}: {mapped:?} of {mass}");
    }
    let cut_off = cover_box(&picture, PixelBox { left: 0.0, ..place }, 100, 100);
    assert!(cut_off.left < 0.0, "{cut_off:?}");
}

/// A linear ramp stays the same ramp at another scale: no shift, no change of contrast.
#[test]
fn resizing_neither_shifts_nor_fades() {
    let ramp = |width: usize, height: usize| {
        let value = |x: usize| ((x as f64 + 0.5) / width as f64 * 240.0).round() as u8;
        Picture::new(width, height, (0..width).flat_map(|x| [value(x); 3]).collect::<Vec<_>>().repeat(height))
    };
    for (from, to) in [((400, 300), (200, 150)), ((400, 300), (120, 90)), ((200, 150), (400, 300))] {
        let resized = cover(&ramp(from.0, from.1), to.0, to.1);
        let wanted = ramp(to.0, to.1);
        // At the borders the filter sees a flat continuation.
        for x in 8..to.0 - 8 {
            let (found, wanted) = (resized.pixel(x, to.1 / 2)[0], wanted.pixel(x, 0)[0]);
            assert!(found.abs_diff(wanted) <= 1, "{from:?} to {to:?}, column {x}: {found}, {wanted}");
        }
    }
}

#[test]
fn fine_patterns_do_not_alias() {
    let checkers = (0..200 * 200).flat_map(|i| [if (i / 200 + i % 200) % 2 == 0 { 0 } else { 255 }; 3]).collect();
    let small = cover(&Picture::new(200, 200, checkers), 70, 70);
    for y in 4..66 {
        for x in 4..66 {
            assert!(small.pixel(x, y)[0].abs_diff(127) < 12, "({x}, {y}): {:?}", small.pixel(x, y));
        }
    }
}

#[test]
fn an_extreme_aspect_is_cut_before_it_is_enlarged() {
    let thread = Picture::new(20_000, 2, vec![90; 20_000 * 2 * 3]);
    let covered = cover(&thread, 1280, 720);
    assert_eq!((covered.width(), covered.height()), (1280, 720));
    assert!(covered.pixels().iter().all(|value| *value == 90));
}
