//! Where clips go, and what can be said about that before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::units::Clip;

use super::{OutputFormat, VideoEncoder, disk_space, frame_count, png_folder, rate, staging};

/// Where a clip goes, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The file, or the folder of PNGs.
    pub path: PathBuf,
    /// What is written there.
    pub format: OutputFormat,
    /// What encodes it, where the format leaves a choice.
    pub encoder: VideoEncoder,
    /// Quality of a lossy format, 20 to 99.
    pub quality: u8,
    /// Whether what stands there is replaced, or refused.
    pub replace: bool,
}

/// Checks, in milliseconds, that a clip can be written to `target`: a format that this build can write, a folder that can be
/// written to, nothing there that must not be replaced, and none of the files that the run reads, `inputs`.
///
/// # Errors
/// What is in the way.
pub fn check_target(target: &Target, inputs: &[&Path]) -> Result<()> {
    target.encoder.check(target.format)?;
    if target.format == OutputFormat::PngFolder {
        if !target.replace {
            check_free(&target.path)?;
        }
        return check_png_folder(&target.path, inputs);
    }
    super::check_encoder(target)?;
    check_file(&target.path, target.replace, inputs)
}

/// Checks that `target` can hold such a clip: a size and a frame rate that the format has, an encoder on the GPU that opens, and, where it can be
/// known, enough space on the disk.
///
/// # Errors
/// What does not fit.
pub fn check_clip(target: &Target, clip: &Clip) -> Result<()> {
    rate::FrameRate::for_format(clip.fps, target.format)?;
    match target.format {
        OutputFormat::PngFolder | OutputFormat::Gif | OutputFormat::Webp => frame_count::FrameCount::new(clip)?,
        _ => frame_count::FrameCount::new_even(clip)?,
    };
    super::check_encoding(target, clip)?;
    disk_space::check(target, clip)
}

fn check_png_folder(target: &Path, inputs: &[&Path]) -> Result<()> {
    check_not_input(target, inputs)?;
    png_folder::check_replaceable(target)?;
    check_not_mounted(target)?;
    staging::Staged::folder(target, true).map(drop)
}

/// Like [`check_target`], for any other file.
///
/// # Errors
/// What is in the way.
pub fn check_file(target: &Path, replace: bool, inputs: &[&Path]) -> Result<()> {
    if !replace {
        check_free(target)?;
    }
    check_not_input(target, inputs)?;
    check_not_folder(target)?;
    staging::Staged::file(target, true).map(drop)
}

/// Checks that each of these outputs of one run, whose folders are there, has a place of its own: no other has the same name, and none
/// lies in a folder that another replaces as a whole.
///
/// # Errors
/// The first output that is in another's way.
pub fn check_apart(outputs: &[PathBuf]) -> Result<()> {
    let refused =
        |wanted: &str, found: String| Err(Error::input("outputs", wanted, found, "give one of them another name"));
    let mut taken = BTreeSet::new();
    let mut folders: BTreeMap<&Path, PathBuf> = BTreeMap::new();
    for output in outputs {
        // One folder may have several names, and many outputs share one.
        let folder = staging::folder_of(output);
        let folder =
            folders.entry(folder).or_insert_with(|| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()));
        if !taken.insert(folder.join(output.file_name().unwrap_or_default())) {
            return refused("a name of its own for each", format!("{} twice", output.display()));
        }
    }
    for output in &taken {
        if let Some(outer) = output.ancestors().skip(1).find(|outer| taken.contains(*outer)) {
            let found = format!("{} in {}, which is replaced as a whole", output.display(), outer.display());
            return refused("a place outside each other", found);
        }
    }
    Ok(())
}

/// Names what runs that were killed have left of these outputs.
pub fn warn_of_leftovers(outputs: &[PathBuf]) {
    for path in staging::leftovers(outputs) {
        tracing::warn!("{} is from a run that was killed; remove it if no other machine is writing it", path.display());
    }
}

/// Refuses what exists.
pub(super) fn check_free(target: &Path) -> Result<()> {
    match fs::symlink_metadata(staging::without_separator(target)) {
        Ok(metadata) => Err(Error::input(
            format!("output {}", target.display()),
            "a name that is free, as --no-clobber asks",
            if metadata.is_dir() { "an existing folder" } else { "an existing file" },
            "choose another name, or leave --no-clobber out to replace it",
        )),
        Err(_) => Ok(()),
    }
}

fn check_not_input(target: &Path, inputs: &[&Path]) -> Result<()> {
    let replaced = |input: &&&Path| {
        let within = matches!(
            (target.canonicalize(), input.canonicalize()),
            (Ok(target), Ok(input)) if input.starts_with(&target)
        );
        let linked = matches!(
            (fs::metadata(target), fs::metadata(input)),
            (Ok(target), Ok(input)) if same_file(&target, &input)
        );
        within || linked
    };
    match inputs.iter().find(replaced) {
        None => Ok(()),
        Some(input) => Err(Error::input(
            format!("output {}", target.display()),
            "another file than those that are read, and not a folder that holds one",
            format!("the input {}", input.display()),
            "choose another output: this one would replace the input",
        )),
    }
}

/// Two names of one file, by a hard link for instance.
#[cfg(unix)]
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Only Unix tells in safe code; elsewhere resolved paths have to do.
#[cfg(not(unix))]
fn same_file(_one: &Metadata, _other: &Metadata) -> bool {
    false
}

/// A file cannot replace a folder, and what is no plain file should not be replaced. A name that the system does not take is
/// refused here, as the temporary's may be a shorter one.
pub(super) fn check_not_folder(target: &Path) -> Result<()> {
    let refused = |found: String, hint: &str| {
        Err(Error::input(format!("output {}", target.display()), "a file's name", found, hint))
    };
    match fs::metadata(target) {
        Ok(metadata) if metadata.is_dir() => refused("an existing folder".to_owned(), "choose another name"),
        Ok(metadata) if !metadata.is_file() => refused("a device or a pipe".to_owned(), "choose another name"),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            refused(format!("one that cannot be used ({error})"), "choose another name, such as a shorter one")
        }
        _ => Ok(()),
    }
}

/// A mounted disk or a container's volume cannot be exchanged for a finished folder.
fn check_not_mounted(target: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
        if !target.is_symlink()
            && let (Some(own), Some(above)) = (device(target), device(staging::folder_of(target)))
            && own != above
        {
            return Err(Error::input(
                format!("output {}", target.display()),
                "a folder that can be replaced as a whole",
                "a mounted disk or volume",
                format!("name a folder in it, such as {}", target.join("frames/").display()),
            ));
        }
    }
    let _ = target;
    Ok(())
}
