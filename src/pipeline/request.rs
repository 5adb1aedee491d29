//! What the user asked for, validated and typed: nothing after this module sees a raw option.

use std::path::{Path, PathBuf};

use super::observer::Level;
use super::preview;
use super::provenance::beside;
use super::state::SaveState;
use crate::camera::{self, CameraCommand};
use crate::device::DeviceChoice;
use crate::error::{Error, Result};
use crate::media::degrade::Degradation;
use crate::media::framing::{Fit, Framing, FramingRequest};
use crate::media::image::{ImageSource, ReadOptions};
use crate::media::watermark::{PreparedWatermark, Watermark};
use crate::media::{self, OutputFormat, Target, VideoEncoder};
use crate::models::{ModelRequest, MotionPrompt, PictureHints, SamplingOptions};
use crate::picture::{Picture, PixelBox};
use crate::units::{Clip, Fps, Grid, PixelFrames, Seconds};

/// Shortest and longest side of a clip in pixels.
pub const SIDES: std::ops::RangeInclusive<usize> = 32..=4096;
/// Most frames of a clip: 600 seconds at 25 frames a second.
pub const MOST_FRAMES: usize = 15_000;
/// Frame rates that a clip may have; slower ones cannot be written down by the formats.
pub const RATES: std::ops::RangeInclusive<f64> = 0.001..=240.0;
/// Fewest and most characters of a prompt.
pub const PROMPT_CHARACTERS: std::ops::RangeInclusive<usize> = 2..=2000;

/// How large the clip is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// This short side, in the picture's aspect.
    ShortSide(usize),
    /// This width; the height follows from the picture.
    Width(usize),
    /// This height; the width follows from the picture.
    Height(usize),
    /// Exactly this; [`Request::fit`] says how the picture fills it.
    Exact {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
}

/// How long the clip is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// This long: `round(duration x fps)` frames.
    Duration(Seconds),
    /// Exactly this many frames.
    Frames(PixelFrames),
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Request {
    /// The picture to animate.
    pub image: ImageSource,
    /// What is refused of it, and what shows where it is transparent or ends.
    pub read: ReadOptions,
    /// The clip to write; of several, what their names are made from: see [`Request::target`].
    pub output: Target,
    /// What should move.
    pub prompt: MotionPrompt,
    /// Lines to say before the run: advice on the words, and what was rewritten.
    pub remarks: Vec<(Level, String)>,
    /// Boxes around the open eyes in pixels of the picture as it is in the file; empty means that they are looked for.
    pub eyes: Vec<PixelBox>,
    /// The model.
    pub model: ModelRequest,
    /// Size of the clip.
    pub size: Size,
    /// How the picture fills a size of another aspect.
    pub fit: Fit,
    /// Length of the clip.
    pub length: Length,
    /// Frame rate.
    pub fps: Fps,
    /// Seed of all noise of the first clip; each further one takes the next number.
    pub seed: u64,
    /// Number of clips.
    pub count: usize,
    /// How the clips are sampled.
    pub sampling: SamplingOptions,
    /// What is done to the picture before the model sees it; `None` is the model's own.
    pub degradation: Option<Degradation>,
    /// Where the networks run.
    pub device: DeviceChoice,
    /// Whether a warning before the run stops it.
    pub strict: bool,
    /// A file to read the initial noise from.
    pub noise: Option<PathBuf>,
    /// A file to write the final latents to.
    pub save_latents: Option<PathBuf>,
    /// A folder to write every frame to.
    pub save_frames: Option<PathBuf>,
    /// A small animated picture, `.gif` or `.webp`, to write as soon as something can be seen.
    pub preview: Option<Target>,
    /// What is drawn into the corner of every frame.
    pub watermark: Option<Watermark>,
    /// Where the run saves how far it is.
    pub save_state: Option<SaveState>,
    /// Whether clips carry the record of how they were made.
    pub metadata: bool,
}

impl Request {
    /// The seed of clip `index`.
    pub fn seed(&self, index: usize) -> u64 {
        self.seed.wrapping_add(index as u64)
    }

    /// `path` for clip `index`: as it is for a single clip, with the seed behind the name for one of several.
    pub fn path(&self, path: &Path, index: usize) -> PathBuf {
        if self.count == 1 {
            return path.to_owned();
        }
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{}", self.seed(index)));
        if let Some(extension) = path.extension() {
            name.push(".");
            name.push(extension);
        }
        path.with_file_name(name)
    }

    /// Where clip `index` goes.
    pub fn target(&self, index: usize) -> Target {
        Target { path: self.path(&self.output.path, index), ..self.output.clone() }
    }

    /// Where the previews of clip `index` go, where they are asked for: `NAME-<seed>.preview.webp` beside `NAME-<seed>.mp4`.
    pub fn preview_target(&self, index: usize) -> Option<Target> {
        let preview = self.preview.as_ref()?;
        let stem = Path::new(preview.path.file_stem().unwrap_or_default());
        let path = if stem.extension().is_some_and(|extension| extension == "preview") {
            let numbered = self.path(&preview.path.with_file_name(stem), index);
            let mut name = numbered.file_name().unwrap_or_default().to_owned();
            name.push(".");
            name.push(preview.path.extension().unwrap_or_default());
            numbered.with_file_name(name)
        } else {
            self.path(&preview.path, index)
        };
        Some(Target { path, ..preview.clone() })
    }

    /// Where the frames of clip `index` go one by one, where they are asked for.
    pub fn frames_target(&self, index: usize) -> Option<Target> {
        let path = self.path(self.save_frames.as_deref()?, index);
        let (format, encoder) = (OutputFormat::PngFolder, VideoEncoder::Auto);
        Some(Target { path, format, encoder, ..self.output.clone() })
    }

    /// Checks every place that the run will write to.
    ///
    /// # Errors
    /// A place that cannot be written to, that must not be replaced, that two outputs share, or that lies in a folder of frames.
    pub fn check_targets(&self) -> Result<()> {
        self.check_targets_from(None)
    }

    /// The same of a run that goes on with this clip: those before it are complete, and its own latents may have been written.
    ///
    /// # Errors
    /// As [`check_targets`](Self::check_targets).
    pub fn check_targets_from(&self, resumed: Option<usize>) -> Result<()> {
        let inputs = self.inputs();
        for index in resumed.unwrap_or(0)..self.count {
            self.targets(index).try_for_each(|target| media::check_target(&target, &inputs))?;
            let replace = self.output.replace || resumed == Some(index);
            let files = self.sidecar(index).into_iter().chain(self.latents_path(index));
            files.into_iter().try_for_each(|file| media::check_file(&file, replace, &inputs))?;
            beside::check(&self.target(index), self.metadata)?;
        }
        let state = self.save_state.iter().flat_map(SaveState::files);
        let paths: Vec<PathBuf> = state.chain(self.outputs_from(resumed.unwrap_or(0))).collect();
        media::check_apart(&paths)?;
        media::warn_of_leftovers(&paths);
        Ok(())
    }

    fn targets(&self, index: usize) -> impl Iterator<Item = Target> {
        [Some(self.target(index)), self.frames_target(index), self.preview_target(index)].into_iter().flatten()
    }

    /// Where the record of clip `index` goes, if it is in a file of its own.
    fn sidecar(&self, index: usize) -> Option<PathBuf> {
        media::sidecar(&self.target(index)).filter(|_| self.metadata)
    }

    fn latents_path(&self, index: usize) -> Option<PathBuf> {
        self.save_latents.as_ref().map(|file| self.path(file, index))
    }

    /// Every file and folder that the run writes.
    pub fn outputs(&self) -> Vec<PathBuf> {
        self.outputs_from(0).collect()
    }

    /// The same from this clip on.
    fn outputs_from(&self, first: usize) -> impl Iterator<Item = PathBuf> {
        let of_clip = |index: usize| {
            let targets = self.targets(index).map(|target| target.path);
            targets.chain(self.sidecar(index)).chain(self.latents_path(index))
        };
        (first..self.count).flat_map(of_clip)
    }

    /// Every file and folder that the request names, other than by the model's name.
    pub fn paths(&self) -> Vec<&Path> {
        let ModelRequest { vae, text_encoder, tokenizer, upsampler, .. } = &self.model;
        let Self { save_latents, save_frames, .. } = self;
        let optional = [vae, text_encoder, tokenizer, upsampler, save_latents, save_frames];
        let mut paths = self.inputs();
        paths.push(&self.output.path);
        paths.extend(optional.into_iter().flatten().map(PathBuf::as_path));
        paths.extend(self.preview.as_ref().map(|preview| preview.path.as_path()));
        paths.extend(self.save_state.as_ref().map(|state| state.folder.as_path()));
        paths
    }

    /// The files that the run reads, so that no output replaces them.
    pub fn inputs(&self) -> Vec<&Path> {
        let mark = self.watermark.as_ref().and_then(Watermark::path);
        [self.image.path(), self.noise.as_deref(), mark].into_iter().flatten().collect()
    }

    /// Checks that every output can hold `clip`: the clip itself, its frames and its preview.
    ///
    /// # Errors
    /// A size or a frame rate that a format does not have, or too little space on a disk.
    pub fn check_clip(&self, clip: &Clip) -> Result<()> {
        media::check_clip(&self.output, clip)?;
        self.frames_target(0).map_or(Ok(()), |target| media::check_clip(&target, clip))?;
        self.preview.as_ref().map_or(Ok(()), |target| media::check_clip(target, &preview::small(clip)))
    }

    /// The clip that this request makes of `picture`.
    ///
    /// # Errors
    /// A side outside [`SIDES`].
    pub fn clip(&self, picture: &Picture) -> Result<Clip> {
        let (width, height) = self.size.resolve(picture.width(), picture.height())?;
        let frames = match self.length {
            Length::Duration(duration) => duration.frames(self.fps),
            Length::Frames(frames) => frames,
        };
        Ok(Clip { width, height, frames, fps: self.fps })
    }

    /// The mark that is drawn into every frame of the clip.
    ///
    /// # Errors
    /// Words or a picture that cannot be drawn.
    pub fn watermark(&self, clip: &Clip) -> Result<Option<PreparedWatermark>> {
        self.watermark.as_ref().map(|watermark| watermark.prepare(clip.width, clip.height)).transpose()
    }

    /// How `picture`, the frames that a model makes on its grid, and the clip lie on each other.
    pub fn framing(&self, picture: &Picture, clip: &Clip, grid: Grid) -> Framing {
        let (fit, background) = (self.fit, self.read.background);
        FramingRequest { written: (clip.width, clip.height), fit, background, side_multiple: grid.side }.of(picture)
    }

    /// What the user says about `picture`, in pixels of the frames that the model makes.
    ///
    /// # Errors
    /// A box that does not lie within the part of the picture that the clip shows.
    pub fn hints(&self, picture: &Picture, framing: &Framing) -> Result<PictureHints> {
        hints(&self.eyes, picture, framing)
    }
}

/// These boxes around the eyes of `picture`, in pixels of the frames that the model makes.
///
/// # Errors
/// A box that does not lie within the part of the picture that the clip shows.
pub fn hints(eyes: &[PixelBox], picture: &Picture, framing: &Framing) -> Result<PictureHints> {
    let (frame_width, frame_height) = framing.generated();
    let place = |eye: &PixelBox| {
        let placed = framing.place(picture, *eye);
        // A box that ends exactly at the border may seem to lie beyond it by a rounding error.
        let within = |start: f64, size: f64, side: usize| start >= -1e-6 && start + size <= side as f64 + 1e-6;
        if within(placed.left, placed.width, frame_width) && within(placed.top, placed.height, frame_height) {
            return Ok(placed);
        }
        let found = format!("{},{},{},{}", eye.left, eye.top, eye.width, eye.height);
        let [left, top, width, height] = framing.shown_part(picture);
        let wanted = format!("a box within {left},{top},{width},{height}, which the clip shows");
        Err(Error::input("--eyes", wanted, found, "measure in the picture's own pixels from its upper left corner"))
    };
    Ok(PictureHints { eyes: eyes.iter().map(place).collect::<Result<_>>()? })
}

/// The clip that a model makes so that `written` can be cut out of it.
pub fn generated(written: &Clip, framing: &Framing, grid: Grid) -> Clip {
    let (width, height) = framing.generated();
    Clip { width, height, frames: grid.cover(written.frames), fps: written.fps }
}

/// The clip that is written; and, where it differs, what the model makes for it.
pub fn describe(written: &Clip, generated: &Clip) -> String {
    let shape = |clip: &Clip| format!("{}x{}, {} frames", clip.width, clip.height, clip.frames.0);
    let mut line = format!("the clip is {} at {} fps", shape(written), written.fps.0);
    if generated != written {
        let has_bars = generated.width < written.width || generated.height < written.height;
        let how = if has_bars { "between bars it shows" } else { "it is cut out of" };
        line += &format!("; {how} what the model makes, {}", shape(generated));
    }
    line
}

impl Size {
    /// Width and height for a picture of the given size.
    ///
    /// # Errors
    /// A derived side outside [`SIDES`].
    pub fn resolve(self, width: usize, height: usize) -> Result<(usize, usize)> {
        // Halves are rounded, so that a derived side is even and closest to the picture's aspect.
        let scaled =
            |side: usize, from: usize, to: usize| ((side * to) as f64 / (2 * from) as f64).round() as usize * 2;
        let (width, height) = match self {
            Self::ShortSide(side) if width >= height => (scaled(side, height, width), side),
            Self::ShortSide(side) => (side, scaled(side, width, height)),
            Self::Width(side) => (side, scaled(side, width, height)),
            Self::Height(side) => (scaled(side, height, width), side),
            Self::Exact { width, height } => (width, height),
        };
        for (name, side) in [("width", width), ("height", height)] {
            check_side(&format!("{name} of the clip"), side)?;
        }
        Ok((width, height))
    }
}

/// Refuses a side that is odd or outside [`SIDES`].
///
/// # Errors
/// An input error with the nearest side that works.
pub fn check_side(name: &str, side: usize) -> Result<()> {
    if SIDES.contains(&side) && side.is_multiple_of(2) {
        return Ok(());
    }
    let nearest = side.next_multiple_of(2).clamp(*SIDES.start(), *SIDES.end());
    let wanted = format!("an even number from {} to {}", SIDES.start(), SIDES.end());
    Err(Error::input(name, wanted, side.to_string(), format!("the nearest that works is {nearest}")))
}

/// Reads `480p`, `512p`, `720p` or `1080p`, in small or capital letters: the short side.
///
/// # Errors
/// Another name.
pub fn parse_resolution(text: &str) -> Result<usize> {
    match text.to_ascii_lowercase().as_str() {
        "480p" => Ok(480),
        "512p" => Ok(512),
        "720p" => Ok(720),
        "1080p" => Ok(1080),
        number => {
            let hint = match number {
                "480" | "512" | "720" | "1080" => format!("did you mean {number}p?"),
                _ => "for any other size use -W and -H".to_owned(),
            };
            Err(Error::input("--resolution", "480p, 512p, 720p or 1080p", format!("\"{text}\""), hint))
        }
    }
}

/// Reads `low`, `medium`, `high` or a number from 0 to 2.
///
/// # Errors
/// Anything else.
pub fn parse_motion(text: &str) -> Result<f64> {
    match text {
        "low" => Ok(0.5),
        "medium" => Ok(1.0),
        "high" => Ok(1.6),
        _ => text.parse().ok().filter(|value| (0.0..=2.0).contains(value)).ok_or_else(|| {
            let found = if text.parse::<f64>().is_ok() { text.to_owned() } else { format!("\"{text}\"") };
            Error::input("--motion", "low, medium, high or a number from 0 to 2", found, "medium is 1")
        }),
    }
}

/// Reads the boxes of `--eyes`, each `X,Y,W,H`: left, top, width and height in pixels.
///
/// # Errors
/// More than two, anything but four numbers, or a box without area.
pub fn parse_eyes(texts: &[String]) -> Result<Vec<PixelBox>> {
    if texts.len() > 2 {
        let found = format!("{} boxes", texts.len());
        return Err(Error::input(
            "--eyes",
            "one box or two",
            found,
            "point out the eyes of the figure that is to move",
        ));
    }
    let parse = |text: &String| {
        let numbers: Option<Vec<f64>> =
            text.split(',').map(|number| number.trim().parse().ok().filter(|value: &f64| value.is_finite())).collect();
        match numbers.as_deref() {
            Some(&[left, top, width, height]) if width > 0.0 && height > 0.0 => {
                Ok(PixelBox { left, top, width, height })
            }
            _ => Err(Error::input(
                "--eyes",
                "X,Y,W,H: left, top, width and height in pixels, the sizes above 0",
                format!("\"{text}\""),
                "such as --eyes 431,287,70,52, once for each eye",
            )),
        }
    };
    texts.iter().map(parse).collect()
}

/// Takes the bracketed commands out of a prompt and adds those of `--camera`.
///
/// # Errors
/// A prompt of a length outside [`PROMPT_CHARACTERS`], an unknown command, or too many.
pub fn read_prompt(prompt: &str, camera_option: Option<&str>, intensity: f64) -> Result<MotionPrompt> {
    let length = prompt.trim().chars().count();
    if !PROMPT_CHARACTERS.contains(&length) {
        let wanted = format!("{} to {} characters", PROMPT_CHARACTERS.start(), PROMPT_CHARACTERS.end());
        let hint =
            "10 to 30 words on what should move work best, such as \"hair gently flowing, eyes blinking slowly\"";
        return Err(Error::input("--prompt", wanted, format!("{length}"), hint));
    }
    let split = camera::split_prompt(prompt)?;
    let mut commands: Vec<CameraCommand> = split.commands;
    for command in CameraCommand::parse_list(camera_option.unwrap_or_default())? {
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    camera::check_count(&commands)?;
    Ok(MotionPrompt { words: split.words, camera: commands, intensity, negative: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_is_the_short_side_in_the_pictures_aspect() {
        assert_eq!(Size::ShortSide(512).resolve(800, 800).unwrap(), (512, 512));
        assert_eq!(Size::ShortSide(720).resolve(1920, 1080).unwrap(), (1280, 720));
        assert_eq!(Size::ShortSide(480).resolve(600, 801).unwrap(), (480, 640));
        assert_eq!(Size::Width(640).resolve(1000, 333).unwrap(), (640, 214));
        assert_eq!(Size::Height(480).resolve(1000, 500).unwrap(), (960, 480));
    }

    #[test]
    fn odd_zero_and_huge_sides_are_refused() {
        assert!(Size::Exact { width: 641, height: 480 }.resolve(10, 10).unwrap_err().hint().contains("642"));
        assert!(Size::Exact { width: 0, height: 480 }.resolve(10, 10).is_err());
        assert!(Size::ShortSide(1080).resolve(5000, 1000).unwrap_err().to_string().contains("5400"));
    }

    #[test]
    fn prompts_are_measured_and_taken_apart() {
        assert!(read_prompt(" ", None, 1.0).is_err());
        assert!(read_prompt(&"x".repeat(2001), None, 1.0).is_err());
        let prompt = read_prompt("hair flowing [push in]", Some("tilt up, push in"), 0.5).unwrap();
        assert_eq!(prompt.words, "hair flowing");
        assert_eq!(prompt.camera, [CameraCommand::PushIn, CameraCommand::TiltUp]);
    }

    #[test]
    fn eyes_are_one_or_two_boxes_with_an_area() {
        let parse = |texts: &[&str]| parse_eyes(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let eye = PixelBox { left: 4.0, top: 2.5, width: 10.0, height: 6.0 };
        assert_eq!(parse(&["4, 2.5,10,6"]).unwrap(), [eye]);
        assert_eq!(parse(&["4,2.5,10,6", "0,0,1,1"]).unwrap().len(), 2);
        assert_eq!(parse(&[]).unwrap(), []);
        assert!(parse(&["1,1,1,1"; 3]).unwrap_err().to_string().contains("3 boxes"));
        for text in ["", "1,2,3", "1,2,3,4,5", "1,2,3,x", "1,2,0,4", "1,2,3,-4", "NaN,2,3,4", "1,inf,3,4"] {
            assert!(parse(&[text]).unwrap_err().to_string().contains(text), "{text}");
        }
    }

    #[test]
    fn motion_is_a_word_or_a_number() {
        assert_eq!(parse_motion("high").unwrap(), 1.6);
        assert_eq!(parse_motion("0.25").unwrap(), 0.25);
        for text in ["2.1", "-1", "NaN", "inf", "fast"] {
            assert!(parse_motion(text).is_err(), "{text}");
        }
    }
}
