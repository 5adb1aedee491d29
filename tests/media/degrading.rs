//! Pictures made to look like a frame of a video.

use stir::media::degrade::{Degradation, degrade};
#[cfg(feature = "ffmpeg")]
use stir::picture::Picture;

use super::*;

#[test]
fn a_picture_that_is_not_degraded_is_the_same() {
    Degradation::Off.check().unwrap();
    let picture = drawing(35, 21, 0);
    assert_eq!(degrade(picture.clone(), Degradation::Off).unwrap(), picture);
}

#[cfg(not(feature = "ffmpeg"))]
#[test]
fn without_ffmpeg_the_way_out_is_named() {
    for how in [Degradation::Mild, Degradation::Official] {
        let error = how.check().unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().starts_with("--degrade")), (2, true), "{error}");
        assert!(error.hint().contains("--degrade off"), "{}", error.hint());
        assert_eq!(degrade(drawing(32, 32, 0), how).unwrap_err().to_string(), error.to_string());
    }
}

/// Peak signal to noise ratio of all channels in dB.
#[cfg(feature = "ffmpeg")]
fn likeness(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let squares = a.pixels().iter().zip(b.pixels()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>();
    10.0 * (255.0_f64.powi(2) * a.pixels().len() as f64 / squares).log10()
}

/// Energy of the steps from pixel to pixel, most of it at lines and edges: what a blur takes away.
#[cfg(feature = "ffmpeg")]
fn edge_energy(picture: &Picture) -> f64 {
    let rows = picture.pixels().chunks_exact(picture.width() * 3);
    rows.flat_map(|row| row.iter().zip(&row[3..]).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2))).sum()
}

/// Lines stay where the degradation is mild. At another frame rate than the makers' the same rate factor is another, and both likenesses lie 5 dB
/// lower.
#[cfg(feature = "ffmpeg")]
#[test]
fn official_takes_more_than_mild_and_neither_much() {
    let picture = drawing(320, 192, 0);
    let [mild, official] = [Degradation::Mild, Degradation::Official].map(|how| degrade(picture.clone(), how).unwrap());
    let likenesses = [&mild, &official].map(|degraded| likeness(&picture, degraded));
    assert!((43.0..45.0).contains(&likenesses[0]) && (40.5..42.5).contains(&likenesses[1]), "{likenesses:?}");
    let edges = [&mild, &official].map(|degraded| edge_energy(degraded) / edge_energy(&picture));
    assert!((0.95..1.0).contains(&edges[0]) && (0.7..0.9).contains(&edges[1]), "{edges:?}");
}

#[cfg(feature = "ffmpeg")]
#[test]
fn any_size_is_kept_and_its_last_column_and_row_shown() {
    for (width, height) in [(1, 1), (1, 90), (2, 2), (3, 5), (33, 47), (321, 192), (320, 193)] {
        let flat = Picture::new(width, height, [200, 120, 60].repeat(width * height));
        for how in [Degradation::Mild, Degradation::Official] {
            let degraded = degrade(flat.clone(), how).unwrap();
            assert_eq!((degraded.width(), degraded.height()), (width, height));
            let furthest = degraded.pixels().iter().zip(flat.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(furthest <= Some(4), "{width}x{height} {how:?}: {furthest:?}");
        }
    }
    let picture = drawing(321, 193, 0);
    assert!(likeness(&picture, &degrade(picture.clone(), Degradation::Mild).unwrap()) > 43.0);
}

#[cfg(feature = "ffmpeg")]
#[test]
fn the_same_picture_gives_the_same_result_on_any_number_of_threads() {
    let picture = drawing(322, 190, 3);
    for how in [Degradation::Mild, Degradation::Official] {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| degrade(picture.clone(), how).unwrap())
        };
        let first = on(1);
        assert!((0..4).all(|_| on(1) == first) && on(3) == first);
    }
}
