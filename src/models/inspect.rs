//! What a file or folder is, what is known of it, and what it needs to run.

use std::path::{Path, PathBuf};

use super::location::{self, Location};
use super::ltx;
use crate::error::{Error, Result};
pub use crate::weights::files::TypeCount;
use crate::weights::files::WeightFiles;

/// What a file or folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder with the files of a model of stir's own, as its `manifest.toml` lists them.
    ModelFolder,
    /// A folder in the layout of diffusers.
    DiffusersFolder,
    /// A safetensors file with a transformer, and usually its autoencoder.
    SingleFile,
    /// A GGUF file with a transformer.
    Gguf,
    /// A text encoder.
    TextEncoder,
    /// An autoencoder.
    Vae,
    /// A latent upsampler.
    LatentUpsampler,
}

/// Something known of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What is known, in a word or two: `size`, `autoencoder`.
    pub name: &'static str,
    /// Its value: `2B (28 blocks, 2048 wide)`, `0.9.5 to 0.9.8`.
    pub value: String,
}

/// A part that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `transformer`, `autoencoder`, `text encoder`, `tokenizer`, `latent upsampler`, or a file's name.
    pub name: String,
    /// Its file or folder; what was inspected, where that holds it.
    pub place: PathBuf,
    /// Its tensors by their types, the type with the most values first; empty for what has no tensors.
    pub types: Vec<TypeCount>,
}

/// A part that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// As in [`Part`].
    pub name: &'static str,
    /// The option that supplies it.
    pub option: &'static str,
    /// What the option takes.
    pub takes: &'static str,
}

/// What a file or folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The family that runs it: `ltx` or `sway`.
    pub family: String,
    /// What it holds.
    pub kind: Kind,
    /// The release, or what is known of it.
    pub facts: Vec<Fact>,
    /// The parts that are there, in it or beside it.
    pub parts: Vec<Part>,
    /// The parts that a run needs besides: none where nothing is missing, and where it is itself only a part.
    pub missing: Vec<Missing>,
    /// Why it cannot run although its parts are there: what is wrong, and what to do.
    pub problem: Option<String>,
}

/// Looks at the headers and configurations of a file or folder.
///
/// # Errors
/// Nothing at `path`, a damaged file, and a file or folder of no family that stir runs.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let manifest = path.join(location::MANIFEST);
    if !manifest.exists() {
        if !path.exists() {
            let wanted = "a model's file or folder";
            return Err(Error::input(path.display().to_string(), wanted, "nothing there", "check the path"));
        }
        return ltx::inspect::inspect(path);
    }
    let Location::Folder { manifest, .. } = location::locate_path(path)?.location else {
        return Err(Error::input(path.display().to_string(), "a model's folder", "none", "check the path"));
    };
    let mut parts = Vec::new();
    for name in manifest.sha256.keys() {
        let place = path.join(name);
        let types = WeightFiles::open(&place)?.count_types(|_| true)?;
        parts.push(Part { name: name.clone(), place, types });
    }
    let licence = manifest.licence.map(|value| Fact { name: "licence", value });
    Ok(Inspection {
        family: manifest.family,
        kind: Kind::ModelFolder,
        facts: licence.into_iter().collect(),
        parts,
        missing: Vec::new(),
        problem: None,
    })
}
