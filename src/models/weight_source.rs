//! Where weights come from.

use std::path::{Path, PathBuf};

use crate::weights::files::WeightFiles;

/// Where the weights of a network come from, or a part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSource {
    /// The network: `transformer`, `vae`, `text_encoder`, `tokenizer`, `latent_upsampler`, or a name of the family's own.
    pub network: &'static str,
    /// From where.
    pub origin: WeightOrigin,
}

/// From where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightOrigin {
    /// A file.
    File(PathBuf),
    /// A file of this content.
    Known {
        /// Its name.
        name: String,
        /// The SHA-256 of its content in hexadecimal digits.
        sha256: String,
    },
    /// Nowhere: they are made up, of this alone.
    MadeUp(String),
}

impl WeightSource {
    /// The file at `path`.
    pub fn file(network: &'static str, path: &Path) -> Self {
        Self { network, origin: WeightOrigin::File(path.to_owned()) }
    }

    /// All files of a checkpoint; or what its weights are made up of.
    pub fn of(network: &'static str, files: &WeightFiles) -> Vec<Self> {
        match files.made_from() {
            Some(made_from) => vec![Self { network, origin: WeightOrigin::MadeUp(made_from) }],
            None => files.paths().map(|path| Self::file(network, path)).collect(),
        }
    }
}
