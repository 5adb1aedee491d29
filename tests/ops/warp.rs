//! The warp against cubic spline interpolation in float64.

use std::sync::Mutex;

use proptest::prelude::*;
use stir::ops::gemm::Kernels;
use stir::ops::warp::{DisplacementGrid, PixelRectangle, RowColours, SplinePicture, round_row, warp, warp_with};
use stir::picture::Picture;

use crate::pictures::noise;

fn warped(spline: &SplinePicture, grid: &DisplacementGrid) -> Picture {
    warp(spline, grid, |_, _, colours, bytes| round_row(colours, bytes))
}

fn uniform(picture: &Picture, displacement: [f32; 2]) -> DisplacementGrid {
    DisplacementGrid::from_fn(picture.width(), picture.height(), |_, _| displacement)
}

/// The cubic spline through `samples`, mirrored far beyond both ends, at continuous index `x`: the tridiagonal system solved directly.
fn spline_1d(samples: &[f64], x: f64) -> f64 {
    const REACH: isize = 60;
    let size = samples.len() as isize;
    let mirrored = |index: isize| {
        let index = index.rem_euclid(2 * size);
        samples[(if index < size { index } else { 2 * size - 1 - index }) as usize]
    };
    let count = (size + 2 * REACH) as usize;
    // c[i - 1] / 6 + 4 c[i] / 6 + c[i + 1] / 6 = s[i]
    let mut ratio = vec![0.0; count];
    let mut value = vec![0.0; count];
    for i in 0..count {
        let previous = if i > 0 { (ratio[i - 1], value[i - 1]) } else { (0.0, 0.0) };
        let pivot = 4.0 - previous.0;
        ratio[i] = 1.0 / pivot;
        value[i] = (6.0 * mirrored(i as isize - REACH) - previous.1) / pivot;
    }
    for i in (0..count - 1).rev() {
        value[i] -= ratio[i] * value[i + 1];
    }
    let first = x.floor();
    let t = x - first;
    let u = 1.0 - t;
    let sharpening = 0.046 * (4.0 * t * u).powi(3);
    let weights = [
        u * u * u / 6.0 - sharpening * u,
        (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0 - sharpening * (t - 2.0 * u),
        (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0 - sharpening * (u - 2.0 * t),
        t * t * t / 6.0 - sharpening * t,
    ];
    (0..4).map(|tap| weights[tap] * value[(first as isize + REACH - 1 + tap as isize) as usize]).sum()
}

#[test]
fn sampling_agrees_with_the_spline_in_float64() {
    let picture = noise(23, 17);
    let spline = SplinePicture::new(picture.clone());
    for (column, row, dx, dy) in [
        (5, 6, 0.37_f32, -0.81_f32),
        (0, 0, 0.5, 0.5),
        (22, 16, -0.25, 0.4),
        (11, 8, 6.9, -5.3),
        (0, 3, -3.7, 0.0),
        (20, 2, 5.2, 9.1),
    ] {
        let found = spline.sample(column, row, [dx, dy]);
        for (lane, found) in found.into_iter().enumerate().take(3) {
            let lines: Vec<f64> = (0..17)
                .map(|y| {
                    let line: Vec<f64> = (0..23).map(|x| f64::from(picture.pixel(x, y)[lane])).collect();
                    spline_1d(&line, column as f64 + f64::from(dx))
                })
                .collect();
            let wanted = spline_1d(&lines, row as f64 + f64::from(dy));
            let error = (f64::from(found) - wanted).abs();
            assert!(error < 1e-3, "at ({column}, {row}) + ({dx}, {dy}): {found} against {wanted}");
        }
    }
}

#[test]
fn no_displacement_copies_the_pixels() {
    let picture = noise(37, 21);
    let spline = SplinePicture::new(picture.clone());
    assert_eq!(warped(&spline, &uniform(&picture, [0.0, 0.0])), picture);
}

#[test]
fn whole_pixels_are_moved_exactly_and_mirrored_beyond_the_border() {
    let picture = noise(40, 30);
    let frame = warped(&SplinePicture::new(picture.clone()), &uniform(&picture, [-3.0, 25.0]));
    for row in 0..30 {
        for column in 0..40 {
            let x = if column >= 3 { column - 3 } else { 2 - column };
            let y = if row + 25 < 30 { row + 25 } else { 59 - (row + 25) };
            assert_eq!(frame.pixel(column, row), picture.pixel(x, y), "({column}, {row})");
        }
    }
}

#[test]
fn displacements_are_interpolated_smoothly_between_nodes() {
    // A linear displacement is reproduced exactly, so a magnified ramp stays a ramp.
    let picture =
        Picture::new(64, 48, (0..48 * 64).flat_map(|i| [(4 * (i % 64)) as u8, (5 * (i / 64)) as u8, 77]).collect());
    let grid = DisplacementGrid::from_fn(64, 48, |x, y| [0.5 * (32.0 - x), 0.25 * (24.0 - y)]);
    let spline = SplinePicture::new(picture);
    let frame = warped(&spline, &grid);
    for row in 8..40 {
        for column in 8..56 {
            let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
            let wanted = [4.0 * (x + 0.5 * (32.0 - x) - 0.5), 5.0 * (y + 0.25 * (24.0 - y) - 0.5)];
            let found = frame.pixel(column, row);
            for (&found, wanted) in found.iter().zip(wanted) {
                let error = (f64::from(found) - wanted).abs();
                assert!(error < 0.6, "({column}, {row}): {found} against {wanted}");
            }
        }
    }
}

#[test]
fn a_replacement_is_as_if_it_had_been_there_and_can_be_undone_exactly() {
    let picture = noise(60, 50);
    let place = PixelRectangle { left: 0, top: 13, width: 21, height: 9 };
    let pixels = noise(21, 9).pixels().iter().map(|value| 255 - value).collect::<Vec<_>>();
    let grid = uniform(&picture, [0.43, -0.29]);
    let mut spline = SplinePicture::new(picture.clone());
    let before = warped(&spline, &grid);
    let replaced = spline.replace(place, &pixels);
    let afresh = warped(&SplinePicture::new(spline.picture().clone()), &grid);
    let patched = warped(&spline, &grid);
    let worst = patched.pixels().iter().zip(afresh.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= 1, "differs by {worst} levels");
    assert_ne!(patched, before);
    spline.restore(replaced);
    assert_eq!(spline.picture(), &picture);
    assert_eq!(warped(&spline, &grid), before);
}

#[test]
fn fine_lines_keep_their_contrast() {
    // Antialiased lines, about 2 px wide, at several angles.
    let shade = |x: f64| {
        let distance = (x.rem_euclid(19.0) - 9.5).abs();
        (255.0 - 200.0 * (1.6 - distance).clamp(0.0, 1.0)) as u8
    };
    let line = |i: usize| {
        let (x, y) = ((i % 120) as f64 + 0.5, (i / 120) as f64 + 0.5);
        [shade(0.96 * x + 0.28 * y), shade(0.8 * x + 0.6 * y), shade(0.1 * x - 0.995 * y)]
    };
    let picture = Picture::new(120, 90, (0..120 * 90).flat_map(line).collect());
    let energy = |picture: &Picture| {
        let mut sum = 0.0;
        for row in 6..83 {
            for column in 6..113 {
                for lane in 0..3 {
                    let here = f64::from(picture.pixel(column, row)[lane]);
                    sum += (f64::from(picture.pixel(column + 1, row)[lane]) - here).powi(2);
                    sum += (f64::from(picture.pixel(column, row + 1)[lane]) - here).powi(2);
                }
            }
        }
        sum
    };
    let spline = SplinePicture::new(picture.clone());
    for eighths in 1..=4 {
        let shift = eighths as f32 / 8.0;
        let ratio = energy(&warped(&spline, &uniform(&picture, [shift, shift]))) / energy(&picture);
        assert!((0.95..1.06).contains(&ratio), "moved by {shift}, the gradient energy changes by a factor of {ratio}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Some pixels rest, and some come from beyond the border, where blocks cannot be sampled whole.
    #[test]
    fn every_instruction_set_makes_of_each_pixel_what_the_spline_is_there(
        (width, height) in (1..70_usize, 1..24_usize),
        reach in prop_oneof![Just(0.0_f32), 0.1..5.0_f32, 5.0..60.0_f32],
        resting in 0.0..1.0_f32,
    ) {
        let picture = noise(width, height);
        let spline = SplinePicture::new(picture.clone());
        let grid = DisplacementGrid::from_fn(width, height, |x, y| {
            if x < resting * width as f32 { [0.0; 2] } else { [reach * (0.7 * y).sin(), reach * (0.3 * x).cos()] }
        });
        let mut first: Option<Picture> = None;
        for kernels in Kernels::available() {
            let wrong = Mutex::new(None);
            let frame = warp_with(&spline, &grid, kernels, |row, displacements, colours: &mut RowColours, bytes| {
                let [x, y] = displacements.values();
                for column in 0..width {
                    let wanted = match [x[column], y[column]] {
                        [0.0, 0.0] => picture.pixel(column, row).map(f32::from),
                        displacement => spline.sample(column, row, displacement),
                    };
                    if colours.pixel(column) != wanted {
                        *wrong.lock().unwrap() = Some((column, row, colours.pixel(column), wanted));
                    }
                }
                round_row(colours, bytes);
            });
            let wrong = wrong.into_inner().unwrap();
            prop_assert!(wrong.is_none(), "{}: {wrong:?}", kernels.name());
            prop_assert_eq!(first.get_or_insert_with(|| frame.clone()).pixels(), frame.pixels(), "{}", kernels.name());
        }
    }
}
