//! A mark in the corner of every frame: words, or a picture.

use std::path::{Path, PathBuf};

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{Rgba, Rgba32FImage};

use crate::error::{Error, Result};
use crate::picture::{Color, Picture};

use super::image::{Layer, lay_over, open_layer};
use super::resize::resize;

/// Most characters of words: more would be too small to read.
const MOST_CHARACTERS: usize = 100;
/// Height of words as a share of the clip's short side, and the most width that they may take.
const TEXT_HEIGHT: f32 = 1.0 / 28.0;
const TEXT_WIDTH: f32 = 0.6;
/// Words this high in pixels are still words; in small clips they take a larger share.
const LEAST_TEXT_HEIGHT: f32 = 10.0;
/// How opaque the white words and the darkness around them are.
const TEXT_OPACITY: f32 = 0.72;
const SHADE_OPACITY: f32 = 0.6;
/// How far the darkness reaches, as a share of the words' height.
const SHADE_REACH: f32 = 1.0 / 9.0;
/// Most of the clip's width and height that a picture may take.
const PICTURE_WIDTH: f64 = 0.2;
const PICTURE_HEIGHT: f64 = 0.15;
/// Distance from the clip's lower right corner as a share of its short side.
const MARGIN: f32 = 1.0 / 36.0;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watermark {
    /// These words.
    Text(String),
    /// The picture in this file.
    Picture(PathBuf),
}

impl Watermark {
    /// What `--watermark` names: the picture of that name where there is one, otherwise the words themselves.
    pub fn named(text: &str) -> Self {
        if Path::new(text).is_file() { Self::Picture(text.into()) } else { Self::Text(text.to_owned()) }
    }

    /// The file that it is read from; `None` for words.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Text(_) => None,
            Self::Picture(path) => Some(path),
        }
    }

    /// Gets it ready for frames of the given size in pixels.
    ///
    /// # Errors
    /// Words that are empty, longer than 100 characters, or hold characters that cannot be drawn; a picture that cannot be read or that
    /// shows nothing.
    pub fn prepare(&self, width: usize, height: usize) -> Result<PreparedWatermark> {
        let stamp = match self {
            Self::Text(text) => text_stamp(text, width, height)?,
            Self::Picture(path) => picture_stamp(path, width, height)?,
        };
        let margin = (width.min(height) as f32 * MARGIN).round() as usize;
        let place = |side: usize, own: u32| side.saturating_sub(own as usize + margin);
        Ok(PreparedWatermark { left: place(width, stamp.width()), top: place(height, stamp.height()), stamp })
    }
}

/// A mark at its place, in its size.
#[derive(Debug, Clone)]
pub struct PreparedWatermark {
    left: usize,
    top: usize,
    /// Red, green and blue times alpha, and alpha, 0 to 1.
    stamp: Rgba32FImage,
}

impl PreparedWatermark {
    /// Draws the mark into a frame; the same way into each, whatever the threads.
    pub fn draw(&self, frame: &mut Picture) {
        let (width, height) = (frame.width(), frame.height());
        let pixels = frame.pixels_mut();
        for (x, y, Rgba([red, green, blue, alpha])) in self.stamp.enumerate_pixels() {
            let (x, y) = (self.left + x as usize, self.top + y as usize);
            if x >= width || y >= height {
                continue;
            }
            let start = (y * width + x) * 3;
            for (value, color) in pixels[start..start + 3].iter_mut().zip([red, green, blue]) {
                *value = (f32::from(*value) * (1.0 - alpha) + 255.0 * color).round() as u8;
            }
        }
    }
}

/// White words with soft darkness around them, so that they can be read on light and on dark.
fn text_stamp(text: &str, width: usize, height: usize) -> Result<Rgba32FImage> {
    let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("the font that is built in is whole");
    let text = text.trim();
    check_text(text, &font)?;

    let mut size = (width.min(height) as f32 * TEXT_HEIGHT).max(LEAST_TEXT_HEIGHT);
    let (_, length) = layout(text, &font, size);
    size *= (width as f32 * TEXT_WIDTH / length).min(1.0);
    let (glyphs, _) = layout(text, &font, size);
    let outlines: Vec<_> = glyphs.into_iter().filter_map(|glyph| font.outline_glyph(glyph)).collect();
    let bounds = outlines.iter().map(|outline| outline.px_bounds()).reduce(|mut all, one| {
        all.min = point(all.min.x.min(one.min.x), all.min.y.min(one.min.y));
        all.max = point(all.max.x.max(one.max.x), all.max.y.max(one.max.y));
        all
    });
    let Some(bounds) = bounds else { return Err(refused_text(text, "nothing that can be seen")) };

    let reach = (size * SHADE_REACH).round().max(1.0) as usize;
    let padding = 2 * reach;
    let (across, down) = (bounds.width() as usize + 2 * padding, bounds.height() as usize + 2 * padding);
    let mut ink = vec![0.0_f32; across * down];
    for outline in &outlines {
        let corner = outline.px_bounds().min - bounds.min;
        outline.draw(|x, y, coverage| {
            let index = (corner.y as usize + y as usize + padding) * across + corner.x as usize + x as usize + padding;
            ink[index] = (ink[index] + coverage).min(1.0);
        });
    }
    let shade = spread(&spread(&ink, across, reach), across, reach);
    Ok(Rgba32FImage::from_fn(across as u32, down as u32, |x, y| {
        let index = y as usize * across + x as usize;
        let white = ink[index] * TEXT_OPACITY;
        // Thin strokes spread thin: three times makes their surroundings as dark as those of bold ones.
        let black = (shade[index] * 3.0).min(1.0) * SHADE_OPACITY;
        Rgba([white, white, white, white + black * (1.0 - white)])
    }))
}

/// Refuses words that are no mark.
fn check_text(text: &str, font: &FontRef) -> Result<()> {
    if text.is_empty() {
        return Err(refused_text(text, "none"));
    }
    let count = text.chars().count();
    if count > MOST_CHARACTERS {
        return Err(refused_text(text, &format!("{count} characters")));
    }
    if let Some(control) = text.chars().find(|character| character.is_control()) {
        return Err(refused_text(text, &format!("the control character {}", control.escape_default())));
    }
    let mut missing: Vec<char> = text.chars().filter(|&character| font.glyph_id(character).0 == 0).collect();
    missing.sort();
    missing.dedup();
    if !missing.is_empty() {
        let named: Vec<String> = missing.iter().map(char::to_string).collect();
        return Err(Error::input(
            "--watermark",
            "characters that the built-in font has: Latin, Greek and Cyrillic letters, digits, signs",
            named.join(" "),
            "draw it as a PNG with a transparent background, and name that file",
        ));
    }
    Ok(())
}

fn refused_text(text: &str, found: &str) -> Error {
    let hint = match text {
        "" => "leave --watermark out for none",
        _ => "shorten the words, or name a picture file",
    };
    Error::input("--watermark", format!("words of 1 to {MOST_CHARACTERS} characters, or a picture"), found, hint)
}

/// The glyphs of a line from `(0, 0)` on, kerned, and its length in pixels.
fn layout(text: &str, font: &FontRef, size: f32) -> (Vec<Glyph>, f32) {
    let scale = PxScale::from(size);
    let scaled = font.as_scaled(scale);
    let mut glyphs: Vec<Glyph> = Vec::new();
    let mut at = 0.0;
    for id in text.chars().map(|character| font.glyph_id(character)) {
        if let Some(before) = glyphs.last() {
            at += scaled.kern(before.id, id);
        }
        glyphs.push(id.with_scale_and_position(scale, point(at, scaled.ascent())));
        at += scaled.h_advance(id);
    }
    (glyphs, at)
}

/// Every value as the mean of the square of `2 * reach + 1` around it; beyond the border is nothing.
fn spread(values: &[f32], width: usize, reach: usize) -> Vec<f32> {
    let height = values.len() / width;
    let share = 1.0 / (2 * reach + 1) as f32;
    let around = |at: usize, side: usize| at.saturating_sub(reach)..(at + reach + 1).min(side);
    let mut rows = vec![0.0; values.len()];
    let mut all = vec![0.0; values.len()];
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        rows[y * width + x] = around(x, width).map(|x| values[y * width + x]).sum::<f32>() * share;
    }
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        all[y * width + x] = around(y, height).map(|y| rows[y * width + x]).sum::<f32>() * share;
    }
    all
}

/// The picture with its transparency, made smaller where it takes too much of the clip.
fn picture_stamp(path: &Path, width: usize, height: usize) -> Result<Rgba32FImage> {
    let thing = format!("watermark {}", path.display());
    let Layer { mut picture, alpha, .. } = open_layer(path, &thing)?;
    let (own_width, own_height) = (picture.width(), picture.height());
    let alpha = alpha.unwrap_or_else(|| vec![u8::MAX; own_width * own_height]);
    if alpha.iter().all(|alpha| *alpha == 0) {
        return Err(Error::input(
            thing,
            "a picture that shows something",
            "one that is transparent all over",
            "export it with its contents visible",
        ));
    }
    let most =
        (width as f64 * PICTURE_WIDTH / own_width as f64).min(height as f64 * PICTURE_HEIGHT / own_height as f64);
    let scaled = |side: usize| (side as f64 * most.min(1.0)).round().max(1.0) as usize;
    let resized =
        |picture: Picture| resize(&picture, [0, 0, own_width, own_height], scaled(own_width), scaled(own_height));
    // Transparent pixels may be of any colour, which must not bleed into the others: black adds nothing.
    lay_over(picture.pixels_mut(), &alpha, Color::BLACK);
    let colors = resized(picture);
    let alpha = resized(Picture::new(own_width, own_height, alpha.iter().flat_map(|alpha| [*alpha; 3]).collect()));
    let share = |value: u8| f32::from(value) / 255.0;
    Ok(Rgba32FImage::from_fn(colors.width() as u32, colors.height() as u32, |x, y| {
        let [red, green, blue] = colors.pixel(x as usize, y as usize).map(share);
        let alpha = share(alpha.pixel(x as usize, y as usize)[0]);
        // Rounding, and the filter at edges, may give a colour more than shows of it.
        Rgba([red.min(alpha), green.min(alpha), blue.min(alpha), alpha])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Watermark {
        Watermark::Text(text.to_owned())
    }

    fn grey(width: usize, height: usize, value: u8) -> Picture {
        Picture::new(width, height, vec![value; width * height * 3])
    }

    /// The smallest box with all that the mark changes: left, top, right, bottom.
    fn changed(mark: &Watermark, width: usize, height: usize) -> [usize; 4] {
        let mut frame = grey(width, height, 128);
        mark.prepare(width, height).unwrap().draw(&mut frame);
        let places = || {
            let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
            all.filter(|&(x, y)| frame.pixel(x, y) != [128; 3])
        };
        [
            places().map(|place| place.0).min().unwrap(),
            places().map(|place| place.1).min().unwrap(),
            places().map(|place| place.0).max().unwrap(),
            places().map(|place| place.1).max().unwrap(),
        ]
    }

    #[test]
    fn words_stand_in_the_lower_right_corner() {
        let [left, top, right, bottom] = changed(&text("stir"), 1280, 720);
        assert!(
            left > 1280 * 9 / 10 && right < 1280 && top > 720 * 9 / 10 && bottom < 720,
            "{left} {top} {right} {bottom}"
        );
    }

    #[test]
    fn long_words_become_smaller() {
        let [left, _, right, _] = changed(&text(&"wide words ".repeat(9)), 640, 480);
        assert!((left..right).len() < 640 * 65 / 100 && (left..right).len() > 640 / 2, "{left} to {right}");
        changed(&text(&"W".repeat(100)), 32, 32);
    }

    #[test]
    fn words_can_be_read_on_light_and_on_dark() {
        for (value, wanted) in [(0, 150), (255, 60), (128, 60)] {
            let mut frame = grey(1280, 720, value);
            text("stir").prepare(1280, 720).unwrap().draw(&mut frame);
            let (least, most) = (frame.pixels().iter().min().unwrap(), frame.pixels().iter().max().unwrap());
            assert!(most - least >= wanted, "on {value}: {least} to {most}");
        }
    }

    #[test]
    fn words_that_cannot_be_drawn_are_refused() {
        for (words, found) in [
            ("", "found none"),
            ("  ", "found none"),
            ("two\nlines", "the control character \\n"),
            (&"x".repeat(101), "101 characters"),
            ("日本 stir 日", "found 日 本"),
            ("\u{a0}", "found none"),
        ] {
            let error = text(words).prepare(640, 480).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(found), "{words}: {error}");
        }
        text("© Zoë Ωμέγα, Привет 2026").prepare(640, 480).unwrap();
    }

    #[test]
    fn pictures_keep_their_transparency_and_are_never_enlarged() {
        let folder = std::env::temp_dir().join(format!("stir-watermark-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("logo.png");
        // A red disc in transparent green.
        let logo = image::RgbaImage::from_fn(300, 200, |x, y| {
            let inside = (f64::from(x) - 150.0).hypot(f64::from(y) - 100.0) < 90.0;
            Rgba(if inside { [255, 0, 0, 255] } else { [0, 255, 0, 0] })
        });
        logo.save(&path).unwrap();
        let mark = Watermark::named(path.to_str().unwrap());
        assert_eq!(mark, Watermark::Picture(path.clone()));
        let [left, top, right, bottom] = changed(&mark, 640, 360);
        // At most 15 % of the height: the picture is 54 pixels high, its disc 49 and a little for the soft edge.
        let sides = [right + 1 - left, bottom + 1 - top];
        assert!(sides.iter().all(|side| (48..=54).contains(side)), "{sides:?}");
        let mut frame = grey(640, 360, 128);
        mark.prepare(640, 360).unwrap().draw(&mut frame);
        assert_eq!(frame.pixel((left + right) / 2, (top + bottom) / 2), [255, 0, 0]);
        assert!(frame.pixels().chunks_exact(3).all(|pixel| pixel[1] <= 128), "green bleeds in");
        let [left, _, right, _] = changed(&mark, 4096, 4096);
        assert!((178..=182).contains(&(right + 1 - left)));

        // Colours are converted as those of the picture that is animated.
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
        image::ImageEncoder::set_icc_profile(&mut encoder, profile).unwrap();
        let flat = [200, 100, 50].repeat(64);
        image::ImageEncoder::write_image(encoder, &flat, 8, 8, image::ExtendedColorType::Rgb8).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let [left, top, right, bottom] = changed(&mark, 640, 360);
        assert_eq!([right - left, bottom - top], [7, 7], "a small picture keeps its size");
        let mut frame = grey(640, 360, 128);
        mark.prepare(640, 360).unwrap().draw(&mut frame);
        let found = frame.pixel(left, top);
        assert!(
            found.iter().zip([215, 93, 31]).all(|(found, wanted): (&u8, u8)| found.abs_diff(wanted) <= 2),
            "{found:?}"
        );

        image::RgbaImage::new(20, 20).save(&path).unwrap();
        assert!(mark.prepare(640, 360).unwrap_err().to_string().contains("transparent all over"));
        std::fs::write(&path, b"text").unwrap();
        assert_eq!(mark.prepare(640, 360).unwrap_err().exit_code(), 2);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
