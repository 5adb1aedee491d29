//! Which program encodes a video, where a format leaves a choice.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result, quoted};

use super::OutputFormat;

/// What encodes a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VideoEncoder {
    /// The format's own: for H.264 that is x264.
    #[default]
    Auto,
    /// x264, on the processor: the same clip is the same file on every machine.
    X264,
    /// NVIDIA's, on the GPU: faster, and its files differ from card to card and from driver to driver.
    Nvenc,
}

impl VideoEncoder {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::X264 => "x264",
            Self::Nvenc => "nvenc",
        }
    }

    /// Refuses an encoder of H.264 for a format of other videos.
    ///
    /// # Errors
    /// An input error that names `--encoder`.
    pub(super) fn check(self, format: OutputFormat) -> Result<()> {
        if self == Self::Auto || matches!(format, OutputFormat::Mp4 | OutputFormat::Mov) {
            return Ok(());
        }
        let found = format!("{format} output");
        Err(Error::input(format!("--encoder {self}"), ".mp4 or .mov output", found, "leave --encoder out"))
    }
}

impl FromStr for VideoEncoder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = [Self::Auto, Self::X264, Self::Nvenc].into_iter().find(|encoder| encoder.name() == text);
        named.ok_or_else(|| Error::input("--encoder", "auto, x264 or nvenc", quoted(text), "auto is the default"))
    }
}

impl fmt::Display for VideoEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_h264_has_a_choice() {
        for encoder in ["auto", "x264", "nvenc"].map(|name| name.parse::<VideoEncoder>().unwrap()) {
            assert!(encoder.check(OutputFormat::Mp4).is_ok() && encoder.check(OutputFormat::Mov).is_ok());
            for format in [OutputFormat::Webm, OutputFormat::Gif, OutputFormat::Y4m, OutputFormat::PngFolder] {
                assert_eq!(encoder.check(format).is_ok(), encoder == VideoEncoder::Auto, "{encoder} for {format}");
            }
        }
        assert!("h264".parse::<VideoEncoder>().unwrap_err().to_string().contains("\"h264\""));
    }
}
