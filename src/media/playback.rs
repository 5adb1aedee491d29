//! Clips as a player sees them, through the system's FFmpeg libraries: what they say of themselves, and their frames.

use std::path::Path;

use ffmpeg_next::codec::{self, threading};
use ffmpeg_next::format::{self, context::Input};
use ffmpeg_next::{Packet, decoder, frame, media};

use crate::error::{Error, Result};

use super::video::{RECORD, dictionary, file_url, quiet};

/// What clips of stir may be. FFmpeg knows formats that read further files by name, and these are none.
const FORMATS: &str = "mov,mp4,matroska,webm,yuv4mpegpipe,gif";

/// The text in the metadata of the file at `path`, if there is one. `thing` is what messages call it.
///
/// # Errors
/// A file that is no video.
pub(super) fn metadata(path: &Path, thing: &str) -> Result<Option<String>> {
    let input = open(path, thing)?;
    // By FFmpeg's rules an entry is found in capital letters too, as WebM has it.
    Ok(input.metadata().get(RECORD).map(str::to_owned))
}

fn open(path: &Path, thing: &str) -> Result<Input> {
    quiet();
    let unreadable =
        |error: std::io::Error| Error::input(thing, "a file that can be read", error.to_string(), "check it");
    std::fs::File::open(path).map_err(unreadable)?;
    let options = [("format_whitelist", FORMATS), ("protocol_whitelist", "file")];
    let options = options.map(|(name, value)| (name, value.to_owned())).to_vec();
    format::input_with_dictionary(&file_url(path)?, dictionary(options)).map_err(|_| {
        let hint = "name a clip that stir has made: .mp4, .mov, .webm, .gif, .webp, .y4m or a folder of PNGs";
        Error::input(thing, "a video", "a file that FFmpeg does not take for one", hint)
    })
}

/// The frames of a video, one by one.
pub(super) struct Player {
    thing: String,
    input: Input,
    track: usize,
    decoder: decoder::Video,
    ended: bool,
}

impl Player {
    /// Opens the video at `path`.
    ///
    /// # Errors
    /// A file that is no video, or without a decoder.
    pub fn open(path: &Path, thing: &str) -> Result<Self> {
        let input = open(path, thing)?;
        let refused = |found: String| Error::input(thing, "a video that can be played", found, "check the clip");
        let stream =
            input.streams().best(media::Type::Video).ok_or_else(|| refused("no track of pictures".to_owned()))?;
        let track = stream.index();
        let decoder = codec::Context::from_parameters(stream.parameters()).and_then(|mut context| {
            context.set_threading(threading::Config::count(1));
            context.decoder().video()
        });
        let decoder = decoder.map_err(|error| refused(error.to_string()))?;
        Ok(Self { thing: thing.to_owned(), input, track, decoder, ended: false })
    }

    fn broken(&self, error: ffmpeg_next::Error) -> Error {
        Error::input(&self.thing, "a whole video", error.to_string(), "copy or make the clip again")
    }
}

impl Iterator for Player {
    /// The samples of a frame, plane by plane and row by row, as the format stores them.
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut frame = frame::Video::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => return Some(Ok(samples(&frame))),
                Err(ffmpeg_next::Error::Eof) => return None,
                Err(ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EAGAIN }) if !self.ended => {}
                Err(error) => return Some(Err(self.broken(error))),
            }
            let mut packet = Packet::empty();
            let sent = match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.track => continue,
                Ok(()) => self.decoder.send_packet(&packet),
                Err(ffmpeg_next::Error::Eof) => {
                    self.ended = true;
                    self.decoder.send_eof()
                }
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                return Some(Err(self.broken(error)));
            }
        }
    }
}

/// What of a frame's memory is seen.
fn samples(frame: &frame::Video) -> Vec<u8> {
    let mut samples = Vec::new();
    for plane in 0..frame.planes() {
        let stride = frame.stride(plane);
        // Packed formats have all channels of a pixel in their only plane.
        let bytes = if frame.planes() == 1 { 4 } else { 1 };
        let width = (frame.plane_width(plane) as usize * bytes).min(stride);
        let rows = frame.data(plane).chunks(stride).take(frame.plane_height(plane) as usize);
        rows.for_each(|row| samples.extend_from_slice(&row[..width]));
    }
    samples
}
