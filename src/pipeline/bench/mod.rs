//! How long every stage of a run takes on this machine.
//!
//! Stages run one after the other as in a real run, but each several times: networks are built, used and freed before the next, so that the peak
//! of memory is that of a run. The first time of each stage is not counted; of denoising and decoding, which take longest, it is one step and one
//! frame.

pub mod compare;
pub mod kept;
pub mod ops;
mod peak;
pub mod record;
mod stages;
pub mod summary;

use super::request::{self, Length, Size};
use crate::device::energy::{Energy, Meter};
use crate::device::gpu::GpuMeter;
use crate::device::machine::Machine;
use crate::device::{self, DeviceChoice};
use crate::error::Result;
use crate::media;
use crate::media::framing::{Fit, FramingRequest};
use crate::models::{self, Family, ModelRequest, MotionPrompt, Recipe, SamplingOptions};
use crate::picture::{Color, Picture};
use crate::units::{Clip, Fps};
use record::{Record, Run, Shape, Stage};
use stages::{Bench, target};

/// The prompt of every benchmark.
const WORDS: &str = "her hair flows in the wind, soft light shifting";
/// The picture of every benchmark is made up, of this size.
const PICTURE: (usize, usize) = (1280, 720);

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
    let meter = Meter::of_processors();
    let bench = Bench { request, device, family, recipe, picture, framing, clip, prompt, meter };
    let gpu = GpuMeter::start(&bench.device);
    let measured = bench.measure(say)?;
    let gpu = gpu.map(GpuMeter::finish).unwrap_or_default();
    let energy = energy(bench.meter.as_ref().map(Meter::energy), gpu.joules);
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
        offload: bench.offload().name().to_owned(),
        clip: Shape::from(&clip),
        generated: Shape::from(&pass.clip),
        steps: pass.steps(),
        repeats: request.repeats,
        tokens: work.as_ref().map(|work| work.tokens),
        text_tokens: work.as_ref().and_then(|work| work.text_tokens),
    };
    let stages = measured.stages.iter().filter_map(|(name, measurements)| Stage::of(name, measurements, peak));
    Ok(Record {
        peak_teraflops: peak / 1e12,
        stages: stages.collect(),
        peak_memory_bytes,
        device_peak_memory_bytes: gpu.peak_memory_bytes,
        energy,
        notes: measured.notes,
        ..Record::new(command, date, Machine::of(&bench.device), run)
    })
}

/// Of processors and the GPU together, as far as it is known.
fn energy(processors: Option<Energy>, gpu: Option<f64>) -> Option<Energy> {
    let gpu = gpu.map(|joules| Energy { joules, counters: vec!["GPU".to_owned()] });
    processors.into_iter().chain(gpu).reduce(|both, other| Energy {
        joules: both.joules + other.joules,
        counters: [both.counters, other.counters].concat(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_what_is_known_of_it() {
        let processors = Energy { joules: 2.0, counters: vec!["package-0".to_owned()] };
        assert_eq!(energy(None, None), None);
        assert_eq!(energy(Some(processors.clone()), None), Some(processors.clone()));
        let both = Energy { joules: 5.0, counters: vec!["package-0".to_owned(), "GPU".to_owned()] };
        assert_eq!(energy(Some(processors), Some(3.0)), Some(both));
    }

    #[test]
    fn steps_are_spread_over_the_levels() {
        let levels = [1.0, 0.75, 0.5, 0.0];
        assert_eq!(spread(&levels, 3), levels);
        assert_eq!(spread(&levels, 1), [1.0, 0.0]);
        assert_eq!(spread(&levels, 6), [1.0, 0.875, 0.75, 0.625, 0.5, 0.25, 0.0]);
        let many = spread(&levels, 1000);
        assert!(many.len() == 1001 && many.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
