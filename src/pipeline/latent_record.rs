//! What a later decode has to know of final latents: the entry `stir` in the metadata of their file, as JSON.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::provenance::Record;
use super::request::{MOST_FRAMES, RATES, SIDES, parse_eyes};
use crate::error::{Error, Result, quoted};
use crate::media::degrade::Degradation;
use crate::media::framing::{Fit, Framing, FramingRequest};
use crate::models::{self, DecodeSettings, ModelRequest, VaeTiling};
use crate::picture::{Color, Picture, PixelBox};
use crate::units::{Clip, Fps, Grid, PixelFrames};
use crate::weights::digest;

/// Raised when an entry changes its meaning or goes away.
const VERSION: u64 = 1;

/// All that makes frames of latents, besides the latents.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentRecord {
    /// The name of the family.
    pub family: String,
    /// The model as it was asked for. What only denoising needs is left out.
    pub model: ModelRequest,
    /// Seed of the noise of the decode.
    pub seed: u64,
    /// The clip as it is written.
    pub written: Clip,
    /// The clip that the latents are of, on the model's grid.
    pub pass: Clip,
    /// How the picture fills the written frames.
    pub fit: Fit,
    /// What shows where the picture is transparent or ends.
    pub background: Color,
    /// Width and height in pixels at which the picture is shown.
    pub shown: (usize, usize),
    /// Width and height in pixels of the frames that the written ones are cut out of.
    pub generated: (usize, usize),
    /// How the latents are decoded.
    pub settings: DecodeSettings,
    /// The picture, where the decoder draws on it.
    pub picture: Option<PictureRecord>,
    /// The record of the run's clip, where it is to have one.
    pub provenance: Option<Record>,
}

/// The picture that a decoder draws on, and what is said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureRecord {
    /// See [`fingerprint`].
    pub fingerprint: String,
    /// Boxes around the open eyes in pixels of the picture.
    pub eyes: Vec<PixelBox>,
    /// What is done to it before the model sees it.
    pub degradation: Degradation,
}

/// The SHA-256 of a picture's size and pixels in hexadecimal digits: whether two files show the same.
pub fn fingerprint(picture: &Picture) -> String {
    use sha2::{Digest, Sha256};
    let mut sha = Sha256::new();
    sha.update(format!("{}x{} ", picture.width(), picture.height()));
    sha.update(picture.pixels());
    digest::hexadecimal(&sha.finalize())
}

impl LatentRecord {
    /// As JSON: equal records are equal texts.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Entry::from(self)).expect("texts, numbers and lists of them are JSON")
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `thing` is what messages call the file. Every number is in its range, but only
    /// [`framing`](Self::framing) says whether they fit each other and the model.
    ///
    /// # Errors
    /// Another text, another version, and values that no run has.
    pub fn parse(text: &str, thing: &str) -> Result<Self> {
        let refused = |found: String| damaged(thing, "what a run wrote", found);
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                let wanted = format!("version {VERSION} of the record of latents");
                let hint = "finish the clip by the version of stir that made them";
                return Err(Error::input(thing, wanted, other.to_string(), hint));
            }
            None => return Err(refused("no version".to_owned())),
        }
        let entry: Entry = serde_json::from_value(value).map_err(|error| refused(error.to_string()))?;
        entry.record(thing)
    }

    /// How the picture, what a model on this grid makes, and the written frames lie on each other.
    ///
    /// # Errors
    /// Sizes and lengths that no run on this grid has.
    pub fn framing(&self, grid: Grid, thing: &str) -> Result<Framing> {
        let Self { written, pass, fit, background, shown, generated, .. } = self;
        let request = FramingRequest {
            written: (written.width, written.height),
            fit: *fit,
            background: *background,
            side_multiple: grid.side,
        };
        let framing = request.showing(*shown).filter(|framing| framing.generated() == *generated).ok_or_else(|| {
            let found = format!(
                "{shown:?} of {generated:?} for a clip of {}x{}, {}",
                written.width,
                written.height,
                fit.name()
            );
            damaged(thing, "sizes that fit each other and the model", found)
        })?;
        // A pass may be made larger than the clip, though not as large as this.
        let side = |side: usize, generated: usize| side.is_multiple_of(grid.side) && side <= 2 * generated;
        let sides = side(pass.width, generated.0) && side(pass.height, generated.1);
        if !sides || pass.frames != grid.cover(written.frames) {
            let found = format!("{}x{}, {} frames", pass.width, pass.height, pass.frames.0);
            return Err(damaged(thing, "latents of a clip that the model makes for the written one", found));
        }
        Ok(framing)
    }
}

fn damaged(thing: &str, wanted: &str, found: String) -> Error {
    let hint = "the file is damaged or was changed: save the latents again";
    Error::input(format!("the record of {thing}"), wanted, found, hint)
}

/// The record as it stands in the file. Numbers with fractions are texts, because not every reader of JSON gives them back to the last bit.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: u64,
    family: String,
    model: ModelEntry,
    seed: u64,
    clip: ClipEntry,
    pass: ClipEntry,
    framing: FramingEntry,
    decode: DecodeEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<PictureEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vae: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_encoder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokenizer: Option<String>,
    dtype: String,
    vae_tiling: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClipEntry {
    width: usize,
    height: usize,
    frames: usize,
    fps: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FramingEntry {
    fit: String,
    background: String,
    shown: [usize; 2],
    generated: [usize; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecodeEntry {
    timestep: String,
    noise: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PictureEntry {
    sha256: String,
    eyes: Vec<String>,
    degrade: String,
}

impl From<&LatentRecord> for Entry {
    fn from(record: &LatentRecord) -> Self {
        let clip = |clip: &Clip| ClipEntry {
            width: clip.width,
            height: clip.height,
            frames: clip.frames.0,
            fps: clip.fps.0.to_string(),
        };
        let path = |path: &Option<PathBuf>| path.as_deref().map(|path: &Path| path.display().to_string());
        let ModelRequest { model, vae, text_encoder, tokenizer, dtype, tiling, .. } = &record.model;
        Self {
            version: VERSION,
            family: record.family.clone(),
            model: ModelEntry {
                name: model.clone(),
                vae: path(vae),
                text_encoder: path(text_encoder),
                tokenizer: path(tokenizer),
                dtype: dtype.map_or("auto", |dtype| dtype.as_str()).to_owned(),
                vae_tiling: tiling.name().to_owned(),
            },
            seed: record.seed,
            clip: clip(&record.written),
            pass: clip(&record.pass),
            framing: FramingEntry {
                fit: record.fit.name().to_owned(),
                background: record.background.to_string(),
                shown: record.shown.into(),
                generated: record.generated.into(),
            },
            decode: DecodeEntry {
                timestep: record.settings.timestep.to_string(),
                noise: record.settings.noise.to_string(),
            },
            picture: record.picture.as_ref().map(|picture| PictureEntry {
                sha256: picture.fingerprint.clone(),
                eyes: picture
                    .eyes
                    .iter()
                    .map(|eye| format!("{},{},{},{}", eye.left, eye.top, eye.width, eye.height))
                    .collect(),
                degrade: picture.degradation.name().to_owned(),
            }),
            provenance: record.provenance.as_ref().map(|record| json!(record)),
        }
    }
}

impl Entry {
    fn record(self, thing: &str) -> Result<LatentRecord> {
        // What the readers of options say is about the record here.
        let within =
            |field: &str, error: Error| damaged(thing, &format!("`{field}` as a run has it"), error.to_string());
        let number = |field: &str, text: &str, fits: &dyn Fn(f64) -> bool| {
            text.parse()
                .ok()
                .filter(|number| fits(*number))
                .ok_or_else(|| damaged(thing, &format!("`{field}`, a number that a run can have"), quoted(text)))
        };
        let share = |field: &str, text: &str| number(field, text, &|share| (0.0..=1.0).contains(&share));
        let clip = |field: &str, entry: &ClipEntry, sides: &dyn Fn(usize) -> bool| {
            let ClipEntry { width, height, frames, fps } = entry;
            if !sides(*width) || !sides(*height) || !(1..=2 * MOST_FRAMES).contains(frames) {
                let found = format!("{width}x{height}, {frames} frames");
                return Err(damaged(thing, &format!("`{field}`, a clip that can be made"), found));
            }
            let fps = Fps(number(&format!("{field}.fps"), fps, &|fps| RATES.contains(&fps))?);
            Ok(Clip { width: *width, height: *height, frames: PixelFrames(*frames), fps })
        };
        let written = clip("clip", &self.clip, &|side| SIDES.contains(&side) && side.is_multiple_of(2))?;
        let pass = clip("pass", &self.pass, &|side| (1..=4 * SIDES.end()).contains(&side))?;
        if written.frames.0 > MOST_FRAMES || pass.fps != written.fps {
            let found = format!("{} frames at {} fps of {} fps", written.frames.0, written.fps.0, pass.fps.0);
            return Err(damaged(thing, "a clip of one frame rate that can be made", found));
        }
        let FramingEntry { fit, background, shown, generated } = self.framing;
        let name = |field: &str, text: &str| damaged(thing, &format!("`{field}`, one of its names"), quoted(text));
        let dtype = match self.model.dtype.as_str() {
            "auto" => None,
            other => Some(models::dtype_named(other).ok_or_else(|| name("dtype", other))?),
        };
        let tiling = &self.model.vae_tiling;
        let tiling = VaeTiling::named(tiling).ok_or_else(|| name("vae_tiling", tiling))?;
        let picture = self.picture.map(|picture| -> Result<PictureRecord> {
            Ok(PictureRecord {
                fingerprint: picture.sha256,
                eyes: parse_eyes(&picture.eyes).map_err(|error| within("eyes", error))?,
                degradation: picture.degrade.parse().map_err(|error| within("degrade", error))?,
            })
        });
        Ok(LatentRecord {
            family: self.family,
            model: ModelRequest {
                vae: self.model.vae.map(PathBuf::from),
                text_encoder: self.model.text_encoder.map(PathBuf::from),
                tokenizer: self.model.tokenizer.map(PathBuf::from),
                dtype,
                tiling,
                ..ModelRequest::named(self.model.name)
            },
            seed: self.seed,
            written,
            pass,
            fit: fit.parse().map_err(|error| within("fit", error))?,
            background: background.parse().map_err(|error| within("background", error))?,
            shown: shown.into(),
            generated: generated.into(),
            settings: DecodeSettings {
                timestep: share("timestep", &self.decode.timestep)?,
                noise: share("noise", &self.decode.noise)?,
            },
            picture: picture.transpose()?,
            provenance: self.provenance.map(|record| Record::parse(&record.to_string(), thing)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use serde_json::{Value, json};

    use super::*;

    const GRID: Grid = Grid { side: 32, frames: 8 };

    fn example() -> LatentRecord {
        let fps = Fps(24000.0 / 1001.0);
        LatentRecord {
            family: "coarse".to_owned(),
            model: ModelRequest {
                vae: Some("some/vae".into()),
                dtype: Some(DType::BF16),
                tiling: VaeTiling::On,
                ..ModelRequest::named("some \"model\"")
            },
            seed: u64::MAX,
            written: Clip { width: 96, height: 64, frames: PixelFrames(10), fps },
            pass: Clip { width: 96, height: 64, frames: PixelFrames(17), fps },
            fit: Fit::Contain,
            background: Color([1, 2, 255]),
            shown: (70, 64),
            generated: (96, 64),
            settings: DecodeSettings { timestep: 0.1 + 0.2, noise: 0.025 },
            picture: Some(PictureRecord {
                fingerprint: "ab".to_owned(),
                eyes: vec![PixelBox { left: 0.1 + 0.2, top: 1e-7, width: 4.0, height: 1.0 / 3.0 }],
                degradation: Degradation::Mild,
            }),
            provenance: None,
        }
    }

    /// The example with another value at this place.
    fn changed(pointer: &str, value: Value) -> String {
        let mut json: Value = serde_json::from_str(&example().to_json()).unwrap();
        *json.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
        json.to_string()
    }

    #[test]
    fn a_record_is_read_to_the_last_bit() {
        let record = example();
        assert_eq!(LatentRecord::parse(&record.to_json(), "x").unwrap(), record);
        let framing = record.framing(GRID, "x").unwrap();
        assert_eq!((framing.generated(), framing.shown()), ((96, 64), (70, 64)));
    }

    #[test]
    fn what_no_run_writes_is_refused() {
        for (pointer, value) in [
            ("/version", json!(2)),
            ("/version", json!("1")),
            ("/seed", json!(-1)),
            ("/clip/width", json!(97)),
            ("/clip/width", json!(0)),
            ("/clip/height", json!(1_u64 << 40)),
            ("/clip/frames", json!(0)),
            ("/clip/frames", json!(u64::MAX)),
            ("/clip/fps", json!("NaN")),
            ("/clip/fps", json!("0")),
            ("/clip/fps", json!("25")),
            ("/clip", json!(null)),
            ("/pass/width", json!(0)),
            ("/pass/frames", json!(u64::MAX)),
            ("/decode/noise", json!("1.5")),
            ("/decode/timestep", json!("-inf")),
            ("/framing/fit", json!("fill")),
            ("/framing/background", json!("red")),
            ("/framing/shown", json!([1])),
            ("/model/dtype", json!("f64")),
            ("/model/vae_tiling", json!("")),
            ("/picture/eyes", json!(["1,2,NaN,3"])),
            ("/picture/degrade", json!("very")),
        ] {
            let error = LatentRecord::parse(&changed(pointer, value.clone()), "latents x").unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("latents x"), "{pointer} {value}: {error}");
        }
        let further = example().to_json().replacen('{', "{\"further\":1,", 1);
        for text in ["", "{}", "[]", "null", &further, &"[".repeat(100_000)] {
            assert!(LatentRecord::parse(text, "x").is_err(), "{text}");
        }
    }

    /// Each is a record by itself, but nothing that could be cut out and written.
    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        for (pointer, value) in [
            ("/framing/shown", json!([98, 64])),
            ("/framing/shown", json!([0, 64])),
            ("/framing/shown", json!([71, 64])),
            ("/framing/generated", json!([96, 96])),
            ("/framing/generated", json!([64, 64])),
            ("/framing/fit", json!("cover")),
            ("/pass/width", json!(97)),
            ("/pass/width", json!(224)),
            ("/pass/frames", json!(9)),
            ("/clip/frames", json!(20)),
        ] {
            let record = LatentRecord::parse(&changed(pointer, value.clone()), "x").unwrap();
            assert!(record.framing(GRID, "x").is_err(), "{pointer} {value}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_size_and_pixels() {
        let picture = |width, height, value| fingerprint(&Picture::new(width, height, vec![value; width * height * 3]));
        assert_eq!(picture(2, 3, 7), picture(2, 3, 7));
        assert_ne!(picture(2, 3, 7), picture(3, 2, 7));
        assert_ne!(picture(2, 3, 7), picture(2, 3, 8));
    }
}
