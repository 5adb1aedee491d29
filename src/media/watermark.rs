//! A mark in the corner of every frame: words, or a picture.

use std::path::{Path, PathBuf};

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watermark {
    /// These words.
    Text(String),
    /// The picture in this file.
    Picture(PathBuf),
}

impl Watermark {
    /// What `--watermark` names: the picture of that name where there is one, otherwise the words themselves.
    pub fn named(text: &str) -> Self {
        if Path::new(text).is_file() { Self::Picture(text.into()) } else { Self::Text(text.to_owned()) }
    }
}
