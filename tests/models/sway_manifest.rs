//! What `models/sway` says of itself is true.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use candle_core::Device;
use sha2::{Digest, Sha256};
use stir::diffusion::schedule;
use stir::models::manifest::Manifest;
use stir::models::{self, Defaults, ModelRequest, Recipe, SamplingOptions};
use stir::units::{Clip, Fps, PixelFrames};

use crate::fixture::repository;

fn manifest() -> Manifest {
    let text = std::fs::read_to_string(repository("models/sway/manifest.toml")).unwrap();
    Manifest::parse(&text, "models/sway/manifest.toml").unwrap()
}

#[test]
fn family_and_licence_are_the_program_s_and_defaults_are_the_manifest_s() {
    let (manifest, model) = (manifest(), models::open(&ModelRequest::named("sway"), &Device::Cpu).unwrap());
    let clip = Clip { width: 64, height: 64, frames: PixelFrames(5), fps: Fps(25.0) };
    let Defaults { steps, guidance_scale } = manifest.defaults;
    assert_eq!(manifest.family, model.name());
    assert_eq!(manifest.licence.as_deref(), Some(env!("CARGO_PKG_LICENSE")));
    let recipe = model.recipe(&SamplingOptions::default(), &clip).unwrap();
    assert_eq!(recipe, Recipe::plain(&clip, schedule::linear(steps), guidance_scale));
}

/// The very files that are embedded: those beside the manifest, all of them.
#[test]
fn hashes_are_those_of_the_weights() {
    let stated = manifest().sha256;
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(repository("models/sway")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let digest = Sha256::digest(std::fs::read(&path).unwrap());
            let mut text = String::new();
            digest.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            found.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), text);
        }
    }
    assert_eq!(stated, found, "run `python -m scripts.sway.manifest` after new weights");
}

#[test]
fn the_tensor_list_is_that_of_the_weights() {
    let stated = std::fs::read_to_string(repository("models/sway/tensors.txt")).unwrap();
    let mut found = String::new();
    for file in manifest().sha256.keys() {
        let bytes = std::fs::read(repository("models/sway").join(file)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut names = tensors.names();
        names.sort_unstable();
        for name in names {
            let view = tensors.tensor(name).unwrap();
            let stem = file.trim_end_matches(".safetensors");
            writeln!(found, "{stem} {name} {:?} {:?}", view.dtype(), view.shape()).unwrap();
        }
    }
    assert_eq!(stated, found, "run `python -m scripts.sway.manifest` after new weights");
}

/// The whole folder is embedded in the program and lies in the repository.
#[test]
fn the_weights_stay_small() {
    let bytes: u64 = std::fs::read_dir(repository("models/sway"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 24_000_000, "{bytes} bytes");
}
