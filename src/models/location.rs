//! What `--model NAME|PATH` says: a name that stir knows, or a folder that holds a model.

use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::{FAMILIES, OpenFamily};
use crate::error::{Error, Result};

/// The file that makes a folder a model.
pub(super) const MANIFEST: &str = "manifest.toml";
/// A manifest has some hundred bytes; what is much larger is another file of that name.
const LONGEST_MANIFEST: u64 = 64 << 10;
/// A name is suggested if it is at least this similar to what was typed (0 is not at all, 1 is the same).
const LEAST_SIMILARITY: f64 = 0.5;

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
}

/// A model that was found; none of its weights is read yet.
pub(super) struct Located {
    pub location: Location,
    pub open: OpenFamily,
}

/// Finds the model that `model` names. A known name is that model even where a folder has the same name: `./NAME` is the folder.
///
/// # Errors
/// An unknown name, a path that leads nowhere, and a folder or file that is no model.
pub(super) fn locate(model: &str) -> Result<Located> {
    if let Some(open) = family(model) {
        return Ok(Located { location: Location::Embedded, open });
    }
    let path = Path::new(model);
    if model.contains(std::path::is_separator) || path.exists() { locate_path(path) } else { Err(unknown_name(model)) }
}

fn family(name: &str) -> Option<OpenFamily> {
    FAMILIES.iter().find(|(family, _)| *family == name).map(|(_, open)| *open)
}

fn known_names() -> String {
    FAMILIES.map(|(family, _)| family).join(", ")
}

fn unknown_name(name: &str) -> Error {
    let similar = |family: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), family);
    let nearest = FAMILIES.iter().map(|(family, _)| *family).max_by(|a, b| similar(a).total_cmp(&similar(b)));
    let path = if name.is_empty() { "./FOLDER".to_owned() } else { format!("./{name}") };
    let folder = format!("a folder is named by a path, with a separator: {path}");
    let hint = match nearest.filter(|nearest| similar(nearest) >= LEAST_SIMILARITY) {
        Some(nearest) => format!("did you mean {nearest}? {folder}"),
        None => format!("leave it out for the model that ships with stir; {folder}"),
    };
    Error::input(
        "--model",
        format!("one of: {}, or the path of a model's folder", known_names()),
        format!("\"{name}\""),
        hint,
    )
}

/// The model in the folder at `path`. This is where other kinds of models are to be told apart.
pub(super) fn locate_path(path: &Path) -> Result<Located> {
    let refused = |found: String, hint: String| {
        let wanted = format!("a model's folder, which holds {MANIFEST}");
        Error::input(format!("--model {}", path.display()), wanted, found, hint)
    };
    let kind = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refused("no such folder".to_owned(), "check the path".to_owned()),
        _ => refused(error.to_string(), "check the path and its permissions".to_owned()),
    })?;
    if !kind.is_dir() {
        return Err(refused("a file".to_owned(), "name the folder that holds the model's files".to_owned()));
    }
    let manifest_path = path.join(MANIFEST);
    if !manifest_path.exists() {
        let hint = format!("check that it is the right folder; scripts/sway/train leaves one with {MANIFEST}");
        return Err(refused(format!("a folder without {MANIFEST}"), hint));
    }
    let thing = manifest_path.display().to_string();
    let manifest = Manifest::parse(&read_manifest(&manifest_path, &thing)?, &thing)?;
    let Some(open) = family(&manifest.family) else {
        let wanted = format!("a `family` that this version runs: {}", known_names());
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
