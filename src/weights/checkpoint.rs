//! Weight files whose content is known to be what their manifest says.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::weights::digest::hexadecimal;
use crate::weights::store::MappedFile;

/// A weight file with the right content: nothing is made of it before its checksum is verified.
#[derive(Debug)]
pub struct Checkpoint {
    name: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Embedded(&'static [u8]),
    Mapped(MappedFile),
}

impl Checkpoint {
    /// A part of the program; `name` is what messages call it. `sha256`: hexadecimal digits.
    ///
    /// # Errors
    /// Another content than `sha256` says.
    pub fn embedded(name: &str, bytes: &'static [u8], sha256: &str) -> Result<Self> {
        Self { name: name.to_owned(), content: Content::Embedded(bytes) }.verified(sha256)
    }

    /// The file at `path`. `sha256`: hexadecimal digits.
    ///
    /// # Errors
    /// A file that cannot be read, or has another content than `sha256` says.
    pub fn open(path: &Path, sha256: &str) -> Result<Self> {
        let content = Content::Mapped(MappedFile::open(path)?);
        Self { name: path.display().to_string(), content }.verified(sha256)
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's content.
    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Embedded(bytes) => bytes,
            Content::Mapped(file) => file.bytes(),
        }
    }

    /// Checks that the file, where there is one, is what it was when it was opened.
    ///
    /// # Errors
    /// As [`MappedFile::check_unchanged`].
    pub fn check_unchanged(&self) -> Result<()> {
        match &self.content {
            Content::Embedded(_) => Ok(()),
            Content::Mapped(file) => file.check_unchanged(),
        }
    }

    fn verified(self, sha256: &str) -> Result<Self> {
        let found = hexadecimal(&Sha256::digest(self.bytes()));
        if found.eq_ignore_ascii_case(sha256) {
            return Ok(self);
        }
        Err(Error::input(
            format!("weights {}", self.name),
            format!("SHA-256 {sha256}, as the manifest says"),
            format!("{found} of {} bytes: a damaged, incomplete or other file", self.bytes().len()),
            "copy the file again; if it is new, have the manifest written again: \
             python -m scripts.sway.manifest --models FOLDER",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "abc", from the standard's example.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_right_content_is_taken() {
        assert_eq!(Checkpoint::embedded("toy", b"abc", ABC).unwrap().bytes(), b"abc");
        assert_eq!(Checkpoint::embedded("toy", b"abc", &ABC.to_uppercase()).unwrap().name(), "toy");
    }

    #[test]
    fn any_other_content_is_refused_with_both_checksums() {
        let error = Checkpoint::embedded("toy", b"ab", ABC).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let message = error.to_string();
        assert!(
            message.contains("weights toy") && message.contains(ABC) && message.contains("of 2 bytes"),
            "{message}"
        );
    }
}
