//! Pictures in, clips out: through files, as a user meets them.

use std::fs;
use std::path::{Path, PathBuf};

use stir::error::{Error, Result};
use stir::media::image::{ImageSource, ReadOptions};
use stir::media::{self, ClipWriter, OutputFormat, Target, VideoEncoder, WrittenClip};
use stir::picture::{Color, Picture};
use stir::units::{Clip, Fps, PixelFrames};

#[cfg(unix)]
mod abandoning;
mod degrading;
#[cfg(feature = "ffmpeg")]
mod encoders;
mod fitting;
#[cfg(unix)]
mod full_disk;
mod gif;
#[cfg(feature = "ffmpeg")]
mod mp4;
mod reading;
mod refusals;
mod targets;
#[cfg(feature = "ffmpeg")]
mod videos;
mod writing;

/// A folder of a test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("media-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Everything in the folder, hidden files included.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn clip(width: usize, height: usize, frames: usize) -> Clip {
    Clip { width, height, frames: PixelFrames(frames), fps: Fps(25.0) }
}

/// Frame `index` of a smooth drawing: a sky, a soft-edged ball that drifts to the right, and its thin dark outline.
fn drawing(width: usize, height: usize, index: usize) -> Picture {
    let mix = |from: [f64; 3], to: [f64; 3], share: f64| [0, 1, 2].map(|c| from[c] + (to[c] - from[c]) * share);
    let inside = |softness: f64, distance: f64| (0.5 - distance / softness).clamp(0.0, 1.0);
    let unit = height as f64 / 64.0;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let sky = mix([120.0, 170.0, 230.0], [250.0, 220.0, 190.0], y as f64 / height as f64);
            let across = x as f64 / unit - 30.0 - index as f64 * 0.2;
            let down = y as f64 / unit - 32.0;
            let radius = across.hypot(down);
            let ball = mix([210.0, 80.0, 70.0], [250.0, 180.0, 120.0], inside(30.0, down + across));
            let filled = mix(sky, ball, inside(1.5, radius - 20.0));
            let color = mix(filled, [40.0, 30.0, 50.0], 0.8 * inside(1.5, (radius - 20.0).abs() - 0.6));
            pixels.extend(color.map(|value| value.round() as u8));
        }
    }
    Picture::new(width, height, pixels)
}

/// The picture in a file, composited on white.
fn open(path: &Path) -> Result<Picture> {
    let options = ReadOptions { background: Color::WHITE, any_image: true };
    Ok(media::image::open(&ImageSource::File(path.to_owned()), &options)?.picture)
}

/// The target that a name asks for.
fn target(path: &Path, quality: u8) -> Result<Target> {
    let format = OutputFormat::of(path)?;
    Ok(Target { path: path.to_owned(), format, encoder: VideoEncoder::Auto, quality, replace: true })
}

fn check_target(path: &Path, input: &Path) -> Result<()> {
    media::check_target(&target(path, 95)?, &[input])
}

fn create(path: &Path, clip: &Clip, quality: u8) -> Result<Box<dyn ClipWriter>> {
    media::create(&target(path, quality)?, clip)
}

/// A name for every format that this build can write.
fn names_of_all_formats() -> Vec<&'static str> {
    let mut names = vec!["clip.y4m", "clip.gif", "frames/"];
    if cfg!(feature = "ffmpeg") {
        names.extend(["clip.mp4", "clip.mov", "clip.webm", "clip.webp"]);
    }
    names
}

/// Runs one ignored test of this program in a process of its own, as `shell` says, where `"$@"` is the command; what it needs to know is in the
/// variable `STIR_TEST_PATH`.
#[cfg(unix)]
fn run_alone(test: &str, shell: &str, path: &Path) -> std::process::Output {
    std::process::Command::new("bash")
        .args(["-c", shell, "bash"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env("STIR_TEST_PATH", path)
        .output()
        .unwrap()
}

/// Writes a whole clip of the drawing.
fn write_clip(target: &Path, clip: &Clip) -> Result<WrittenClip> {
    let mut writer = create(target, clip, 95)?;
    for index in 0..clip.frames.0 {
        writer.write(&drawing(clip.width, clip.height, index))?;
    }
    writer.finish()
}

/// The message and the hint of a refusal by the user's fault.
fn refusal<T>(result: Result<T>) -> String {
    match result {
        Err(error @ Error::Input(_)) => {
            assert!(!error.hint().is_empty(), "{error}");
            format!("{error}; {}", error.hint())
        }
        Err(other) => panic!("wanted a refusal, found another error: {other}"),
        Ok(_) => panic!("wanted a refusal, found success"),
    }
}
