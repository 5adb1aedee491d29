//! The models that stir knows by name, from the manifests of the families: which files they need, and which of those are on disk.
//!
//! Nothing here uses the network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::manifest::Manifest;
use super::sway;
use crate::error::{Error, Result};
use crate::units::Bytes;
use crate::weights::remote::Cache;
pub use crate::weights::remote::{RemoteFile, Role};

const LTX: &str = include_str!("../../models/ltx/manifest.toml");
const SWAY: &str = include_str!("../../models/sway/manifest.toml");

/// Where a file is taken from if its manifest says nothing else.
const REVISION: &str = "main";
/// Where licences and files can be read by people.
const HUB_PAGES: &str = "https://huggingface.co";

/// A name is suggested if it is at least this similar to what was typed (0 is not at all, 1 is the same).
const LEAST_SIMILARITY: f64 = 0.5;

/// A model that stir knows by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What `--model` takes.
    pub name: String,
    /// The family that runs it.
    pub family: String,
    /// Which of the family's releases it is, a key of `release` in the family's manifest; `None` for a family that has only one.
    pub release: Option<String>,
    /// Under what terms its weights may be used.
    pub licence: Licence,
    /// The terms of files from elsewhere.
    pub other_licences: Vec<Licence>,
    /// What has to be fetched; empty for a model that ships with stir.
    pub files: Vec<RemoteFile>,
    /// What its weights take in memory.
    pub memory: Memory,
    /// Bytes of the weights that ship with stir.
    pub embedded_bytes: u64,
}

/// Terms of use.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Licence {
    /// Its name.
    pub name: String,
    /// The page where it can be read; `None` for what ships with stir, whose licences do too.
    pub page: Option<String>,
}

/// What the weights of a denoiser and its autoencoder take in memory, in bytes, computed from the size of their files, which hold 16 bits a value. A
/// text encoder is not counted: it is read layer by layer, and is gone before they are read. A clip's own tensors come on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// At 16 bits a value, bfloat16 or float16; `None` for a model that always runs at 32.
    pub half: Option<u64>,
    /// At 32 bits a value.
    pub full: u64,
}

/// The files of a model that are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFiles {
    paths: BTreeMap<Role, PathBuf>,
}

impl LocalFiles {
    /// The file for this; only [`Role::Upsampler`] can be missing where the entry lists it.
    pub fn path(&self, role: Role) -> Option<&Path> {
        self.paths.get(&role).map(PathBuf::as_path)
    }
}

impl Entry {
    /// Bytes of all of its files.
    pub fn bytes(&self) -> u64 {
        self.embedded_bytes + self.files.iter().map(|file| file.bytes).sum::<u64>()
    }

    /// Whether nothing has to be fetched.
    pub fn is_embedded(&self) -> bool {
        self.files.is_empty()
    }
}

/// All models that stir knows by name; the one that ships with it comes first.
pub fn entries() -> Vec<Entry> {
    let mut entries = vec![sway_entry()];
    entries.extend(ltx_entries());
    entries
}

/// The model of this name.
pub fn find(name: &str) -> Option<Entry> {
    entries().into_iter().find(|entry| entry.name == name)
}

/// The name that was probably meant where `name` is none: the most similar one, if it is at all similar.
pub fn nearest(name: &str) -> Option<String> {
    let similarity = |known: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), known);
    let names = entries().into_iter().map(|entry| entry.name);
    let nearest = names.max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    nearest.filter(|nearest| similarity(nearest) >= LEAST_SIMILARITY)
}

/// The model's files on disk, in the cache that `HF_HUB_CACHE` or `HF_HOME` names, else the usual one: also those that other programs have fetched.
/// `given`: what comes from elsewhere and so need not be there.
///
/// # Errors
/// A file that it cannot run without is not there.
pub fn local(entry: &Entry, given: &[Role]) -> Result<LocalFiles> {
    if entry.is_embedded() {
        return Ok(LocalFiles { paths: BTreeMap::new() });
    }
    local_in(entry, given, &Cache::from_env()?)
}

/// As [`local`], in this cache.
///
/// # Errors
/// As [`local`].
pub fn local_in(entry: &Entry, given: &[Role], cache: &Cache) -> Result<LocalFiles> {
    let mut paths = BTreeMap::new();
    let mut missing = Vec::new();
    for file in &entry.files {
        match cache.find(file) {
            Some(path) => {
                paths.insert(file.role, path);
            }
            None if file.role == Role::Upsampler || given.contains(&file.role) => {}
            None => missing.push(file),
        }
    }
    if missing.is_empty() {
        return Ok(LocalFiles { paths });
    }
    let names: Vec<&str> = missing.iter().map(|file| file.name()).collect();
    let bytes = missing.iter().map(|file| file.bytes).sum();
    Err(Error::input(
        format!("--model {}", entry.name),
        format!("its files in {}", cache.folder().display()),
        format!("no {} ({})", names.join(", no "), Bytes(bytes)),
        format!("fetch them, once: stir models pull {}", entry.name),
    ))
}

fn sway_entry() -> Entry {
    let manifest = Manifest::parse(SWAY, "models/sway/manifest.toml").expect("its test has read the manifest");
    let bytes = sway::weights::EMBEDDED_BYTES;
    Entry {
        name: manifest.family.clone(),
        family: manifest.family,
        release: None,
        licence: Licence { name: manifest.licence.expect("its test has seen the licence"), page: None },
        other_licences: Vec::new(),
        files: Vec::new(),
        memory: Memory { half: None, full: 2 * bytes },
        embedded_bytes: bytes,
    }
}

/// What of LTX-Video's manifest is about files.
#[derive(Deserialize)]
struct LtxManifest {
    name: String,
    repository: String,
    model: BTreeMap<String, Named>,
    files: BTreeMap<Role, Listed>,
    release: BTreeMap<String, Released>,
    upsampler: BTreeMap<String, Listed>,
}

/// A model that has a name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    release: String,
    licence: String,
    files: Vec<Role>,
    upsampler: Option<String>,
}

/// A file that releases share. Without a repository it is in the family's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    repository: Option<String>,
    #[serde(alias = "file")]
    path: String,
    revision: Option<String>,
    bytes: u64,
    sha256: Option<String>,
    licence: Option<String>,
}

/// A release's own file; the rest of the table is its recipe.
#[derive(Deserialize)]
struct Released {
    file: Option<String>,
    revision: Option<String>,
    bytes: Option<u64>,
    sha256: Option<String>,
}

impl LtxManifest {
    fn entry(&self, name: &str, named: &Named) -> Entry {
        let release = &self.release[&named.release];
        let bytes = release.bytes.expect("a release that has a name says its size");
        let model = Listed {
            repository: None,
            path: release.file.clone().expect("a release that has a name is one file"),
            revision: release.revision.clone(),
            bytes,
            sha256: release.sha256.clone(),
            licence: None,
        };
        let mut files = vec![self.file(Role::Model, &model)];
        files.extend(named.files.iter().map(|role| self.file(*role, &self.files[role])));
        files.extend(named.upsampler.iter().map(|version| self.file(Role::Upsampler, &self.upsampler[version])));
        let other = |role: &Role| {
            let listed = &self.files[role];
            Some(Licence { name: listed.licence.clone()?, page: Some(page(self.repository(listed))) })
        };
        Entry {
            name: name.to_owned(),
            family: self.name.clone(),
            release: Some(named.release.clone()),
            licence: Licence { name: named.licence.clone(), page: Some(page(&self.repository)) },
            other_licences: named.files.iter().filter_map(other).collect(),
            files,
            memory: Memory { half: Some(bytes), full: 2 * bytes },
            embedded_bytes: 0,
        }
    }

    fn file(&self, role: Role, listed: &Listed) -> RemoteFile {
        RemoteFile {
            role,
            repository: self.repository(listed).to_owned(),
            revision: listed.revision.clone().unwrap_or_else(|| REVISION.to_owned()),
            path: listed.path.clone(),
            bytes: listed.bytes,
            sha256: listed.sha256.clone(),
        }
    }

    fn repository<'a>(&'a self, listed: &'a Listed) -> &'a str {
        listed.repository.as_deref().unwrap_or(&self.repository)
    }
}

fn page(repository: &str) -> String {
    format!("{HUB_PAGES}/{repository}")
}

fn ltx_entries() -> Vec<Entry> {
    let manifest: LtxManifest = toml::from_str(LTX).expect("its test has read the manifest");
    let mut entries: Vec<Entry> = manifest.model.iter().map(|(name, named)| manifest.entry(name, named)).collect();
    // The small and the fast first. Of two releases, one may have some bytes more.
    entries.sort_by_key(|entry| (entry.memory.full >> 30, !entry.name.ends_with("distilled")));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_what_it_runs_on() {
        let names: Vec<String> = entries().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["sway", "ltx-2b-distilled", "ltx-2b-dev", "ltx-13b-distilled", "ltx-13b-dev"]);
        for entry in entries().iter().filter(|entry| entry.family == "ltx") {
            let roles: Vec<Role> = entry.files.iter().map(|file| file.role).collect();
            assert_eq!(roles[..3], [Role::Model, Role::TextEncoder, Role::Tokenizer], "{}", entry.name);
            assert!(entry.release.is_some() && !entry.is_embedded());
            for file in &entry.files {
                assert_eq!((file.repository.split('/').count(), file.revision.as_str()), (2, "main"), "{file:?}");
            }
        }
    }

    #[test]
    fn the_first_model_to_try_is_the_one_in_the_manifest() {
        let entry = find("ltx-2b-distilled").unwrap();
        assert_eq!(entry.release.as_deref(), Some("2b-0.9.8-distilled"));
        let files: Vec<(String, u64)> =
            entry.files.iter().map(|file| (format!("{}/{}", file.repository, file.path), file.bytes)).collect();
        let expected = [
            ("Lightricks/LTX-Video/ltxv-2b-0.9.8-distilled.safetensors", 6_340_744_492),
            ("comfyanonymous/flux_text_encoders/t5xxl_fp16.safetensors", 9_787_841_024),
            ("Lightricks/LTX-Video/tokenizer/spiece.model", 791_656),
            ("Lightricks/LTX-Video/ltxv-spatial-upscaler-0.9.8.safetensors", 505_024_432),
        ];
        assert_eq!(files, expected.map(|(file, bytes)| (file.to_owned(), bytes)));
        assert_eq!(entry.bytes(), 16_634_401_604);
        assert_eq!(entry.memory, Memory { half: Some(6_340_744_492), full: 12_681_488_984 });
        assert_eq!(entry.other_licences[0].name, "Apache-2.0");
        assert_eq!(find("ltx-2b"), None);
    }

    #[test]
    fn what_ships_with_stir_is_always_there() {
        let entry = find("sway").unwrap();
        assert!(entry.is_embedded() && entry.bytes() > 1_000_000);
        assert_eq!(local(&entry, &[]).unwrap().path(Role::Model), None);
    }

    #[test]
    fn missing_files_are_named_with_the_command_that_fetches_them() {
        let folder = std::env::temp_dir().join(format!("stir-catalog-{}", std::process::id()));
        let cache = Cache::at(folder.clone());
        let entry = find("ltx-2b-distilled").unwrap();
        let publish = |file: &RemoteFile| {
            let sum = "0".repeat(64);
            let blob = cache.blob(file, &sum);
            std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
            std::fs::write(blob, "content").unwrap();
            cache.publish(file, &sum, "c0ffee").unwrap()
        };
        let tokenizer = publish(&entry.files[2]);
        let error = local_in(&entry, &[], &cache).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let wanted = format!(
            "--model ltx-2b-distilled: wanted its files in {}, found no ltxv-2b-0.9.8-distilled.safetensors, \
             no t5xxl_fp16.safetensors (16.1 GB)",
            folder.display()
        );
        assert_eq!(error.to_string(), wanted);
        assert_eq!(error.hint(), "fetch them, once: stir models pull ltx-2b-distilled");
        let model = publish(&entry.files[0]);
        publish(&entry.files[1]);
        let files = local_in(&entry, &[], &cache).unwrap();
        assert_eq!((files.path(Role::Model), files.path(Role::Tokenizer)), (Some(&*model), Some(&*tokenizer)));
        assert_eq!(files.path(Role::Upsampler), None, "one pass needs none");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
