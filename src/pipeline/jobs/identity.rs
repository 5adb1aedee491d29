//! What a job is known by: its settings, and the bytes of the files that it reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::media::watermark::Watermark;
use crate::pipeline::request::Request;
use crate::pipeline::settings::Settings;
use crate::weights::digest;

/// Options that decide whether a clip is made and never what it is: with another value a job is the same one.
const NOT_OF_THE_CLIP: [&str; 3] = ["no_clobber", "strict", "allow_any_image"];

/// Two jobs of one identity make the same files of the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// SHA-256 of the resolved settings as JSON.
    settings: String,
    /// SHA-256 of each file that the job reads besides the model, by the option that names it.
    inputs: BTreeMap<String, String>,
}

impl Identity {
    /// Reads the job's files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(request: &Request) -> Result<Self> {
        let settings = Settings::from(request);
        let settings: Vec<_> = settings.entries().filter(|(option, _)| !NOT_OF_THE_CLIP.contains(option)).collect();
        let settings = serde_json::to_vec(&settings).expect("keys are text");
        let mark = request.watermark.as_ref().and_then(Watermark::path);
        let files = [("image", request.image.path()), ("noise", request.noise.as_deref()), ("watermark", mark)];
        let mut inputs = BTreeMap::new();
        for (option, path) in files {
            if let Some(path) = path {
                inputs.insert(option.to_owned(), sha256(path)?);
            }
        }
        Ok(Self { settings: digest::hexadecimal(&Sha256::digest(settings)), inputs })
    }

    /// A name for files that belong to the job: 16 hexadecimal digits.
    pub fn short(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(&self.settings);
        self.inputs.iter().for_each(|(option, hash)| digest.update(format!("\n{option} {hash}")));
        digest::hexadecimal(&digest.finalize()[..8])
    }
}

fn sha256(path: &Path) -> Result<String> {
    let unreadable = |error: std::io::Error| {
        let thing = path.display().to_string();
        Error::input(thing, "a file that can be read", error.to_string(), "check the path and the file's permissions")
    };
    // Asked before opening: opening a pipe waits until somebody writes to it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        let hint = "name a file";
        return Err(Error::input(path.display().to_string(), "a file that can be read", "a folder or a device", hint));
    }
    File::open(path).and_then(|mut file| digest::sha256(&mut file, &mut |_| {})).map_err(unreadable)
}
