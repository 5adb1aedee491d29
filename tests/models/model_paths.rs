//! Models by path: a copy of the weights that ship with stir, whole and damaged in every way.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use sha2::{Digest, Sha256};
use stir::error::Error;
use stir::models::{self, Offload};
use stir::units::{Clip, Fps, PixelFrames};

use crate::fixture::repository;

const FILES: [&str; 3] = ["encoder.safetensors", "denoiser.safetensors", "manifest.toml"];

const CLIP: Clip = Clip { width: 64, height: 64, frames: PixelFrames(5), fps: Fps(25.0) };

/// A folder with a copy of the model that ships with stir, removed at the end of the test.
struct Model(PathBuf);

impl Model {
    fn copy(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("stir-model-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let model = Self(folder);
        for file in FILES {
            fs::copy(repository("models/sway").join(file), model.path(file)).unwrap();
        }
        model
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Replaces `from` in the manifest; the manifest has to contain it.
    fn edit_manifest(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("manifest.toml")).unwrap();
        assert!(text.contains(from), "{from} is not in\n{text}");
        fs::write(self.path("manifest.toml"), text.replace(from, to)).unwrap();
    }

    /// Writes other weights and their checksum.
    fn replace_weights(&self, file: &str, bytes: &[u8]) {
        let old = hexadecimal(&fs::read(self.path(file)).unwrap());
        fs::write(self.path(file), bytes).unwrap();
        self.edit_manifest(&old, &hexadecimal(bytes));
    }

    /// The denoiser's weights with a change.
    fn change_denoiser(&self, change: impl FnOnce(&mut std::collections::HashMap<String, Tensor>)) {
        let mut tensors = candle_core::safetensors::load(self.path("denoiser.safetensors"), &Device::Cpu).unwrap();
        change(&mut tensors);
        self.replace_weights("denoiser.safetensors", &safetensors::serialize(&tensors, None).unwrap());
    }

    /// What [`models::check`] says; opening has to refuse it in the same words.
    #[track_caller]
    fn refused_at_once(&self) -> String {
        let message = refusal(models::check(&models::ModelRequest::named(self.name())).unwrap_err());
        assert_eq!(
            refusal(models::open(&models::ModelRequest::named(self.name()), &Device::Cpu).err().unwrap()),
            message
        );
        message
    }

    /// What opening says of a model that looks right at first.
    #[track_caller]
    fn refused_when_opened(&self) -> String {
        models::check(&models::ModelRequest::named(self.name())).unwrap();
        refusal(models::open(&models::ModelRequest::named(self.name()), &Device::Cpu).err().unwrap())
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The message and the next step of an error that is the user's to correct.
#[track_caller]
fn refusal(error: Error) -> String {
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(!error.hint().is_empty(), "{error}");
    format!("{error}; next: {}", error.hint())
}

#[track_caller]
fn contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_folder_runs_with_its_own_defaults() {
    let model = Model::copy("whole");
    model.edit_manifest("steps = 16", "steps = 5");
    models::check(&models::ModelRequest::named(model.name())).unwrap();
    let family = models::open(&models::ModelRequest::named(model.name()), &Device::Cpu).unwrap();
    assert_eq!(family.name(), "sway");
    assert_eq!(family.recipe(&models::SamplingOptions::default(), &CLIP).unwrap().passes[0].steps(), 5);
    family.denoiser(Offload::None).unwrap();
    family.image_encoder().unwrap();
}

#[test]
fn the_folder_s_weights_are_used_and_not_those_of_the_program() {
    let model = Model::copy("zeros");
    model.change_denoiser(|tensors| tensors.values_mut().for_each(|tensor| *tensor = tensor.zeros_like().unwrap()));
    let output = |name: &str| {
        let family = models::open(&models::ModelRequest::named(name), &Device::Cpu).unwrap();
        let noise = stir::diffusion::noise::initial(1, &family.latent_shapes(&CLIP)).unwrap();
        let mut conditioning = models::Conditioning::default();
        let features = Tensor::zeros((1, 6, 6, 16), DType::F32, &Device::Cpu).unwrap();
        conditioning.image.tensors.insert(models::sway::FEATURES, features);
        let prompt =
            models::MotionPrompt { words: "hair flows".into(), camera: Vec::new(), intensity: 1.0, negative: None };
        conditioning.text = family.text_encoder().unwrap().encode(&prompt, false).unwrap();
        let prediction = models::Prediction {
            sigma: 1.0,
            branch: models::Branch::Prompt,
            conditioning: &conditioning,
            constraints: &[],
            clip: &CLIP,
        };
        let velocity = family.denoiser(Offload::None).unwrap().velocity(&noise, &prediction).unwrap();
        // At noise level 1 the velocity is the noise less the clean latents.
        (&noise.parts["control"] - &velocity.parts["control"]).unwrap().abs().unwrap().max_all().unwrap()
    };
    let largest = |name: &str| output(name).to_scalar::<f32>().unwrap();
    assert!(largest(model.name()) < 1e-6);
    assert!(largest("sway") > 0.01);
}

#[test]
fn names_that_are_none_are_refused_with_the_nearest() {
    contains(
        &refusal(models::check(&models::ModelRequest::named("Swayy")).unwrap_err()),
        &["--model: wanted one of: sway", "found \"Swayy\"", "did you mean sway?", "./Swayy"],
    );
    contains(
        &refusal(models::check(&models::ModelRequest::named("ltx")).unwrap_err()),
        &["found \"ltx\"", "leave it out", "./ltx"],
    );
    contains(&refusal(models::check(&models::ModelRequest::named("")).unwrap_err()), &["found \"\"", "./FOLDER"]);
}

#[test]
fn paths_that_lead_to_no_model_are_refused() {
    let model = Model::copy("no-model");
    let missing = model.path("missing");
    contains(
        &refusal(models::check(&models::ModelRequest::named(missing.to_str().unwrap())).unwrap_err()),
        &["manifest.toml", "model_index.json", "found no such file or folder"],
    );
    let text = model.path("notes.txt");
    fs::write(&text, "no checkpoint").unwrap();
    contains(
        &refusal(models::check(&models::ModelRequest::named(text.to_str().unwrap())).unwrap_err()),
        &["found a file of another kind", ".safetensors or .gguf"],
    );
    fs::remove_file(model.path("manifest.toml")).unwrap();
    contains(&model.refused_at_once(), &[model.name(), "found a folder with neither", "stir models inspect"]);
}

#[test]
fn a_manifest_that_cannot_be_used_is_refused() {
    let model = Model::copy("manifest");
    let manifest = model.path("manifest.toml");
    model.edit_manifest("family = \"sway\"", "family = \"ltx\"");
    contains(&model.refused_at_once(), &[manifest.to_str().unwrap(), "`family` sway", "found \"ltx\""]);
    model.edit_manifest("family = \"ltx\"", "family = ");
    contains(&model.refused_at_once(), &["the TOML of a model's manifest", "(line 4)", "scripts.sway.manifest"]);
    fs::write(&manifest, b"family = \"\xff\"").unwrap();
    contains(&model.refused_at_once(), &["readable manifest", "UTF-8"]);
    fs::write(&manifest, "#".repeat(100_000)).unwrap();
    contains(&model.refused_at_once(), &["100000 bytes"]);
    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    contains(&model.refused_at_once(), &["no regular file"]);
}

#[test]
fn a_manifest_has_to_list_exactly_the_files_of_the_family() {
    let model = Model::copy("listed");
    model.edit_manifest("\"denoiser.safetensors\"", "\"manifest.toml\"");
    contains(
        &model.refused_when_opened(),
        &["checksums of encoder.safetensors and denoiser.safetensors", "manifest.toml"],
    );
}

#[test]
fn weights_that_are_missing_are_refused_at_once() {
    let model = Model::copy("missing");
    fs::remove_file(model.path("denoiser.safetensors")).unwrap();
    contains(&model.refused_at_once(), &[model.name(), "the weights denoiser.safetensors", "found no such file"]);
}

#[test]
fn weights_that_are_cut_short_empty_or_damaged_are_refused() {
    let model = Model::copy("damaged");
    let path = model.path("encoder.safetensors");
    let whole = fs::read(&path).unwrap();
    let checksum = hexadecimal(&whole);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() / 2], &[], &flipped] {
        fs::write(&path, damaged).unwrap();
        let bytes = format!("of {} bytes", damaged.len());
        let found = hexadecimal(damaged);
        contains(
            &model.refused_when_opened(),
            &[path.to_str().unwrap(), &checksum, &found, &bytes, "copy the file again"],
        );
    }
}

#[test]
fn weights_of_another_model_are_refused_and_name_the_tensor() {
    let model = Model::copy("another");
    let encoder = fs::read(model.path("encoder.safetensors")).unwrap();
    model.change_denoiser(|tensors| {
        tensors.insert("further".to_owned(), tensors["final_modulation.bias"].clone());
    });
    contains(
        &model.refused_when_opened(),
        &["denoiser.safetensors", "unknown tensors: further", "another version or model"],
    );
    model.change_denoiser(|tensors| {
        tensors.remove("further");
        let narrow = tensors["token_position"].narrow(1, 0, 64).unwrap().contiguous().unwrap();
        tensors.insert("token_position".to_owned(), narrow);
    });
    contains(&model.refused_when_opened(), &["`token_position`", "shape [37, 128]", "found [37, 64]"]);
    model.replace_weights("denoiser.safetensors", b"no checkpoint at all");
    contains(&model.refused_when_opened(), &["denoiser.safetensors", "a safetensors file"]);
    model.replace_weights("denoiser.safetensors", &encoder);
    contains(&model.refused_when_opened(), &["no such tensor", "another version or model"]);
}

#[test]
fn a_path_may_be_relative() {
    assert!(Path::new("models/sway").is_dir(), "tests run in the repository");
    models::check(&models::ModelRequest::named("models/sway")).unwrap();
    models::check(&models::ModelRequest::named("models/sway/")).unwrap();
    let name = models::check(&models::ModelRequest::named("models")).unwrap_err().to_string();
    contains(&name, &["--model models:", "found a folder with neither"]);
}
