//! Checkpoints on disk: a safetensors file, a folder of one, a sharded folder, or a GGUF file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use sha2::Sha256;

use super::fingerprint;
use super::gguf::{self, Header};
use super::scaled::{self, BadScale};
use super::store::MappedFile;
use super::stored::Stored;
use super::synthetic::Synthetic;
use super::{pickle, small_file};
use crate::error::{Error, Result};

/// What a shard's index is called, after the name that its shards begin with.
const INDEX_SUFFIX: &str = ".safetensors.index.json";
/// The files of a folder without an index that are taken where there are others beside them, as the reference libraries do.
const USUAL_NAMES: [&str; 2] = ["diffusion_pytorch_model.safetensors", "model.safetensors"];

/// The mapped files of one checkpoint; or none, where its weights are made up.
#[derive(Debug)]
pub struct WeightFiles {
    name: String,
    files: Vec<NamedFile>,
    index: Option<Index>,
    synthetic: Option<Synthetic>,
}

#[derive(Debug)]
struct NamedFile {
    name: String,
    path: PathBuf,
    content: MappedFile,
}

/// The tensors of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeCount {
    /// What the type is called.
    pub dtype: String,
    /// How many tensors.
    pub tensors: usize,
    /// How many values in them.
    pub parameters: usize,
}

/// Which file holds which tensor.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl WeightFiles {
    /// Maps the files of the checkpoint at `path`: a file, or a folder with a shards' index, or with one safetensors or GGUF file, or with
    /// several of which one has a usual name.
    ///
    /// # Errors
    /// Nothing or too much at `path`, an index that cannot be used, and a shard that is not there.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        if !path.is_dir() {
            return Ok(Self { name, files: vec![NamedFile::open(path)?], index: None, synthetic: None });
        }
        let names = names_in(path)?;
        let ending = |suffix: &str| names.iter().filter(|name| name.ends_with(suffix)).cloned().collect::<Vec<_>>();
        let indices = ending(INDEX_SUFFIX);
        if !indices.is_empty() {
            let index = Index::read(&path.join(only(&name, &indices)?))?;
            let shards: BTreeSet<&String> = index.weight_map.values().collect();
            let files = shards.into_iter().map(|shard| NamedFile::open(&path.join(shard))).collect::<Result<_>>()?;
            return Ok(Self { name, files, index: Some(index), synthetic: None });
        }
        let mut candidates = ending(".safetensors");
        candidates.extend(ending(".gguf"));
        if let Some(usual) = USUAL_NAMES.iter().find(|usual| candidates.iter().any(|name| name == *usual)) {
            candidates = vec![(*usual).to_owned()];
        }
        if candidates.is_empty() && names.iter().any(|name| pickle::is_named_so(Path::new(name))) {
            return Err(pickle::refusal(format!("weights {name}")));
        }
        let file = path.join(only(&name, &candidates)?);
        Ok(Self { name, files: vec![NamedFile::open(&file)?], index: None, synthetic: None })
    }

    /// A checkpoint without files. Nobody can list its tensors: it has whatever a network takes.
    pub fn synthetic(synthetic: Synthetic) -> Self {
        let name = synthetic.name().to_owned();
        Self { name, files: Vec::new(), index: None, synthetic: Some(synthetic) }
    }

    /// Where tensors come from that are in no file.
    pub(super) fn made_up(&self) -> Option<&Synthetic> {
        self.synthetic.as_ref()
    }

    /// Checks that its files are what they were when they were opened.
    ///
    /// # Errors
    /// As [`MappedFile::check_unchanged`].
    pub fn check_unchanged(&self) -> Result<()> {
        self.files.iter().try_for_each(|file| file.content.check_unchanged())
    }

    /// What makes the weights that are in no file.
    pub fn made_from(&self) -> Option<String> {
        self.synthetic.as_ref().map(Synthetic::made_from)
    }

    /// Its files; none where its weights are made up.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// What messages call the checkpoint: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a GGUF file.
    pub fn is_gguf(&self) -> bool {
        self.files.iter().any(|file| file.content.bytes().starts_with(gguf::MAGIC))
    }

    /// Takes what tells these files from others into `digest`: see [`fingerprint`].
    pub fn fingerprint(&self, digest: &mut Sha256) {
        if self.files.is_empty() {
            fingerprint::update(digest, &self.name, &[]);
        }
        self.files.iter().for_each(|file| fingerprint::update(digest, &file.name, file.content.bytes()));
    }

    /// The text metadata of the only file: safetensors' own, or the texts of a GGUF file. Empty where there are several files.
    ///
    /// # Errors
    /// A damaged file.
    pub fn metadata(&self) -> Result<BTreeMap<String, String>> {
        let [file] = self.files.as_slice() else {
            return Ok(BTreeMap::new());
        };
        if self.is_gguf() {
            return Ok(file.gguf()?.texts);
        }
        let (_, metadata) =
            SafeTensors::read_metadata(file.content.bytes()).map_err(|problem| file.damaged(&problem))?;
        Ok(metadata.metadata().clone().unwrap_or_default().into_iter().collect())
    }

    /// Every tensor by its name in the checkpoint.
    ///
    /// # Errors
    /// A damaged file, a tensor that is in two files, and files that hold other tensors than their index says.
    pub fn tensors(&self) -> Result<BTreeMap<String, Stored<'_>>> {
        let mut tensors = BTreeMap::new();
        let mut places: BTreeMap<String, &str> = BTreeMap::new();
        for file in &self.files {
            for (tensor, stored) in file.tensors()? {
                if let Some(other) = places.insert(tensor.clone(), &file.name) {
                    return Err(self.misfit(&tensor, "in one file", format!("it in {other} and {}", file.name)));
                }
                tensors.insert(tensor, stored);
            }
        }
        if let Some(index) = &self.index {
            self.check(index, &places)?;
        }
        scaled::join(&mut tensors).map_err(|BadScale { tensor, found }| {
            let thing = format!("tensor `{tensor}` of weights `{}`", self.name);
            Error::input(thing, "one finite number, the scale of a layer", found, "fetch the file again")
        })?;
        Ok(tensors)
    }

    /// Whether there is a tensor whose name begins with `prefix`.
    ///
    /// # Errors
    /// As [`WeightFiles::tensors`].
    pub fn holds(&self, prefix: &str) -> Result<bool> {
        Ok(self.tensors()?.keys().any(|name| name.starts_with(prefix)))
    }

    /// Counts the tensors whose names `counts` by their types, the type with the most values first.
    ///
    /// # Errors
    /// As [`WeightFiles::tensors`].
    pub fn count_types(&self, counts: impl Fn(&str) -> bool) -> Result<Vec<TypeCount>> {
        let mut types: Vec<TypeCount> = Vec::new();
        for (_, stored) in self.tensors()?.iter().filter(|(name, _)| counts(name)) {
            let dtype = stored.type_name();
            let place = types.iter().position(|count| count.dtype == dtype).unwrap_or(types.len());
            if place == types.len() {
                types.push(TypeCount { dtype, tensors: 0, parameters: 0 });
            }
            types[place].tensors += 1;
            types[place].parameters += stored.shape().iter().product::<usize>();
        }
        types.sort_by(|a, b| b.parameters.cmp(&a.parameters).then_with(|| a.dtype.cmp(&b.dtype)));
        Ok(types)
    }

    fn check(&self, index: &Index, places: &BTreeMap<String, &str>) -> Result<()> {
        for (tensor, file) in &index.weight_map {
            match places.get(tensor) {
                Some(place) if place == file => {}
                Some(place) => return Err(self.misfit(tensor, &format!("in {file}"), format!("it in {place}"))),
                None => return Err(self.misfit(tensor, &format!("in {file}"), "no such tensor".to_owned())),
            }
        }
        match places.iter().find(|(tensor, _)| !index.weight_map.contains_key(*tensor)) {
            Some((tensor, place)) => {
                Err(self.misfit(tensor, "an entry in the index", format!("none, but a tensor in {place}")))
            }
            None => Ok(()),
        }
    }

    fn misfit(&self, tensor: &str, wanted: &str, found: String) -> Error {
        let hint = "the files do not belong together; fetch all of them again, with their index";
        Error::input(format!("tensor `{tensor}` of weights `{}`", self.name), wanted, found, hint)
    }
}

impl NamedFile {
    fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, path: path.to_owned(), content: MappedFile::open(path)? })
    }

    fn damaged(&self, problem: &dyn std::fmt::Display) -> Error {
        let thing = format!("weights `{}`", self.name);
        if pickle::begins_so(self.content.bytes()) {
            return pickle::refusal(thing);
        }
        Error::input(thing, "a safetensors or GGUF file", problem.to_string(), "fetch the file again")
    }

    fn gguf(&self) -> Result<Header> {
        Header::read(self.content.bytes()).map_err(|problem| self.damaged(&problem))
    }

    fn tensors(&self) -> Result<Vec<(String, Stored<'_>)>> {
        let file = self.content.bytes();
        if file.starts_with(gguf::MAGIC) {
            let Header { tensors, data, .. } = self.gguf()?;
            let stored = |(name, info)| (name, Stored::Gguf { info, file, data });
            return Ok(tensors.into_iter().map(stored).collect());
        }
        let tensors = SafeTensors::deserialize(file).map_err(|problem| self.damaged(&problem))?;
        Ok(tensors.tensors().into_iter().map(|(name, view)| (name, Stored::Plain(view))).collect())
    }
}

impl Index {
    fn read(path: &Path) -> Result<Self> {
        let refused = |found: String| {
            let thing = format!("weights' index {}", path.display());
            let hint = "fetch the index again, with the files that it names beside it";
            Error::input(thing, "JSON with a `weight_map` of tensors to names of files beside it", found, hint)
        };
        let text = small_file::read(path).map_err(refused)?;
        let index: Self = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        if index.weight_map.is_empty() {
            return Err(refused("an empty one".to_owned()));
        }
        match index.weight_map.values().find(|file| !is_file_name(file)) {
            Some(file) => Err(refused(format!("`{file}`"))),
            None => Ok(index),
        }
    }
}

/// Whether `name` is that of a file and nothing else: with a folder in it, it could lead anywhere on the machine. Links on the disk are followed
/// wherever they lead, because no checkpoint brings them: whoever made them may read what they lead to, and the hub's cache consists of them.
pub fn is_file_name(name: &str) -> bool {
    let plain = Path::new(name).file_name().is_some_and(|last| last == name);
    // On every system what leads away on one of them.
    plain && !name.contains(['/', '\\', ':'])
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io("reading", folder, error, "check the path and that you may read the folder");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path: PathBuf = entry.map_err(failed)?.path();
        names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn only<'a>(folder: &str, names: &'a [String]) -> Result<&'a str> {
    match names {
        [name] => Ok(name),
        _ => {
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let hint = "name the file that is meant, or leave only one in the folder";
            Err(Error::input(format!("weights {folder}"), "one safetensors or GGUF file or shards' index", found, hint))
        }
    }
}
