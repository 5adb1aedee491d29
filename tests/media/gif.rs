//! GIF as a browser shows it.

use std::fs::{self, File};
use std::path::Path;

use gif::{ColorOutput, DecodeOptions, DisposalMethod, Repeat};
use stir::picture::Picture;
use stir::units::{Clip, Fps};

use super::{Folder, clip, create, drawing, write_clip};

/// What is on the screen after each frame, `[height, width, 3]`, its time in hundredths of a second, and the area of its rectangle.
struct Shown {
    pixels: Vec<u8>,
    delay: u16,
    area: usize,
}

fn show(path: &Path) -> Vec<Shown> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut file = options.read_info(File::open(path).unwrap()).unwrap();
    assert_eq!(file.repeat(), Repeat::Infinite);
    let palette = file.global_palette().unwrap().to_vec();
    let width = usize::from(file.width());
    let mut screen = vec![0; width * usize::from(file.height()) * 3];
    let mut shown = Vec::new();
    while let Some(frame) = file.read_next_frame().unwrap() {
        assert_eq!(frame.dispose, DisposalMethod::Keep);
        assert!(frame.palette.is_none(), "one palette for the whole clip");
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let area = frame.buffer.len();
        for (at, index) in frame.buffer.iter().enumerate() {
            if Some(*index) != frame.transparent {
                let place = (top + at / usize::from(frame.width)) * width + left + at % usize::from(frame.width);
                screen[place * 3..][..3].copy_from_slice(&palette[usize::from(*index) * 3..][..3]);
            }
        }
        shown.push(Shown { pixels: screen.clone(), delay: frame.delay, area });
    }
    shown
}

/// Peak signal-to-noise ratio of squares of 8x8 pixels, over which dithering is meant to be seen, in dB.
fn psnr(shown: &[u8], picture: &Picture) -> f64 {
    let (width, height) = (picture.width(), picture.height());
    let mean = |pixels: &[u8], x: usize, y: usize, channel: usize| {
        let square = (0..64).map(|at| f64::from(pixels[((y + at / 8) * width + x + at % 8) * 3 + channel]));
        square.sum::<f64>() / 64.0
    };
    let (mut squares, mut count) = (0.0, 0.0);
    for y in (0..height).step_by(8) {
        for x in (0..width).step_by(8) {
            for channel in 0..3 {
                squares += (mean(shown, x, y, channel) - mean(picture.pixels(), x, y, channel)).powi(2);
                count += 1.0;
            }
        }
    }
    10.0 * (255.0 * 255.0 * count / squares).log10()
}

#[test]
fn frames_times_and_colours_are_right() {
    let folder = Folder::new("gif");
    let path = folder.path("clip.gif");
    let written = write_clip(&path, &clip(320, 192, 30)).unwrap();
    assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
    assert_eq!(folder.names(), ["clip.gif"]);
    let shown = show(&path);
    assert_eq!(shown.len(), 30);
    assert!(shown.iter().all(|frame| frame.delay == 4));
    for index in [0, 1, 15, 29] {
        let quality = psnr(&shown[index].pixels, &drawing(320, 192, index));
        println!("frame {index}: {quality:.2} dB");
        assert!(quality >= 44.0, "frame {index}: {quality:.2} dB");
    }
    // Only the ball moves, over less than half of the picture.
    assert!(shown[1..].iter().all(|frame| frame.area < 320 * 192 / 2));
}

#[test]
fn what_stands_still_does_not_flicker() {
    let folder = Folder::new("gif-still");
    let path = folder.path("clip.gif");
    write_clip(&path, &clip(320, 192, 12)).unwrap();
    let shown = show(&path);
    for index in 1..12 {
        let (before, now) = (drawing(320, 192, index - 1), drawing(320, 192, index));
        let still = before.pixels().chunks_exact(3).zip(now.pixels().chunks_exact(3)).map(|(a, b)| a == b);
        let places = shown[index - 1].pixels.chunks_exact(3).zip(shown[index].pixels.chunks_exact(3));
        assert!(still.zip(places).all(|(still, (before, now))| !still || before == now), "frame {index}");
    }
}

#[test]
fn rates_that_hundredths_cannot_hold_are_right_on_the_whole() {
    let folder = Folder::new("gif-rates");
    let path = folder.path("clip.gif");
    for (fps, frames, hundredths) in [(24.0, 48, 200), (30.0, 30, 100), (50.0, 10, 20), (12.5, 5, 40)] {
        write_clip(&path, &Clip { fps: Fps(fps), ..clip(64, 64, frames) }).unwrap();
        let delays: Vec<u16> = show(&path).iter().map(|frame| frame.delay).collect();
        assert_eq!((delays.len(), delays.iter().sum::<u16>()), (frames, hundredths), "{fps} fps");
        assert!(delays.iter().max().unwrap() - delays.iter().min().unwrap() <= 1);
    }
}

#[test]
fn the_same_frames_are_the_same_bytes_whatever_the_threads() {
    let folder = Folder::new("gif-bytes");
    let bytes = [1, 2, 5].map(|threads| {
        let path = folder.path(&format!("threads-{threads}.gif"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write_clip(&path, &clip(128, 96, 9)).unwrap());
        fs::read(&path).unwrap()
    });
    assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2]);
}

#[test]
fn quality_decides_the_size() {
    let folder = Folder::new("gif-quality");
    let size = |quality: u8| {
        let mut writer = create(&folder.path("clip.gif"), &clip(320, 192, 10), quality).unwrap();
        (0..10).for_each(|index| writer.write(&drawing(320, 192, index)).unwrap());
        writer.finish().unwrap().bytes
    };
    let sizes = [20, 60, 95].map(size);
    assert!(sizes.is_sorted_by(|smaller, larger| smaller < larger), "{sizes:?}");
}
