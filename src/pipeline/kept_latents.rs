//! The latents of a clip while it is decoded: hours of work, perhaps, so they are on disk before, and whatever ends the decode leaves them there.

use std::path::{Path, PathBuf};

use super::request::Request;
use crate::device::DeviceChoice;
use crate::error::{Error, Result, shell_word};
use crate::media::watermark::Watermark;
use crate::media::{self, DEFAULT_QUALITY, OutputFormat, VideoEncoder};

/// Writes the latents beside the clip that they are to become, under a name that is free.
///
/// # Errors
/// The file cannot be written.
pub(super) fn keep(bytes: &[u8], clip: &Path) -> Result<PathBuf> {
    loop {
        let path = free_name(clip);
        match media::write_atomically(&path, bytes, false) {
            Ok(()) => return Ok(path),
            // Another run of the same clip has just taken it.
            Err(_) if path.symlink_metadata().is_ok() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes the latents to this file, which is the run's own.
///
/// # Errors
/// The file cannot be written.
pub(super) fn replace(bytes: &[u8], path: PathBuf) -> Result<PathBuf> {
    media::write_atomically(&path, bytes, true)?;
    Ok(path)
}

/// Says in the error's hint by which command the clip is finished.
pub(super) fn explain(error: Error, command: &str) -> Error {
    let hint = format!("{}; {}", error.hint(), latents_finished_by(command));
    error.with_hint(hint)
}

/// What to tell whoever has latents and no clip.
pub fn latents_finished_by(command: &str) -> String {
    format!("the latents are kept, and this finishes the clip: {command}")
}

/// `NAME.latents.safetensors`, or with a number if that is taken.
fn free_name(clip: &Path) -> PathBuf {
    let name = |number: usize| match number {
        1 => clip.with_extension("latents.safetensors"),
        _ => clip.with_extension(format!("latents-{number}.safetensors")),
    };
    (1..).map(name).find(|path| path.symlink_metadata().is_err()).expect("numbers do not end")
}

/// The command that makes clip `index` of its latents.
pub(super) fn command(request: &Request, index: usize, latents: &Path) -> String {
    let target = request.target(index);
    let path = |path: &Path| shell_word(&path.display().to_string());
    let mut words = vec!["stir decode".to_owned(), path(latents)];
    words.extend(["-o".to_owned(), path(&target.path)]);
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    if OutputFormat::of(&target.path).ok() != Some(target.format) {
        add("--format", target.format.name().to_owned());
    }
    if target.quality != DEFAULT_QUALITY {
        add("--quality", target.quality.to_string());
    }
    if target.encoder != VideoEncoder::Auto {
        add("--encoder", target.encoder.name().to_owned());
    }
    if let Some(frames) = request.frames_target(index) {
        add("--save-frames", path(&frames.path));
    }
    match &request.watermark {
        Some(Watermark::Text(text)) => add("--watermark", shell_word(text)),
        Some(Watermark::Picture(file)) => add("--watermark", path(file)),
        None => {}
    }
    if request.device != DeviceChoice::Auto {
        add("--device", request.device.to_string());
    }
    if !request.metadata {
        words.push("--no-metadata".to_owned());
    }
    if !target.replace {
        words.push("--no-clobber".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_go_beside_the_clip_and_replace_nothing() {
        let folder = std::env::temp_dir().join(format!("stir-kept-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let named = |clip: &str| free_name(&folder.join(clip)).file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(named("clip.mp4"), "clip.latents.safetensors");
        assert_eq!(named("frames/"), "frames.latents.safetensors");
        std::fs::write(folder.join("clip.latents.safetensors"), "").unwrap();
        assert_eq!(named("clip.mp4"), "clip.latents-2.safetensors");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
