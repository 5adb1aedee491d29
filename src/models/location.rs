//! What `--model NAME|PATH` says: a name that stir knows, or a folder or file that holds a model.

use std::path::{Path, PathBuf};

use super::catalog::{self, Entry};
use super::manifest::Manifest;
use super::{DEFAULT_MODEL, FAMILIES, ModelRequest, OpenFamily, ltx};
use crate::error::{Error, Result};
use crate::weights::pickle;

/// The file that makes a folder a model.
pub(super) const MANIFEST: &str = "manifest.toml";
/// What names of models with random weights begin with.
pub const SYNTHETIC: &str = "synthetic:";
/// The file that makes a folder one of diffusers'.
const INDEX: &str = "model_index.json";
/// What checkpoint files end in.
const CHECKPOINTS: [&str; 2] = ["safetensors", "gguf"];
/// A manifest has some hundred bytes; what is much larger is another file of that name.
const LONGEST_MANIFEST: u64 = 64 << 10;

/// Where a model's files are.
#[derive(Debug, Clone, PartialEq)]
pub enum Location {
    /// In the program itself.
    Embedded,
    /// In a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// What it says of itself; all files that it lists are there.
        manifest: Manifest,
    },
    /// In a folder in diffusers' layout, or a single file: a checkpoint that says itself what it is.
    Checkpoint(PathBuf),
    /// In the cache of what was fetched: the files of a model that stir knows by name.
    Named(Box<Entry>),
    /// Nowhere: a model of this name whose weights are made up.
    Synthetic(String),
}

/// A model that was found; none of its weights is read yet.
pub(super) struct Located {
    pub location: Location,
    pub open: OpenFamily,
}

/// Finds the model that `request` names. A known name is that model even where a folder has the same name: `./NAME` is the folder.
///
/// # Errors
/// An unknown name, a path that leads nowhere, and a folder or file that is no model.
pub(super) fn locate(request: &ModelRequest) -> Result<Located> {
    let model = request.model.as_str();
    if model == DEFAULT_MODEL {
        let open = family(model).expect("the default model has a family");
        return Ok(Located { location: Location::Embedded, open });
    }
    if let Some(name) = model.strip_prefix(SYNTHETIC) {
        ltx::synthetic::Sizes::of(name)?;
        let open = family("ltx").expect("a family with synthetic models");
        return Ok(Located { location: Location::Synthetic(name.to_owned()), open });
    }
    if let Some(entry) = catalog::find(model) {
        // What is missing is said now, before anything is opened.
        catalog::local(&entry, &request.given())?;
        let open = family(&entry.family).expect("the catalogue lists models of the families");
        return Ok(Located { location: Location::Named(Box::new(entry)), open });
    }
    let path = Path::new(model);
    if model.contains(std::path::is_separator) || path.exists() { locate_path(path) } else { Err(unknown_name(model)) }
}

fn family(name: &str) -> Option<OpenFamily> {
    FAMILIES.iter().find(|(family, _)| *family == name).map(|(_, open)| *open)
}

fn unknown_name(name: &str) -> Error {
    let names: Vec<String> = catalog::entries().into_iter().map(|entry| entry.name).collect();
    let path = if name.is_empty() { "./FOLDER".to_owned() } else { format!("./{name}") };
    let folder = format!("a folder is named by a path, with a separator: {path}");
    let hint = match catalog::nearest(name) {
        Some(nearest) => format!("did you mean {nearest}? {folder}"),
        None => format!("leave it out for the model that ships with stir; {folder}"),
    };
    let wanted = format!("one of: {}, or the path of a model", names.join(", "));
    Error::input("--model", wanted, format!("\"{name}\""), hint)
}

/// The model at `path`. This is where kinds of models are told apart.
pub(super) fn locate_path(path: &Path) -> Result<Located> {
    let refused = |found: String, hint: &str| {
        let wanted = format!("a model: a folder with {INDEX} (diffusers) or {MANIFEST} (sway), or a checkpoint file");
        Error::input(format!("--model {}", path.display()), wanted, found, hint)
    };
    let kind = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refused("no such file or folder".to_owned(), "check the path"),
        _ => refused(error.to_string(), "check the path and its permissions"),
    })?;
    let checkpoint = || {
        let open = family("ltx").expect("a family of checkpoints");
        Ok(Located { location: Location::Checkpoint(path.to_owned()), open })
    };
    if !kind.is_dir() {
        let known = path.extension().is_some_and(|extension| CHECKPOINTS.iter().any(|known| extension == *known));
        if pickle::is_named_so(path) {
            return Err(pickle::refusal(format!("--model {}", path.display())));
        }
        let hint = "checkpoint files end in .safetensors or .gguf";
        return if known { checkpoint() } else { Err(refused("a file of another kind".to_owned(), hint)) };
    }
    if path.join(MANIFEST).exists() {
        return locate_manifest(path);
    }
    if path.join(INDEX).exists() {
        return checkpoint();
    }
    let hint = "name the folder that holds it, or a checkpoint file; `stir models inspect` says what a file is";
    Err(refused("a folder with neither".to_owned(), hint))
}

/// The model of a folder with a manifest.
fn locate_manifest(path: &Path) -> Result<Located> {
    let manifest_path = path.join(MANIFEST);
    let thing = manifest_path.display().to_string();
    let manifest = Manifest::parse(&read_manifest(&manifest_path, &thing)?, &thing)?;
    let Some(open) = family(&manifest.family).filter(|_| manifest.family == DEFAULT_MODEL) else {
        let wanted = format!("`family` {DEFAULT_MODEL}, the only one with manifests in folders");
        return Err(Error::input(thing, wanted, format!("{:?}", manifest.family), "use a version that runs it"));
    };
    for file in manifest.sha256.keys() {
        if !path.join(file).is_file() {
            let (wanted, found) = (format!("the weights {file}, which {MANIFEST} lists"), "no such file");
            let hint = "copy the whole folder again, or let scripts/sway/train finish";
            return Err(Error::input(format!("--model {}", path.display()), wanted, found, hint));
        }
    }
    Ok(Located { location: Location::Folder { path: path.to_owned(), manifest }, open })
}

fn read_manifest(path: &Path, thing: &str) -> Result<String> {
    let refused =
        |found: String| Error::input(thing, "a readable manifest", found, "check the file, or write it again");
    let file = path.metadata().map_err(|error| refused(error.to_string()))?;
    if !file.is_file() {
        return Err(refused("no regular file".to_owned()));
    }
    if file.len() > LONGEST_MANIFEST {
        return Err(refused(format!("{} bytes, where {LONGEST_MANIFEST} is the most", file.len())));
    }
    std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))
}
