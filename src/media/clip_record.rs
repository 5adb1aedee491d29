//! What a clip says of how it was made: a text in the metadata of an MP4, QuickTime or WebM, and in a file beside any other.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::picture::Picture;

use super::staging::{Staged, without_separator};
use super::{ClipWriter, OutputFormat, Target, WrittenClip, disk_space};

/// Bytes of a record: QuickTime has no room for more than four times as many.
pub const LONGEST_RECORD: usize = 16_000;

/// Where a clip's record is that the format has no place for: `NAME.json` beside it, such as `clip.gif.json`.
pub fn sidecar(target: &Target) -> Option<PathBuf> {
    sidecar_of(&target.path, target.format)
}

fn sidecar_of(clip: &Path, format: OutputFormat) -> Option<PathBuf> {
    if matches!(format, OutputFormat::Mp4 | OutputFormat::Mov | OutputFormat::Webm) {
        return None;
    }
    let mut name = OsString::from(without_separator(clip));
    name.push(".json");
    Some(name.into())
}

/// A clip that is completed together with the file beside it.
pub(super) struct WithSidecar {
    clip: Box<dyn ClipWriter>,
    staged: Staged,
    record: String,
}

impl WithSidecar {
    /// `of`: whether a file at `path` is replaced, and the record.
    pub fn create(clip: Box<dyn ClipWriter>, path: &Path, of: (bool, String)) -> Result<Self> {
        let (replace, record) = of;
        Ok(Self { clip, staged: Staged::file(path, replace)?, record })
    }
}

impl ClipWriter for WithSidecar {
    fn write(&mut self, frame: &Picture) -> Result<()> {
        self.clip.write(frame)
    }

    fn describe(&mut self, record: String) {
        self.record = record;
    }

    /// The file beside the clip is on disk before the clip gets its name; after that only a rename can fail.
    fn finish(self: Box<Self>) -> Result<WrittenClip> {
        let Self { clip, staged, record } = *self;
        staged
            .open()
            .and_then(|mut file| {
                file.write_all(record.as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            })
            .map_err(|source| disk_space::write_failed(staged.target(), source))?;
        let written = clip.finish()?;
        staged.finish()?;
        Ok(written)
    }
}

/// The record of the clip at `path`.
///
/// # Errors
/// No clip of a format that stir writes, one that carries no text, and a text that is longer than a record can be.
pub fn read_record(path: &Path) -> Result<String> {
    let thing = format!("clip {}", path.display());
    let refused = |found: &str, hint: &str| Error::input(&thing, "a clip that stir has made", found, hint);
    let kind = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refused("no such file", "check the path"),
        _ => refused(&error.to_string(), "check the path"),
    })?;
    // A video under another name is still one.
    let format = OutputFormat::of(path).unwrap_or(OutputFormat::Mp4);
    if kind.is_dir() != (format == OutputFormat::PngFolder) || !(kind.is_dir() || kind.is_file()) {
        return Err(refused(if kind.is_dir() { "a folder" } else { "no regular file" }, "check the path"));
    }
    let text = match sidecar_of(path, format) {
        Some(sidecar) => read_sidecar(&sidecar, &thing)?,
        None => read_metadata(path, &thing)?,
    };
    let text = text.ok_or_else(|| {
        let hint = "it was made with --no-metadata, by an earlier stir or by another program, or has lost it since";
        Error::input(&thing, "a clip that carries its record", "none", hint)
    })?;
    if text.len() > LONGEST_RECORD {
        let wanted = format!("a record of at most {LONGEST_RECORD} bytes");
        return Err(Error::input(&thing, wanted, "more", "another program wrote or changed it"));
    }
    Ok(text)
}

fn read_sidecar(sidecar: &Path, thing: &str) -> Result<Option<String>> {
    let refused = |found: String| {
        let hint = "keep the file beside its clip, as stir wrote it; a clip that was made with --no-metadata has none";
        Error::input(thing, format!("its record in {}", sidecar.display()), found, hint)
    };
    match sidecar.metadata() {
        Ok(kind) if !kind.is_file() => return Err(refused("no regular file".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(refused("no such file".to_owned())),
        Err(error) => return Err(refused(error.to_string())),
    }
    let mut bytes = Vec::new();
    File::open(sidecar)
        .and_then(|file| file.take(LONGEST_RECORD as u64 + 2).read_to_end(&mut bytes))
        .map_err(|error| refused(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("bytes that are no text".to_owned()))?;
    Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
}

#[cfg(feature = "ffmpeg")]
fn read_metadata(path: &Path, thing: &str) -> Result<Option<String>> {
    super::playback::metadata(path, thing)
}

#[cfg(not(feature = "ffmpeg"))]
fn read_metadata(_path: &Path, _thing: &str) -> Result<Option<String>> {
    Err(super::without_ffmpeg(OutputFormat::Mp4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_place_for_it_has_a_file_beside_it() {
        let named = |clip: &str| sidecar_of(Path::new(clip), OutputFormat::of(Path::new(clip)).unwrap());
        assert_eq!(["a.mp4", "a.mov", "a.webm"].map(named), [None, None, None]);
        for (clip, sidecar) in [
            ("some/a.gif", "some/a.gif.json"),
            ("a.webp", "a.webp.json"),
            ("a.y4m", "a.y4m.json"),
            ("some/frames/", "some/frames.json"),
        ] {
            assert_eq!(named(clip), Some(sidecar.into()));
        }
    }
}
