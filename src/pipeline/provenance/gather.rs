//! From a run to the record of its clips.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use serde_json::{Value, json};

use super::record::{
    self, Build, Decode, DeviceFacts, GuidanceFacts, Maker, Model, Options, PassFacts, PictureSums, Record, Resolved,
    ResultSums, Shape, WeightSum,
};
use super::sums;
use crate::backend::cpu::gemm::Kernels;
use crate::device::{self, machine::Machine};
use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::media::degrade::Degradation;
use crate::media::watermark::Watermark;
use crate::media::{self, LONGEST_RECORD};
use crate::models::{Family, Pass, Recipe, SamplingOptions, WeightOrigin, WeightSource};
use crate::pipeline::decode::DecodeRequest;
use crate::pipeline::latent_record::LatentRecord;
use crate::pipeline::observer::{Level, Observer};
use crate::pipeline::request::Request;
use crate::pipeline::settings::Settings;
use crate::units::Clip;
use crate::weights::digest::hexadecimal;

/// Bytes of a record besides the request, at most, for models in some ten files.
const BESIDE_REQUEST: usize = 4_000;
/// More noise levels than these are recorded by their sum.
const MOST_LEVELS: usize = 64;
/// In place of sums that are still to be computed.
const UNKNOWN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Refuses a request that no record has room for, where there is to be one.
///
/// # Errors
/// An input error that says what to shorten.
pub fn check(request: &Request) -> Result<()> {
    let length = serde_json::to_string(&options(request)).map_or(0, |text| text.len());
    let most = LONGEST_RECORD - BESIDE_REQUEST;
    if !request.metadata || length <= most {
        return Ok(());
    }
    let hint = "shorten --prompt, --negative-prompt or --sigmas; or leave the record out by --no-metadata";
    Err(Error::input("the options", format!("at most {most} bytes, for the clip's record"), length.to_string(), hint))
}

/// The options that a clip of this request depends on.
fn options(request: &Request) -> Options {
    let mut options = recorded(&Settings::from(&Request { count: 1, ..request.clone() }), request.watermark.as_ref());
    options.insert("seed".to_owned(), json!(request.seed));
    options
}

/// Of all settings those that a record holds, as it holds them.
fn recorded(settings: &Settings, watermark: Option<&Watermark>) -> Options {
    let watermark_is_file = watermark.is_some_and(|watermark| watermark.path().is_some());
    let entries = settings.entries().filter(|(option, _)| record::is_recorded(option));
    let value = |(option, value): (&str, &Value)| {
        let is_path = record::is_path(option) || option == "watermark" && watermark_is_file;
        let value = match value {
            Value::String(text) if is_path => json!(plain_name(text)),
            Value::Number(number) if number.as_u64().is_none() => json!(number.to_string()),
            other => other.clone(),
        };
        (option.to_owned(), value)
    };
    entries.map(value).collect()
}

/// The last part of a path, on whatever system; of a name that is no path, the name.
fn plain_name(path: &str) -> String {
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty());
    last.filter(|last| ![".", ".."].contains(last)).unwrap_or("unnamed").to_owned()
}

/// What a run knows before it computes anything.
pub struct Known<'a> {
    /// The request, with what the model decides.
    pub request: Request,
    /// The model.
    pub family: &'a dyn Family,
    /// How clips are made.
    pub recipe: &'a Recipe,
    /// The clip as it is written.
    pub clip: &'a Clip,
    /// Width and height at which the picture is shown.
    pub shown: (usize, usize),
    /// What is done to the picture.
    pub degradation: Degradation,
    /// The SHA-256 of the picture's file.
    pub picture: &'a str,
}

impl Known<'_> {
    /// The record of the run's clips, as far as it is the same for all of them, with room for what is still to be computed.
    ///
    /// # Errors
    /// Files that cannot be read, and a record that is too long.
    pub fn record(&self, observer: &mut dyn Observer) -> Result<Record> {
        let Self { request, family, recipe, .. } = self;
        let facts = device_facts(*family);
        let mut options = options(request);
        // What the device decides by itself may be something else elsewhere.
        options.insert("device".to_owned(), json!(facts.kind));
        options.insert("dtype".to_owned(), json!(facts.dtype));
        let model = Model {
            name: plain_name(&request.model.model),
            family: family.name().to_owned(),
            weights: weight_sums(&family.weights(recipe)?, observer)?,
        };
        let known = || Some(UNKNOWN.to_owned());
        let record = Record {
            stir: Build::own(),
            record: Record::VERSION,
            request: Some(options),
            resolved: Some(self.resolved()),
            model,
            picture: Some(PictureSums {
                file: self.picture.to_owned(),
                prepared: vec![UNKNOWN.to_owned(); recipe.passes.len()],
                watermark: watermark_sum(request.watermark.as_ref())?,
            }),
            device: facts,
            begun_by: Vec::new(),
            encoder: media::encoder(&request.output),
            sha256: ResultSums { noise: known(), latents: known(), frames: known() },
            decode: None,
        };
        record.check_size()?;
        Ok(record)
    }

    fn resolved(&self) -> Resolved {
        let Self { recipe, .. } = self;
        Resolved {
            clip: shape(self.clip),
            shown: self.shown.into(),
            passes: recipe.passes.iter().map(pass_facts).collect(),
            strength: recipe.strength.to_string(),
            image_noise: recipe.image_noise.to_string(),
            degrade: self.degradation.name().to_owned(),
            tone_map_compression: recipe.tone_map_compression.to_string(),
            decode_timestep: recipe.decode.timestep.to_string(),
            decode_noise: recipe.decode.noise.to_string(),
            text_tokens: Vec::new(),
            tiles_of: None,
        }
    }
}

fn shape(clip: &Clip) -> Shape {
    Shape { width: clip.width, height: clip.height, frames: clip.frames.0, fps: clip.fps.0.to_string() }
}

fn pass_facts(pass: &Pass) -> PassFacts {
    let mut guidance: Vec<GuidanceFacts> = Vec::new();
    for sigma in &pass.sigmas[..pass.steps()] {
        let range = pass.guidance.at(*sigma);
        let facts = GuidanceFacts {
            scale: range.guidance.scale.to_string(),
            rescale: range.guidance.rescale.to_string(),
            stg_scale: range.guidance.perturbation_scale.to_string(),
            stg_blocks: range.perturbed_blocks.clone(),
        };
        if guidance.last() != Some(&facts) {
            guidance.push(facts);
        }
    }
    let levels = pass.sigmas.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    PassFacts {
        clip: shape(&pass.clip),
        steps: pass.steps(),
        sigmas: if pass.sigmas.len() <= MOST_LEVELS { levels } else { sum_of_text(&levels) },
        guidance,
        stochastic: pass.stochastic,
    }
}

fn sum_of_text(text: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("SHA-256 {}", hexadecimal(&Sha256::digest(text)))
}

/// Each file once, with the networks whose weights it holds.
fn weight_sums(sources: &[WeightSource], observer: &mut dyn Observer) -> Result<Vec<WeightSum>> {
    let mut sums: Vec<WeightSum> = Vec::new();
    let mut places = BTreeMap::new();
    for WeightSource { network, origin } in sources {
        if let Some(sum) = places.get(origin_key(origin)).and_then(|place: &usize| sums.get_mut(*place)) {
            sum.networks += &format!(", {network}");
            continue;
        }
        places.insert(origin_key(origin), sums.len());
        let networks = (*network).to_owned();
        sums.push(match origin {
            WeightOrigin::File(path) => {
                let sha256 = sums::of_file(path, &mut |line| observer.say(Level::Note, line))?;
                let file = plain_name(&path.to_string_lossy());
                WeightSum { networks, file: Some(file), sha256: Some(sha256), made_from: None }
            }
            WeightOrigin::Known { name, sha256 } => {
                WeightSum { networks, file: Some(name.clone()), sha256: Some(sha256.clone()), made_from: None }
            }
            WeightOrigin::MadeUp(made_from) => {
                WeightSum { networks, file: None, sha256: None, made_from: Some(made_from.clone()) }
            }
        });
    }
    Ok(sums)
}

fn origin_key(origin: &WeightOrigin) -> &Path {
    match origin {
        WeightOrigin::File(path) => path,
        WeightOrigin::Known { name, .. } => Path::new(name),
        WeightOrigin::MadeUp(made_from) => Path::new(made_from),
    }
}

fn watermark_sum(watermark: Option<&Watermark>) -> Result<Option<String>> {
    watermark.and_then(Watermark::path).map(|path| sums::of_file(path, &mut |_| {})).transpose()
}

/// What runs this family now.
pub fn maker(family: &dyn Family) -> Maker {
    Maker { stir: Build::own(), device: device_facts(family) }
}

/// Where the networks of a model run.
fn device_facts(family: &dyn Family) -> DeviceFacts {
    let (device, dtype) = (family.device(), family.dtype().as_str().to_owned());
    let unknown = || "unknown".to_owned();
    if device.is_cpu() {
        let model = Machine::of(&Device::Cpu).processor.unwrap_or_else(unknown);
        let kernels = Kernels::fastest().name().to_owned();
        return DeviceFacts { kind: "cpu".to_owned(), model, driver: None, dtype, kernels };
    }
    let name = device::name(device);
    let found = device::found().into_iter().find(|found| found.device == name);
    DeviceFacts {
        kind: name.split(':').next().unwrap_or(&name).to_owned(),
        model: found.as_ref().and_then(|found| found.name.clone()).unwrap_or_else(unknown),
        driver: found.as_ref().and_then(|found| found.driver.clone()),
        dtype,
        kernels: found
            .and_then(|found| found.compute_capability)
            .map_or_else(unknown, |capability| format!("compute capability {capability}")),
    }
}

/// The record of a clip that is decoded from a file of latents.
pub struct Decoding<'a> {
    /// What is asked for.
    pub request: &'a DecodeRequest,
    /// The model.
    pub family: &'a dyn Family,
    /// What the run says that the latents are from.
    pub recorded: Option<&'a LatentRecord>,
    /// The latents.
    pub latents: &'a Latents,
    /// The clip that they are of.
    pub pass: &'a Clip,
}

impl Decoding<'_> {
    /// What the latents' run would have written; where something is done in another way, or another device does it, with a note of that.
    ///
    /// # Errors
    /// Files that cannot be read, and a record that is too long.
    pub fn record(&self, observer: &mut dyn Observer) -> Result<Record> {
        let Self { request, family, latents, .. } = self;
        let settings = recorded(&Settings::from(*request), request.watermark.as_ref());
        let device = device_facts(*family);
        let latents = Some(sums::of_latents(latents)?);
        let encoder = media::encoder(&request.output);
        let mut record = match self.recorded.and_then(|recorded| Some((recorded, recorded.provenance.clone()?))) {
            Some((recorded, mut record)) => {
                let options = self.changes(recorded, &settings);
                let own = Build::own();
                let elsewhere = !options.is_empty() || device != record.device || !own.is_same(&record.stir);
                record.decode = elsewhere.then_some(Decode { options, stir: own, device });
                record.encoder = encoder;
                record.sha256 = ResultSums { latents, frames: Some(UNKNOWN.to_owned()), ..record.sha256 };
                self.adopt_output(&mut record, &settings)?;
                record
            }
            None => {
                let options = settings.into_iter().filter(|(option, _)| option != "image").collect();
                let recipe = family.recipe(&SamplingOptions::default(), self.pass)?;
                let mut sources = family.weights(&recipe)?;
                sources.retain(|source| source.network == "vae" || family.decodes_onto_picture());
                let named = self.recorded.map(|recorded| recorded.model.model.as_str()).or(request.model.as_deref());
                let model = Model {
                    name: plain_name(named.unwrap_or_default()),
                    family: family.name().to_owned(),
                    weights: weight_sums(&sources, observer)?,
                };
                let decode = Some(Decode { options, stir: Build::own(), device: device.clone() });
                Record {
                    stir: Build::own(),
                    record: Record::VERSION,
                    request: None,
                    resolved: None,
                    model,
                    picture: None,
                    device,
                    begun_by: Vec::new(),
                    encoder,
                    sha256: ResultSums { noise: None, latents, frames: Some(UNKNOWN.to_owned()) },
                    decode,
                }
            }
        };
        record.check_size()?;
        record.sha256.frames = None;
        Ok(record)
    }

    /// What is asked for and is not what the run had.
    fn changes(&self, recorded: &LatentRecord, settings: &Options) -> Options {
        let Self { request, .. } = self;
        let changes = [
            ("fps", request.fps.is_some_and(|fps| fps != recorded.written.fps)),
            ("seed", request.seed.is_some_and(|seed| seed != recorded.seed)),
            ("decode_timestep", request.timestep.is_some_and(|timestep| timestep != recorded.settings.timestep)),
            ("decode_noise", request.noise.is_some_and(|noise| noise != recorded.settings.noise)),
            ("model", request.model.as_ref().is_some_and(|model| *model != recorded.model.model)),
            ("vae", request.vae.is_some() && request.vae != recorded.model.vae),
            (
                "dtype",
                request
                    .dtype
                    .is_some_and(|_| self.family.dtype() != recorded.model.dtype.unwrap_or(self.family.dtype())),
            ),
            ("vae_tiling", request.tiling.is_some_and(|tiling| tiling != recorded.model.tiling)),
        ];
        let changed = changes.into_iter().filter(|(_, changed)| *changed);
        changed.filter_map(|(option, _)| Some((option.to_owned(), settings.get(option)?.clone()))).collect()
    }

    /// The file is as this request wants it: a run that wants the same makes the same.
    fn adopt_output(&self, record: &mut Record, settings: &Options) -> Result<()> {
        for option in ["format", "quality", "encoder", "watermark"] {
            let options = record.request.get_or_insert_default();
            match settings.get(option) {
                Some(value) => options.insert(option.to_owned(), value.clone()),
                None => options.remove(option),
            };
        }
        if let Some(picture) = &mut record.picture {
            picture.watermark = watermark_sum(self.request.watermark.as_ref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere() {
        for (path, name) in [
            ("sway", "sway"),
            ("synthetic:ltx-2b", "synthetic:ltx-2b"),
            ("/home/a/some model/", "some model"),
            ("C:\\Users\\a\\b.png", "b.png"),
            ("a\\b.png", "b.png"),
            ("-", "-"),
            ("..", "unnamed"),
            ("/", "unnamed"),
            ("", "unnamed"),
        ] {
            assert_eq!(plain_name(path), name);
        }
    }
}
