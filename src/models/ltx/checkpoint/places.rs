//! Where the parts of a model are that nobody named.

use std::path::{Path, PathBuf};

use super::Files;
use crate::error::{Error, Result};

/// What a tokenizer may be, in the order of preference.
const TOKENIZERS: [&str; 3] = ["tokenizer", "spiece.model", "tokenizer.json"];

/// The folder that other parts of the model at `path` are looked for in: the model itself, or the folder that its file is in.
pub fn surroundings(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    // The parent of a bare name is the empty path, which is the current folder.
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// What `option` gives for the part `name`: in a folder of diffusers the part's own folder, else the path itself.
pub fn given(path: &Path, name: &str, option: &str) -> Result<PathBuf> {
    let inner = path.join(name);
    if inner.is_dir() {
        return Ok(inner);
    }
    if path.exists() {
        return Ok(path.to_owned());
    }
    let wanted = format!("a file, or a folder of diffusers with the folder `{name}`");
    Err(Error::input(format!("{option} {}", path.display()), wanted, "nothing there", "check the path"))
}

/// The text encoder's folder or file.
pub fn text_encoder(files: &Files) -> Result<PathBuf> {
    const PART: &str = "text_encoder";
    if let Some(path) = &files.text_encoder {
        return given(path, PART, "--text-encoder");
    }
    let place = surroundings(&files.model).join(PART);
    if place.is_dir() {
        return Ok(place);
    }
    let hint = "give it with --text-encoder: T5 v1.1 XXL as a file (such as t5xxl_fp16.safetensors, or GGUF), or as a folder of diffusers";
    Err(Error::input(
        format!("text encoder of {}", files.model.display()),
        format!("the folder {}", place.display()),
        "no such folder",
        hint,
    ))
}

/// The tokenizer's folder or file. `text_encoder`: where that is, because the two are often kept together.
pub fn tokenizer(files: &Files, text_encoder: &Path) -> Result<PathBuf> {
    if let Some(path) = &files.tokenizer {
        return given(path, "tokenizer", "--tokenizer");
    }
    let encoder = surroundings(text_encoder);
    let beside = if text_encoder.is_dir() { encoder.parent().map(Path::to_owned) } else { None };
    let folders: Vec<PathBuf> = [surroundings(&files.model), encoder].into_iter().chain(beside).collect();
    let candidates = folders.iter().flat_map(|folder| TOKENIZERS.map(|name| folder.join(name)));
    candidates.into_iter().find(|candidate| candidate.exists()).ok_or_else(|| {
        let folders: Vec<String> = folders.iter().map(|folder| folder.join("").display().to_string()).collect();
        Error::input(
            format!("tokenizer of {}", files.model.display()),
            format!("{} in one of: {}", TOKENIZERS.join(", "), folders.join(", ")),
            "none",
            "give it with --tokenizer: T5's spiece.model or tokenizer.json, or a folder of diffusers",
        )
    })
}

/// The latent upsampler's file or folder, if there is one.
pub fn upsampler(files: &Files) -> Result<Option<PathBuf>> {
    const PART: &str = "latent_upsampler";
    match &files.upsampler {
        Some(path) => given(path, PART, "latent upsampler").map(Some),
        None => Ok(Some(surroundings(&files.model).join(PART)).filter(|place| place.is_dir())),
    }
}
