//! Clips as animated GIF: 255 colours, shown by every browser and chat. Needs no FFmpeg.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::units::Clip;

use super::disk_space::write_failed;
use super::frame_count::FrameCount;
use super::palette::{Histogram, MOST_COLORS, Palette};
use super::rate::FrameRate;
use super::staging::Staged;
use super::{ClipWriter, Target, WrittenClip};

/// The index that leaves a pixel as it is.
const UNCHANGED: u8 = MOST_COLORS as u8;

/// Frames that are compressed together take no more bytes than this, however many threads there are.
const MOST_WAITING: usize = 256 << 20;

/// Counts the colours of all frames first, for one palette: until the end the frames wait, uncompressed, in a second temporary file.
/// Each frame then holds the rectangle that changes, and in it only the pixels that do. It loops for ever.
pub(super) struct GifWriter {
    // Before the files' owners: files are closed before they are removed.
    frames: BufWriter<File>,
    waiting: Staged,
    staged: Staged,
    histogram: Histogram,
    count: FrameCount,
    clip: Clip,
    rate: FrameRate,
    tolerance: u8,
}

/// A pixel stays as it is shown while no channel is further from what it was when it was drawn: `(99 - quality) / 8` levels, so none at
/// 95, 4 at 60 and 9 at 20. The palette limits quality more: the example clip has 39.5 dB of luma at 95 (36 MB) and 38.5 dB at 60 (28 MB).
fn tolerance(quality: u8) -> u8 {
    99_u8.saturating_sub(quality) / 8
}

/// Bytes of a clip's waiting frames.
pub(super) fn spool_size(clip: &Clip) -> u64 {
    clip.frames.0 as u64 * clip.width as u64 * clip.height as u64 * 3
}

impl GifWriter {
    /// Starts a clip.
    ///
    /// # Errors
    /// A target that cannot be written, or a frame rate that GIF does not have.
    pub fn create(target: &Target, clip: &Clip) -> Result<Self> {
        let count = FrameCount::new(clip)?;
        let rate = FrameRate::for_format(clip.fps, target.format)?;
        let staged = Staged::file(&target.path, target.replace)?;
        let waiting = Staged::file(&target.path, target.replace)?;
        let file = waiting.open().map_err(|source| write_failed(&target.path, source))?;
        let frames = BufWriter::with_capacity(1 << 20, file);
        let tolerance = tolerance(target.quality);
        Ok(Self { frames, waiting, staged, histogram: Histogram::new(), count, clip: *clip, rate, tolerance })
    }
}

impl ClipWriter for GifWriter {
    fn write(&mut self, frame: &Picture) -> Result<()> {
        self.count.accept(frame)?;
        self.histogram.add(frame.pixels());
        self.frames.write_all(frame.pixels()).map_err(|source| write_failed(self.staged.target(), source))
    }

    fn finish(self: Box<Self>) -> Result<WrittenClip> {
        let Self { frames, waiting, staged, histogram, count, clip, rate, tolerance } = *self;
        count.complete()?;
        let path = staged.target().to_owned();
        let failed = |source| write_failed(&path, source);
        let mut frames = frames.into_inner().map_err(|error| failed(error.into_error()))?;
        frames.rewind().map_err(failed)?;
        let file = BufWriter::with_capacity(1 << 20, staged.open().map_err(failed)?);
        let file = encode(BufReader::new(frames), file, &mut Painter::new(&clip, histogram.palette(), tolerance), rate)
            .map_err(|error| encoding_failed(&path, error))?;
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        let bytes = file.metadata().map_err(failed)?.len();
        drop(file);
        drop(waiting);
        staged.finish()?;
        Ok(WrittenClip { path, bytes })
    }
}

fn encoding_failed(target: &Path, error: EncodingError) -> Error {
    match error {
        EncodingError::Io(source) => write_failed(target, source),
        other => Error::run("the GIF encoder", "success", other.to_string(), "report it with the exact command"),
    }
}

/// Writes all frames, compressing several at a time.
fn encode<W: Write>(
    mut source: impl Read,
    file: W,
    painter: &mut Painter,
    rate: FrameRate,
) -> Result<W, EncodingError> {
    let clip = painter.clip;
    let palette = painter.palette.colors().concat();
    // A palette is stored with a power of two of colours, so the index for "unchanged" exists too.
    let mut encoder = Encoder::new(file, clip.width as u16, clip.height as u16, &with_unchanged(palette))?;
    encoder.set_repeat(Repeat::Infinite)?;
    let together = (MOST_WAITING / (clip.width * clip.height)).clamp(1, rayon::current_num_threads());
    let mut pixels = vec![0; clip.width * clip.height * 3];
    let mut index = 0;
    while index < clip.frames.0 {
        let mut frames = Vec::with_capacity(together);
        while frames.len() < together && index < clip.frames.0 {
            source.read_exact(&mut pixels)?;
            frames.push(painter.frame(&pixels, delay(index, rate)));
            index += 1;
        }
        frames.par_iter_mut().for_each(Frame::make_lzw_pre_encoded);
        frames.iter().try_for_each(|frame| encoder.write_lzw_pre_encoded_frame(frame))?;
    }
    encoder.into_inner()
}

/// The palette with a place for [`UNCHANGED`].
fn with_unchanged(mut palette: Vec<u8>) -> Vec<u8> {
    palette.resize((usize::from(UNCHANGED) + 1) * 3, 0);
    palette
}

/// How long frame `index` is shown, in hundredths of a second: from its own time to the next frame's, both rounded, so that errors do not add
/// up.
fn delay(index: usize, rate: FrameRate) -> u16 {
    let time = |index: usize| {
        let (numerator, denominator) = (u64::from(rate.numerator), u64::from(rate.denominator));
        (2 * index as u64 * 100 * denominator + numerator) / (2 * numerator)
    };
    (time(index + 1) - time(index)) as u16
}

/// What is on the screen, and what has to be painted over it for the next frame.
struct Painter {
    clip: Clip,
    palette: Palette,
    tolerance: u8,
    /// Palette indices as they are shown, `[height, width]`; nothing is shown at first.
    shown: Vec<u8>,
    /// The pixels that they stand for, `[height, width, 3]`.
    drawn: Vec<u8>,
}

impl Painter {
    fn new(clip: &Clip, palette: Palette, tolerance: u8) -> Self {
        let pixels = clip.width * clip.height;
        Self { clip: *clip, palette, tolerance, shown: vec![UNCHANGED; pixels], drawn: vec![0; pixels * 3] }
    }

    /// The frame that turns what is shown into `pixels`, `[height, width, 3]`, for `delay` hundredths of a second.
    fn frame(&mut self, pixels: &[u8], delay: u16) -> Frame<'static> {
        let width = self.clip.width;
        let mut changes = vec![UNCHANGED; self.shown.len()];
        let rows = changes.par_chunks_exact_mut(width).zip(self.shown.par_chunks_exact_mut(width));
        let rows = rows.zip(self.drawn.par_chunks_exact_mut(width * 3)).zip(pixels.par_chunks_exact(width * 3));
        let (palette, tolerance) = (&self.palette, self.tolerance);
        rows.enumerate().for_each(|(y, (((changes, shown), drawn), pixels))| {
            let row = changes.iter_mut().zip(shown).zip(drawn.chunks_exact_mut(3)).zip(pixels.chunks_exact(3));
            for (x, (((change, shown), drawn), pixel)) in row.enumerate() {
                let near = drawn.iter().zip(pixel).all(|(drawn, pixel)| drawn.abs_diff(*pixel) <= tolerance);
                if *shown != UNCHANGED && near {
                    continue;
                }
                let index = palette.index(pixel, x, y);
                drawn.copy_from_slice(pixel);
                if index != *shown {
                    (*change, *shown) = (index, index);
                }
            }
        });
        let [left, top, cut_width, cut_height] = changed_part(&changes, width);
        let mut buffer = Vec::with_capacity(cut_width * cut_height);
        for row in changes.chunks_exact(width).skip(top).take(cut_height) {
            buffer.extend_from_slice(&row[left..left + cut_width]);
        }
        Frame {
            delay,
            dispose: DisposalMethod::Keep,
            transparent: Some(UNCHANGED),
            left: left as u16,
            top: top as u16,
            width: cut_width as u16,
            height: cut_height as u16,
            buffer: buffer.into(),
            ..Frame::default()
        }
    }
}

/// Left, top, width and height of the smallest rectangle with all changes; of one pixel if nothing changes, as a frame needs one.
fn changed_part(changes: &[u8], width: usize) -> [usize; 4] {
    let is_change = |index: &u8| *index != UNCHANGED;
    let rows = || changes.chunks_exact(width);
    let Some(top) = rows().position(|row| row.iter().any(is_change)) else { return [0, 0, 1, 1] };
    let bottom = rows().rposition(|row| row.iter().any(is_change)).unwrap_or(top);
    let changed = || rows().skip(top).take(bottom + 1 - top);
    let left = changed().filter_map(|row| row.iter().position(is_change)).min().unwrap_or(0);
    let right = changed().filter_map(|row| row.iter().rposition(is_change)).max().unwrap_or(left);
    [left, top, right + 1 - left, bottom + 1 - top]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Fps;

    #[test]
    fn delays_add_up() {
        let delays = |fps: f64, count: usize| -> Vec<u16> {
            let rate = FrameRate::from_fps(Fps(fps)).unwrap();
            (0..count).map(|index| delay(index, rate)).collect()
        };
        assert_eq!(delays(25.0, 3), [4, 4, 4]);
        assert_eq!(delays(24.0, 6), [4, 4, 5, 4, 4, 4]);
        assert_eq!(delays(24.0, 144).iter().sum::<u16>(), 600);
        assert_eq!(delays(50.0, 2), [2, 2]);
        assert!(delays(48.0, 480).iter().all(|delay| *delay >= 2));
        assert_eq!(delays(0.002, 1), [50_000]);
    }

    #[test]
    fn the_changed_part_is_the_smallest_rectangle() {
        let mut changes = vec![UNCHANGED; 50];
        assert_eq!(changed_part(&changes, 10), [0, 0, 1, 1]);
        changes[23] = 7;
        assert_eq!(changed_part(&changes, 10), [3, 2, 1, 1]);
        changes[48] = 0;
        assert_eq!(changed_part(&changes, 10), [3, 2, 6, 3]);
    }

    #[test]
    fn still_pixels_stay_and_changes_are_painted() {
        let clip = Clip { width: 8, height: 2, frames: crate::units::PixelFrames(3), fps: Fps(25.0) };
        let still = [40, 80, 120].repeat(16);
        let mut moved = still.clone();
        moved[15..18].copy_from_slice(&[200, 10, 10]);
        let mut histogram = Histogram::new();
        histogram.add(&still);
        histogram.add(&moved);
        let mut painter = Painter::new(&clip, histogram.palette(), 0);
        let first = painter.frame(&still, 4);
        assert_eq!((first.width, first.height), (8, 2));
        assert!(!first.buffer.contains(&UNCHANGED));
        let second = painter.frame(&moved, 4);
        assert_eq!((second.left, second.top, second.width, second.height), (5, 0, 1, 1));
        let third = painter.frame(&moved, 4);
        assert_eq!((third.width, third.height, third.buffer[0]), (1, 1, UNCHANGED));
    }

    #[test]
    fn tolerance_grows_as_quality_falls() {
        assert_eq!([99, 95, 60, 20].map(tolerance), [0, 0, 4, 9]);
    }
}
