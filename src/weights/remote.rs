//! Files that are kept on the Hugging Face hub, and where they are once they are on disk: in the cache that the hub's own programs
//! share. Nothing here uses the network.
//!
//! # Source
//! The layout is that of `huggingface_hub`: `blobs/` holds contents by their checksums, `snapshots/<commit>/` links to them by the
//! files' paths, `refs/<revision>` says which commit a branch was at.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hf_hub::{Repo, RepoType};

use crate::error::{Error, Result};

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The denoiser, with the autoencoder of pictures where the file holds both.
    Model,
    /// The network that reads the prompt.
    TextEncoder,
    /// What turns the prompt into numbers for the text encoder.
    Tokenizer,
    /// The network that doubles the size of latents between two passes; only runs in two passes need it.
    Upsampler,
}

/// A file on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// What it is for.
    pub role: Role,
    /// The repository, `OWNER/NAME`.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// Its path in the repository, with `/`.
    pub path: String,
    /// Its size, as far as is known beforehand.
    pub bytes: u64,
    /// The SHA-256 of its content in hexadecimal digits, where it is known beforehand; otherwise the hub's word for it is taken.
    pub sha256: Option<String>,
}

impl RemoteFile {
    /// The name without folders.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, self.revision.clone())
    }
}

/// The folder where programs keep what they fetched from the hub.
#[derive(Debug, Clone)]
pub struct Cache {
    cache: hf_hub::Cache,
}

impl Cache {
    /// The cache in this folder.
    pub fn at(folder: PathBuf) -> Self {
        Self { cache: hf_hub::Cache::new(folder) }
    }

    /// The cache that the hub's own programs use: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or `~/.cache/huggingface/hub`.
    ///
    /// # Errors
    /// No such variable is set, and there is no home folder.
    pub fn from_env() -> Result<Self> {
        match set("HF_HUB_CACHE") {
            Some(folder) => Ok(Self::at(folder.into())),
            None => Ok(Self::at(hub_home()?.join("hub"))),
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.cache.path()
    }

    /// The file, if it is on disk, by a path that ends in its name. Of several versions that of the commit, or of the branch when something was last
    /// fetched from it, is taken, else the newest.
    pub fn find(&self, file: &RemoteFile) -> Option<PathBuf> {
        let on_branch = || self.cache.repo(file.repo()).get(&file.path);
        let pinned = self.snapshots(file).join(&file.revision).join(&file.path);
        let elsewhere = || {
            let folders = std::fs::read_dir(self.snapshots(file)).ok()?.flatten();
            let paths = folders.map(|folder| folder.path().join(&file.path));
            let versions = paths.filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)));
            versions.max().map(|(_, path)| path)
        };
        let found = if pinned.is_file() { Some(pinned) } else { on_branch().or_else(elsewhere) };
        found.filter(|path| path.is_file())
    }

    /// Where the content of this checksum is kept.
    pub fn blob(&self, file: &RemoteFile, sha256: &str) -> PathBuf {
        self.repository(file).join("blobs").join(sha256)
    }

    /// Where the beginning of that content is kept until all of it has arrived.
    pub fn unfinished(&self, file: &RemoteFile, sha256: &str) -> PathBuf {
        self.repository(file).join("blobs").join(format!("{sha256}.incomplete"))
    }

    /// How many bytes have arrived of a file that stir has not yet fetched to its end.
    pub fn arrived(&self, file: &RemoteFile) -> u64 {
        let locks = self.lock(file, "");
        let locks = locks.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
        let arrived = locks.filter_map(|lock| {
            let path = lock.path();
            let sha256 = path.file_stem()?.to_str()?;
            let is_of_file = std::fs::read(&path).ok()? == file.path.as_bytes();
            Some(if is_of_file { self.unfinished(file, sha256).metadata().ok()?.len() } else { 0 })
        });
        arrived.max().unwrap_or(0)
    }

    /// What a program holds locked while it writes that content. Stir leaves the file's path in it.
    pub fn lock(&self, file: &RemoteFile, sha256: &str) -> PathBuf {
        self.folder().join(".locks").join(file.repo().folder_name()).join(format!("{sha256}.lock"))
    }

    /// Makes the content of this checksum, which is complete, the file as it is at `commit`, and returns the file's path.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn publish(&self, file: &RemoteFile, sha256: &str, commit: &str) -> Result<PathBuf> {
        let path = self.snapshots(file).join(commit).join(&file.path);
        let failed = |error| {
            Error::io("writing", &path, error, "check that you may write in this folder; HF_HOME names another")
        };
        std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(failed)?;
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        // Relative, so that the cache can be moved: out of the file's own folders, the commit's and `snapshots`.
        let ups = file.path.split('/').count() + 1;
        link(&Path::new(&"../".repeat(ups)).join("blobs").join(sha256), &path).map_err(failed)?;
        // A commit is its own name and has no entry.
        if file.revision != commit {
            self.cache.repo(file.repo()).create_ref(commit).map_err(failed)?;
        }
        Ok(path)
    }

    fn repository(&self, file: &RemoteFile) -> PathBuf {
        self.folder().join(file.repo().folder_name())
    }

    fn snapshots(&self, file: &RemoteFile) -> PathBuf {
        self.repository(file).join("snapshots")
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}

/// The checksum that the cache has recorded for a file: the name of the content that it links to.
pub fn recorded_sha256(path: &Path) -> Option<String> {
    let blob = path.canonicalize().ok()?;
    let name = blob.file_name()?.to_str()?;
    is_sha256(name).then(|| name.to_owned())
}

/// Whether it is the hexadecimal form of a SHA-256.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The folder of all that concerns the hub: `HF_HOME`, or `~/.cache/huggingface`.
///
/// # Errors
/// The variable is not set, and there is no home folder.
pub fn hub_home() -> Result<PathBuf> {
    if let Some(folder) = set("HF_HOME") {
        return Ok(folder.into());
    }
    if let Some(folder) = set("XDG_CACHE_HOME") {
        return Ok(Path::new(&folder).join("huggingface"));
    }
    match env::home_dir() {
        Some(home) if home.is_absolute() => Ok(home.join(".cache/huggingface")),
        _ => Err(Error::input(
            "HF_HOME",
            "the folder of fetched models, where there is no home folder",
            "neither",
            "set HF_HOME to the folder in which models are to be kept",
        )),
    }
}

/// The value of a variable that is set to anything.
pub fn set(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn file(path: &str) -> RemoteFile {
        let [repository, revision] = ["owner/name", "main"].map(str::to_owned);
        RemoteFile { role: Role::Tokenizer, repository, revision, path: path.to_owned(), bytes: 3, sha256: None }
    }

    /// A cache in a folder of its own, with content "abc".
    fn cache(name: &str) -> Cache {
        let folder = std::env::temp_dir().join(format!("stir-cache-{name}-{}", std::process::id()));
        let cache = Cache::at(folder);
        let blob = cache.blob(&file("a"), SUM);
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::fs::write(blob, "abc").unwrap();
        cache
    }

    #[test]
    fn what_is_published_is_found_under_its_name() {
        let cache = cache("published");
        for path in ["a.safetensors", "folder/b.model"] {
            let file = file(path);
            assert_eq!(cache.find(&file), None);
            let published = cache.publish(&file, SUM, "c0ffee").unwrap();
            assert_eq!(published, cache.folder().join("models--owner--name/snapshots/c0ffee").join(path));
            assert_eq!(cache.find(&file).as_ref(), Some(&published));
            assert_eq!(std::fs::read_to_string(&published).unwrap(), "abc");
            assert_eq!(recorded_sha256(&published).as_deref(), Some(SUM));
            assert_eq!(cache.publish(&file, SUM, "c0ffee").unwrap(), published, "once more");
        }
        let branch = cache.folder().join("models--owner--name/refs/main");
        assert_eq!(std::fs::read_to_string(branch).unwrap(), "c0ffee");
        std::fs::remove_dir_all(cache.folder()).unwrap();
    }

    #[test]
    fn a_file_stays_found_when_its_branch_moves_on() {
        let cache = cache("moved");
        let early = cache.publish(&file("a"), SUM, "111").unwrap();
        let late = cache.publish(&file("b"), SUM, "222").unwrap();
        assert_eq!(cache.find(&file("a")), Some(early));
        assert_eq!(cache.find(&file("b")), Some(late));
        let pinned = RemoteFile { revision: "111".to_owned(), ..file("a") };
        assert!(cache.find(&pinned).is_some_and(|path| path.to_str().unwrap().contains("snapshots/111")));
        std::fs::remove_file(cache.blob(&file("a"), SUM)).unwrap();
        assert_eq!(cache.find(&file("a")), None, "a link to nothing is no file");
        std::fs::remove_dir_all(cache.folder()).unwrap();
    }
}
