//! Where a clip and its previews go, and in which format, from what `-o`, `--format`, `-i` and `--preview` say.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::values;
use crate::error::{Error, Result};
use crate::media::{OutputFormat, Target, VideoEncoder};

/// The output: its name and format; by default that of the file that it is made from, in the current folder, as MP4.
pub(super) fn target(
    output: Option<&OsStr>,
    format: Option<&OsStr>,
    source: Option<&Path>,
) -> Result<(PathBuf, OutputFormat)> {
    let format: Option<OutputFormat> = format.map(|format| values::text("--format", format)?.parse()).transpose()?;
    match output {
        Some(output) => {
            let path = values::path("--output", output)?;
            let format = OutputFormat::resolve(&path, format)?;
            Ok((path, format))
        }
        None => {
            let format = format.unwrap_or(OutputFormat::Mp4);
            Ok((default_name(source, format), format))
        }
    }
}

/// The file's name with the format's extension, `clip` where it has none.
fn default_name(source: Option<&Path>, format: OutputFormat) -> PathBuf {
    let mut name = source.and_then(Path::file_stem).unwrap_or(OsStr::new("clip")).to_owned();
    match format.extension() {
        Some(extension) => name.push(format!(".{extension}")),
        None => name.push("-frames/"),
    }
    PathBuf::from(name)
}

/// Where previews go; `option` is empty where only the flag was given.
pub(super) fn preview(option: &OsStr, output: &Target) -> Result<Target> {
    let path = if option.is_empty() { output.path.with_extension("preview.webp") } else { PathBuf::from(option) };
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let format = match extension.as_deref() {
        Some("webp") => OutputFormat::Webp,
        Some("gif") => OutputFormat::Gif,
        _ => {
            let found = format!("\"{}\"", path.display());
            let hint = "such as --preview=look.webp; leave the name out for OUT's with .preview.webp";
            return Err(Error::input("--preview", "a name that ends in .webp or .gif", found, hint));
        }
    };
    Ok(Target { path, format, encoder: VideoEncoder::Auto, ..output.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::image::ImageSource;

    fn named(output: Option<&str>, format: Option<&str>, image: &str) -> Result<(PathBuf, OutputFormat)> {
        target(output.map(OsStr::new), format.map(OsStr::new), ImageSource::named(image.into()).path())
    }

    #[test]
    fn the_output_takes_the_pictures_name() {
        assert_eq!(named(None, None, "some/a.b.png").unwrap(), ("a.b.mp4".into(), OutputFormat::Mp4));
        assert_eq!(named(None, Some("webm"), "a.png").unwrap(), ("a.webm".into(), OutputFormat::Webm));
        assert_eq!(named(None, Some("png"), "a.png").unwrap(), ("a-frames/".into(), OutputFormat::PngFolder));
        for unnamed in ["-", "..", "/"] {
            assert_eq!(named(None, None, unnamed).unwrap().0, PathBuf::from("clip.mp4"), "{unnamed}");
        }
    }

    #[test]
    fn name_and_format_must_agree() {
        assert_eq!(named(Some("clip.y4m"), Some("y4m"), "a.png").unwrap().1, OutputFormat::Y4m);
        assert_eq!(named(Some("clip.v2"), Some("mp4"), "a.png").unwrap().1, OutputFormat::Mp4);
        assert_eq!(named(Some("clip"), Some("mp4"), "a.png").unwrap().1, OutputFormat::Mp4);
        assert!(named(Some("clip.y4m"), Some("mp4"), "a.png").unwrap_err().to_string().contains("y4m"));
        assert!(named(Some("clip.avi"), None, "a.png").is_err());
        assert!(named(Some(""), None, "a.png").is_err());
    }

    #[test]
    fn previews_are_small_animations_beside_the_clip() {
        let (path, format) = named(Some("out/clip.mp4"), None, "a.png").unwrap();
        let output = Target { path, format, encoder: VideoEncoder::Nvenc, quality: 95, replace: true };
        let preview = |option: &str| preview(OsStr::new(option), &output);
        assert_eq!(preview("").unwrap().path, PathBuf::from("out/clip.preview.webp"));
        let gif = preview("look.GIF").unwrap();
        assert_eq!((gif.format, gif.encoder), (OutputFormat::Gif, VideoEncoder::Auto));
        for name in ["look.mp4", "look", "."] {
            assert!(preview(name).unwrap_err().to_string().contains(".webp or .gif"), "{name}");
        }
    }
}
