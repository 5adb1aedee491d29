//! The stages of a run, each several times.

use std::time::Instant;

use candle_core::Device;

use super::Request;
use super::record::Measurement;
use crate::device::energy::Meter;
use crate::diffusion::noise;
use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::media::framing::Framing;
use crate::media::{self, OutputFormat, Target, VideoEncoder};
use crate::models::{
    self, Conditioning, DecodeInputs, Family, MotionPrompt, Offload, Pass, PictureHints, Recipe, Work,
};
use crate::picture::Picture;
use crate::pipeline::denoise::Denoising;
use crate::units::Clip;

const SEED: u64 = 42;
const QUALITY: u8 = 95;

/// Where clips go, to be removed at once.
pub(super) fn target() -> Target {
    let (format, extension) =
        if cfg!(feature = "ffmpeg") { (OutputFormat::Mp4, "mp4") } else { (OutputFormat::Y4m, "y4m") };
    let path = std::env::temp_dir().join(format!("stir-bench-{}.{extension}", std::process::id()));
    Target { path, format, encoder: VideoEncoder::Auto, quality: QUALITY, replace: true }
}

/// All that stays the same while it is measured.
pub(super) struct Bench<'a> {
    pub request: &'a Request,
    pub device: Device,
    pub family: Box<dyn Family>,
    pub recipe: Recipe,
    /// As the model gets it.
    pub picture: Picture,
    pub framing: Framing,
    pub clip: Clip,
    pub prompt: MotionPrompt,
    pub meter: Option<Meter>,
}

/// What was measured.
pub(super) struct Measured {
    pub stages: Vec<(&'static str, Vec<Measurement>)>,
    pub work: Option<Work>,
    pub notes: Vec<String>,
}

impl Bench<'_> {
    /// The only pass.
    pub fn pass(&self) -> &Pass {
        &self.recipe.passes[0]
    }

    /// Where the denoiser's blocks wait: on the device, unless asked otherwise.
    pub fn offload(&self) -> Offload {
        self.request.model.offload.unwrap_or(Offload::None)
    }

    /// Runs every stage once and then as often as is asked for; `say` hears what is being done.
    pub fn measure(&self, say: &mut dyn FnMut(&str)) -> Result<Measured> {
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
        for (repeat, load) in load.iter_mut().enumerate() {
            say(&format!("encode: {}", said(repeat)));
            let built = self.timed(|| self.family.image_encoder())?;
            *load += built.seconds;
            let timed = self.timed(|| built.result.encode(&self.picture, &PictureHints::default()))?;
            encode.push(timed.seconds);
            conditioning.image = timed.result;
        }
        let text_tokens = self.family.text_tokens(&self.prompt, self.pass().needs_unconditional())?;
        let work = self.family.work(text_tokens, &self.pass().clip);
        let (mut steps, mut latents) = (Vec::new(), Latents::default());
        for (repeat, load) in load.iter_mut().enumerate() {
            say(&format!("step: {}", said(repeat)));
            let denoised = self.denoise(&conditioning, work.as_ref(), repeat == 0)?;
            *load += denoised.load;
            latents = denoised.latents;
            if repeat > 0 {
                steps.extend(denoised.steps);
            }
        }
        let (mut decode, mut mux) = (Vec::new(), Vec::new());
        for (repeat, load) in load.iter_mut().enumerate() {
            say(&format!("decode: {}", said(repeat)));
            let decoded = self.decode(&conditioning, &latents, repeat == 0)?;
            *load += decoded.load;
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
                ("text", counted(text, work.as_ref().and_then(|work| work.text))),
                ("encode", counted(encode, work.as_ref().map(|work| work.encode))),
                ("step", steps),
                ("decode", counted(decode, work.as_ref().and_then(|work| work.decode))),
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
        let seconds = start.elapsed().as_secs_f64();
        self.meter.iter().for_each(Meter::look);
        Ok(Timed { result, seconds })
    }

    /// `warm_up`: a single step.
    fn denoise(&self, conditioning: &Conditioning, work: Option<&Work>, warm_up: bool) -> Result<Denoised> {
        let built = self.timed(|| self.family.denoiser(self.offload()))?;
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
            self.meter.iter().for_each(Meter::look);
            let operations = work.map(|work| work.step(&pass, pass.sigmas[step]));
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
                picture: Some(&self.picture),
                clip: &self.pass().clip,
                settings: self.recipe.decode,
                seed: SEED,
                piece: None,
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
