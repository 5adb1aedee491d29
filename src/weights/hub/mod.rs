//! Downloads from the Hugging Face hub. This is the only code that uses the network, and only `stir models pull` runs it.
//!
//! A file is looked up first, which tells its size and checksum, then fetched into the hub's own cache: what has arrived is kept under an unfinished
//! name, a transfer that breaks goes on from there, and the final name appears only after the checksum was verified.

mod refusal;
mod settings;
mod transfer;

pub use settings::Settings;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::remote::{Cache, RemoteFile, is_sha256};
use crate::error::{Error, Result};
use crate::units::Bytes;

/// Redirects within the hub that a look-up follows: names of repositories that were changed.
const MOST_REDIRECTS: usize = 5;

/// The hub and the cache in which its files are kept.
#[derive(Debug)]
pub struct Hub {
    agent: Agent,
    settings: Settings,
    cache: Cache,
}

/// A file as the hub has it.
#[derive(Debug, Clone)]
pub struct Found {
    file: RemoteFile,
    commit: String,
    bytes: u64,
    sha256: String,
}

impl Found {
    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of its content, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What was looked up.
    pub fn file(&self) -> &RemoteFile {
        &self.file
    }
}

impl Hub {
    /// A hub whose files are kept in `cache`. Nothing is asked of it yet.
    pub fn new(settings: Settings, cache: Cache) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // The token is for the hub alone, and not for the servers that it sends us to.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("stir/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(settings.patience))
            .timeout_recv_response(Some(settings.patience))
            .timeout_per_read(Some(settings.patience))
            .tls_config(tls);
        Self { agent: config.build().into(), settings, cache }
    }

    /// Where its files are kept.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Asks the hub for a file's size and checksum.
    ///
    /// # Errors
    /// No network, no such file, no permission, too many requests, and a checksum that is another than the one known beforehand.
    pub fn look_up(&self, file: &RemoteFile) -> Result<Found> {
        let answer = self.headers(file)?;
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.trim_matches('"').to_owned());
        let thing = || self.thing(file);
        let broken = |wanted: &str, found: Option<String>| {
            let found = found.unwrap_or_else(|| "no such header".to_owned());
            let hint = "check HF_ENDPOINT, if it is set; otherwise fetch the file by hand and name it by --model PATH";
            Error::run(thing(), wanted, found, hint)
        };
        let linked = |name: &str| header(&format!("x-linked-{name}"));
        let sha256 = linked("etag").or_else(|| header("etag"));
        let Some(sha256) = sha256.clone().filter(|etag| is_sha256(etag)) else {
            return Err(broken("a SHA-256 in the header x-linked-etag", sha256));
        };
        let size = linked("size").or_else(|| header("content-length"));
        let Some(bytes) = size.as_ref().and_then(|size| size.parse().ok()) else {
            return Err(broken("a size in the header x-linked-size", size));
        };
        // It becomes the name of a folder.
        let commit = header("x-repo-commit");
        let is_name = |commit: &String| !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let Some(commit) = commit.clone().filter(is_name) else {
            return Err(broken("a commit in the header x-repo-commit", commit));
        };
        if let Some(known) = file.sha256.as_ref().filter(|known| !known.eq_ignore_ascii_case(&sha256)) {
            let hint = "the file was changed by its owners; a newer stir may know it";
            return Err(Error::run(thing(), format!("SHA-256 {known}"), format!("{sha256} on the hub"), hint));
        }
        Ok(Found { file: file.clone(), commit, bytes, sha256: sha256.to_lowercase() })
    }

    /// The answer to a request for a file's headers, from the hub itself: the server that has the content knows neither commit nor checksum.
    fn headers(&self, file: &RemoteFile) -> Result<Response<Body>> {
        let mut url = self.url(file);
        for _ in 0..=MOST_REDIRECTS {
            let request = self.agent.head(&url).config().max_redirects(0).build();
            let answer = self.authorized(request).call().map_err(|error| self.unreachable(&error))?;
            if !answer.status().is_redirection() {
                return if answer.status() == StatusCode::OK { Ok(answer) } else { Err(self.refused(file, &answer)) };
            }
            let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
            match location {
                Some(path) if path.starts_with('/') && !path.starts_with("//") => {
                    url = format!("{}{path}", self.settings.host());
                }
                Some(_) => return Ok(answer),
                None => return Err(self.refused(file, &answer)),
            }
        }
        let hint = "check HF_ENDPOINT, if it is set";
        Err(Error::run(self.thing(file), "the file's headers", "redirects without an end", hint))
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.settings.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// Refuses what cannot fit on the disk of the cache, counting what has arrived already.
    ///
    /// # Errors
    /// Less free space than is still to be fetched.
    pub fn check_space(&self, files: &[Found]) -> Result<()> {
        let needed: u64 = files.iter().map(|found| self.missing(found)).fold(0, u64::saturating_add);
        let folder = self.cache.folder();
        let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        match fs4::available_space(existing) {
            Ok(available) if available < needed => Err(Error::input(
                format!("the cache {}", folder.display()),
                format!("{} of free disk space", Bytes(needed)),
                Bytes(available).to_string(),
                "free some space, or set HF_HOME to a folder on a larger disk",
            )),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!("the free space in {} is not known: {error}", existing.display());
                Ok(())
            }
        }
    }

    /// How many bytes of a file are still to be fetched.
    pub fn missing(&self, found: &Found) -> u64 {
        if self.cache.blob(&found.file, &found.sha256).is_file() {
            return 0;
        }
        let unfinished = self.cache.unfinished(&found.file, &found.sha256);
        found.bytes.saturating_sub(unfinished.metadata().map_or(0, |unfinished| unfinished.len()))
    }

    /// Fetches a file unless its content is in the cache, and returns its path there. `progress` hears how many bytes are there, also of those that an
    /// earlier attempt left.
    ///
    /// # Errors
    /// A transfer that broke and could not go on, a content with another checksum, of which nothing is kept, and a cache that cannot be written or that
    /// another program is writing the same file to.
    pub fn fetch(&self, found: &Found, progress: &mut dyn FnMut(u64)) -> Result<PathBuf> {
        let Found { file, commit, sha256, .. } = found;
        let blob = self.cache.blob(file, sha256);
        if !blob.is_file() {
            let _lock = self.lock(found)?;
            // Whoever held the lock before may have fetched it.
            if !blob.is_file() {
                self.transfer(found, progress)?;
            }
        }
        self.cache.publish(file, sha256, commit)
    }

    /// Keeps every other program from writing the same file, until it is dropped.
    fn lock(&self, found: &Found) -> Result<File> {
        let Found { file, sha256, .. } = found;
        let path = self.cache.lock(file, sha256);
        for folder in [path.parent(), self.cache.blob(file, sha256).parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(|error| cannot_write(folder, error))?;
        }
        let lock = File::options().create(true).append(true).open(&path).map_err(|error| cannot_write(&path, error))?;
        match FileExt::try_lock(&lock) {
            Ok(()) => {
                // Tells what is being fetched, for lists.
                let named = lock.set_len(0).and_then(|()| (&lock).write_all(file.path.as_bytes()));
                named.map_err(|error| cannot_write(&path, error))?;
                Ok(lock)
            }
            Err(TryLockError::WouldBlock) => Err(Error::run(
                file.path.clone(),
                "to be the only one that fetches it",
                "another program at it",
                "let that one finish; then the same command finds the file",
            )),
            Err(TryLockError::Error(error)) => Err(cannot_write(&path, error)),
        }
    }

    fn url(&self, file: &RemoteFile) -> String {
        let revision = file.revision.replace('/', "%2F");
        format!("{}/{}/resolve/{revision}/{}", self.settings.endpoint, file.repository, file.path)
    }

    fn thing(&self, file: &RemoteFile) -> String {
        format!("{} of {}", file.path, file.repository)
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::io("writing", path, error, "check that you may write there, and the disk; HF_HOME names another folder")
}
