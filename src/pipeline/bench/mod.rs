//! How long every stage of a run takes on this machine.
//!
//! Stages run one after the other as in a real run, but each several times: networks are built, used and freed before the next, so that the peak
//! of memory is that of a run. The first time of each stage is not counted; of denoising and decoding, which take longest, it is one step and one
//! frame.

pub mod compare;
mod peak;
pub mod record;
pub mod summary;

use std::time::Instant;

use candle_core::Device;

use super::denoise::Denoising;
use super::request::{self, Length, Size};
use crate::device::{self, DeviceChoice};
use crate::diffusion::noise;
use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::media::framing::{Fit, Framing, FramingRequest};
use crate::media::{self, OutputFormat, Target};
use crate::models::{
    self, Branch, Conditioning, DecodeInputs, Family, ModelRequest, MotionPrompt, Pass, PictureHints, Recipe,
    SamplingOptions, Work,
};
use crate::picture::{Color, Picture};
use crate::units::{Clip, Fps};
use record::{Measurement, Record, Run, Shape, Stage};

/// The prompt of every benchmark.
const WORDS: &str = "her hair flows in the wind, soft light shifting";
/// The picture of every benchmark is made up, of this size.
const PICTURE: (usize, usize) = (1280, 720);
const SEED: u64 = 42;
const QUALITY: u8 = 95;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Request {
    /// The model.
    pub model: ModelRequest,
    /// Where its networks run.
    pub device: DeviceChoice,
    /// Size of the clip.
    pub size: Size,
    /// Length of the clip.
    pub length: Length,
    /// Frame rate.
    pub fps: Fps,
    /// Denoising steps, spread over the model's own noise levels; `None` is the model's own number.
    pub steps: Option<usize>,
    /// Clips that are measured, 1 or more.
    pub repeats: usize,
}

/// Measures. `command` goes into the result; `say` hears what is being done.
///
/// # Errors
/// Bad input before anything is loaded; afterwards whatever failed.
pub fn run(request: &Request, command: &[String], say: &mut dyn FnMut(&str)) -> Result<Record> {
    let date = record::now();
    models::check(&request.model)?;
    let picture = picture();
    let clip = clip(request, &picture)?;
    media::check_clip(&target(), &clip)?;
    let device = request.device.open()?;
    let family = models::open(&request.model, &device)?;
    say("peak: products of matrices");
    let before = peak::measure(&device, family.dtype())?;
    let prompt = MotionPrompt { words: WORDS.to_owned(), camera: Vec::new(), intensity: 1.0, negative: None };
    let grid = family.grid();
    let framing = FramingRequest {
        written: (clip.width, clip.height),
        fit: Fit::Cover,
        background: Color::WHITE,
        side_multiple: grid.side,
    };
    let framing = framing.of(&picture);
    let generated = request::generated(&clip, &framing, grid);
    let recipe = recipe(family.as_ref(), request.steps, &generated)?;
    let picture = framing.prepare(&picture);
    let bench = Bench { request, device, family, recipe, picture, framing, clip, prompt };
    let measured = bench.measure(say)?;
    let peak_memory_bytes = device::peak_memory();
    say("peak: products of matrices once more");
    // On a machine with other work the one or the other may be disturbed.
    let peak = before.max(peak::measure(&bench.device, bench.family.dtype())?);

    let (work, pass) = (&measured.work, bench.pass());
    let run = Run {
        model: request.model.model.clone(),
        family: bench.family.name().to_owned(),
        device: device::name(&bench.device),
        dtype: bench.family.dtype().as_str().to_owned(),
        threads: rayon::current_num_threads(),
        clip: Shape::from(&clip),
        generated: Shape::from(&pass.clip),
        steps: pass.steps(),
        repeats: request.repeats,
        tokens: work.as_ref().map(|work| work.tokens),
        text_tokens: work.as_ref().map(|work| work.text_tokens),
    };
    let stages = measured.stages.iter().filter_map(|(name, measurements)| Stage::of(name, measurements, peak));
    Ok(Record {
        peak_teraflops: peak / 1e12,
        stages: stages.collect(),
        peak_memory_bytes,
        notes: measured.notes,
        ..Record::new(command, date, run)
    })
}

/// Smooth colours with edges, as a photograph has both.
fn picture() -> Picture {
    let (width, height) = PICTURE;
    let pixel = |x: usize, y: usize| {
        let edge = if (x / 80 + y / 80).is_multiple_of(2) { 40 } else { 0 };
        [(x * 200 / width) as u8 + edge, (y * 200 / height) as u8 + edge, 120 + edge]
    };
    Picture::new(width, height, (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect())
}

fn clip(request: &Request, picture: &Picture) -> Result<Clip> {
    let (width, height) = request.size.resolve(picture.width(), picture.height())?;
    let frames = match request.length {
        Length::Duration(duration) => duration.frames(request.fps),
        Length::Frames(frames) => frames,
    };
    Ok(Clip { width, height, frames, fps: request.fps })
}

/// The model's own recipe, with another number of steps where that is asked for.
fn recipe(family: &dyn Family, steps: Option<usize>, clip: &Clip) -> Result<Recipe> {
    let mut recipe = family.recipe(&SamplingOptions::default(), clip)?;
    if let (Some(steps), [pass]) = (steps, recipe.passes.as_mut_slice()) {
        pass.sigmas = spread(&pass.sigmas, steps);
    }
    Ok(recipe)
}

/// `steps` levels and a 0 at the end, at equal distances along the falling `levels`, whose last one is 0 too. Models that were made for certain
/// levels take no others, but as long for a step.
fn spread(levels: &[f64], steps: usize) -> Vec<f64> {
    let own = levels.len() - 1;
    let level = |step: usize| {
        let place = step as f64 * own as f64 / steps as f64;
        let (before, share) = (place as usize, place.fract());
        levels[before] * (1.0 - share) + levels[(before + 1).min(own)] * share
    };
    (0..steps).map(level).chain([0.0]).collect()
}

/// Where clips go, to be removed at once.
fn target() -> Target {
    let (format, extension) =
        if cfg!(feature = "ffmpeg") { (OutputFormat::Mp4, "mp4") } else { (OutputFormat::Y4m, "y4m") };
    let path = std::env::temp_dir().join(format!("stir-bench-{}.{extension}", std::process::id()));
    Target { path, format, quality: QUALITY, replace: true }
}

/// All that stays the same while it is measured.
struct Bench<'a> {
    request: &'a Request,
    device: Device,
    family: Box<dyn Family>,
    recipe: Recipe,
    /// As the model gets it.
    picture: Picture,
    framing: Framing,
    clip: Clip,
    prompt: MotionPrompt,
}

struct Measured {
    stages: Vec<(&'static str, Vec<Measurement>)>,
    work: Option<Work>,
    notes: Vec<String>,
}

impl Bench<'_> {
    fn pass(&self) -> &Pass {
        &self.recipe.passes[0]
    }

    fn measure(&self, say: &mut dyn FnMut(&str)) -> Result<Measured> {
        let repeats = self.request.repeats;
        let said = |repeat: usize| {
            if repeat == 0 { "warm-up".to_owned() } else { format!("{repeat} of {repeats}") }
        };
        // What each repeat spends on opening the model and building networks.
        let mut load = vec![0.0; repeats + 1];

        for (repeat, load) in load.iter_mut().enumerate() {
            say(&format!("open: {}", said(repeat)));
            *load += self.timed(|| models::open(&self.request.model, &self.device))?.seconds;
        }
        let (mut text, mut conditioning) = (Vec::new(), Conditioning::default());
        for repeat in 0..=repeats {
            say(&format!("text: {}", said(repeat)));
            let unconditional = self.pass().needs_unconditional();
            let timed = self.timed(|| self.family.text_encoder()?.encode(&self.prompt, unconditional))?;
            text.push(timed.seconds);
            conditioning.text = timed.result;
        }
        let mut encode = Vec::new();
        for repeat in 0..=repeats {
            say(&format!("encode: {}", said(repeat)));
            let built = self.timed(|| self.family.image_encoder())?;
            load[repeat] += built.seconds;
            let timed = self.timed(|| built.result.encode(&self.picture, &PictureHints::default()))?;
            encode.push(timed.seconds);
            conditioning.image = timed.result;
        }
        let work = self.family.work(&conditioning, &self.pass().clip);
        let (mut steps, mut latents) = (Vec::new(), Latents::default());
        for repeat in 0..=repeats {
            say(&format!("step: {}", said(repeat)));
            let denoised = self.denoise(&conditioning, work.as_ref(), repeat == 0)?;
            load[repeat] += denoised.load;
            latents = denoised.latents;
            if repeat > 0 {
                steps.extend(denoised.steps);
            }
        }
        let (mut decode, mut mux) = (Vec::new(), Vec::new());
        for repeat in 0..=repeats {
            say(&format!("decode: {}", said(repeat)));
            let decoded = self.decode(&conditioning, &latents, repeat == 0)?;
            load[repeat] += decoded.load;
            decode.push(decoded.decode);
            mux.push(decoded.mux);
        }

        let counted = |seconds: Vec<f64>, operations: Option<f64>| -> Vec<Measurement> {
            seconds.into_iter().skip(1).map(|seconds| Measurement { seconds, operations }).collect()
        };
        let mut notes = vec!["text includes reading the text encoder's weights".to_owned()];
        if self.request.model.model.starts_with(models::SYNTHETIC) {
            notes.push(
                "load and text make weights up in memory, where those of a real model are read from disk".to_owned(),
            );
        }
        notes.extend(conditioning.text.notes);
        Ok(Measured {
            stages: vec![
                ("load", counted(load, None)),
                ("text", counted(text, work.as_ref().map(|work| work.text))),
                ("encode", counted(encode, work.as_ref().map(|work| work.encode))),
                ("step", steps),
                ("decode", counted(decode, work.as_ref().map(|work| work.decode))),
                ("mux", counted(mux, None)),
            ],
            work,
            notes,
        })
    }

    /// What `action` gives, and how long it takes until the device has done it.
    fn timed<T>(&self, action: impl FnOnce() -> Result<T>) -> Result<Timed<T>> {
        let start = Instant::now();
        let result = action()?;
        self.device.synchronize()?;
        Ok(Timed { result, seconds: start.elapsed().as_secs_f64() })
    }

    /// `warm_up`: a single step.
    fn denoise(&self, conditioning: &Conditioning, work: Option<&Work>, warm_up: bool) -> Result<Denoised> {
        let built = self.timed(|| self.family.denoiser())?;
        let mut pass = self.pass().clone();
        if warm_up {
            pass.sigmas = vec![pass.sigmas[0], 0.0];
        }
        let shapes = self.family.latent_shapes(&pass.clip);
        let start = noise::initial(SEED, &shapes)?;
        let constraints = self.family.constraints(conditioning, &pass.clip)?;
        let denoising = Denoising {
            denoiser: built.result.as_ref(),
            pass: &pass,
            conditioning,
            constraints: &constraints,
            image_noise: self.recipe.image_noise,
            shapes: &shapes,
            seed: SEED,
            first_step: 0,
        };
        let (mut steps, mut before) = (Vec::new(), Instant::now());
        let latents = denoising.run(start, |_, step| {
            self.device.synchronize()?;
            let operations = work.map(|work| operations(work, &pass, pass.sigmas[step]));
            steps.push(Measurement { seconds: before.elapsed().as_secs_f64(), operations });
            before = Instant::now();
            Ok(())
        })?;
        Ok(Denoised { load: built.seconds, steps, latents })
    }

    /// `warm_up`: a single frame, which is not written.
    fn decode(&self, conditioning: &Conditioning, latents: &Latents, warm_up: bool) -> Result<Decoded> {
        let built = self.timed(|| self.family.decoder())?;
        let mut decoded = Decoded { load: built.seconds, decode: 0.0, mux: 0.0 };
        let started = self.timed(|| {
            built.result.start(&DecodeInputs {
                latents,
                conditioning,
                picture: &self.picture,
                clip: &self.pass().clip,
                settings: self.recipe.decode,
                seed: SEED,
            })
        })?;
        decoded.decode += started.seconds;
        let mut frames = started.result;
        if warm_up {
            frames.next()?;
            return Ok(decoded);
        }
        let target = target();
        let opened = self.timed(|| media::create(&target, &self.clip))?;
        let mut writer = opened.result;
        decoded.mux += opened.seconds;
        for _ in 0..self.clip.frames.0 {
            let next = self.timed(|| frames.next())?;
            decoded.decode += next.seconds;
            let Some(frame) = next.result else { break };
            decoded.mux += self.timed(|| writer.write(&self.framing.finish(frame)))?.seconds;
        }
        decoded.mux += self.timed(|| writer.finish())?.seconds;
        let hint = "check the folder for temporary files, which TMPDIR names";
        std::fs::remove_file(&target.path).map_err(|error| Error::io("removing", &target.path, error, hint))?;
        Ok(decoded)
    }
}

struct Timed<T> {
    result: T,
    seconds: f64,
}

struct Denoised {
    load: f64,
    steps: Vec<Measurement>,
    latents: Latents,
}

/// Seconds.
struct Decoded {
    load: f64,
    decode: f64,
    mux: f64,
}

/// Operations of the step from the level `sigma`: one prediction or several.
fn operations(work: &Work, pass: &Pass, sigma: f64) -> f64 {
    let range = pass.guidance.at(sigma);
    let unconditional = range.guidance.needs_unconditional().then_some(Branch::Unconditional);
    let perturbed = range.guidance.needs_perturbed().then_some(Branch::Perturbed(&range.perturbed_blocks));
    [Some(Branch::Prompt), unconditional, perturbed].into_iter().flatten().map(|branch| work.prediction(branch)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PixelFrames;

    #[test]
    fn steps_are_spread_over_the_levels() {
        let levels = [1.0, 0.75, 0.5, 0.0];
        assert_eq!(spread(&levels, 3), levels);
        assert_eq!(spread(&levels, 1), [1.0, 0.0]);
        assert_eq!(spread(&levels, 6), [1.0, 0.875, 0.75, 0.625, 0.5, 0.25, 0.0]);
        let many = spread(&levels, 1000);
        assert!(many.len() == 1001 && many.windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn guidance_takes_a_prediction_more() {
        let clip = Clip { width: 64, height: 64, frames: PixelFrames(9), fps: Fps(25.0) };
        let work = Work {
            tokens: 1,
            text_tokens: 1,
            text: 0.0,
            encode: 0.0,
            prompt: 100.0,
            unconditional: 90.0,
            saved_by_perturbed_block: 1.0,
            decode: 0.0,
        };
        let counted = |scale| operations(&work, &Recipe::plain(&clip, vec![1.0, 0.0], scale).passes[0], 1.0);
        assert_eq!([counted(1.0), counted(3.0)], [100.0, 190.0]);
        assert_eq!(work.prediction(Branch::Perturbed(&[3, 4])), 98.0);
    }
}
