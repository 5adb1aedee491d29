//! The transfer of one file, which goes on after a break where it stopped.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::thread;

use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use super::super::digest;
use super::refusal::reason;
use super::{Found, Hub};
use crate::error::{Error, Result};
use crate::units::Bytes;

/// Attempts that may fail one after another without a byte arriving.
const MOST_FAILURES: u32 = 5;
/// Bytes that are written at a time.
const PIECE: usize = 256 << 10;

/// Why an attempt ended before the file was complete.
enum Stop {
    /// Another attempt may succeed.
    Broken(String),
    /// Nothing is gained by trying again.
    Failed(Error),
}

impl Hub {
    /// Brings the content of `found` under its final name.
    pub(super) fn transfer(&self, found: &Found, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let mut content = Unfinished::open(self.cache.unfinished(&found.file, &found.sha256), found, progress)?;
        let mut failures = 0;
        while content.bytes < found.bytes {
            let before = content.bytes;
            let Err(stop) = self.receive(found, &mut content, progress) else { continue };
            let reason = match stop {
                Stop::Failed(error) => return Err(error),
                Stop::Broken(reason) => reason,
            };
            failures = if content.bytes > before { 1 } else { failures + 1 };
            if failures > MOST_FAILURES {
                return Err(Error::run(
                    self.thing(&found.file),
                    format!("all of its {}", Bytes(found.bytes)),
                    format!("{}, then {reason}", Bytes(content.bytes)),
                    "check the network connection; the same command goes on where this one stopped",
                ));
            }
            tracing::debug!("{} broke after {} bytes: {reason}", found.file.path, content.bytes);
            thread::sleep(self.settings.pause * 2u32.pow(failures - 1));
        }
        content.complete(self.cache.blob(&found.file, &found.sha256))
    }

    /// One attempt to fetch what is still missing.
    fn receive(&self, found: &Found, content: &mut Unfinished, progress: &mut dyn FnMut(u64)) -> Result<(), Stop> {
        let mut request = self.authorized(self.agent.get(self.url(&found.file)));
        if content.bytes > 0 {
            request = request.header("Range", format!("bytes={}-", content.bytes));
        }
        let answer = request.call().map_err(|error| Stop::Broken(reason(&error)))?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = answer.headers().get("content-range").and_then(|range| range.to_str().ok());
                let range = range.unwrap_or("no header content-range");
                let wanted = format!("bytes {}-", content.bytes);
                if !range.starts_with(&wanted) {
                    let hint = "check HTTPS_PROXY and HF_ENDPOINT, if they are set, and try again later";
                    return Err(Stop::Failed(Error::run(self.thing(&found.file), wanted, range, hint)));
                }
            }
            // All of it, whatever was asked for.
            StatusCode::OK => content.restart().map_err(Stop::Failed)?,
            status if status.is_server_error() => return Err(Stop::Broken(status.to_string())),
            _ => return Err(Stop::Failed(self.refused(&found.file, &answer))),
        }
        let mut body = answer.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        loop {
            match body.read(&mut piece) {
                Ok(0) if content.bytes < found.bytes => {
                    return Err(Stop::Broken("the connection was closed".to_owned()));
                }
                Ok(0) => return Ok(()),
                Ok(read) => content.add(&piece[..read]).map_err(Stop::Failed)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Broken(why_broken(error))),
            }
            progress(content.bytes);
            // More than there should be: the checksum will say so.
            if content.bytes > found.bytes {
                return Ok(());
            }
        }
    }
}

fn why_broken(error: std::io::Error) -> String {
    match error.downcast::<ureq::Error>() {
        Ok(error) => reason(&error),
        Err(error) => error.to_string(),
    }
}

/// What has arrived of a file.
struct Unfinished<'a> {
    found: &'a Found,
    path: PathBuf,
    file: File,
    bytes: u64,
    digest: Sha256,
}

impl<'a> Unfinished<'a> {
    /// What an earlier attempt has left, or nothing yet.
    fn open(path: PathBuf, found: &'a Found, progress: &mut dyn FnMut(u64)) -> Result<Self> {
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| super::cannot_write(&path, error))?;
        let mut content = Self { found, path, file, bytes: 0, digest: Sha256::new() };
        let Self { file, bytes, digest, .. } = &mut content;
        let read = digest::update(digest, file, &mut |piece| {
            *bytes += piece;
            progress(*bytes);
        });
        read.map_err(|error| super::cannot_write(&content.path, error))?;
        if content.bytes > found.bytes {
            content.restart()?;
        }
        Ok(content)
    }

    fn restart(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| super::cannot_write(&self.path, error))?;
        (self.bytes, self.digest) = (0, Sha256::new());
        Ok(())
    }

    fn add(&mut self, piece: &[u8]) -> Result<()> {
        self.file.write_all(piece).map_err(|error| {
            let hint = "free some space or check the disk; the same command goes on where this one stopped";
            Error::io("writing", &self.path, error, hint)
        })?;
        self.digest.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Gives the content its final name if it is the right one, and otherwise removes it.
    fn complete(self, blob: PathBuf) -> Result<()> {
        let Found { file, sha256, .. } = self.found;
        let sum = digest::hexadecimal(&self.digest.finalize());
        if sum != *sha256 {
            fs::remove_file(&self.path).map_err(|error| super::cannot_write(&self.path, error))?;
            let (wanted, found) = (format!("SHA-256 {sha256}"), format!("{sum} of {} bytes", self.bytes));
            let hint = "it was damaged on the way and is removed: run the same command again; if that does not help, \
                        look for a proxy that changes files";
            return Err(Error::run(format!("{} of {}", file.path, file.repository), wanted, found, hint));
        }
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.path, &blob));
        named.map_err(|error| super::cannot_write(&blob, error))
    }
}
