//! The record of a clip, as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, quoted};
use crate::media::LONGEST_RECORD;
use crate::models::TextTokens;
use crate::weights::remote::is_sha256;

/// Raised when an entry changes its meaning or goes away.
const VERSION: u32 = 1;

/// How the text of every record begins.
pub(super) const BEGINNING: &str = "{\"stir\":";

/// Options by their long names with underscores; numbers with fractions are texts, because not every reader of JSON gives them back to the last bit.
pub type Options = BTreeMap<String, Value>;

/// The options that can be in a record: those that a clip depends on.
const OPTIONS: [&str; 39] = [
    "image",
    "format",
    "prompt",
    "camera",
    "negative_prompt",
    "motion",
    "resolution",
    "width",
    "height",
    "fit",
    "background",
    "duration",
    "num_frames",
    "fps",
    "seed",
    "steps",
    "guidance_scale",
    "guidance_rescale",
    "stg_scale",
    "flow_shift",
    "strength",
    "image_noise",
    "decode_timestep",
    "decode_noise",
    "sigmas",
    "degrade",
    "two_pass",
    "model",
    "vae",
    "text_encoder",
    "tokenizer",
    "latent_upsampler",
    "variant",
    "dtype",
    "vae_tiling",
    "device",
    "eyes",
    "encoder",
    "quality",
];
/// Further ones.
const OTHER_OPTIONS: [&str; 4] = ["watermark", "noise", "allow_any_image", "latents"];
/// Those that name a file or a folder, whose place is left out.
const PATHS: [&str; 8] = ["image", "model", "vae", "text_encoder", "tokenizer", "latent_upsampler", "noise", "latents"];

/// Whether a record holds an option.
pub fn is_recorded(option: &str) -> bool {
    OPTIONS.contains(&option) || OTHER_OPTIONS.contains(&option)
}

/// Whether an option names a file or a folder.
pub fn is_path(option: &str) -> bool {
    PATHS.contains(&option)
}

/// All that a clip says of how it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What made it.
    pub stir: Build,
    /// Of the format of the record.
    pub record: u32,
    /// The options of `stir generate` that make it; `None` for latents of another program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Options>,
    /// What became of the options; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// The model.
    pub model: Model,
    /// The picture, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureSums>,
    /// Where the networks ran.
    pub device: DeviceFacts,
    /// What took steps of the clip before, where a saved state was gone on with by another build or elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun_by: Vec<Maker>,
    /// What wrote the file, and the versions of its libraries; `None` where that is a part of stir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// What was computed.
    pub sha256: ResultSums,
    /// Where latents were decoded in another way, or elsewhere, than their run would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode: Option<Decode>,
}

/// A build of stir.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// The last commit that changed what was compiled, with `+changes` where there were more; `unknown` where there was no repository.
    pub commit: String,
    /// A number for the sources, the compiler and its settings.
    pub build: String,
}

impl Build {
    /// The one that is running.
    pub fn own() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("STIR_COMMIT").to_owned(),
            build: env!("STIR_BUILD").to_owned(),
        }
    }

    /// Whether both compute the same. A commit alone changes nothing.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.version, &self.build) == (&other.version, &other.build)
    }
}

/// A build that runs on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    /// The build.
    pub stir: Build,
    /// The device.
    pub device: DeviceFacts,
}

impl Maker {
    /// Whether both compute the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.stir.is_same(&other.stir) && self.device == other.device
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { stir, device } = self;
        write!(formatter, "build {} on {} in {}", stir.build, device.model, device.dtype)
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// The clip as it is written.
    pub clip: Shape,
    /// Width and height at which the picture is shown, of the frames that the written ones are cut out of.
    pub shown: [usize; 2],
    /// What the model makes, pass by pass.
    pub passes: Vec<PassFacts>,
    /// How firmly the picture is held.
    pub strength: String,
    /// Noise on the picture as the model sees it.
    pub image_noise: String,
    /// What is done to the picture first.
    pub degrade: String,
    /// How far large latents are compressed.
    pub tone_map_compression: String,
    /// How noisy the decoder takes the latents to be.
    pub decode_timestep: String,
    /// Share of noise that is mixed in before.
    pub decode_noise: String,
    /// Tokens of the prompt, and of what stands against it; none where they are not counted.
    pub text_tokens: Vec<usize>,
    /// The longest side in pixels of what was decoded at once, where frames were decoded in tiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles_of: Option<usize>,
}

/// The shape of a clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Frames.
    pub frames: usize,
    /// Frames a second.
    pub fps: String,
}

/// One pass of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassFacts {
    /// The clip that it makes.
    pub clip: Shape,
    /// Denoising steps.
    pub steps: usize,
    /// Falling noise levels, the last one 0; of many, the SHA-256 of the list.
    pub sigmas: String,
    /// Guidance, one entry for each range of levels.
    pub guidance: Vec<GuidanceFacts>,
    /// Whether each step goes to the expected clip and back with fresh noise.
    pub stochastic: bool,
}

/// Guidance in a range of noise levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceFacts {
    /// Classifier-free scale.
    pub scale: String,
    /// How far the spread is brought back.
    pub rescale: String,
    /// Spatio-temporal scale.
    pub stg_scale: String,
    /// Blocks that are perturbed for it.
    pub stg_blocks: Vec<usize>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// As it was named; of a path, its last part.
    pub name: String,
    /// The family that ran it.
    pub family: String,
    /// Its weights.
    pub weights: Vec<WeightSum>,
}

/// A file of weights, or what stands in for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightSum {
    /// The networks whose weights it holds, such as `transformer, vae`.
    pub networks: String,
    /// The file's name; `None` for weights that are made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its SHA-256, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What made-up weights are made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<String>,
}

/// The picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSums {
    /// Of the file.
    pub file: String,
    /// Of the pixels that the model saw, in each pass: see [`fingerprint`](crate::pipeline::latent_record::fingerprint).
    pub prepared: Vec<String>,
    /// Of the file that is drawn into the corner, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
}

/// A device, and how networks ran there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceFacts {
    /// `cpu`, `cuda` or `metal`.
    pub kind: String,
    /// Its model; `unknown` where the system does not tell.
    pub model: String,
    /// The version of its driver, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The type that the denoiser computed in.
    pub dtype: String,
    /// The instruction set or the architecture that kernels were chosen for.
    pub kernels: String,
}

/// SHA-256 of what a run computes, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultSums {
    /// The initial noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<String>,
    /// The final latents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latents: Option<String>,
    /// The frames as they were given to the encoder; a WebM cannot hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<String>,
}

/// A decode of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decode {
    /// The options of `stir decode` that change frames.
    pub options: Options,
    /// What decoded.
    pub stir: Build,
    /// Where.
    pub device: DeviceFacts,
}

impl Record {
    /// The version of what this program writes.
    pub const VERSION: u32 = VERSION;

    /// Fills in what the stages before the noise have computed: the sums of the pictures as the model sees them, and the tokens of the texts.
    pub fn computed(&mut self, prepared: Vec<String>, tokens: Option<TextTokens>) {
        if let Some(picture) = &mut self.picture {
            picture.prepared = prepared;
        }
        if let Some(resolved) = &mut self.resolved {
            resolved.text_tokens =
                tokens.iter().flat_map(|tokens| [Some(tokens.prompt), tokens.negative]).flatten().collect();
        }
    }

    /// The record of one clip of several, before it is decoded.
    pub fn of_clip(&self, seed: u64, noise: String, latents: String) -> Self {
        let mut record = self.clone();
        record.request.get_or_insert_default().insert("seed".to_owned(), json!(seed));
        record.sha256 = ResultSums { noise: Some(noise), latents: Some(latents), frames: None };
        record
    }

    /// The same for a decode in tiles of this size, if it is in tiles.
    pub fn of_tiles(mut self, side: Option<usize>) -> Self {
        if let Some(resolved) = &mut self.resolved {
            resolved.tiles_of = side;
        }
        self
    }

    /// As JSON: equal records are equal texts.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and lists of them are JSON")
    }

    /// Refuses a record that clips have no room for.
    ///
    /// # Errors
    /// More than [`LONGEST_RECORD`] bytes.
    pub fn check_size(&self) -> Result<()> {
        let length = self.to_json().len();
        if length <= LONGEST_RECORD {
            return Ok(());
        }
        let hint = "shorten --prompt, --negative-prompt or --sigmas; or leave the record out by --no-metadata";
        Err(Error::input("the record of the clip", format!("at most {LONGEST_RECORD} bytes"), length.to_string(), hint))
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `thing` is what messages call the clip. Names are names of files and lead nowhere, checksums are
    /// checksums, and options are some that a record has; their values are not read yet.
    ///
    /// # Errors
    /// Another text, another version, and what no run writes.
    pub fn parse(text: &str, thing: &str) -> Result<Self> {
        let damaged = |wanted: &str, found: String| {
            let hint = "the clip's metadata is damaged or was changed; make the clip again";
            Error::input(format!("the record of {thing}"), wanted, found, hint)
        };
        if text.len() > LONGEST_RECORD {
            return Err(damaged(&format!("at most {LONGEST_RECORD} bytes"), text.len().to_string()));
        }
        let value: Option<Value> = serde_json::from_str(text).ok();
        let Some(value) = value.filter(|value| value.get("stir").is_some()) else {
            if text.starts_with(BEGINNING) {
                return Err(damaged("JSON", format!("{} bytes that are none", text.len())));
            }
            let hint = "another program wrote its metadata";
            return Err(Error::input(thing, "a clip that carries the record of a run of stir", quoted(text), hint));
        };
        match value.get("record").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                let hint = "use the version of stir that made the clip";
                return Err(Error::input(thing, format!("version {VERSION} of the record"), version.to_string(), hint));
            }
            None => return Err(damaged("a version", "none".to_owned())),
        }
        let record: Self =
            serde_json::from_value(value).map_err(|error| damaged("what a run writes", error.to_string()))?;
        record.check().map_err(|(wanted, found)| damaged(wanted, quoted(&found)))?;
        Ok(record)
    }

    /// What is wrong with a record that another program may have changed: what was wanted, and what was found.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let decode = self.decode.as_ref().map(|decode| &decode.options);
        for (option, value) in self.request.iter().chain(decode).flatten() {
            if !is_recorded(option) {
                return Err(("options that a clip depends on", option.clone()));
            }
            let is_list = value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
            if !(value.is_string() || value.is_u64() || value.is_boolean() || is_list) {
                return Err((
                    "options with a text, a whole number, true or false, or a list of texts",
                    value.to_string(),
                ));
            }
            if is_path(option) && !value.as_str().is_some_and(is_plain) {
                return Err(("names of files without folders", value.to_string()));
            }
        }
        for weights in &self.model.weights {
            if let Some(file) = weights.file.as_ref().filter(|file| !is_plain(file)) {
                return Err(("names of files without folders", file.clone()));
            }
        }
        let ResultSums { noise, latents, frames } = &self.sha256;
        let weights = self.model.weights.iter().filter_map(|weights| weights.sha256.as_ref());
        let picture = self
            .picture
            .iter()
            .flat_map(|picture| [&picture.file].into_iter().chain(&picture.prepared).chain(&picture.watermark));
        let sums = [noise, latents, frames].into_iter().flatten().chain(weights).chain(picture);
        match sums.into_iter().find(|sum| !is_sha256(sum)) {
            Some(sum) => Err(("the 64 hexadecimal digits of a SHA-256", sum.clone())),
            None => Ok(()),
        }
    }
}

/// Whether a name leads to a file in the current folder and nowhere else.
fn is_plain(name: &str) -> bool {
    !name.contains(['/', '\\', '\0']) && Path::new(name).file_name().is_some_and(|plain| plain == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape { width: 96, height: 64, frames: 9, fps: "23.976".to_owned() }
    }

    fn device() -> DeviceFacts {
        let [kind, model, dtype, kernels] = ["cuda", "Some GPU", "bf16", "compute capability 9.0"].map(str::to_owned);
        DeviceFacts { kind, model, driver: Some("570.1".to_owned()), dtype, kernels }
    }

    /// A record with every entry.
    fn example() -> Record {
        let sum = |digit: &str| digit.repeat(64);
        let guidance = GuidanceFacts {
            scale: "3".to_owned(),
            rescale: "0.7".to_owned(),
            stg_scale: "1".to_owned(),
            stg_blocks: vec![14, 19],
        };
        let pass = PassFacts {
            clip: shape(),
            steps: 2,
            sigmas: "1,0.5,0".to_owned(),
            guidance: vec![guidance],
            stochastic: true,
        };
        let options = json!({"image": "a.png", "prompt": "hair\n\u{1b} 髪", "eyes": ["1,2,3,4"], "two_pass": true, "seed": u64::MAX});
        Record {
            stir: Build::own(),
            record: VERSION,
            request: serde_json::from_value(options).unwrap(),
            resolved: Some(Resolved {
                clip: shape(),
                shown: [96, 64],
                passes: vec![pass],
                strength: "1".to_owned(),
                image_noise: "0.025".to_owned(),
                degrade: "off".to_owned(),
                tone_map_compression: "0.6".to_owned(),
                decode_timestep: "0.05".to_owned(),
                decode_noise: "0.025".to_owned(),
                text_tokens: vec![4, 9],
                tiles_of: Some(512),
            }),
            model: Model {
                name: "some model".to_owned(),
                family: "ltx".to_owned(),
                weights: vec![
                    WeightSum {
                        networks: "transformer, vae".to_owned(),
                        file: Some("model.safetensors".to_owned()),
                        sha256: Some(sum("a")),
                        made_from: None,
                    },
                    WeightSum {
                        networks: "x".to_owned(),
                        file: None,
                        sha256: None,
                        made_from: Some("seed 1".to_owned()),
                    },
                ],
            },
            picture: Some(PictureSums { file: sum("b"), prepared: vec![sum("c")], watermark: Some(sum("d")) }),
            device: device(),
            begun_by: vec![Maker { stir: Build::own(), device: device() }],
            encoder: Some("libx264".to_owned()),
            sha256: ResultSums { noise: Some(sum("e")), latents: Some(sum("f")), frames: Some(sum("0")) },
            decode: Some(Decode { options: Options::new(), stir: Build::own(), device: device() }),
        }
    }

    /// The example with another value at this place.
    fn changed(pointer: &str, value: Value) -> String {
        let mut json: Value = serde_json::from_str(&example().to_json()).unwrap();
        *json.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
        json.to_string()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = example();
        assert_eq!(Record::parse(&record.to_json(), "x").unwrap(), record);
        assert!(record.to_json().starts_with(BEGINNING));
        record.check_size().unwrap();
    }

    #[test]
    fn what_no_run_writes_is_refused() {
        for (pointer, value) in [
            ("/record", json!(2)),
            ("/record", json!("1")),
            ("/stir/commit", json!(1)),
            ("/request", json!([])),
            ("/request/image", json!("/etc/passwd")),
            ("/request/image", json!("..")),
            ("/request/image", json!("a\\b")),
            ("/request/image", json!(1)),
            ("/request/seed", json!(-1)),
            ("/request/seed", json!(1.5)),
            ("/request/eyes", json!([1])),
            ("/request/prompt", json!({})),
            ("/resolved/passes", json!(null)),
            ("/model/weights/0/file", json!("../model.safetensors")),
            ("/model/weights/0/sha256", json!("abc")),
            ("/picture/prepared/0", json!("g".repeat(64))),
            ("/sha256/noise", json!("")),
            ("/decode/options", json!({"output": "x"})),
        ] {
            let error = Record::parse(&changed(pointer, value.clone()), "clip x").unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("clip x"), "{pointer} {value}: {error}");
        }
        for option in ["output", "save_latents", "config", "threads", "further"] {
            let record = changed("/request", json!({option: "x"}));
            assert!(Record::parse(&record, "x").unwrap_err().to_string().contains(option), "{option}");
        }
        let further = example().to_json().replacen('{', "{\"further\":1,", 1);
        let long = changed("/encoder", json!("x".repeat(LONGEST_RECORD)));
        for text in ["", "{}", "[]", "null", "a comment", &further, &long, &"[".repeat(10_000)] {
            assert!(Record::parse(text, "x").is_err(), "{text}");
        }
    }

    #[test]
    fn a_record_that_no_clip_has_room_for_is_refused() {
        let long = Record { encoder: Some("x".repeat(LONGEST_RECORD)), ..example() };
        assert_eq!(long.check_size().unwrap_err().exit_code(), 2);
    }
}
