//! Enough space for a clip, and what to say when it runs out all the same.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Result};
use crate::units::{Bytes, Clip};

use super::staging::folder_of;
use super::{OutputFormat, Target, gif, png_folder, y4m};

/// Refuses a clip that cannot fit on the target's disk. What the target replaces does not count: it goes only when the clip is complete.
///
/// # Errors
/// Less free space than the clip takes at least.
pub(super) fn check(target: &Target, clip: &Clip) -> Result<()> {
    let needed = match target.format {
        OutputFormat::Y4m => y4m::size(clip)?,
        OutputFormat::PngFolder => png_folder::least_size(clip),
        OutputFormat::Gif => gif::spool_size(clip),
        // How far these compress a clip cannot be known.
        OutputFormat::Mp4 | OutputFormat::Mov | OutputFormat::Webm | OutputFormat::Webp => return Ok(()),
    };
    let folder = folder_of(&target.path);
    match fs4::available_space(folder) {
        Ok(available) if available < needed => Err(Error::input(
            format!("output {}", target.path.display()),
            format!("{} of free disk space for {}", Bytes(needed), target.format),
            format!("{} in {}", Bytes(available), folder.display()),
            "free some space, choose a folder on another disk, or write .mp4, which is small",
        )),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::debug!("the free space in {} is not known: {error}", folder.display());
            Ok(())
        }
    }
}

/// The error for a file operation that failed while `target` was written.
pub(super) fn write_failed(target: &Path, source: io::Error) -> Error {
    let folder = folder_of(target).display();
    let hint = match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("free some space on the disk that holds {folder}, or choose a folder on another one")
        }
        ErrorKind::FileTooLarge => {
            format!(
                "files in {folder} may not become that large (see ulimit -f); choose another folder or a smaller clip"
            )
        }
        _ => format!("check the disk that holds {folder}, or choose a folder on another one"),
    };
    Error::io("writing", target, source, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::VideoEncoder;
    use crate::units::{Fps, PixelFrames};

    #[test]
    fn a_clip_that_cannot_fit_is_refused_with_both_sizes() {
        // 100 PB: no disk has that.
        let clip = Clip { width: 4096, height: 4096, frames: PixelFrames(4_000_000_000), fps: Fps(25.0) };
        for format in [OutputFormat::Y4m, OutputFormat::Gif, OutputFormat::PngFolder] {
            let target =
                Target { path: "clip".into(), format, encoder: VideoEncoder::Auto, quality: 95, replace: true };
            let error = check(&target, &clip).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with("output clip: wanted "), "{error}");
            assert!(error.to_string().contains("GB of free disk space for ") && error.to_string().ends_with(" in ."));
            check(&target, &Clip { frames: PixelFrames(1), ..clip }).unwrap();
        }
    }

    #[test]
    fn a_full_disk_is_no_riddle() {
        let hint = |kind: ErrorKind| write_failed("out/clip.mp4".as_ref(), kind.into()).hint().to_owned();
        assert!(hint(ErrorKind::StorageFull).starts_with("free some space on the disk that holds out"));
        assert!(hint(ErrorKind::FileTooLarge).contains("ulimit -f"));
        assert!(hint(ErrorKind::Other).starts_with("check the disk"));
    }
}
