//! MP4 as a player sees it: decoded again by FFmpeg's own H.264 decoder.

use std::fs;
use std::path::Path;

use ffmpeg_next::codec::{self, Profile};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{chroma, color, decoder, frame};
use stir::media::WrittenClip;
use stir::picture::Picture;
use stir::units::{Clip, Fps};

use super::{Folder, check_target, clip, create, drawing, refusal, write_clip};

/// What a player gets from a file with one video track.
pub(super) struct Played {
    pub codec: codec::Id,
    pub frames: Vec<frame::Video>,
    /// Presentation times in ticks of the track.
    pub times: Vec<i64>,
    /// Start and duration of the track in its ticks.
    start: i64,
    ticks: i64,
    ticks_a_second: i32,
    /// Duration of the file.
    pub microseconds: i64,
    profile: Profile,
}

pub(super) fn play(path: &Path) -> Played {
    let mut file = ffmpeg_next::format::input(&format!("file:{}", path.display())).unwrap();
    assert_eq!(file.nb_streams(), 1);
    let microseconds = file.duration();
    let stream = file.stream(0).unwrap();
    assert_eq!(stream.time_base().numerator(), 1);
    let (start, ticks, ticks_a_second) = (stream.start_time(), stream.duration(), stream.time_base().denominator());
    let context = codec::Context::from_parameters(stream.parameters()).unwrap();
    let codec = context.id();
    let mut decoder = context.decoder().video().unwrap();
    let mut frames = Vec::new();
    let mut take = |decoder: &mut decoder::Video| {
        let mut frame = frame::Video::empty();
        while decoder.receive_frame(&mut frame).is_ok() {
            frames.push(std::mem::replace(&mut frame, frame::Video::empty()));
        }
    };
    for (_, packet) in file.packets() {
        decoder.send_packet(&packet).unwrap();
        take(&mut decoder);
    }
    decoder.send_eof().unwrap();
    take(&mut decoder);
    let times = frames.iter().map(|frame| frame.pts().unwrap()).collect();
    Played { codec, frames, times, start, ticks, ticks_a_second, microseconds, profile: decoder.profile() }
}

/// BT.709 limited-range YUV to RGB by the standard's equations, chroma interpolated linearly between its sites.
pub(super) fn to_rgb(frame: &frame::Video) -> Vec<f64> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let sample = |plane: usize, x: usize, y: usize| f64::from(frame.data(plane)[y * frame.stride(plane) + x]);
    let chroma = |plane: usize, x: usize, y: usize| {
        // Sites: halfway between columns 0 and 1, 2 and 3, ..., and rows likewise.
        let neighbour = |at: usize, count: usize| {
            if at.is_multiple_of(2) { (at / 2).saturating_sub(1) } else { (at / 2 + 1).min(count / 2 - 1) }
        };
        let (far_x, far_y) = (neighbour(x, width), neighbour(y, height));
        let row = |y: usize| 0.75 * sample(plane, x / 2, y) + 0.25 * sample(plane, far_x, y);
        (0.75 * row(y / 2) + 0.25 * row(far_y) - 128.0) / 224.0
    };
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let luma = (sample(0, x, y) - 16.0) / 219.0;
            let (blue, red) = (luma + 1.8556 * chroma(1, x, y), luma + 1.5748 * chroma(2, x, y));
            let green = (luma - 0.2126 * red - 0.0722 * blue) / 0.7152;
            pixels.extend([red, green, blue].map(|value| (value * 255.0).clamp(0.0, 255.0)));
        }
    }
    pixels
}

/// Peak signal-to-noise ratio in dB over all three colours.
pub(super) fn psnr(frame: &frame::Video, picture: &Picture) -> f64 {
    let squares: f64 =
        to_rgb(frame).iter().zip(picture.pixels()).map(|(a, b)| (a.round() - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * picture.pixels().len() as f64 / squares).log10()
}

/// The names of a file's outermost boxes, in order.
pub(super) fn boxes(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        names.push(String::from_utf8(rest[4..8].to_vec()).unwrap());
        rest = &rest[u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize..];
    }
    names
}

#[test]
fn six_seconds_of_high_profile_bt709_with_the_index_in_front() {
    let folder = Folder::new("mp4");
    let path = folder.path("clip.mp4");
    let written = write_clip(&path, &clip(320, 192, 150)).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(written, WrittenClip { path: path.clone(), bytes: bytes.len() as u64 });
    assert_eq!(folder.names(), ["clip.mp4"]);
    let order: Vec<_> = boxes(&bytes).into_iter().filter(|name| name != "free").collect();
    assert_eq!(order, ["ftyp", "moov", "mdat"]);

    let played = play(&path);
    assert_eq!(played.frames.len(), 150);
    assert_eq!((played.start, played.microseconds), (0, 6_000_000));
    assert_eq!(played.ticks, i64::from(played.ticks_a_second) * 6);
    let tick = played.ticks / 150;
    assert_eq!(played.times, (0..150).map(|index| index * tick).collect::<Vec<_>>());
    assert_eq!(played.codec, codec::Id::H264);
    assert_eq!(played.profile, Profile::H264(codec::profile::H264::High));
    for frame in &played.frames {
        assert_eq!((frame.width(), frame.height(), frame.format()), (320, 192, Pixel::YUV420P));
        assert_eq!(frame.color_space(), color::Space::BT709);
        assert_eq!(frame.color_primaries(), color::Primaries::BT709);
        assert_eq!(frame.color_transfer_characteristic(), color::TransferCharacteristic::BT709);
        assert_eq!(frame.color_range(), color::Range::MPEG);
        assert_eq!(frame.chroma_location(), chroma::Location::Center);
    }
    for index in [0, 1, 75, 149] {
        let quality = psnr(&played.frames[index], &drawing(320, 192, index));
        println!("frame {index}: {quality:.2} dB");
        assert!(quality >= 38.0, "frame {index}: {quality:.2} dB");
    }
    // Each frame is the one that was written, not a neighbour.
    let [own, next] = [75, 76].map(|index| psnr(&played.frames[75], &drawing(320, 192, index)));
    assert!(own > next + 3.0, "{own:.2} dB, {next:.2} dB");
}

#[test]
fn flat_colours_keep_their_values() {
    let folder = Folder::new("mp4-colours");
    for color in [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 120, 40]] {
        let path = folder.path("flat.mp4");
        let mut writer = create(&path, &clip(64, 64, 2), 95).unwrap();
        let picture = Picture::new(64, 64, color.repeat(64 * 64));
        writer.write(&picture).unwrap();
        writer.write(&picture).unwrap();
        writer.finish().unwrap();
        for (found, wanted) in to_rgb(&play(&path).frames[1]).iter().zip(color.iter().cycle()) {
            assert!((found - f64::from(*wanted)).abs() < 3.5, "{color:?}: {found}");
        }
    }
}

/// Leaves memory full of `value` behind, as other work in the same process does.
pub(super) fn litter(value: u8) {
    let sizes = [4_000, 30_000, 100_000, 400_000];
    let litter: Vec<Vec<u8>> = (0..400).map(|index| vec![value; sizes[index % sizes.len()]]).collect();
    assert!(std::hint::black_box(litter).len() == 400);
}

/// Rows of 21 blocks: x264's vector code takes 16 at a time and reads beyond their ends.
#[test]
fn the_same_frames_are_the_same_bytes_whatever_the_threads_and_the_memory() {
    let folder = Folder::new("mp4-bytes");
    let bytes = [(1, 0x00), (2, 0x55), (5, 0xAA)].map(|(threads, value)| {
        litter(value);
        let path = folder.path(&format!("threads-{threads}.mp4"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write_clip(&path, &clip(336, 192, 60)).unwrap());
        fs::read(&path).unwrap()
    });
    assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2]);
}

#[test]
fn other_rates_and_lengths_are_exact_too() {
    let folder = Folder::new("mp4-rates");
    for (fps, frames) in [(24000.0 / 1001.0, 48), (30.0, 1), (12.5, 7), (60.0, 121)] {
        let path = folder.path("clip.mp4");
        write_clip(&path, &Clip { fps: Fps(fps), ..clip(64, 64, frames) }).unwrap();
        let played = play(&path);
        let tick = played.ticks / frames as i64;
        assert_eq!((played.start, played.ticks), (0, tick * frames as i64), "{fps} fps");
        assert_eq!(played.times, (0..frames as i64).map(|index| index * tick).collect::<Vec<_>>(), "{fps} fps");
        let seconds = played.ticks as f64 / f64::from(played.ticks_a_second);
        assert!((seconds - frames as f64 / fps).abs() < 1e-9, "{fps} fps: {seconds} s");
        assert!((played.microseconds as f64 / 1e6 - seconds).abs() < 2e-6, "{fps} fps: {} us", played.microseconds);
    }
}

#[test]
fn quality_decides_the_size() {
    let folder = Folder::new("mp4-quality");
    let size = |quality: u8| {
        let mut writer = create(&folder.path("clip.mp4"), &clip(320, 192, 10), quality).unwrap();
        (0..10).for_each(|index| writer.write(&drawing(320, 192, index)).unwrap());
        writer.finish().unwrap().bytes
    };
    let sizes = [20, 60, 95, 99].map(size);
    assert!(sizes.is_sorted_by(|smaller, larger| smaller < larger), "{sizes:?}");
    assert!(refusal(create(&folder.path("clip.mp4"), &clip(64, 64, 1), 100)).contains("--quality"));
}

#[test]
fn a_name_with_a_colon_is_a_file_not_a_protocol() {
    let folder = Folder::new("mp4-colon");
    write_clip(&folder.path("http:clip.mp4"), &clip(64, 64, 2)).unwrap();
    assert_eq!(folder.names(), ["http:clip.mp4"]);
    assert_eq!(play(&folder.path("http:clip.mp4")).frames.len(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_may_be_in_any_encoding_but_its_folder_not() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new("mp4-encoding");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.mp4");
    assert_eq!(write_clip(&folder.0.join(name), &clip(64, 64, 2)).unwrap().path, folder.0.join(name));
    fs::remove_file(folder.0.join(name)).unwrap();
    let inner = folder.0.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&inner).unwrap();
    assert!(refusal(check_target(&inner.join("clip.mp4"), &folder.path("picture.png"))).contains("in UTF-8"));
    assert!(refusal(create(&inner.join("clip.mp4"), &clip(64, 64, 2), 95)).contains("in UTF-8"));
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
    fs::remove_dir(&inner).unwrap();
}
