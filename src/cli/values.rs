//! Values of options, from text as it was given to what the request needs: every refusal says what was wanted instead.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use candle_core::DType;
use clap::builder::{PossibleValue, TypedValueParser};

use crate::diffusion;
use crate::error::{Error, Result, quoted};
use crate::media::QUALITY;
use crate::models::{self, GUIDANCE_SCALES, Offload, STEPS, VaeTiling, Variant};
use crate::pipeline::request::{MOST_FRAMES, PROMPT_CHARACTERS, RATES, SIDES, check_side};
use crate::units::{Fps, PixelFrames, Seconds};

/// Longest clip in seconds.
const LONGEST: f64 = 600.0;

/// Most characters of a number that a message repeats without quotes.
const LONGEST_NUMBER: usize = 60;

/// The text of a value.
pub(super) fn text<'a>(option: &str, value: &'a OsStr) -> Result<&'a str> {
    value.to_str().ok_or_else(|| {
        let found = format!("\"{}\", which holds bytes that are none", value.display());
        Error::input(
            option,
            "text in UTF-8",
            found,
            "check the encoding of the terminal or of the program that calls stir",
        )
    })
}

/// The value of an option that may be left out, by what reads it.
pub(super) fn optional<T>(
    option: &str,
    value: &Option<OsString>,
    read: impl FnOnce(&str, &OsStr) -> Result<T>,
) -> Result<Option<T>> {
    value.as_deref().map(|value| read(option, value)).transpose()
}

/// The name of a file or a folder.
pub(super) fn path(option: &str, value: &OsStr) -> Result<PathBuf> {
    if value.is_empty() {
        return Err(Error::input(
            option,
            "the name of a file or a folder",
            "an empty text",
            "name one, or leave it out",
        ));
    }
    Ok(value.into())
}

/// How a value is shown in a message: numbers as they are unless they are long, everything else in quotes.
pub(super) fn shown(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok() && text.len() <= LONGEST_NUMBER;
    if is_number { text.to_owned() } else { quoted(text) }
}

/// A whole number in `range`.
pub(super) fn whole(option: &str, value: &OsStr, range: RangeInclusive<u64>, hint: &str) -> Result<u64> {
    let text = text(option, value)?;
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        Error::input(option, wanted, shown(text), hint)
    })
}

/// A finite number that `fits`, which is what `wanted` says.
fn number(option: &str, value: &OsStr, wanted: &str, hint: &str, fits: impl Fn(f64) -> bool) -> Result<f64> {
    let text = text(option, value)?;
    text.parse()
        .ok()
        .filter(|&number: &f64| number.is_finite() && fits(number))
        .ok_or_else(|| Error::input(option, wanted, shown(text), hint))
}

/// `--fps`.
pub(super) fn fps(value: &OsStr) -> Result<Fps> {
    let wanted = format!("a number from {} to {}", RATES.start(), RATES.end());
    number("--fps", value, &wanted, "25 is the default", |number| RATES.contains(&number)).map(Fps)
}

/// `--duration`; the number of frames at `fps` must be possible too.
pub(super) fn duration(value: &OsStr, fps: Fps) -> Result<Seconds> {
    let wanted = format!("a number over 0 and up to {LONGEST}, in seconds");
    let fits = |number| number > 0.0 && number <= LONGEST;
    let duration = number("--duration", value, &wanted, "6 is the default", fits).map(Seconds)?;
    check_frames(duration, fps)?;
    Ok(duration)
}

/// Refuses a clip of no frames, or of more than [`MOST_FRAMES`].
pub(super) fn check_frames(duration: Seconds, fps: Fps) -> Result<()> {
    let frames = duration.frames(fps).0;
    if (1..=MOST_FRAMES).contains(&frames) {
        return Ok(());
    }
    Err(Error::input(
        "--duration and --fps",
        format!("a clip of 1 to {MOST_FRAMES} frames"),
        format!("{} s at {} frames a second: {frames} frames", duration.0, fps.0),
        if frames == 0 { "make it longer" } else { "make it shorter, or give it fewer frames a second" },
    ))
}

/// `--num-frames`.
pub(super) fn num_frames(value: &OsStr) -> Result<PixelFrames> {
    let hint = "leave it out for --duration, which is 6 seconds by default";
    whole("--num-frames", value, 1..=MOST_FRAMES as u64, hint).map(|number| PixelFrames(number as usize))
}

/// `--width` or `--height`, in pixels.
pub(super) fn side(option: &str, value: &OsStr) -> Result<usize> {
    let text = text(option, value)?;
    let Ok(side) = text.parse() else {
        let wanted = format!("an even number from {} to {}", SIDES.start(), SIDES.end());
        return Err(Error::input(option, wanted, shown(text), "such as 1280; without -W and -H, --resolution decides"));
    };
    check_side(option, side)?;
    Ok(side)
}

/// `--steps`.
pub(super) fn steps(value: &OsStr) -> Result<usize> {
    let range = *STEPS.start() as u64..=*STEPS.end() as u64;
    whole("--steps", value, range, "leave it out for the model's own number").map(|number| number as usize)
}

/// `--guidance-scale`.
pub(super) fn guidance_scale(value: &OsStr) -> Result<f64> {
    let wanted = format!("a number from {} to {}", GUIDANCE_SCALES.start(), GUIDANCE_SCALES.end());
    number("--guidance-scale", value, &wanted, "1 or less means no guidance", |number| {
        GUIDANCE_SCALES.contains(&number)
    })
}

/// `--negative-prompt`, which may be empty.
pub(super) fn negative_prompt(value: &OsStr) -> Result<String> {
    let text = text("--negative-prompt", value)?.trim();
    let (length, most) = (text.chars().count(), *PROMPT_CHARACTERS.end());
    if length > most {
        let wanted = format!("at most {most} characters");
        return Err(Error::input("--negative-prompt", wanted, length.to_string(), "name fewer things"));
    }
    Ok(text.to_owned())
}

/// A number from 0 to 1.
pub(super) fn share(option: &str, value: &OsStr) -> Result<f64> {
    number(option, value, "a number from 0 to 1", "leave it out for the model's own", |number| {
        (0.0..=1.0).contains(&number)
    })
}

/// `--stg-scale`.
pub(super) fn perturbation_scale(value: &OsStr) -> Result<f64> {
    let wanted = format!("a number from {} to {}", GUIDANCE_SCALES.start(), GUIDANCE_SCALES.end());
    number("--stg-scale", value, &wanted, "0 means none", |number| GUIDANCE_SCALES.contains(&number))
}

/// `--flow-shift`.
pub(super) fn flow_shift(value: &OsStr) -> Result<f64> {
    let fits = |number| number > 0.0 && number <= 100.0;
    number("--flow-shift", value, "a number over 0 and up to 100", "1 shifts nothing", fits)
}

/// `--sigmas`: falling levels in 0 to 1, without the 0 at the end.
pub(super) fn sigmas(value: &OsStr) -> Result<Vec<f64>> {
    let text = text("--sigmas", value)?;
    let levels: Option<Vec<f64>> = text.split(',').map(|level| level.trim().parse().ok()).collect();
    let falls = |levels: &Vec<f64>| {
        levels.iter().all(|level| *level > 0.0 && *level <= 1.0) && levels.windows(2).all(|pair| pair[0] > pair[1])
    };
    levels.filter(falls).filter(|levels| STEPS.contains(&levels.len())).ok_or_else(|| {
        let hint = "such as 1,0.9937,0.9875,0.9812,0.975,0.9094,0.725,0.4219; the last step ends at 0 by itself";
        let wanted = "falling numbers over 0 and up to 1, separated by commas";
        Error::input("--sigmas", wanted, quoted(text), hint)
    })
}

/// `--dtype`; `None` is auto.
pub(super) fn dtype(value: &OsStr) -> Result<Option<DType>> {
    match text("--dtype", value)? {
        "auto" => Ok(None),
        other => models::dtype_named(other)
            .map(Some)
            .ok_or_else(|| Error::input("--dtype", "auto, bf16, f16 or f32", quoted(other), "auto is the default")),
    }
}

/// `--variant`.
pub(super) fn variant(value: &OsStr) -> Result<Variant> {
    match text("--variant", value)? {
        "dev" => Ok(Variant::Dev),
        "distilled" => Ok(Variant::Distilled),
        other => Err(Error::input("--variant", "dev or distilled", quoted(other), "the model's page says which it is")),
    }
}

/// `--vae-tiling`.
pub(super) fn tiling(value: &OsStr) -> Result<VaeTiling> {
    let text = text("--vae-tiling", value)?;
    VaeTiling::named(text)
        .ok_or_else(|| Error::input("--vae-tiling", "auto, on or off", quoted(text), "auto is the default"))
}

/// `--offload`.
pub(super) fn offload(value: &OsStr) -> Result<Offload> {
    let text = text("--offload", value)?;
    Offload::named(text).ok_or_else(|| {
        Error::input("--offload", "none, cpu or disk", quoted(text), "leave it out for what fits into memory")
    })
}

/// `--quality`.
pub(super) fn quality(value: &OsStr) -> Result<u8> {
    let range = u64::from(*QUALITY.start())..=u64::from(*QUALITY.end());
    whole("--quality", value, range, "95 is the default").map(|number| number as u8)
}

/// `--seed`: a number, or `random` for one that is drawn here.
pub(super) fn seed(value: &OsStr) -> Result<u64> {
    let text = text("--seed", value)?;
    if text == "random" {
        return Ok(diffusion::noise::random_seed());
    }
    text.parse().map_err(|_| {
        let wanted = format!("a whole number from 0 to {}, or `random`", u64::MAX);
        Error::input("--seed", wanted, shown(text), "42 is the default")
    })
}

/// Takes every value, so that refusals are stir's own, and tells shells which names there are to complete.
#[derive(Clone)]
pub(super) struct Names(pub &'static [&'static str]);

impl TypedValueParser for Names {
    type Value = OsString;

    fn parse_ref(&self, _: &clap::Command, _: Option<&clap::Arg>, value: &OsStr) -> Result<OsString, clap::Error> {
        Ok(value.to_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_ranges() {
        let steps = |text: &str| steps(OsStr::new(text));
        assert_eq!(steps("1000").unwrap(), 1000);
        for text in ["0", "-3", "1001", "2.5", "NaN", "many", "", "99999999999999999999999"] {
            assert_eq!(steps(text).unwrap_err().exit_code(), 2, "{text}");
        }
        assert_eq!(fps(OsStr::new("23.976")).unwrap(), Fps(23.976));
        assert_eq!(guidance_scale(OsStr::new("0")).unwrap(), 0.0);
        for text in ["0", "-1", "NaN", "inf", "-inf", "1e999", "241", "fast", ""] {
            assert!(fps(OsStr::new(text)).is_err(), "{text}");
        }
        for text in ["-0.1", "nan", "infinity", "100.1"] {
            assert!(guidance_scale(OsStr::new(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_at_least_a_frame_and_at_most_what_fits() {
        assert_eq!(duration(OsStr::new("6"), Fps(25.0)).unwrap(), Seconds(6.0));
        assert!(duration(OsStr::new("600"), Fps(25.0)).is_ok());
        for (text, rate) in [("0", 25.0), ("-6", 25.0), ("601", 1.0), ("NaN", 25.0), ("0.01", 25.0), ("600", 25.1)] {
            assert!(duration(OsStr::new(text), Fps(rate)).is_err(), "{text} at {rate}");
        }
        assert!(duration(OsStr::new("0.01"), Fps(25.0)).unwrap_err().to_string().contains("0 frames"));
    }

    #[test]
    fn values_are_quoted_unless_they_are_numbers() {
        assert_eq!(shown("-3"), "-3");
        assert_eq!(shown("NaN"), "NaN");
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("4k"), "\"4k\"");
        assert_eq!(shown(&"é".repeat(61)), format!("\"{}...\"", "é".repeat(60)));
        assert_eq!(shown(&"1".repeat(60)), "1".repeat(60));
    }
}
