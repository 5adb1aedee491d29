//! MOV, WebM and animated WebP: what they have in common with MP4, and where they differ.

use std::fs::{self, File};
use std::io::BufReader;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{chroma, codec, color};
use image::AnimationDecoder;
use image::codecs::webp::WebPDecoder;
use stir::units::{Clip, Fps};

use super::mp4::{litter, play, psnr};
use super::{Folder, clip, create, drawing, refusal, write_clip};

#[test]
fn videos_are_tagged_timed_and_close_to_the_frames() {
    let folder = Folder::new("videos");
    for (name, codec) in [("clip.mov", codec::Id::H264), ("clip.webm", codec::Id::VP9)] {
        let path = folder.path(name);
        let written = write_clip(&path, &clip(320, 192, 50)).unwrap();
        assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
        let played = play(&path);
        assert_eq!((played.codec, played.frames.len(), played.microseconds), (codec, 50, 2_000_000), "{name}");
        let tick = played.times[1];
        assert_eq!(played.times, (0..50).map(|index| index * tick).collect::<Vec<_>>(), "{name}");
        for frame in &played.frames {
            assert_eq!((frame.width(), frame.height(), frame.format()), (320, 192, Pixel::YUV420P));
            assert_eq!((frame.color_space(), frame.color_range()), (color::Space::BT709, color::Range::MPEG), "{name}");
        }
        if codec == codec::Id::H264 {
            assert_eq!(played.frames[0].chroma_location(), chroma::Location::Center);
        }
        for index in [0, 25, 49] {
            let quality = psnr(&played.frames[index], &drawing(320, 192, index));
            println!("{name}, frame {index}: {quality:.2} dB");
            assert!(quality >= 37.0, "{name}, frame {index}: {quality:.2} dB");
        }
    }
    assert_eq!(&fs::read(folder.path("clip.mov")).unwrap()[4..12], b"ftypqt  ");
}

#[test]
fn webm_is_the_same_bytes_whatever_the_threads_and_the_memory() {
    let folder = Folder::new("webm-bytes");
    let bytes = [(1, 0x00), (3, 0xAA)].map(|(threads, value)| {
        litter(value);
        let path = folder.path(&format!("threads-{threads}.webm"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write_clip(&path, &clip(336, 192, 40)).unwrap());
        fs::read(&path).unwrap()
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn rates_are_exact_to_the_millisecond_in_webm() {
    let folder = Folder::new("webm-rates");
    for (fps, frames) in [(24000.0 / 1001.0, 24), (30.0, 1), (60.0, 31)] {
        let path = folder.path("clip.webm");
        write_clip(&path, &Clip { fps: Fps(fps), ..clip(64, 64, frames) }).unwrap();
        let played = play(&path);
        assert_eq!(played.frames.len(), frames);
        for (index, time) in played.times.iter().enumerate() {
            assert!((*time as f64 - index as f64 * 1000.0 / fps).abs() <= 0.501, "{fps} fps, frame {index}: {time} ms");
        }
        let off = played.microseconds as f64 / 1000.0 - frames as f64 * 1000.0 / fps;
        assert!(off.abs() <= 1.01, "{fps} fps: {off} ms");
    }
}

#[test]
fn webp_is_animated_for_ever_with_exact_times() {
    let folder = Folder::new("webp");
    for (fps, frames) in [(25.0, 20), (24.0, 48), (30.0, 2)] {
        let path = folder.path("clip.webp");
        write_clip(&path, &Clip { fps: Fps(fps), ..clip(320, 192, frames) }).unwrap();
        let decoder = WebPDecoder::new(BufReader::new(File::open(&path).unwrap())).unwrap();
        assert!(decoder.has_animation());
        // The chunk of the animation: background colour, then how often it plays, 0 being for ever.
        let bytes = fs::read(&path).unwrap();
        assert_eq!((&bytes[30..34], &bytes[42..44]), (&b"ANIM"[..], &[0, 0][..]));
        let shown = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(shown.len(), frames);
        let mut time = 0.0;
        for (index, frame) in shown.iter().enumerate() {
            assert!((time - index as f64 * 1000.0 / fps).abs() <= 0.501, "{fps} fps, frame {index} at {time} ms");
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            time += f64::from(numerator) / f64::from(denominator);
        }
        assert!((time - frames as f64 * 1000.0 / fps).abs() <= 1.01, "{fps} fps: {time} ms in all");
        let last = drawing(320, 192, frames - 1);
        let pixels = shown[frames - 1].buffer().pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]);
        let squares: f64 = pixels.zip(last.pixels()).map(|(a, b)| (f64::from(a) - f64::from(*b)).powi(2)).sum();
        let quality = 10.0 * (255.0 * 255.0 * last.pixels().len() as f64 / squares).log10();
        println!("last frame: {quality:.2} dB");
        assert!(quality >= 36.0, "last frame: {quality:.2} dB");
    }
}

#[test]
fn a_single_frame_is_a_clip_in_every_format() {
    let folder = Folder::new("single");
    for name in ["clip.mp4", "clip.mov", "clip.webm", "clip.webp", "clip.gif"] {
        assert!(write_clip(&folder.path(name), &clip(64, 64, 1)).unwrap().bytes > 0);
    }
    let still = image::open(folder.path("clip.webp")).unwrap();
    assert_eq!((still.width(), still.height()), (64, 64));
}

#[test]
fn quality_decides_the_size() {
    let folder = Folder::new("videos-quality");
    for name in ["clip.webm", "clip.webp"] {
        let size = |quality: u8| {
            let mut writer = create(&folder.path(name), &clip(320, 192, 10), quality).unwrap();
            (0..10).for_each(|index| writer.write(&drawing(320, 192, index)).unwrap());
            writer.finish().unwrap().bytes
        };
        let sizes = [20, 60, 95, 99].map(size);
        assert!(sizes.is_sorted_by(|smaller, larger| smaller < larger), "{name}: {sizes:?}");
        assert!(refusal(create(&folder.path(name), &clip(64, 64, 1), 100)).contains("--quality"));
    }
}
