//! Fitting a picture to the clip's size.

use stir::media::image::cover;
use stir::picture::Picture;

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
