//! What a file or folder of LTX-Video is.

use std::path::Path;

use super::checkpoint::model::{MODEL_INDEX, Model, find_transformer, pipeline};
use super::checkpoint::part::Part as Network;
use super::checkpoint::{Checkpoint, Files, places};
use super::text;
use super::vae::config::{Config as VaeConfig, Generation};
use super::vae::keys::PREFIX as VAE_PREFIX;
use crate::error::{Error, Result};
use crate::models::inspect::{Fact, Inspection, Kind, Missing, Part};
use crate::weights::files::WeightFiles;
use crate::weights::keymap::KeyMap;
use crate::weights::store::Store;

/// Sizes that have names: blocks, width.
const SIZES: [(usize, usize, &str); 2] = [(28, 2048, "2B"), (48, 4096, "13B")];
const VAE: Missing = Missing {
    name: "autoencoder",
    option: "--vae",
    takes: "a folder of diffusers, its folder `vae`, or a single file of the same release",
};
const TEXT_ENCODER: Missing = Missing {
    name: "text encoder",
    option: "--text-encoder",
    takes: "T5 v1.1 XXL: a safetensors or GGUF file, or a folder of diffusers",
};
const TOKENIZER: Missing = Missing {
    name: "tokenizer",
    option: "--tokenizer",
    takes: "T5's spiece.model or tokenizer.json, or a folder of diffusers",
};

/// Of every autoencoder: the beginnings of names that no other network has.
const OF_VAES: [&str; 3] = ["vae.per_channel_statistics.", "per_channel_statistics.", "latents_mean"];
/// Of every latent upsampler.
const OF_UPSAMPLERS: [&str; 2] = ["initial_conv.", "post_upsample_res_blocks."];

/// Looks at the headers and configurations of a file or folder.
///
/// # Errors
/// A damaged file, and a file or folder that is nothing of LTX-Video.
pub fn inspect(path: &Path) -> Result<Inspection> {
    if path.join(MODEL_INDEX).exists() {
        return Ok(folder(path));
    }
    let files = WeightFiles::open(path)?;
    if let Some(names) = find_transformer(&files)? {
        return single_file(path, &files, names);
    }
    if text::config::names(&Store::outline(&files, KeyMap::IDENTITY)?).is_ok() {
        let checked = Network::text_encoder(path).and_then(|network| network.check());
        return Ok(Inspection { problem: checked.err().map(told), ..alone(path, Kind::TextEncoder, "text encoder") });
    }
    if holds_any(&files, &OF_VAES)? {
        let alone = alone(path, Kind::Vae, "autoencoder");
        return Ok(match Network::vae(path).and_then(|network| network.check().map(|()| network)) {
            Ok(network) => Inspection { facts: vec![generation(&network.config)], ..alone },
            Err(error) => Inspection { problem: Some(told(error)), ..alone },
        });
    }
    if holds_any(&files, &OF_UPSAMPLERS)? {
        return Ok(alone(path, Kind::LatentUpsampler, "latent upsampler"));
    }
    let tensors = files.tensors()?;
    let few: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
    let found = if few.is_empty() { "no tensors".to_owned() } else { format!("tensors such as {}", few.join(", ")) };
    let wanted = "a transformer, autoencoder, latent upsampler or text encoder of LTX-Video";
    Err(Error::input(path.display().to_string(), wanted, found, "it belongs to a model that stir does not run"))
}

/// A folder of diffusers.
fn folder(path: &Path) -> Inspection {
    let mut facts = Vec::new();
    if let Ok(class) = pipeline(&path.join(MODEL_INDEX)) {
        facts.push(Fact { name: "pipeline", value: class });
    }
    let (mut parts, mut missing) = (Vec::new(), Vec::new());
    for (folder, part) in [("transformer", None), ("vae", Some(VAE))] {
        let place = path.join(folder);
        match part {
            part if place.is_dir() => parts.push(Part::whole(part.map_or(folder, |part| part.name), &place)),
            Some(part) => missing.push(part),
            // No option supplies it: that it is missing is a problem.
            None => {}
        }
    }
    complete(path, Inspection { facts, parts, missing, ..empty(Kind::DiffusersFolder) })
}

/// A single file or a GGUF file, or a folder with one of them.
fn single_file(path: &Path, files: &WeightFiles, names: KeyMap) -> Result<Inspection> {
    let kind = if files.is_gguf() { Kind::Gguf } else { Kind::SingleFile };
    let part = |name: &str, counts: &dyn Fn(&str) -> bool| -> Result<Part> {
        Ok(Part { name: name.to_owned(), place: path.to_owned(), types: files.count_types(counts)? })
    };
    let mut inspection = empty(kind);
    let is_vae = |name: &str| name.starts_with(VAE_PREFIX);
    inspection.parts.push(part("transformer", &|name| name.starts_with(names.prefix) && !is_vae(name))?);
    inspection.facts.push(size(&Store::outline(files, names)?));
    let beside = places::surroundings(path).join("vae");
    if files.holds(VAE_PREFIX)? {
        inspection.parts.push(part(VAE.name, &is_vae)?);
    } else if beside.is_dir() {
        inspection.parts.push(Part::whole(VAE.name, &beside));
    } else {
        inspection.missing.push(VAE);
    }
    Ok(complete(path, inspection))
}

/// Adds what is known when transformer and autoencoder are found, and the parts that belong to every model.
fn complete(path: &Path, mut inspection: Inspection) -> Inspection {
    let files = Files { model: path.to_owned(), ..Files::default() };
    let model = inspection.missing.is_empty().then(|| Model::open(path, None));
    let text_encoder = places::text_encoder(&files).ok();
    let tokenizer = places::tokenizer(&files, text_encoder.as_deref().unwrap_or(path)).ok();
    match &text_encoder {
        Some(place) => inspection.parts.push(Part::whole(TEXT_ENCODER.name, place)),
        None => inspection.missing.push(TEXT_ENCODER),
    }
    match tokenizer {
        Some(place) => inspection.parts.push(Part { name: TOKENIZER.name.to_owned(), place, types: Vec::new() }),
        None => inspection.missing.push(TOKENIZER),
    }
    if let Some(Ok(model)) = &model {
        if inspection.kind == Kind::DiffusersFolder
            && let Ok(store) = model.transformer.outline()
        {
            inspection.facts.push(size(&store));
        }
        inspection.facts.push(generation(&model.vae.config));
        let causal = if model.transformer.config.causal_time { "causal" } else { "not causal" };
        inspection.facts.push(Fact { name: "positions in time", value: causal.to_owned() });
        if let Some(levels) = &model.allowed_levels {
            inspection.facts.push(Fact { name: "distilled", value: format!("for {} steps", levels.len()) });
        }
    }
    let problem = model.and_then(Result::err);
    let whole = || Checkpoint::open(&files).and_then(|checkpoint| checkpoint.tokenizer()).err();
    inspection.problem = problem.or_else(|| inspection.missing.is_empty().then(whole).flatten()).map(told);
    inspection
}

/// Blocks and width of a transformer, with the name that this size has.
fn size(store: &Store) -> Fact {
    let present = |block: &usize| store.shape(&format!("transformer_blocks.{block}.scale_shift_table")).is_some();
    let blocks = (0..).take_while(present).count();
    let width = store.shape("proj_in.weight").and_then(|shape| shape.first().copied()).unwrap_or(0);
    let known = SIZES.iter().find(|(released, wide, _)| (*released, *wide) == (blocks, width));
    let name = known.map_or("of no release", |(_, _, name)| name);
    Fact { name: "size", value: format!("{name} ({blocks} blocks, {width} wide)") }
}

fn generation(config: &VaeConfig) -> Fact {
    let value = match config.generation() {
        Generation::First => "0.9.0",
        Generation::Timed => "0.9.1",
        Generation::Folded => "0.9.5 to 0.9.8",
    };
    Fact { name: "autoencoder of", value: value.to_owned() }
}

fn holds_any(files: &WeightFiles, prefixes: &[&str]) -> Result<bool> {
    let tensors = files.tensors()?;
    Ok(tensors.keys().any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))))
}

impl Part {
    /// The part `name`, which has the files at `place` for itself. Files that cannot be read have no tensors here; what is wrong with them
    /// is the inspection's problem.
    fn whole(name: &str, place: &Path) -> Self {
        let types = WeightFiles::open(place).and_then(|files| files.count_types(|_| true)).unwrap_or_default();
        Self { name: name.to_owned(), place: place.to_owned(), types }
    }
}

fn empty(kind: Kind) -> Inspection {
    let family = "ltx".to_owned();
    Inspection { family, kind, facts: Vec::new(), parts: Vec::new(), missing: Vec::new(), problem: None }
}

/// A part that is no whole model.
fn alone(path: &Path, kind: Kind, name: &str) -> Inspection {
    Inspection { parts: vec![Part::whole(name, path)], ..empty(kind) }
}

fn told(error: Error) -> String {
    format!("{error}; {}", error.hint())
}
