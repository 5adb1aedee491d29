//! The file formats of clips, by the output's name or by `--format`.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A file format of clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// H.264 in MP4.
    Mp4,
    /// H.264 in QuickTime.
    Mov,
    /// VP9 in WebM.
    Webm,
    /// Animated GIF.
    Gif,
    /// Animated WebP.
    Webp,
    /// Uncompressed YUV 4:2:0.
    Y4m,
    /// A folder of numbered PNG pictures.
    PngFolder,
}

impl OutputFormat {
    /// All of them, as messages list them.
    pub const ALL: [Self; 7] = [Self::Mp4, Self::Mov, Self::Webm, Self::Gif, Self::Webp, Self::Y4m, Self::PngFolder];

    /// The word for it in `--format` and in reports.
    pub fn name(self) -> &'static str {
        self.extension().unwrap_or("png")
    }

    /// How names of such files end; `None` for a folder.
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Self::Mp4 => Some("mp4"),
            Self::Mov => Some("mov"),
            Self::Webm => Some("webm"),
            Self::Gif => Some("gif"),
            Self::Webp => Some("webp"),
            Self::Y4m => Some("y4m"),
            Self::PngFolder => None,
        }
    }

    /// The format for a name: by its extension; a folder of PNGs if it ends in `/`, has no extension or is an existing folder.
    ///
    /// # Errors
    /// An unknown extension, or `-`.
    pub fn of(target: &Path) -> Result<Self> {
        Self::resolve(target, None)
    }

    /// The format for a name and what `--format` says: that wins where the name has no extension or an unknown one.
    ///
    /// # Errors
    /// A name of another format than the explicit one, an unknown extension without an explicit one, or `-`.
    pub fn resolve(target: &Path, explicit: Option<Self>) -> Result<Self> {
        if target.as_os_str() == "-" {
            return Err(Error::input("--output", "the name of a file", "-", "stdout is for the path; name a file"));
        }
        match (explicit, Self::shown_by(target)) {
            (Some(explicit), Some(shown)) if explicit != shown => Err(Error::input(
                "--format",
                format!("{}, which is what the name {} stands for", shown.name(), target.display()),
                explicit.name(),
                format!("leave --format out, or {}", explicit.naming_advice()),
            )),
            (Some(explicit), _) => Ok(explicit),
            (None, Some(shown)) => Ok(shown),
            (None, None) => match target.extension() {
                Some(extension) if !target.is_dir() => Err(unknown_extension(target, extension)),
                _ => Ok(Self::PngFolder),
            },
        }
    }

    /// The format that a name alone asks for, whatever stands there; `None` if it may be any.
    fn shown_by(target: &Path) -> Option<Self> {
        // A separator's byte is no part of another character in any encoding that paths have.
        if target.as_os_str().as_encoded_bytes().last().is_some_and(|&byte| std::path::is_separator(byte.into())) {
            return Some(Self::PngFolder);
        }
        let extension = target.extension()?;
        Self::ALL.into_iter().find(|format| format.extension().is_some_and(|own| extension.eq_ignore_ascii_case(own)))
    }

    fn naming_advice(self) -> String {
        match self.extension() {
            Some(extension) => format!("end the name in .{extension}"),
            None => "end the name in / for a folder".to_owned(),
        }
    }
}

fn unknown_extension(target: &Path, extension: &OsStr) -> Error {
    Error::input(
        format!("output {}", target.display()),
        "a name that ends in .mp4, .mov, .webm, .gif, .webp or .y4m, or a folder for PNG frames",
        format!(".{}", extension.display()),
        "end the name in .mp4, or say --format mp4; for a folder, end it in /",
    )
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mp4 => "MP4",
            Self::Mov => "MOV",
            Self::Webm => "WebM",
            Self::Gif => "GIF",
            Self::Webp => "WebP",
            Self::Y4m => "Y4M",
            Self::PngFolder => "PNG frames",
        })
    }
}

impl FromStr for OutputFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| text.eq_ignore_ascii_case(format.name())).ok_or_else(|| {
            let found = format!("\"{text}\"");
            Error::input("--format", "mp4, mov, webm, gif, webp, y4m or png", found, "mp4 is the default")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, explicit: Option<OutputFormat>) -> Result<OutputFormat> {
        OutputFormat::resolve(Path::new(name), explicit)
    }

    #[test]
    fn names_decide_in_any_case() {
        for format in OutputFormat::ALL {
            assert_eq!(format.name().parse::<OutputFormat>().unwrap(), format);
            assert_eq!(format.name().to_uppercase().parse::<OutputFormat>().unwrap(), format);
            let Some(extension) = format.extension() else { continue };
            assert_eq!(resolve(&format!("a.b/clip.{extension}"), None).unwrap(), format);
            assert_eq!(resolve(&format!("CLIP.{}", extension.to_uppercase()), None).unwrap(), format);
        }
        for name in ["frames", "frames/", "frames.v2/", "clip.mp4/", ".mp4"] {
            assert_eq!(resolve(name, None).unwrap(), OutputFormat::PngFolder, "{name}");
        }
    }

    #[test]
    fn other_extensions_are_refused_with_the_list() {
        for name in ["clip.m4v", "clip.mp4v", "clip.avi", "clip.png", "clip."] {
            let error = resolve(name, None).unwrap_err();
            assert!(error.to_string().contains(".mp4, .mov, .webm, .gif, .webp or .y4m"), "{error}");
        }
        let error = "m4v".parse::<OutputFormat>().unwrap_err();
        assert_eq!(error.to_string(), "--format: wanted mp4, mov, webm, gif, webp, y4m or png, found \"m4v\"");
    }

    #[test]
    fn an_explicit_format_wins_over_a_name_that_says_nothing() {
        for name in ["clip", "clip.avi", "clip.mp4v", "clip.webm"] {
            assert_eq!(resolve(name, Some(OutputFormat::Webm)).unwrap(), OutputFormat::Webm, "{name}");
        }
        assert_eq!(resolve("frames.v2", Some(OutputFormat::PngFolder)).unwrap(), OutputFormat::PngFolder);
    }

    #[test]
    fn an_explicit_format_against_the_name_is_a_contradiction() {
        let error = resolve("clip.mp4", Some(OutputFormat::Webm)).unwrap_err();
        assert_eq!(error.to_string(), "--format: wanted mp4, which is what the name clip.mp4 stands for, found webm");
        assert_eq!(error.hint(), "leave --format out, or end the name in .webm");
        assert!(resolve("clip/", Some(OutputFormat::Mp4)).is_err());
        assert!(resolve("clip.gif", Some(OutputFormat::PngFolder)).unwrap_err().hint().contains("end the name in /"));
    }

    #[test]
    fn a_dash_is_no_output() {
        for explicit in [None, Some(OutputFormat::Mp4)] {
            assert_eq!(resolve("-", explicit).unwrap_err().hint(), "stdout is for the path; name a file");
        }
    }
}
