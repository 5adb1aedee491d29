//! A mark in the corner of every frame: words, or a picture.

use std::path::PathBuf;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watermark {
    /// These words.
    Text(String),
    /// The picture in this file.
    Picture(PathBuf),
}
