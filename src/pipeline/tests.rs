//! The run with a model whose grid is coarser than the clip: what is made must be cut to what was asked.

mod jobs;
mod memory;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};

use super::request::{Length, Request, Size};
use super::state::Saver;
use super::{Level, Observer, Outcome, Stage};
use crate::device::DeviceChoice;
use crate::diffusion::schedule;
use crate::error::{Error, Result};
use crate::latents::{Constraint, Latents, Shapes};
use crate::media::framing::Fit;
use crate::media::image::{ImageSource, OpenedPicture, ReadOptions};
use crate::media::watermark::Watermark;
use crate::media::{OutputFormat, Target, VideoEncoder};
use crate::models::{
    Conditioning, DecodeInputs, DecodeState, Decoder, Denoiser, Family, ImageCondition, ImageEncoder, Memory,
    ModelRequest, MotionPrompt, Offload, PictureHints, Prediction, Recipe, SamplingOptions, TextCondition, TextEncoder,
    TextTokens, Upsampler, WeightSource,
};
use crate::picture::{Color, Picture};
use crate::units::{Clip, Fps, Grid, PixelFrames};

/// A model on a grid of 32 pixels and 8 frames. It keeps the picture still and darkens the blue of frame `n` to `n`.
#[derive(Clone, Default)]
struct Coarse {
    /// Memory as its decodes find it; without it there is enough.
    memory: Option<Rc<Shortage>>,
    /// What was built or read, in order.
    built: Rc<RefCell<Vec<String>>>,
}

impl Coarse {
    fn note(&self, what: &str) {
        self.built.borrow_mut().push(what.to_owned());
    }
}

/// A decode of larger pieces than this fails at frame 4 for lack of memory; so does every decode while the denoiser is there, where that is in its way,
/// and before it the decoder itself, where there is no room for both.
struct Shortage {
    largest_piece: usize,
    denoiser_is_in_the_way: bool,
    has_room_for_both: bool,
    denoisers: Cell<usize>,
    decodes: RefCell<Vec<usize>>,
}

/// Words that its text encoder has a defect for; its decoder has one for white pictures.
const DEFECT: &str = "defect";

impl Default for Shortage {
    /// None.
    fn default() -> Self {
        Self {
            largest_piece: usize::MAX,
            denoiser_is_in_the_way: false,
            has_room_for_both: true,
            denoisers: Cell::default(),
            decodes: RefCell::default(),
        }
    }
}

const GRID: Grid = Grid { side: 32, frames: 8 };

impl Family for Coarse {
    fn name(&self) -> &'static str {
        "coarse"
    }

    fn recipe(&self, _options: &SamplingOptions, clip: &Clip) -> Result<Recipe> {
        Ok(Recipe::plain(clip, schedule::linear(2), 1.0))
    }

    fn fingerprint(&self, _recipe: &Recipe) -> Result<String> {
        Ok("coarse".to_owned())
    }

    fn decodes_onto_picture(&self) -> bool {
        false
    }

    fn reads_only_text(&self) -> bool {
        false
    }

    fn check_hints(&self, _hints: &PictureHints) -> Result<()> {
        Ok(())
    }

    fn check_prompt(&self, _prompt: &MotionPrompt) -> Result<()> {
        Ok(())
    }

    fn grid(&self) -> Grid {
        GRID
    }

    fn latent_shapes(&self, clip: &Clip) -> Shapes {
        assert_on_grid(clip);
        [("latents", vec![1, 1, (clip.frames.0 - 1) / GRID.frames + 1])].into()
    }

    fn image_encoder(&self) -> Result<Box<dyn ImageEncoder>> {
        self.note("image encoder");
        Ok(Box::new(self.clone()))
    }

    fn text_encoder(&self) -> Result<Box<dyn TextEncoder>> {
        Ok(Box::new(self.clone()))
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn denoiser(&self, _offload: Offload) -> Result<Box<dyn Denoiser + '_>> {
        self.note("denoiser");
        self.memory.iter().for_each(|memory| memory.denoisers.set(memory.denoisers.get() + 1));
        Ok(Box::new(Still(self.memory.clone())))
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        if self.memory.as_ref().is_some_and(|memory| !memory.has_room_for_both && memory.denoisers.get() > 0) {
            return Err(out_of_memory());
        }
        self.note("decoder");
        Ok(Box::new(self.clone()))
    }

    fn upsampler(&self) -> Result<Box<dyn Upsampler>> {
        unreachable!("its recipe has one pass")
    }

    fn memory(&self, _text: Option<TextTokens>, _recipe: &Recipe) -> Result<Memory> {
        Ok(Memory::default())
    }

    fn notes(&self, _conditioning: &Conditioning) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn weights(&self, _recipe: &Recipe) -> Result<Vec<WeightSource>> {
        Ok(Vec::new())
    }

    fn constraints(&self, _conditioning: &Conditioning, _clip: &Clip) -> Result<Vec<Constraint>> {
        Ok(Vec::new())
    }
}

impl ImageEncoder for Coarse {
    fn encode(&self, _picture: &Picture, _hints: &PictureHints) -> Result<ImageCondition> {
        Ok(ImageCondition::default())
    }
}

impl TextEncoder for Coarse {
    fn encode(&self, prompt: &MotionPrompt, _unconditional: bool) -> Result<TextCondition> {
        assert_ne!(prompt.words, DEFECT, "a defect that these words bring to light");
        self.note(&format!("words: {}", prompt.words));
        Ok(TextCondition::default())
    }
}

/// The denoiser, which takes its memory with it when it goes.
struct Still(Option<Rc<Shortage>>);

impl Drop for Still {
    fn drop(&mut self) {
        self.0.iter().for_each(|memory| memory.denoisers.set(memory.denoisers.get() - 1));
    }
}

impl Denoiser for Still {
    fn velocity(&self, x: &Latents, _prediction: &Prediction) -> Result<Latents> {
        let still = Tensor::zeros(x.parts["latents"].shape(), DType::F32, &Device::Cpu)?;
        Ok(Latents { parts: [("latents", still)].into() })
    }
}

impl Decoder for Coarse {
    fn start(&self, inputs: &DecodeInputs) -> Result<Box<dyn DecodeState>> {
        let DecodeInputs { picture, clip, .. } = *inputs;
        let picture = picture.unwrap();
        assert_on_grid(clip);
        assert_eq!((picture.width(), picture.height()), (clip.width, clip.height));
        assert!(picture.pixels().iter().any(|value| *value < 255), "a defect that white pictures bring to light");
        let fails = self.memory.as_ref().is_some_and(|memory| {
            let piece = inputs.piece.unwrap();
            memory.decodes.borrow_mut().push(piece);
            piece > memory.largest_piece || memory.denoiser_is_in_the_way && memory.denoisers.get() > 0
        });
        Ok(Box::new(Frames { picture: picture.clone(), next: 0, count: clip.frames.0, fails }))
    }

    fn largest_piece(&self, inputs: &DecodeInputs, below: Option<usize>) -> Option<usize> {
        let whole = inputs.clip.width.max(inputs.clip.height);
        below.map_or(Some(whole), |below| (below >= 48).then_some(below / 2))
    }

    fn start_preview(&self, inputs: &DecodeInputs) -> Result<Box<dyn DecodeState>> {
        let picture = inputs.picture.unwrap().clone();
        Ok(Box::new(Frames { picture, next: 0, count: inputs.clip.frames.0, fails: false }))
    }
}

struct Frames {
    picture: Picture,
    next: usize,
    count: usize,
    fails: bool,
}

impl DecodeState for Frames {
    fn next(&mut self) -> Result<Option<Picture>> {
        if self.fails && self.next == 4 {
            return Err(out_of_memory());
        }
        if self.next == self.count {
            return Ok(None);
        }
        self.picture.pixels_mut().chunks_exact_mut(3).for_each(|pixel| pixel[2] = self.next as u8);
        self.next += 1;
        Ok(Some(self.picture.clone()))
    }
}

fn out_of_memory() -> Error {
    candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".to_owned()).into()
}

fn assert_on_grid(clip: &Clip) {
    assert!(clip.width.is_multiple_of(GRID.side) && clip.height.is_multiple_of(GRID.side), "{clip:?}");
    assert_eq!(clip.frames.0 % GRID.frames, 1, "{clip:?}");
}

/// Remembers what it hears.
#[derive(Default)]
struct Heard {
    lines: Vec<(Level, String)>,
    seeds: Vec<u64>,
    previews: usize,
    finished: Vec<Outcome>,
}

impl Observer for Heard {
    fn clip(&mut self, _index: usize, _count: usize, seed: u64) {
        self.seeds.push(seed);
    }

    fn begin(&mut self, _stage: Stage, _total: usize) {}

    fn advance(&mut self, _done: usize) {}

    fn say(&mut self, level: Level, line: &str) {
        self.lines.push((level, line.to_owned()));
    }

    fn first_warning(&self) -> Option<String> {
        self.lines.iter().find(|(level, _)| *level == Level::Warning).map(|(_, line)| line.clone())
    }

    fn preview(&mut self, path: &Path) {
        assert!(path.is_file());
        self.previews += 1;
    }

    fn latents_kept(&mut self, _command: Option<&str>) {}

    fn resumable(&mut self, _command: Option<&str>) {}

    fn finished(&mut self, outcome: &Outcome) {
        self.finished.push(outcome.clone());
    }
}

/// A folder of a test's own, removed at its end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("stir-pipeline-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn target(path: std::path::PathBuf) -> Target {
    Target { format: OutputFormat::of(&path).unwrap(), path, encoder: VideoEncoder::Auto, quality: 95, replace: true }
}

/// Ten frames of 80x60 as PNGs.
fn request(output: std::path::PathBuf) -> Request {
    Request {
        image: ImageSource::Stdin,
        read: ReadOptions { background: Color::WHITE, any_image: true },
        output: target(output),
        prompt: MotionPrompt { words: "hair flowing".to_owned(), camera: Vec::new(), intensity: 1.0, negative: None },
        remarks: Vec::new(),
        eyes: Vec::new(),
        model: ModelRequest::named("coarse"),
        size: Size::Exact { width: 80, height: 60 },
        fit: Fit::Cover,
        length: Length::Frames(PixelFrames(10)),
        fps: Fps(25.0),
        seed: 7,
        count: 1,
        sampling: SamplingOptions::default(),
        degradation: None,
        strict: false,
        device: DeviceChoice::Cpu,
        noise: None,
        save_latents: None,
        save_frames: None,
        preview: None,
        watermark: None,
        save_state: None,
        metadata: false,
    }
}

fn opened() -> OpenedPicture {
    OpenedPicture { picture: picture(), sha256: "0".repeat(64), notes: Vec::new() }
}

fn picture() -> Picture {
    let pixels = (0..60).flat_map(|y| (0..80).flat_map(move |x| [x as u8 * 3, y as u8 * 4, 0])).collect();
    Picture::new(80, 60, pixels)
}

#[test]
fn what_a_coarse_grid_makes_is_cut_to_what_was_asked() {
    let folder = Folder::new("grid");
    let mut heard = Heard::default();
    super::run(
        &request(folder.0.join("frames")),
        opened(),
        (Box::new(Coarse::default()), Saver::default()),
        &mut heard,
    )
    .unwrap();

    let line = "the clip is 80x60, 10 frames at 25 fps; it is cut out of what the model makes, 96x64, 17 frames";
    heard.lines.retain(|(level, _)| *level != Level::Detail);
    assert_eq!(heard.lines, [(Level::Note, line.to_owned())]);
    assert_eq!(std::fs::read_dir(folder.0.join("frames")).unwrap().count(), 10);
    for index in 0..10 {
        let frame = image::open(folder.0.join(format!("frames/{index:06}.png"))).unwrap().to_rgb8();
        let mut wanted = picture();
        wanted.pixels_mut().chunks_exact_mut(3).for_each(|pixel| pixel[2] = index);
        assert!(frame.as_raw() == wanted.pixels(), "frame {index} is not the picture's own pixels");
    }
}

#[test]
fn several_clips_are_named_by_their_seeds() {
    let folder = Folder::new("count");
    let mut heard = Heard::default();
    let several = Request {
        count: 3,
        save_latents: Some(folder.0.join("latents.safetensors")),
        preview: Some(target(folder.0.join("clip.preview.gif"))),
        ..request(folder.0.join("clip.y4m"))
    };
    several.check_targets().unwrap();
    super::run(&several, opened(), (Box::new(Coarse::default()), Saver::default()), &mut heard).unwrap();
    assert_eq!(heard.seeds, [7, 8, 9]);
    assert_eq!(heard.finished.iter().map(|outcome| outcome.seed).collect::<Vec<_>>(), [7, 8, 9]);
    // One after half of the steps, one of the final latents.
    assert_eq!(heard.previews, 6);
    let mut names: Vec<_> =
        std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let wanted = [7, 8, 9].map(|seed| [format!("clip-{seed}.y4m"), format!("latents-{seed}.safetensors")]).concat();
    let mut wanted: Vec<String> =
        wanted.into_iter().chain([7, 8, 9].map(|seed| format!("clip-{seed}.preview.gif"))).collect();
    wanted.sort();
    assert_eq!(names, wanted);
}

/// The folder has gone since it was checked; the clip's is still there.
#[test]
fn latents_that_cannot_be_saved_are_kept_beside_the_clip() {
    let folder = Folder::new("unsaved");
    let save_latents = Some(folder.0.join("gone/latents.safetensors"));
    let unsaved = Request { save_latents, ..request(folder.0.join("clip.y4m")) };
    let error = super::run(&unsaved, opened(), (Box::new(Coarse::default()), Saver::default()), &mut Heard::default())
        .unwrap_err();
    let kept = folder.0.join("clip.latents.safetensors");
    assert!(error.to_string().contains("gone"), "{error}");
    assert!(error.hint().contains(&format!("stir decode {} -o ", kept.display())), "{}", error.hint());
    let record = super::latent_file::LatentFile::open(&kept).unwrap().record().unwrap().clone();
    let made = Clip { width: 96, height: 64, frames: PixelFrames(17), fps: Fps(25.0) };
    assert_eq!((record.seed, record.pass), (7, made));
    assert_eq!(record.framing(GRID, "latents").unwrap().generated(), (96, 64));
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn two_outputs_of_one_name_are_refused() {
    let folder = Folder::new("shared");
    let clip = folder.0.join("clip.y4m");
    let shared = Request { save_latents: Some(clip.clone()), ..request(clip) };
    assert!(shared.check_targets().unwrap_err().to_string().contains("clip.y4m twice"));
}

#[test]
fn two_outputs_of_one_place_are_refused() {
    let folder = Folder::new("places");
    let clip = folder.0.join("clip.y4m");
    let roundabout = folder.0.join("../").join(folder.0.file_name().unwrap()).join("clip.y4m");
    let shared = Request { save_latents: Some(roundabout), ..request(clip) };
    assert!(shared.check_targets().unwrap_err().to_string().contains("clip.y4m twice"));

    std::fs::create_dir(folder.0.join("frames")).unwrap();
    let within = Request { save_frames: Some(folder.0.join("frames/")), ..request(folder.0.join("frames/clip.y4m")) };
    let error = within.check_targets().unwrap_err().to_string();
    assert!(error.contains("which is replaced as a whole"), "{error}");
    let beside = Request { save_frames: Some(folder.0.join("frames/")), ..request(folder.0.join("frames.y4m")) };
    beside.check_targets().unwrap();
}

#[test]
fn no_file_that_is_read_is_replaced() {
    let folder = Folder::new("inputs");
    let file = folder.0.join("values.safetensors");
    std::fs::write(&file, "values").unwrap();
    let save_latents = Some(file.clone());
    let plain = Request { save_latents, ..request(folder.0.join("clip.y4m")) };
    plain.check_targets().unwrap();
    for reading in [
        Request { noise: Some(file.clone()), ..plain.clone() },
        Request { image: ImageSource::File(file.clone()), ..plain.clone() },
        Request { watermark: Some(Watermark::Picture(file.clone())), ..plain },
    ] {
        assert!(reading.check_targets().unwrap_err().to_string().contains("found the input "));
    }
}

#[test]
fn a_thousand_clips_are_checked_at_once() {
    let folder = Folder::new("thousand");
    (0..3000).for_each(|index| drop(std::fs::File::create(folder.0.join(index.to_string())).unwrap()));
    let many = Request {
        count: 1000,
        save_frames: Some(folder.0.join("frames")),
        save_latents: Some(folder.0.join("latents.safetensors")),
        preview: Some(target(folder.0.join("clip.preview.gif"))),
        ..request(folder.0.join("clip.y4m"))
    };
    let start = std::time::Instant::now();
    many.check_targets().unwrap();
    // A fraction of a second; reading the folder or all names for each target takes minutes.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

/// What a preview cannot be must not come out when it is written.
#[test]
fn every_output_has_to_be_able_to_hold_the_clip() {
    let folder = Folder::new("holds");
    let preview = Some(target(folder.0.join("look.gif")));
    let slow = Request { fps: Fps(0.0015), preview, ..request(folder.0.join("clip.y4m")) };
    let error = slow.check_clip(&slow.clip(&picture()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("0.002 to 50 frames a second for GIF"), "{error}");
    let clip = Clip { width: 4096, height: 4096, frames: PixelFrames(4_000_000_000), fps: Fps(25.0) };
    let frames = Request { save_frames: Some(folder.0.join("frames")), ..request(folder.0.join("clip.webp")) };
    assert!(frames.check_clip(&clip).unwrap_err().to_string().contains("of free disk space for PNG frames"));
}

#[test]
fn nothing_that_exists_is_replaced_where_that_is_asked() {
    let folder = Folder::new("no-clobber");
    let all = |replace: bool| Request {
        output: Target { replace, ..target(folder.0.join("clip.y4m")) },
        save_latents: Some(folder.0.join("latents.safetensors")),
        save_frames: Some(folder.0.join("frames")),
        preview: Some(Target { replace, ..target(folder.0.join("look.gif")) }),
        ..request(folder.0.join("clip.y4m"))
    };
    all(false).check_targets().unwrap();
    super::run(&all(false), opened(), (Box::new(Coarse::default()), Saver::default()), &mut Heard::default()).unwrap();
    for name in ["clip.y4m", "latents.safetensors", "frames", "look.gif"] {
        let kept = folder.0.join("kept");
        std::fs::rename(folder.0.join(name), &kept).unwrap();
        let others = all(false).check_targets().unwrap_err().to_string();
        assert!(others.contains("--no-clobber") && !others.contains(name), "{others}");
        std::fs::rename(&kept, folder.0.join(name)).unwrap();
    }
    all(true).check_targets().unwrap();
    super::run(&all(true), opened(), (Box::new(Coarse::default()), Saver::default()), &mut Heard::default()).unwrap();
}
