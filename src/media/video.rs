//! Clips as MP4, MOV, WebM and WebP through the system's FFmpeg libraries. Besides [`super::recode`] and [`super::playback`] the only file that
//! knows FFmpeg's types.

use std::path::Path;
use std::sync::Once;

use ffmpeg_next::codec::{self, encoder};
use ffmpeg_next::format::{self, Pixel, context::Output};
use ffmpeg_next::{Dictionary, Rational, color, frame, log};

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::units::Clip;

use super::encoding::{Encoding, Samples, Settings};
use super::frame_count::FrameCount;
use super::rate::FrameRate;
use super::staging::Staged;
use super::yuv420::Yuv420;
use super::{ClipWriter, OutputFormat, Target, WrittenClip, container, disk_space, unfinished};

/// The metadata entry of a clip's record: the one that every container has and every player shows.
pub(super) const RECORD: &str = "comment";

/// Encodes and multiplexes frame by frame.
///
/// One video track from 0 s. Videos are yuv420p, BT.709 in limited range and tagged so; H.264 is of the High profile. The file depends on
/// the frames, the quality and the versions of FFmpeg and its encoders only: no dates, no machine.
pub(super) struct VideoWriter {
    encoder: encoder::Video,
    // Before `staged`: the file is closed before it is removed.
    output: Output,
    staged: Staged,
    format: OutputFormat,
    /// What goes into the metadata at the end.
    record: Option<String>,
    frames: FrameSource,
    count: FrameCount,
    times: Times,
}

/// Units of time.
#[derive(Clone, Copy)]
struct Times {
    /// Duration of a frame.
    frame: Rational,
    /// Tick of the encoder: a frame, or a millisecond.
    encoder: Rational,
    /// Tick that the multiplexer chose.
    stream: Rational,
}

impl VideoWriter {
    /// Starts a clip, with the text that goes into its metadata.
    ///
    /// # Errors
    /// A target that cannot be written, an odd size, a quality out of range, or an FFmpeg without the encoder.
    pub fn create(target: &Target, encoding: Encoding, of: (&Clip, Option<String>)) -> Result<Self> {
        let (clip, mut record) = of;
        let count = match encoding.samples {
            Samples::Yuv420 => FrameCount::new_even(clip)?,
            Samples::Bgra => FrameCount::new(clip)?,
        };
        let rate = FrameRate::for_format(clip.fps, target.format)?;
        let settings = encoding.encoder_settings(target.quality)?;
        let codec = find_encoder(encoding)?;
        let frame = Rational::new(rate.denominator as i32, rate.numerator as i32);
        let time = match encoding.samples {
            Samples::Yuv420 => frame,
            Samples::Bgra => Rational::new(1, 1000),
        };

        let staged = Staged::file(&target.path, target.replace)?;
        let url = file_url(staged.temporary())?;
        // FFmpeg creates the file again. That must not happen after clean-up.
        let opened = unfinished::while_it_lasts(|| format::output_as(&url, encoding.container));
        let mut output = opened.map_err(|error| write_failed(&target.path, error))?;
        let encoder = configured(codec, clip, encoding.samples, time)
            .and_then(|encoder| encoder.open_as_with(codec, dictionary(settings)))
            .map_err(|error| encoding_failed(target.format, "opening the encoder", error))?;

        let mut stream = output
            .add_stream_with(&encoder)
            .map_err(|error| encoding_failed(target.format, "adding the video track", error))?;
        stream.set_time_base(time);
        stream.set_avg_frame_rate(frame.invert());
        // FFmpeg writes WebM's metadata in front of the frames, and the others' behind them.
        if let Some(record) = record.take_if(|_| target.format == OutputFormat::Webm) {
            output.set_metadata(dictionary(vec![(RECORD, record)]));
        }
        output
            .write_header_with(dictionary(encoding.container_settings(rate)))
            .map_err(|error| write_failed(&target.path, error))?;
        let stream_time = output.stream(0).expect("the track was just added").time_base();

        let frames = FrameSource::new(encoding.samples, clip);
        let times = Times { frame, encoder: time, stream: stream_time };
        Ok(Self { encoder, output, staged, format: target.format, record, frames, count, times })
    }

    /// Moves what the encoder has ready into the file.
    fn drain(&mut self) -> Result<()> {
        let mut packet = codec::packet::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    // Encoders leave the duration open, and the last frame's would be guessed.
                    packet.set_duration(ticks(1, self.times.frame, self.times.encoder));
                    packet.rescale_ts(self.times.encoder, self.times.stream);
                    packet
                        .write_interleaved(&mut self.output)
                        .map_err(|error| write_failed(self.staged.target(), error))?;
                }
                Err(ffmpeg_next::Error::Eof) => return Ok(()),
                Err(ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EAGAIN }) => return Ok(()),
                Err(error) => return Err(encoding_failed(self.format, "encoding", error)),
            }
        }
    }
}

impl ClipWriter for VideoWriter {
    fn write(&mut self, picture: &Picture) -> Result<()> {
        let index = self.count.accept(picture)?;
        let mut frame = self.frames.frame(picture);
        frame.set_pts(Some(ticks(index, self.times.frame, self.times.encoder)));
        self.encoder.send_frame(&frame).map_err(|error| encoding_failed(self.format, "encoding", error))?;
        self.drain()
    }

    fn describe(&mut self, record: String) {
        if let Some(earlier) = &mut self.record {
            *earlier = record;
        }
    }

    fn finish(mut self: Box<Self>) -> Result<WrittenClip> {
        self.count.complete()?;
        self.encoder.send_eof().map_err(|error| encoding_failed(self.format, "completing the encoding", error))?;
        self.drain()?;
        let path = self.staged.target().to_owned();
        if let Some(record) = self.record.take() {
            self.output.set_metadata(dictionary(vec![(RECORD, record)]));
        }
        self.output.write_trailer().map_err(|error| write_failed(&path, error))?;
        let Self { output, staged, format, .. } = *self;
        drop(output);
        check_complete(&staged, format)?;
        let bytes = std::fs::metadata(staged.temporary())
            .map_err(|source| Error::io("measuring", staged.temporary(), source, "check the disk"))?
            .len();
        staged.finish()?;
        Ok(WrittenClip { path, bytes })
    }
}

/// FFmpeg has said that all is well; closing the file, it says nothing.
fn check_complete(staged: &Staged, format: OutputFormat) -> Result<()> {
    let complete = container::is_complete(staged.temporary(), format)
        .map_err(|source| disk_space::write_failed(staged.target(), source))?;
    if complete {
        return Ok(());
    }
    Err(Error::run(
        format!("output {}", staged.target().display()),
        format!("a whole {format} file"),
        "one that breaks off",
        "check the disk's free space and health",
    ))
}

/// Turns pictures into an encoder's frames.
enum FrameSource {
    Yuv420(Yuv420),
    Bgra,
}

impl FrameSource {
    fn new(samples: Samples, clip: &Clip) -> Self {
        match samples {
            Samples::Yuv420 => Self::Yuv420(Yuv420::new(clip.width, clip.height)),
            Samples::Bgra => Self::Bgra,
        }
    }

    /// A new frame each time: the encoder may still hold the last one.
    fn frame(&mut self, picture: &Picture) -> frame::Video {
        let (width, height) = (picture.width(), picture.height());
        match self {
            Self::Yuv420(planes) => {
                planes.fill(picture);
                frame_of(planes)
            }
            Self::Bgra => {
                let mut frame = frame::Video::new(Pixel::BGRA, width as u32, height as u32);
                let stride = frame.stride(0);
                let rows = picture.pixels().chunks_exact(width * 3);
                for (target, source) in frame.data_mut(0).chunks_mut(stride).zip(rows) {
                    for (target, pixel) in target.chunks_exact_mut(4).zip(source.chunks_exact(3)) {
                        target.copy_from_slice(&[pixel[2], pixel[1], pixel[0], u8::MAX]);
                    }
                }
                frame
            }
        }
    }
}

/// FFmpeg's frame of three planes.
pub(super) fn frame_of(planes: &Yuv420) -> frame::Video {
    let (luma, width) = planes.plane(0);
    let mut frame = frame::Video::new(Pixel::YUV420P, width as u32, (luma.len() / width) as u32);
    for plane in 0..3 {
        let stride = frame.stride(plane);
        let (samples, row) = planes.plane(plane);
        for (target, source) in frame.data_mut(plane).chunks_mut(stride).zip(samples.chunks_exact(row)) {
            target[..row].copy_from_slice(source);
        }
    }
    frame
}

/// The planes of FFmpeg's frame, which is yuv420p with even sides.
pub(super) fn planes_of(frame: &frame::Video) -> Yuv420 {
    let mut planes = Yuv420::new(frame.width() as usize, frame.height() as usize);
    for plane in 0..3 {
        let (samples, row) = planes.plane_mut(plane);
        for (target, source) in samples.chunks_exact_mut(row).zip(frame.data(plane).chunks(frame.stride(plane))) {
            target.copy_from_slice(&source[..row]);
        }
    }
    planes
}

/// Time of frame `index` in ticks, to the nearest.
fn ticks(index: usize, frame: Rational, tick: Rational) -> i64 {
    let numerator = index as i128 * i128::from(frame.numerator()) * i128::from(tick.denominator());
    let denominator = i128::from(frame.denominator()) * i128::from(tick.numerator());
    ((2 * numerator + denominator) / (2 * denominator)) as i64
}

/// Checks that such clips can be written at all.
///
/// # Errors
/// An FFmpeg without the encoder, or a path that FFmpeg does not take.
pub(super) fn check(target: &Path, encoding: Encoding) -> Result<()> {
    find_encoder(encoding)?;
    file_url(super::staging::folder_of(target)).map(drop)
}

/// Checks that the encoder of `target` opens for such a clip: one that runs on a device may be compiled in where there is none, or take no frames of
/// this size.
///
/// # Errors
/// An input error that names `--encoder`, with what FFmpeg says.
pub(super) fn check_opens(target: &Target, encoding: Encoding, clip: &Clip) -> Result<()> {
    let codec = find_encoder(encoding)?;
    let rate = FrameRate::for_format(clip.fps, target.format)?;
    let time = Rational::new(rate.denominator as i32, rate.numerator as i32);
    let settings = encoding.encoder_settings(target.quality)?;
    let opened = configured(codec, clip, encoding.samples, time)
        .and_then(|encoder| encoder.open_as_with(codec, dictionary(settings)));
    opened.map(drop).map_err(|error| {
        let found = format!("\"{error}\" for {}x{}", clip.width, clip.height);
        let hint =
            "it needs an NVIDIA GPU with an encoder, and its driver: see `nvidia-smi`; --encoder x264 needs neither";
        Error::input(format!("--encoder {}", target.encoder), format!("{} to open", encoding.encoder), found, hint)
    })
}

/// Keeps FFmpeg from printing: its warnings are about details that are set on purpose, and errors come back as values, which have words from here on.
pub(super) fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        log::set_level(log::Level::Fatal);
        ffmpeg_next::error::register_all();
    });
}

/// Name and version of the library of codecs.
pub(super) fn library() -> String {
    let version = codec::version();
    format!("libavcodec {}.{}.{}", version >> 16, version >> 8 & 255, version & 255)
}

/// Name and version of the libraries that clips are written by.
pub(super) fn libraries() -> String {
    let version = format::version();
    format!("{}, libavformat {}.{}.{}", library(), version >> 16, version >> 8 & 255, version & 255)
}

/// How to come by FFmpeg libraries with all encoders.
pub(super) const INSTALL: &str = "install the full FFmpeg (Debian and Ubuntu: apt install libavcodec-extra; Fedora: RPM Fusion's ffmpeg; \
                                  macOS: brew install ffmpeg)";

fn find_encoder(encoding: Encoding) -> Result<ffmpeg_next::Codec> {
    quiet();
    encoder::find_by_name(encoding.encoder).ok_or_else(|| {
        let instead = match encoding.encoder {
            "h264_nvenc" => "leave --encoder nvenc out",
            _ => "write .gif, .y4m or a folder of PNG frames",
        };
        Error::run(
            format!("the {} encoder for .{} output", encoding.codec, encoding.container),
            format!("FFmpeg libraries with {}", encoding.encoder),
            format!("{} without it", library()),
            format!("{INSTALL}, or {instead}"),
        )
    })
}

/// An encoder for such frames that is still to be opened; `time` is its tick.
pub(super) fn configured(
    codec: ffmpeg_next::Codec,
    clip: &Clip,
    samples: Samples,
    time: Rational,
) -> Result<encoder::video::Video, ffmpeg_next::Error> {
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(clip.width as u32);
    video.set_height(clip.height as u32);
    video.set_aspect_ratio((1, 1));
    video.set_time_base(time);
    // Containers with a header keep the parameter sets there, not in the stream.
    video.set_flags(codec::Flags::GLOBAL_HEADER | codec::Flags::BITEXACT);
    match samples {
        Samples::Yuv420 => {
            video.set_frame_rate(Some(time.invert()));
            video.set_format(Pixel::YUV420P);
            video.set_colorspace(color::Space::BT709);
            video.set_color_range(color::Range::MPEG);
            video.set_color_primaries(color::Primaries::BT709);
            video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        }
        Samples::Bgra => video.set_format(Pixel::BGRA),
    }
    Ok(video)
}

/// Settings in FFmpeg's terms.
pub(super) fn dictionary(settings: Settings) -> Dictionary<'static> {
    let mut dictionary = Dictionary::new();
    settings.iter().for_each(|(name, value)| dictionary.set(name, value));
    dictionary
}

/// The path as FFmpeg's `file:` URL, without which a colon in a name would be taken for a protocol.
pub(super) fn file_url(path: &Path) -> Result<String> {
    let Some(text) = path.to_str() else {
        return Err(Error::input(
            format!("output in {}", path.display()),
            "a folder whose path is in UTF-8, which is what FFmpeg takes",
            "one in another encoding",
            "write to a folder with a plain name",
        ));
    };
    Ok(format!("file:{text}"))
}

/// FFmpeg could not write to the file.
fn write_failed(target: &Path, error: ffmpeg_next::Error) -> Error {
    let source = match error {
        ffmpeg_next::Error::Other { errno } => std::io::Error::from_raw_os_error(errno),
        other => std::io::Error::other(other),
    };
    disk_space::write_failed(target, source)
}

/// FFmpeg could not encode, while doing `action`.
fn encoding_failed(format: OutputFormat, action: &str, error: ffmpeg_next::Error) -> Error {
    Error::run(
        format!("the {format} encoder, {action}"),
        "success",
        error.to_string(),
        "free some memory; a .y4m output shows whether FFmpeg is at fault; update FFmpeg, or choose another format",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::VideoEncoder;
    use crate::units::{Fps, PixelFrames};

    #[test]
    fn a_missing_encoder_is_named_with_the_next_step() {
        let mut encoding = Encoding::of(&target(OutputFormat::Webm, VideoEncoder::Auto)).unwrap();
        encoding.encoder = "libnothing";
        let Err(error) = find_encoder(encoding) else { panic!("there is no such encoder") };
        assert_eq!(error.exit_code(), 1);
        let message = error.to_string();
        assert!(message.starts_with(
            "the VP9 encoder for .webm output: wanted FFmpeg libraries with libnothing, found libavcodec"
        ));
        assert!(error.hint().contains("libavcodec-extra"));
    }

    /// An encoder that has been told that all frames were there takes no more.
    #[test]
    fn an_encoder_that_fails_half_way_is_an_error_and_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("stir-encoder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let clip = Clip { width: 96, height: 64, frames: PixelFrames(3), fps: Fps(25.0) };
        for format in [OutputFormat::Mp4, OutputFormat::Webm, OutputFormat::Webp] {
            let target = Target { path: folder.join("clip"), ..target(format, VideoEncoder::Auto) };
            let mut writer = VideoWriter::create(&target, Encoding::of(&target).unwrap(), (&clip, None)).unwrap();
            let frame = Picture::new(96, 64, vec![90; 96 * 64 * 3]);
            writer.write(&frame).unwrap();
            writer.encoder.send_eof().unwrap();
            let error = writer.write(&frame).unwrap_err();
            assert_eq!(error.exit_code(), 1);
            let said = format!("the {format} encoder, encoding: wanted success, found End of file");
            assert_eq!(error.to_string(), said);
            drop(writer);
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{format} left something behind");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// x264 stands for NVENC on machines that have one: it opens, and refuses what it does not know.
    #[test]
    fn an_encoder_that_does_not_open_is_refused_with_what_it_says() {
        let clip = Clip { width: 96, height: 64, frames: PixelFrames(1), fps: Fps(25.0) };
        let target = target(OutputFormat::Mp4, VideoEncoder::Nvenc);
        let works = Encoding::of(&Target { encoder: VideoEncoder::X264, ..target.clone() }).unwrap();
        check_opens(&target, works, &clip).unwrap();
        let fails = Encoding { encoder_settings: |_| vec![("profile", "no such profile".to_owned())], ..works };
        let error = check_opens(&target, fails, &clip).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with("--encoder nvenc: wanted libx264 to open, found "), "{error}");
        assert!(error.hint().contains("--encoder x264"), "{}", error.hint());
    }

    fn target(format: OutputFormat, encoder: VideoEncoder) -> Target {
        Target { path: "clip".into(), format, encoder, quality: 95, replace: true }
    }

    #[test]
    fn times_are_to_the_nearest_tick() {
        let millisecond = Rational::new(1, 1000);
        let times = |frame: Rational| [0, 1, 2, 3, 143].map(|index| ticks(index, frame, millisecond));
        assert_eq!(times(Rational::new(1, 24)), [0, 42, 83, 125, 5958]);
        assert_eq!(times(Rational::new(1, 25)), [0, 40, 80, 120, 5720]);
        assert_eq!(times(Rational::new(1001, 30000)), [0, 33, 67, 100, 4771]);
        assert_eq!(ticks(7, Rational::new(1, 25), Rational::new(1, 25)), 7);
    }
}
