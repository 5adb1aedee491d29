//! Clips as YUV4MPEG2 (`.y4m`): uncompressed 4:2:0, read by FFmpeg, x264, mpv and most research code.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::units::Clip;

use super::frame_count::FrameCount;
use super::rate::FrameRate;
use super::staging::Staged;
use super::yuv420::Yuv420;
use super::{ClipWriter, WrittenClip};

/// Writes the stream header, then `FRAME` and the three planes for every frame.
///
/// # Source
/// <https://wiki.multimedia.cx/index.php/YUV4MPEG2>; `XCOLORRANGE` as FFmpeg writes it. The format has no tag for the
/// matrix: it is BT.709, as players assume for HD. `C420jpeg` says where chroma is sited.
pub(super) struct Y4mWriter {
    // Before `staged`: the file is closed before it is removed.
    file: BufWriter<File>,
    staged: Staged,
    planes: Yuv420,
    count: FrameCount,
}

impl Y4mWriter {
    /// Starts a clip at `target`.
    ///
    /// # Errors
    /// A target that cannot be written, or an odd size.
    pub fn create(target: &Path, clip: &Clip) -> Result<Self> {
        let count = FrameCount::new_even(clip)?;
        let rate = FrameRate::from_fps(clip.fps)?;
        let staged = Staged::file(target)?;
        let file = File::create(staged.temporary()).map_err(|source| failed(target, source))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        writeln!(
            file,
            "YUV4MPEG2 W{} H{} F{}:{} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED",
            clip.width, clip.height, rate.numerator, rate.denominator
        )
        .map_err(|source| failed(target, source))?;
        Ok(Self { file, staged, planes: Yuv420::new(clip.width, clip.height), count })
    }
}

impl ClipWriter for Y4mWriter {
    fn write(&mut self, frame: &Picture) -> Result<()> {
        self.count.accept(frame)?;
        self.planes.fill(frame);
        let mut write = || {
            self.file.write_all(b"FRAME\n")?;
            (0..3).try_for_each(|plane| self.file.write_all(self.planes.plane(plane).0))
        };
        write().map_err(|source| failed(self.staged.target(), source))
    }

    fn finish(self: Box<Self>) -> Result<WrittenClip> {
        let Self { file, staged, count, .. } = *self;
        count.complete()?;
        let path = staged.target().to_owned();
        let file = file.into_inner().map_err(|error| failed(&path, error.into_error()))?;
        let bytes = file.metadata().map_err(|source| failed(&path, source))?.len();
        drop(file);
        staged.finish()?;
        Ok(WrittenClip { path, bytes })
    }
}

fn failed(target: &Path, source: std::io::Error) -> Error {
    Error::io("writing", target, source, "check the disk's free space: uncompressed video is large; .mp4 is small")
}
