//! Clips as MP4 with H.264, through the system's FFmpeg libraries. The only file that knows FFmpeg's types.

use std::path::Path;
use std::sync::Once;

use ffmpeg_next::codec::{self, encoder};
use ffmpeg_next::format::{self, Pixel, context::Output};
use ffmpeg_next::{Dictionary, Rational, color, frame, log};

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::units::Clip;

use super::frame_count::FrameCount;
use super::rate::FrameRate;
use super::staging::Staged;
use super::yuv420::Yuv420;
use super::{ClipWriter, WrittenClip};

/// FFmpeg's name of the encoder. Others make different bytes, and few reach its quality.
const ENCODER: &str = "libx264";
/// Encoder threads. x264's output depends on their number, so it must not depend on the machine.
const THREADS: &str = "2";
/// What x264 needs for the same bytes every time. `cpu-independent`: the vector code that weighs frames by their future otherwise reads
/// memory that nothing has written, where rows are no multiple of 16 blocks, and differs from processor to processor.
/// `sync-lookahead=0`: up to core 164, the thread that looks ahead uses as many frames as it happens to have. Neither costs
/// measurable time.
const REPRODUCIBLE: &str = "cpu-independent=1:sync-lookahead=0";
/// x264's speed setting: on illustrations `slow` is no smaller at the same quality, `fast` saves about a third of the time.
const PRESET: &str = "medium";
/// Ticks a second of the file's time base are at least this many; some players handle coarse ones badly.
const LEAST_TICKS: u32 = 10_000;

/// x264's constant rate factor for a quality of 20 to 99: `46.4 - 0.32 quality`, so 95 is CRF 16 (no visible loss), 60 is CRF
/// 27 (small) and 20 is CRF 40 (a rough preview); 6 CRF less double the file.
///
/// # Errors
/// Another quality.
fn rate_factor(quality: u8) -> Result<f64> {
    if !(20..=99).contains(&quality) {
        return Err(Error::input("--quality", "20 to 99", quality.to_string(), "leave it out for 95"));
    }
    Ok(46.4 - 0.32 * f64::from(quality))
}

/// Encodes and multiplexes frame by frame.
///
/// H.264 High, yuv420p, BT.709 in limited range and tagged so, one video track from 0 s, the index in front of the data ("faststart").
/// The file depends on the frames, the quality and the FFmpeg and x264 versions only: no dates, no machine.
pub(super) struct Mp4Writer {
    encoder: encoder::Video,
    // Before `staged`: the file is closed before it is removed.
    output: Output,
    staged: Staged,
    planes: Yuv420,
    count: FrameCount,
    /// Duration of a frame in the encoder's time base, and the time base itself: one tick a frame.
    frame_time: Rational,
    /// The time base that the multiplexer chose.
    stream_time: Rational,
}

impl Mp4Writer {
    /// Starts a clip at `target` with a quality of 20 to 99.
    ///
    /// # Errors
    /// A target that cannot be written, an odd size, or an FFmpeg without x264.
    pub fn create(target: &Path, clip: &Clip, quality: u8) -> Result<Self> {
        let count = FrameCount::new_even(clip)?;
        let rate = FrameRate::from_fps(clip.fps)?;
        let factor = rate_factor(quality)?;
        let codec = find_encoder(ENCODER)?;
        let frame_time = Rational::new(rate.denominator as i32, rate.numerator as i32);

        let staged = Staged::file(target)?;
        let mut output =
            format::output_as(&file_url(staged.temporary())?, "mp4").map_err(failed("opening the file"))?;
        let encoder = open_encoder(codec, clip, rate, factor).map_err(failed("opening the encoder"))?;

        let mut stream = output.add_stream_with(&encoder).map_err(failed("adding the video track"))?;
        stream.set_time_base(frame_time);
        stream.set_avg_frame_rate(frame_time.invert());
        let ticks = (rate.numerator * LEAST_TICKS.div_ceil(rate.numerator)).to_string();
        let mut options = Dictionary::new();
        options.set("movflags", "+faststart");
        options.set("fflags", "+bitexact");
        // With whole ticks a frame in the track and in the file, all durations are exact.
        options.set("video_track_timescale", &ticks);
        options.set("movie_timescale", &ticks);
        output.write_header_with(options).map_err(failed("writing the header"))?;
        let stream_time = output.stream(0).expect("the track was just added").time_base();

        let planes = Yuv420::new(clip.width, clip.height);
        Ok(Self { encoder, output, staged, planes, count, frame_time, stream_time })
    }

    /// Moves what the encoder has ready into the file.
    fn drain(&mut self) -> Result<()> {
        let mut packet = codec::packet::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    // The encoder leaves the duration open, and the last frame's would be guessed.
                    packet.set_duration(1);
                    packet.rescale_ts(self.frame_time, self.stream_time);
                    packet.write_interleaved(&mut self.output).map_err(failed("writing the file"))?;
                }
                Err(ffmpeg_next::Error::Eof) => return Ok(()),
                Err(ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EAGAIN }) => return Ok(()),
                Err(error) => return Err(failed("encoding")(error)),
            }
        }
    }
}

impl ClipWriter for Mp4Writer {
    fn write(&mut self, picture: &Picture) -> Result<()> {
        let index = self.count.accept(picture)?;
        self.planes.fill(picture);
        // A new frame each time: the encoder may still hold the last one.
        let mut frame = frame::Video::new(Pixel::YUV420P, picture.width() as u32, picture.height() as u32);
        for plane in 0..3 {
            let stride = frame.stride(plane);
            let (samples, row) = self.planes.plane(plane);
            for (target, source) in frame.data_mut(plane).chunks_mut(stride).zip(samples.chunks_exact(row)) {
                target[..row].copy_from_slice(source);
            }
        }
        frame.set_pts(Some(index as i64));
        self.encoder.send_frame(&frame).map_err(failed("encoding"))?;
        self.drain()
    }

    fn finish(mut self: Box<Self>) -> Result<WrittenClip> {
        self.count.complete()?;
        self.encoder.send_eof().map_err(failed("completing the encoding"))?;
        self.drain()?;
        self.output.write_trailer().map_err(failed("completing the file"))?;
        let Self { output, staged, .. } = *self;
        drop(output);
        let path = staged.target().to_owned();
        let bytes = std::fs::metadata(staged.temporary())
            .map_err(|source| Error::io("measuring", staged.temporary(), source, "check the disk"))?
            .len();
        staged.finish()?;
        Ok(WrittenClip { path, bytes })
    }
}

/// Checks that MP4 can be written at all.
///
/// # Errors
/// An FFmpeg without x264.
pub(super) fn check_encoder() -> Result<()> {
    find_encoder(ENCODER).map(|_| ())
}

fn find_encoder(name: &str) -> Result<ffmpeg_next::Codec> {
    static QUIET: Once = Once::new();
    // Warnings of FFmpeg's are about details that are set on purpose; errors come back as values, but say more on stderr.
    QUIET.call_once(|| log::set_level(log::Level::Error));
    encoder::find_by_name(name).ok_or_else(|| {
        let version = codec::version();
        Error::run(
            "the H.264 encoder",
            format!("FFmpeg libraries with {name}"),
            format!("libavcodec {}.{}.{} without it", version >> 16, version >> 8 & 255, version & 255),
            "install the full FFmpeg (Debian and Ubuntu: apt install libavcodec-extra; Fedora: RPM Fusion's ffmpeg; macOS: brew \
             install ffmpeg), or write .y4m or a folder of PNG frames",
        )
    })
}

/// An encoder whose frames are timed `0, 1, 2, ...` in units of one frame.
fn open_encoder(
    codec: ffmpeg_next::Codec,
    clip: &Clip,
    rate: FrameRate,
    factor: f64,
) -> Result<encoder::Video, ffmpeg_next::Error> {
    let ratio = Rational::new(rate.numerator as i32, rate.denominator as i32);
    let mut settings = codec::Context::new_with_codec(codec).encoder().video()?;
    settings.set_width(clip.width as u32);
    settings.set_height(clip.height as u32);
    settings.set_aspect_ratio((1, 1));
    settings.set_format(Pixel::YUV420P);
    settings.set_time_base(ratio.invert());
    settings.set_frame_rate(Some(ratio));
    settings.set_colorspace(color::Space::BT709);
    settings.set_color_range(color::Range::MPEG);
    settings.set_color_primaries(color::Primaries::BT709);
    settings.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    // MP4 keeps the parameter sets in its header, not in the stream.
    settings.set_flags(codec::Flags::GLOBAL_HEADER | codec::Flags::BITEXACT);
    let mut options = Dictionary::new();
    options.set("preset", PRESET);
    options.set("profile", "high");
    options.set("chroma_sample_location", "center");
    options.set("crf", &format!("{factor:.2}"));
    options.set("threads", THREADS);
    options.set("x264-params", REPRODUCIBLE);
    settings.open_as_with(codec, options)
}

/// The path as FFmpeg's `file:` URL, without which a colon in a name would be taken for a protocol.
fn file_url(path: &Path) -> Result<String> {
    let Some(text) = path.to_str() else {
        return Err(Error::input(
            format!("output {}", path.display()),
            "a path in UTF-8, which is what FFmpeg takes",
            "one in another encoding",
            "write to a folder with a plain name",
        ));
    };
    Ok(format!("file:{text}"))
}

/// An FFmpeg error while doing `action`.
fn failed(action: &'static str) -> impl Fn(ffmpeg_next::Error) -> Error {
    move |error| {
        Error::run(
            format!("the MP4 encoder, {action}"),
            "success",
            error.to_string(),
            "check the disk's free space; a .y4m output shows whether FFmpeg is at fault",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_maps_to_the_rate_factor() {
        assert!((rate_factor(95).unwrap() - 16.0).abs() < 1e-9);
        assert!((rate_factor(20).unwrap() - 40.0).abs() < 1e-9);
        assert!(rate_factor(99).unwrap() < rate_factor(98).unwrap());
        assert_eq!(rate_factor(19).unwrap_err().to_string(), "--quality: wanted 20 to 99, found 19");
        assert!(rate_factor(100).is_err());
    }

    #[test]
    fn a_missing_encoder_is_named_with_the_next_step() {
        let Err(error) = find_encoder("libnothing") else { panic!("there is no such encoder") };
        assert!(error.to_string().contains("wanted FFmpeg libraries with libnothing, found libavcodec"), "{error}");
        assert!(error.hint().contains("libavcodec-extra"));
    }
}
