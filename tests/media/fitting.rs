//! Fitting a picture to the clip's size.

use stir::media::framing::{Fit, Framing, FramingRequest, cover};
use stir::picture::{Color, Picture, PixelBox};

use super::drawing;

const BARS: Color = Color([10, 200, 30]);

fn framing(picture: &Picture, fit: Fit, written: (usize, usize), side_multiple: usize) -> Framing {
    FramingRequest { written, fit, background: BARS, side_multiple }.of(picture)
}

/// What a clip of the standing picture shows.
fn written(picture: &Picture, fit: Fit, size: (usize, usize), side_multiple: usize) -> Picture {
    let framing = framing(picture, fit, size, side_multiple);
    framing.finish(framing.prepare(picture))
}

#[test]
fn the_same_size_is_the_same_picture() {
    let picture = drawing(50, 40, 0);
    assert_eq!(cover(&picture, 50, 40), picture);
    for fit in [Fit::Cover, Fit::Contain, Fit::Stretch] {
        assert_eq!(written(&picture, fit, (50, 40), 1), picture);
        assert_eq!(written(&picture, fit, (50, 40), 32), picture);
    }
}

#[test]
fn what_sticks_out_is_cut_evenly() {
    let steps: Vec<u8> = (0..6).flat_map(|step| [step * 40; 3]).collect();
    let middle = cover(&Picture::new(6, 2, steps.repeat(2)), 2, 2);
    assert_eq!([middle.pixel(0, 0), middle.pixel(1, 1)], [[80; 3], [120; 3]]);
    let middle = cover(&Picture::new(1, 6, steps), 1, 2);
    assert_eq!([middle.pixel(0, 0), middle.pixel(0, 1)], [[80; 3], [120; 3]]);
}

/// A dark box on white is found again where the mapping says, however the picture is cut, scaled and extended.
#[test]
fn a_box_goes_where_its_pixels_go() {
    let place = PixelBox { left: 90.0, top: 42.0, width: 24.0, height: 12.0 };
    let inside = |x: usize, y: usize| (90..114).contains(&x) && (42..54).contains(&y);
    let pixels = (0..200 * 100).flat_map(|index| [if inside(index % 200, index / 200) { 0 } else { 255 }; 3]).collect();
    let picture = Picture::new(200, 100, pixels);
    for fit in [Fit::Cover, Fit::Contain, Fit::Stretch] {
        for size in [(200, 100), (400, 200), (100, 100), (50, 48), (400, 60), (42, 100)] {
            for side_multiple in [1, 32] {
                let way = framing(&picture, fit, size, side_multiple);
                let prepared = way.prepare(&picture);
                let (width, height) = way.generated();
                assert_eq!((prepared.width(), prepared.height()), (width, height));
                let dark = |x: usize, y: usize| (255.0 - f64::from(prepared.pixel(x, y)[0])) / 255.0;
                let (mut mass, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
                // Without the margins, where the box may show again in the mirror.
                let shown = framing(&picture, fit, size, 1).generated();
                let (left, top) = ((width - shown.0) / 2, (height - shown.1) / 2);
                for (x, y) in (top..top + shown.1).flat_map(|y| (left..left + shown.0).map(move |x| (x, y))) {
                    mass += dark(x, y);
                    sum_x += dark(x, y) * (x as f64 + 0.5);
                    sum_y += dark(x, y) * (y as f64 + 0.5);
                }
                let mapped = way.place(&picture, place);
                let (x, y) = mapped.centre();
                let case = format!("{fit:?} {size:?} {side_multiple}: {mapped:?} of {mass}");
                assert!((sum_x / mass - x).abs() < 0.1 && (sum_y / mass - y).abs() < 0.1, "{case}");
                assert!((mass / (mapped.width * mapped.height) - 1.0).abs() < 0.03, "{case}");
            }
        }
    }
    let cut_off = framing(&picture, Fit::Cover, (100, 100), 1).place(&picture, PixelBox { left: 0.0, ..place });
    assert!(cut_off.left < 0.0, "{cut_off:?}");
}

/// A linear ramp stays the same ramp at another scale: no shift, no change of contrast.
#[test]
fn resizing_neither_shifts_nor_fades() {
    let ramp = |width: usize, height: usize| {
        let value = |x: usize| ((x as f64 + 0.5) / width as f64 * 240.0).round() as u8;
        Picture::new(width, height, (0..width).flat_map(|x| [value(x); 3]).collect::<Vec<_>>().repeat(height))
    };
    let sizes = [
        ((400, 300), (200, 150)),
        ((400, 300), (120, 90)),
        ((200, 150), (400, 300)),
        // In blocks first; the last block is smaller.
        ((2000, 1500), (200, 150)),
        ((2003, 1501), (202, 151)),
    ];
    for (from, to) in sizes {
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
    for side in [200, 1100] {
        let value = |i: usize| if (i / side + i % side).is_multiple_of(2) { 0 } else { 255 };
        let checkers = (0..side * side).flat_map(|i| [value(i); 3]).collect();
        let small = cover(&Picture::new(side, side, checkers), 70, 70);
        for y in 4..66 {
            for x in 4..66 {
                assert!(small.pixel(x, y)[0].abs_diff(127) < 12, "{side}, ({x}, {y}): {:?}", small.pixel(x, y));
            }
        }
    }
}

#[test]
fn enlarged_edges_are_sharp_and_have_no_halo() {
    let row: Vec<u8> = (0..20).flat_map(|x| [if x < 10 { 40 } else { 220 }; 3]).collect();
    let large = cover(&Picture::new(20, 20, row.repeat(20)), 80, 80);
    for x in 0..80 {
        let value = large.pixel(x, 40)[0];
        assert!((40..=220).contains(&value), "column {x}: {value}");
        // The step takes one of the old pixels.
        if !(38..=41).contains(&x) {
            assert_eq!(value, if x < 40 { 40 } else { 220 }, "column {x}");
        }
    }
}

/// Averaging in blocks before filtering makes no visible difference to filtering alone.
#[test]
fn large_pictures_shrink_as_well_as_small_ones() {
    let large = drawing(1900, 1300, 0);
    let (width, height) = (152, 104);
    let shrunk = cover(&large, width, height);
    let whole = image::RgbImage::from_raw(1900, 1300, large.pixels().to_vec()).unwrap();
    let filter = image::imageops::FilterType::Lanczos3;
    let filtered = image::imageops::resize(&whole, width as u32, height as u32, filter).into_raw();
    let squares = shrunk.pixels().iter().zip(&filtered).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let error = squares.sum::<f64>() / filtered.len() as f64;
    let psnr = 10.0 * (255.0 * 255.0 / error).log10();
    assert!(psnr > 45.0, "{psnr:.1} dB");
}

#[test]
fn resizing_does_not_depend_on_the_number_of_threads() {
    let picture = drawing(700, 500, 0);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| [cover(&picture, 128, 90), cover(&picture, 900, 720)])
    };
    assert!(on(1) == on(3));
}

#[test]
fn an_extreme_aspect_is_cut_before_it_is_enlarged() {
    let thread = Picture::new(20_000, 2, vec![90; 20_000 * 2 * 3]);
    let covered = cover(&thread, 1280, 720);
    assert_eq!((covered.width(), covered.height()), (1280, 720));
    assert!(covered.pixels().iter().all(|value| *value == 90));
}

#[test]
fn a_models_grid_is_met_by_generating_more() {
    let picture = drawing(160, 90, 0);
    for (written, side_multiple, generated) in [
        ((1280, 720), 32, (1280, 736)),
        ((1280, 720), 1, (1280, 720)),
        ((854, 480), 32, (864, 480)),
        ((480, 854), 16, (480, 864)),
        ((34, 32), 32, (64, 32)),
    ] {
        assert_eq!(framing(&picture, Fit::Cover, written, side_multiple).generated(), generated);
        assert_eq!(framing(&picture, Fit::Stretch, written, side_multiple).generated(), generated);
    }
}

#[test]
fn what_is_generated_too_much_is_the_picture_mirrored_and_is_cut_off() {
    let picture = drawing(90, 70, 0);
    for fit in [Fit::Cover, Fit::Contain, Fit::Stretch] {
        for size in [(90, 70), (64, 40), (40, 64), (120, 100)] {
            let plain = written(&picture, fit, size, 1);
            assert_eq!((plain.width(), plain.height()), size);
            assert!(written(&picture, fit, size, 32) == plain, "{fit:?} {size:?}");
        }
    }
    let prepared = framing(&picture, Fit::Cover, (90, 70), 32).prepare(&picture);
    assert_eq!((prepared.width(), prepared.height()), (96, 96));
    // Three columns on either side, thirteen rows above and below.
    for (x, y, from) in [(3, 13, (0, 0)), (2, 12, (0, 0)), (0, 13, (2, 0)), (95, 20, (87, 7)), (50, 95, (47, 57))] {
        assert_eq!(prepared.pixel(x, y), picture.pixel(from.0, from.1), "({x}, {y})");
    }
    // Narrower than its margin: mirrored more than once.
    let narrow = Picture::new(2, 2, vec![0, 0, 0, 90, 90, 90, 0, 0, 0, 90, 90, 90]);
    let prepared = framing(&narrow, Fit::Cover, (2, 2), 12).prepare(&narrow);
    let row: Vec<u8> = (0..12).map(|x| prepared.pixel(x, 6)[0]).collect();
    assert_eq!(row, [0, 0, 90, 90, 0, 0, 90, 90, 0, 0, 90, 90]);
}

#[test]
fn a_contained_picture_is_seen_whole_between_bars() {
    let picture = Picture::new(300, 200, [90, 80, 70].repeat(300 * 200));
    // Size of the clip, and the box that the picture fills: left, top, width, height.
    for (size, [left, top, width, height]) in [
        ((640, 480), [0, 27, 640, 426]),
        ((480, 640), [0, 160, 480, 320]),
        // What is generated has the size of the clip, but not its bars.
        ((640, 448), [0, 11, 640, 426]),
        ((300, 200), [0, 0, 300, 200]),
        ((1000, 200), [350, 0, 300, 200]),
        ((32, 4000), [0, 1989, 32, 22]),
    ] {
        for side_multiple in [1, 32] {
            let clip = written(&picture, Fit::Contain, size, side_multiple);
            assert_eq!((clip.width(), clip.height()), size);
            for y in 0..size.1 {
                for x in 0..size.0 {
                    let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
                    let wanted = if inside { [90, 80, 70] } else { BARS.0 };
                    assert_eq!(clip.pixel(x, y), wanted, "{size:?} {side_multiple}: ({x}, {y})");
                }
            }
        }
    }
    let framing = framing(&picture, Fit::Contain, (640, 480), 1);
    assert_eq!(framing.shown_part(&picture), [0, 0, 300, 200]);
    assert_eq!(framing.generated(), (640, 426), "the bars are not generated");
}

#[test]
fn a_hair_of_a_picture_is_still_seen() {
    let hair = Picture::new(20_000, 1, vec![90; 60_000]);
    let framing = framing(&hair, Fit::Contain, (640, 480), 1);
    assert_eq!(framing.generated(), (640, 2));
    let clip = framing.finish(framing.prepare(&hair));
    assert_eq!([clip.pixel(320, 238), clip.pixel(320, 239), clip.pixel(320, 241)], [BARS.0, [90; 3], BARS.0]);
}

#[test]
fn a_stretched_picture_is_seen_whole() {
    let steps: Vec<u8> = (0..4).flat_map(|step| [step * 60; 3]).collect();
    let picture = Picture::new(4, 2, steps.repeat(2));
    let stretched = written(&picture, Fit::Stretch, (4, 40), 1);
    for y in 0..40 {
        for x in 0..4 {
            assert_eq!(stretched.pixel(x, y), picture.pixel(x, 0), "({x}, {y})");
        }
    }
    assert_eq!(framing(&picture, Fit::Stretch, (4, 40), 1).shown_part(&picture), [0, 0, 4, 2]);
}
