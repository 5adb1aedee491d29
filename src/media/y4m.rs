//! Clips as YUV4MPEG2 (`.y4m`): uncompressed 4:2:0, read by FFmpeg, x264, mpv and most research code.

use std::fs::File;
use std::io::{BufWriter, Write};

use crate::error::Result;
use crate::picture::Picture;
use crate::units::Clip;

use super::disk_space::write_failed;
use super::frame_count::FrameCount;
use super::rate::FrameRate;
use super::staging::Staged;
use super::yuv420::Yuv420;
use super::{ClipWriter, Target, WrittenClip};

/// What stands before every frame.
const FRAME: &[u8] = b"FRAME\n";

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
    pub fn create(target: &Target, clip: &Clip) -> Result<Self> {
        let count = FrameCount::new_even(clip)?;
        let header = header(clip)?;
        let staged = Staged::file(&target.path, target.replace)?;
        let failed = |source| write_failed(&target.path, source);
        let mut file = BufWriter::with_capacity(1 << 20, staged.open().map_err(failed)?);
        file.write_all(header.as_bytes()).map_err(failed)?;
        Ok(Self { file, staged, planes: Yuv420::new(clip.width, clip.height), count })
    }
}

/// The stream header, a line.
fn header(clip: &Clip) -> Result<String> {
    let rate = FrameRate::from_fps(clip.fps)?;
    Ok(format!(
        "YUV4MPEG2 W{} H{} F{}:{} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n",
        clip.width, clip.height, rate.numerator, rate.denominator
    ))
}

/// Size of a clip's file in bytes, exactly.
///
/// # Errors
/// A frame rate that no file can hold.
pub(super) fn size(clip: &Clip) -> Result<u64> {
    let pixels = clip.width as u64 * clip.height as u64;
    Ok(header(clip)?.len() as u64 + clip.frames.0 as u64 * (FRAME.len() as u64 + pixels / 2 * 3))
}

impl ClipWriter for Y4mWriter {
    fn write(&mut self, frame: &Picture) -> Result<()> {
        self.count.accept(frame)?;
        self.planes.fill(frame);
        let mut write = || {
            self.file.write_all(FRAME)?;
            (0..3).try_for_each(|plane| self.file.write_all(self.planes.plane(plane).0))
        };
        write().map_err(|source| write_failed(self.staged.target(), source))
    }

    fn finish(self: Box<Self>) -> Result<WrittenClip> {
        let Self { file, staged, count, .. } = *self;
        count.complete()?;
        let path = staged.target().to_owned();
        let file = file.into_inner().map_err(|error| write_failed(&path, error.into_error()))?;
        let bytes = file.metadata().map_err(|source| write_failed(&path, source))?.len();
        drop(file);
        staged.finish()?;
        Ok(WrittenClip { path, bytes })
    }
}
