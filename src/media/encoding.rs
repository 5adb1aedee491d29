//! What differs between the formats that FFmpeg writes: container, encoder and their settings, in FFmpeg's words.
//!
//! The same quality looks alike in all of them. On the example clip (1280x720, 150 frames), as the mean of six frames' luma, H.264 with all
//! of its preset (what leaving out a part changes stands at `SEARCH`):
//!
//! | quality | H.264                | VP9                  | WebP            |
//! |---------|----------------------|----------------------|-----------------|
//! | 95      | 45.7 dB, SSIM 0.993, 2.5 MB | 47.2 dB, SSIM 0.993, 2.2 MB | 45.2 dB, 19 MB |
//! | 60      | 39.1 dB, SSIM 0.982, 0.5 MB | 40.8 dB, SSIM 0.982, 0.4 MB | 39.4 dB, 8.8 MB |

use crate::error::{Error, Result};

use super::rate::FrameRate;
use super::{OutputFormat, QUALITY, Target, VideoEncoder};

/// Encoder threads. What x264 and libvpx write depends on their number, so it must not depend on the machine.
const X264_THREADS: &str = "2";
const VP9_THREADS: &str = "4";
/// What x264 needs for the same bytes every time. `cpu-independent`: the vector code that weighs frames by their future otherwise reads
/// memory that nothing has written, where rows are no multiple of 16 blocks, and differs from processor to processor.
/// `sync-lookahead=0`: up to core 164, the thread that looks ahead uses as many frames as it happens to have. Neither costs
/// measurable time.
pub(super) const REPRODUCIBLE: &str = "cpu-independent=1:sync-lookahead=0";
/// x264's speed setting: on illustrations `slow` is no smaller at the same quality.
const PRESET: &str = "medium";
/// What that setting need not do on illustrations: choose modes by their exact cost, and look at a third frame. The offset is the one of
/// colour that x264 would otherwise choose itself. It saves a quarter of the encoder's time; on the example clip, over all frames' luma,
/// quality 95 is then 46.5 dB, SSIM 0.9936 and 2.56 MB (else 46.6 dB, 0.9932, 2.48 MB), and quality 60 is 40.0 dB, 0.9811 and 0.46 MB
/// (else 40.3 dB, 0.9814, 0.48 MB).
const SEARCH: &str = "subme=5:ref=2:chroma-qp-offset=-2";
/// Ticks a second of an MP4's time base are at least this many; some players handle coarse ones badly.
const LEAST_TICKS: u32 = 10_000;

/// Settings by FFmpeg's names.
pub(super) type Settings = Vec<(&'static str, String)>;

/// How one format is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    /// FFmpeg's name of the container.
    pub container: &'static str,
    /// FFmpeg's name of the encoder. Others make different bytes, and few reach its quality.
    pub encoder: &'static str,
    /// What the encoder makes.
    pub codec: &'static str,
    /// How frames are handed to the encoder.
    pub samples: Samples,
    /// Settings of the encoder for a quality of 20 to 99.
    pub encoder_settings: fn(u8) -> Settings,
    /// Settings of the container.
    pub container_settings: fn(FrameRate) -> Settings,
}

/// How frames are handed to an encoder, and in which units of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    /// BT.709 in limited range at half the resolution of colour, one tick a frame.
    Yuv420,
    /// Blue, green, red and an opaque alpha, a tick a millisecond: the encoder converts by its own rules.
    Bgra,
}

impl Encoding {
    /// How `target` is written; `None` if that is without FFmpeg.
    pub fn of(target: &Target) -> Option<Self> {
        let (encoder, encoder_settings): (_, fn(u8) -> Settings) = match target.encoder {
            VideoEncoder::Auto | VideoEncoder::X264 => ("libx264", x264_settings),
            VideoEncoder::Nvenc => ("h264_nvenc", nvenc_settings),
        };
        let h264 = |container| Self {
            container,
            encoder,
            codec: "H.264",
            samples: Samples::Yuv420,
            encoder_settings,
            container_settings: movie_settings,
        };
        match target.format {
            OutputFormat::Mp4 => Some(h264("mp4")),
            OutputFormat::Mov => Some(h264("mov")),
            OutputFormat::Webm => Some(Self {
                container: "webm",
                encoder: "libvpx-vp9",
                codec: "VP9",
                samples: Samples::Yuv420,
                encoder_settings: vp9_settings,
                container_settings: |_| Vec::new(),
            }),
            OutputFormat::Webp => Some(Self {
                container: "webp",
                // One picture a frame. FFmpeg's encoder of animations (libwebp_anim) leaves out what hardly differs from the frame before, and
                // what slowly changes stays behind: on a clip of 6 s, the last frame fell from 48 dB to 28.
                encoder: "libwebp",
                codec: "WebP",
                samples: Samples::Bgra,
                encoder_settings: webp_settings,
                // For ever.
                container_settings: |_| vec![("loop", "0".to_owned())],
            }),
            OutputFormat::Gif | OutputFormat::Y4m | OutputFormat::PngFolder => None,
        }
    }

    /// Settings of the encoder for a quality of 20 to 99.
    ///
    /// # Errors
    /// Another quality.
    pub fn encoder_settings(&self, quality: u8) -> Result<Settings> {
        if !QUALITY.contains(&quality) {
            let wanted = format!("{} to {}", QUALITY.start(), QUALITY.end());
            return Err(Error::input("--quality", wanted, quality.to_string(), "leave it out for 95"));
        }
        let mut settings = (self.encoder_settings)(quality);
        if self.samples == Samples::Yuv420 {
            // Where `yuv420` takes chroma: FFmpeg has no other way to be told.
            settings.push(("chroma_sample_location", "center".to_owned()));
        }
        Ok(settings)
    }

    /// Settings of the container for a frame rate. Without them it holds dates or random numbers.
    pub fn container_settings(&self, rate: FrameRate) -> Settings {
        let mut settings = (self.container_settings)(rate);
        settings.push(("fflags", "+bitexact".to_owned()));
        settings
    }
}

/// x264's constant rate factor for a quality of 20 to 99: `46.4 - 0.32 quality`, so 95 is CRF 16 (no visible loss), 60 is CRF
/// 27 (small) and 20 is CRF 40 (a rough preview); 6 CRF less double the file.
fn x264_rate_factor(quality: u8) -> f64 {
    46.4 - 0.32 * f64::from(quality)
}

fn x264_settings(quality: u8) -> Settings {
    vec![
        ("preset", PRESET.to_owned()),
        ("profile", "high".to_owned()),
        ("crf", format!("{:.2}", x264_rate_factor(quality))),
        ("threads", X264_THREADS.to_owned()),
        ("x264-params", format!("{REPRODUCIBLE}:{SEARCH}")),
    ]
}

/// NVENC's constant quality, on x264's scale: nobody has compared what the two look like at the same number. A bit rate of 0 leaves it no other bound.
fn nvenc_settings(quality: u8) -> Settings {
    vec![
        ("preset", "p6".to_owned()),
        ("tune", "hq".to_owned()),
        ("profile", "high".to_owned()),
        ("rc", "vbr".to_owned()),
        ("cq", format!("{:.2}", x264_rate_factor(quality))),
        ("b", "0".to_owned()),
    ]
}

/// MP4 and QuickTime: the index in front of the data, and whole ticks a frame in the track and in the file, so that all durations are
/// exact.
fn movie_settings(rate: FrameRate) -> Settings {
    let ticks = (rate.numerator * LEAST_TICKS.div_ceil(rate.numerator)).to_string();
    vec![("movflags", "+faststart".to_owned()), ("video_track_timescale", ticks.clone()), ("movie_timescale", ticks)]
}

/// VP9's constant quality level (matched to x264 by SSIM), 63 at most: `76.8 - 0.64 quality`, so 95 is level 16 and 60 is 38.
fn vp9_level(quality: u8) -> u8 {
    (76.8 - 0.64 * f64::from(quality)).round().min(63.0) as u8
}

/// At `cpu-used` 4, encoding takes about twice x264's time; 2 takes half as long again, for files 2 % smaller. Rows of blocks are encoded in
/// parallel, which libvpx does to the same bytes.
fn vp9_settings(quality: u8) -> Settings {
    vec![
        // No bound on the bit rate: the level alone decides.
        ("b", "0".to_owned()),
        ("crf", vp9_level(quality).to_string()),
        ("deadline", "good".to_owned()),
        ("cpu-used", "4".to_owned()),
        ("threads", VP9_THREADS.to_owned()),
        ("row-mt", "1".to_owned()),
        ("tile-columns", "1".to_owned()),
    ]
}

/// WebP's quality: `39.4 + 0.543 quality`, so 95 is 91 and 60 is 72.
fn webp_quality(quality: u8) -> f64 {
    39.4 + 0.543 * f64::from(quality)
}

fn webp_settings(quality: u8) -> Settings {
    vec![("quality", format!("{:.1}", webp_quality(quality)))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(format: OutputFormat, encoder: VideoEncoder) -> Target {
        Target { path: "clip".into(), format, encoder, quality: 95, replace: true }
    }

    #[test]
    fn quality_maps_to_each_encoders_scale() {
        assert!((x264_rate_factor(95) - 16.0).abs() < 1e-9);
        assert!((x264_rate_factor(20) - 40.0).abs() < 1e-9);
        for quality in 20..99 {
            assert!(x264_rate_factor(quality + 1) < x264_rate_factor(quality));
            assert!(vp9_level(quality + 1) <= vp9_level(quality));
            assert!(webp_quality(quality + 1) > webp_quality(quality));
        }
        assert!(vp9_level(99) > 0 && vp9_level(20) <= 63 && webp_quality(20) >= 0.0 && webp_quality(99) <= 100.0);
    }

    #[test]
    fn h264_is_encoded_by_whom_the_user_names() {
        let encoder = |encoder| Encoding::of(&target(OutputFormat::Mov, encoder)).unwrap().encoder;
        let all = [VideoEncoder::Auto, VideoEncoder::X264, VideoEncoder::Nvenc];
        assert_eq!(all.map(encoder), ["libx264", "libx264", "h264_nvenc"]);
    }

    #[test]
    fn other_qualities_are_refused() {
        let encoding = Encoding::of(&target(OutputFormat::Webm, VideoEncoder::Auto)).unwrap();
        assert_eq!(encoding.encoder_settings(19).unwrap_err().to_string(), "--quality: wanted 20 to 99, found 19");
        assert!(encoding.encoder_settings(100).is_err());
        assert!(encoding.encoder_settings(20).is_ok() && encoding.encoder_settings(99).is_ok());
    }
}
