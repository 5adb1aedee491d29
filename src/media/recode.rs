//! One frame through H.264 and back, in memory, through the system's FFmpeg libraries.

use ffmpeg_next::codec::{self, Id, decoder, packet::Packet, threading};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Codec, Rational, encoder, frame};

use crate::error::{Error, Result};
use crate::units::{Clip, Fps, PixelFrames};

use super::encoding::{REPRODUCIBLE, Samples};
use super::video;
use super::yuv420::Yuv420;

const ENCODER: &str = "libx264";

/// LTX-Video's makers encode at one frame a second. x264 spends more bits on a picture the longer it is seen: at 25 frames a second the same
/// rate factor is far harsher (29 leaves the example picture's luma 34.5 dB instead of 42.4).
const FRAMES_A_SECOND: i32 = 1;

/// Checks that there are an encoder and a decoder.
///
/// # Errors
/// An input error that names `--degrade`.
pub(super) fn check() -> Result<()> {
    find_encoder()?;
    find_decoder().map(drop)
}

/// What H.264 at a constant rate factor of 0 to 51 makes of a frame.
///
/// The decoder is exact by its standard, and the encoder runs on one thread: the result depends on the frame and the version of x264 only.
///
/// # Errors
/// Like [`check`]; also an encoder or decoder that fails.
pub(super) fn recode(planes: Yuv420, rate_factor: u8) -> Result<Yuv420> {
    let (encoder, decoder) = (find_encoder()?, find_decoder()?);
    let packets = encoded(&planes, rate_factor, encoder).map_err(|error| failed("encoding", error.to_string()))?;
    let frame = decoded(&packets, decoder).map_err(|error| failed("decoding", error.to_string()))?;
    let (_, width) = planes.plane(0);
    let height = planes.plane(0).0.len() / width;
    if (frame.format(), frame.width() as usize, frame.height() as usize) != (Pixel::YUV420P, width, height) {
        let found = format!("{:?} of {}x{}", frame.format(), frame.width(), frame.height());
        return Err(failed("decoding", found));
    }
    Ok(video::planes_of(&frame))
}

fn encoded(planes: &Yuv420, rate_factor: u8, codec: Codec) -> Result<Vec<Packet>, ffmpeg_next::Error> {
    let (luma, width) = planes.plane(0);
    let clip = Clip { width, height: luma.len() / width, frames: PixelFrames(1), fps: Fps(f64::from(FRAMES_A_SECOND)) };
    let mut video = video::configured(codec, &clip, Samples::Yuv420, Rational::new(1, FRAMES_A_SECOND))?;
    // There is no container: the parameter sets go into the stream.
    video.set_flags(codec::Flags::BITEXACT);
    let settings = vec![
        ("preset", "veryfast".to_owned()),
        ("crf", rate_factor.to_string()),
        ("threads", "1".to_owned()),
        ("x264-params", REPRODUCIBLE.to_owned()),
    ];
    let mut encoder = video.open_as_with(codec, video::dictionary(settings))?;
    let mut frame = video::frame_of(planes);
    frame.set_pts(Some(0));
    encoder.send_frame(&frame)?;
    encoder.send_eof()?;
    let mut packets = Vec::new();
    loop {
        let mut packet = Packet::empty();
        match encoder.receive_packet(&mut packet) {
            Ok(()) => packets.push(packet),
            Err(ffmpeg_next::Error::Eof) => return Ok(packets),
            Err(error) => return Err(error),
        }
    }
}

fn decoded(packets: &[Packet], codec: Codec) -> Result<frame::Video, ffmpeg_next::Error> {
    let mut context = codec::Context::new_with_codec(codec);
    context.set_threading(threading::Config::count(1));
    let mut decoder = context.decoder().open_as(codec)?.video()?;
    packets.iter().try_for_each(|packet| decoder.send_packet(packet))?;
    decoder.send_eof()?;
    let mut frame = frame::Video::empty();
    decoder.receive_frame(&mut frame)?;
    Ok(frame)
}

fn find_encoder() -> Result<Codec> {
    video::quiet();
    encoder::find_by_name(ENCODER).ok_or_else(|| missing(ENCODER))
}

fn find_decoder() -> Result<Codec> {
    video::quiet();
    decoder::find(Id::H264).ok_or_else(|| missing("an H.264 decoder"))
}

fn missing(what: &str) -> Error {
    Error::input(
        "--degrade",
        format!("FFmpeg libraries with {what}"),
        format!("{} without it", video::library()),
        format!("leave the picture as it is: --degrade off; or {}", video::INSTALL),
    )
}

fn failed(action: &str, found: String) -> Error {
    Error::run(
        format!("the picture as a frame of video, {action}"),
        "one frame of H.264 of the picture's size",
        found,
        "leave the picture as it is: --degrade off; or update FFmpeg",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_codec_is_an_input_error_with_two_ways_out() {
        let error = missing("libnothing");
        assert_eq!(error.exit_code(), 2);
        let message = error.to_string();
        assert!(
            message.starts_with("--degrade: wanted FFmpeg libraries with libnothing, found libavcodec "),
            "{message}"
        );
        assert!(
            error.hint().contains("--degrade off") && error.hint().contains("libavcodec-extra"),
            "{}",
            error.hint()
        );
    }
}
