//! The whole run: picture -> conditioning -> denoise -> decode -> clip.

pub mod decode;
pub mod denoise;
mod kept_latents;
pub mod latent_file;
pub mod latent_record;
pub mod observer;
mod preview;
pub mod request;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::diffusion::noise::{self, Purpose};
use crate::diffusion::renoise::renoise;
use crate::diffusion::tone_map::tone_map;
use crate::error::{Error, Result};
use crate::latents::{Latents, Shapes};
use crate::media::degrade::{Degradation, degrade, for_motion};
use crate::media::framing::Framing;
use crate::media::watermark::PreparedWatermark;
use crate::media::{self, WrittenClip};
use crate::models::{
    self, Conditioning, DecodeInputs, DecodeSettings, Decoder, Denoiser, Family, MotionPrompt, Pass, Recipe,
};
use crate::picture::Picture;
use crate::units::Clip;
use crate::words;
use decode::ClipDecode;
use denoise::Denoising;
use latent_record::{LatentRecord, PictureRecord};
use observer::{Level, Observer, Stage};
use preview::Preview;
use request::Request;

/// A clip that a run made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The clip on disk.
    pub written: WrittenClip,
    /// Its shape.
    pub clip: Clip,
    /// Its seed.
    pub seed: u64,
}

/// Makes all clips of a request; the observer hears of each as it is complete.
///
/// # Errors
/// Bad input before anything is loaded; afterwards whatever failed. No unfinished file is left under a final name.
pub fn generate(request: &Request, observer: &mut dyn Observer) -> Result<()> {
    observer.begin(Stage::Prepare, 1);
    let picture = check(request, observer)?;
    let family = models::open(&request.model, &request.device.open()?)?;
    run(request, picture, family, observer)
}

/// Checks all that can be checked before anything is loaded, says what there is to say before a run, and gives the picture.
///
/// # Errors
/// Bad input, or a place that cannot be written to.
pub fn check(request: &Request, observer: &mut dyn Observer) -> Result<Picture> {
    request.remarks.iter().for_each(|(level, line)| observer.say(*level, line));
    models::check(&request.model)?;
    request.check_targets()?;
    let opened = media::image::open(&request.image, &request.read)?;
    opened.notes.iter().for_each(|note| observer.say(Level::Note, note));
    request.degradation.map_or(Ok(()), Degradation::check)?;
    let clip = request.clip(&opened.picture)?;
    request.check_clip(&clip)?;
    request.watermark(&clip)?;
    Ok(opened.picture)
}

/// Refuses what was warned of, where the request is strict; for when the model is open.
///
/// # Errors
/// The first warning.
pub fn check_warnings(request: &Request, observer: &dyn Observer) -> Result<()> {
    match observer.first_warning().filter(|_| request.strict) {
        Some(warning) => {
            Err(Error::input("--strict", "a run without warnings", warning, "leave --strict out to go on"))
        }
        None => Ok(()),
    }
}

/// The run itself. Each network is built when it is first used, and the denoiser is freed before the last decode.
fn run(request: &Request, picture: Picture, family: Box<dyn Family>, observer: &mut dyn Observer) -> Result<()> {
    let run = Run::prepare(request, picture, family, observer)?;
    let mut denoiser = Some(run.family.denoiser()?);
    let mut decoder = request.preview.as_ref().map(|_| run.family.decoder()).transpose()?;
    for index in 0..request.count {
        let seed = request.seed(index);
        observer.clip(index, request.count, seed);
        let denoise = denoiser.as_deref().expect("it is kept until the last clip");
        let latents = run.denoise(denoise, index, decoder.as_deref(), observer)?;
        if index + 1 == request.count {
            denoiser = None;
        }
        let written = run.finish(&mut decoder, index, &latents, observer)?;
        observer.finished(&Outcome { written, clip: run.clip, seed });
    }
    Ok(())
}

/// What every stage reads.
struct Run<'a> {
    request: &'a Request,
    family: Box<dyn Family>,
    framing: Framing,
    recipe: Recipe,
    /// What each pass of the recipe sees.
    scenes: Vec<Scene>,
    /// The clip as it is written.
    clip: Clip,
    watermark: Option<PreparedWatermark>,
    noise: Option<Latents>,
    /// What saved latents say of the picture.
    picture: Option<PictureRecord>,
}

/// What a pass sees.
struct Scene {
    /// The picture as the model gets it.
    picture: Picture,
    conditioning: Conditioning,
}

impl<'a> Run<'a> {
    /// All that comes before noise, and is the same for every clip. `original`: the picture as it was read.
    fn prepare(
        request: &'a Request,
        original: Picture,
        family: Box<dyn Family>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        family.check_prompt(&request.prompt)?;
        let clip = request.clip(&original)?;
        let framing = request.framing(&original, &clip, family.grid());
        let generated = request::generated(&clip, &framing, family.grid());
        let level = if generated == clip { Level::Detail } else { Level::Note };
        observer.say(level, &request::describe(&clip, &generated));
        let recipe = family.recipe(&request.sampling, &generated)?;
        observer.say(Level::Detail, &recipe.describe());
        let hints = request.hints(&original, &framing)?;
        family.check_hints(&hints)?;
        let shapes = family.latent_shapes(&recipe.passes[0].clip);
        let noise = request.noise.as_deref().map(|path| latent_file::read_noise(path, &shapes)).transpose()?;
        let watermark = request.watermark(&clip)?;
        check_warnings(request, observer)?;

        observer.begin(Stage::Text, 1);
        let unconditional = recipe.passes.iter().any(Pass::needs_unconditional);
        let prompt = spoken(&request.prompt, family.as_ref());
        if family.reads_only_text() {
            observer.say(Level::Note, &format!("the text encoder reads: \"{}\"", prompt.words));
        }
        let text = family.text_encoder()?.encode(&prompt, unconditional)?;
        text.notes.iter().for_each(|note| observer.say(Level::Note, note));
        observer.begin(Stage::Encode, 1);
        let degradation = degradation(request, &recipe, observer);
        if degradation != Degradation::Off {
            let line = format!("the picture is made like a frame of a video first: --degrade {}", degradation.name());
            observer.say(Level::Note, &line);
        }
        let encoder = family.image_encoder()?;
        let mut scenes = Vec::new();
        for pass in &recipe.passes {
            let picture = prepared(&original, &framing, &pass.clip, degradation)?;
            let conditioning = Conditioning { image: encoder.encode(&picture, &hints)?, text: text.clone() };
            scenes.push(Scene { picture, conditioning });
        }
        family.notes(&scenes[0].conditioning)?.iter().for_each(|note| observer.say(Level::Note, note));
        let picture = (family.decodes_onto_picture() && request.save_latents.is_some()).then(|| PictureRecord {
            fingerprint: latent_record::fingerprint(&original),
            eyes: request.eyes.clone(),
            degradation,
        });
        Ok(Self { request, family, framing, recipe, scenes, clip, watermark, noise, picture })
    }

    /// Previews of what `scene` shows, where they are asked for.
    fn preview<'b>(
        &self,
        index: usize,
        pass: &Pass,
        scene: &'b Scene,
        decoder: Option<&'b dyn Decoder>,
    ) -> Option<Preview<'b>> {
        let target = self.request.preview_target(index)?;
        let settings = DecodeSettings { noise: 0.0, ..self.recipe.decode };
        Some(Preview::new(target, decoder?, &scene.picture, (&pass.clip, settings)))
    }

    /// The final latents of clip `index`, pass by pass.
    fn denoise(
        &self,
        denoiser: &dyn Denoiser,
        index: usize,
        decoder: Option<&dyn Decoder>,
        observer: &mut dyn Observer,
    ) -> Result<Latents> {
        let steps: usize = self.recipe.passes.iter().map(Pass::steps).sum();
        observer.begin(Stage::Denoise, steps);
        let mut before = 0;
        let mut latents: Option<Latents> = None;
        for (pass, scene) in self.recipe.passes.iter().zip(&self.scenes) {
            let shapes = self.family.latent_shapes(&pass.clip);
            let noise = self.noise_of_pass(index, latents.is_none(), &shapes)?;
            let start = match latents.take() {
                None => noise,
                Some(small) => renoised(&self.family.upsampler()?.upsample(&small)?, &noise, pass.sigmas[0])?,
            };
            let constraints = self.family.constraints(&scene.conditioning, &pass.clip)?;
            let constraints = constraints
                .iter()
                .map(|constraint| constraint.weakened(self.recipe.strength, &start.parts[constraint.part]))
                .collect::<Result<Vec<_>>>()?;
            let preview = self.preview(index, pass, scene, decoder);
            let denoising = Denoising {
                denoiser,
                pass,
                conditioning: &scene.conditioning,
                constraints: &constraints,
                image_noise: self.recipe.image_noise,
                shapes: &shapes,
                seed: self.request.seed(index),
                first_step: before,
            };
            let result = denoising.run(start, |expected, step| {
                let done = before + step + 1;
                observer.advance(done);
                match preview.as_ref().filter(|_| done == steps / 2) {
                    Some(preview) => preview.write(&expected.latents()?, &scene.conditioning, observer),
                    None => Ok(()),
                }
            })?;
            before += pass.steps();
            if let Some(preview) = preview.as_ref().filter(|_| before == steps) {
                preview.write(&result, &scene.conditioning, observer)?;
            }
            latents = Some(result);
        }
        let mut latents = latents.expect("a recipe has a pass");
        if self.recipe.tone_map_compression > 0.0 {
            for part in latents.parts.values_mut() {
                *part = tone_map(part, self.recipe.tone_map_compression)?;
            }
        }
        Ok(latents)
    }

    /// The noise that a pass begins with.
    fn noise_of_pass(&self, index: usize, first: bool, shapes: &Shapes) -> Result<Latents> {
        let seed = self.request.seed(index);
        match &self.noise {
            Some(noise) if first => Ok(noise.clone()),
            _ if first => noise::initial(seed, shapes),
            _ => noise::of_step(seed, Purpose::SecondPass, 0, shapes),
        }
    }

    /// Final latents to a clip on disk. Dear latents are on disk before the decode: whatever ends it, they are not lost.
    fn finish(
        &self,
        decoder: &mut Option<Box<dyn Decoder>>,
        index: usize,
        latents: &Latents,
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        let request = self.request;
        let cheap = self.family.decodes_onto_picture();
        let clip = request.target(index).path;
        let bytes = latent_file::to_bytes(latents, &self.record(index))?;
        let explained = |error: Error, path: &Path| {
            if cheap {
                return error;
            }
            kept_latents::explain(error, &kept_latents::command(request, index, path, cheap))
        };
        let asked = request.save_latents.as_ref().map(|path| request.path(path, index));
        if let Some(path) = &asked {
            media::write_atomically(path, &bytes, request.output.replace).map_err(|error| {
                if cheap {
                    return error;
                }
                match kept_latents::keep(&bytes, &clip) {
                    Ok(path) => explained(error, &path),
                    Err(_) => error,
                }
            })?;
        }
        let until_done = if asked.is_none() && !cheap {
            kept_latents::keep(&bytes, &clip).map(Some).unwrap_or_else(|error| {
                observer.say(Level::Warning, &format!("{error}; the latents are lost if the decode fails"));
                None
            })
        } else {
            None
        };
        let made = self.decode(decoder, index, latents, observer);
        match (made, asked.or(until_done.clone())) {
            (Ok(written), _) => {
                if let Some(path) = until_done {
                    std::fs::remove_file(&path).map_err(|error| {
                        Error::io("removing", &path, error, "the clip is complete; remove the file by hand")
                    })?;
                }
                Ok(written)
            }
            (Err(error), Some(path)) => Err(explained(error, &path)),
            (Err(error), None) => Err(error),
        }
    }

    /// What a later decode of clip `index` has to know.
    fn record(&self, index: usize) -> LatentRecord {
        LatentRecord {
            family: self.family.name().to_owned(),
            model: self.request.model.clone(),
            seed: self.request.seed(index),
            written: self.clip,
            pass: self.last_pass().clip,
            fit: self.framing.fit(),
            background: self.framing.background(),
            shown: self.framing.shown(),
            generated: self.framing.generated(),
            settings: self.recipe.decode,
            picture: self.picture.clone(),
        }
    }

    fn last_pass(&self) -> &Pass {
        self.recipe.passes.last().expect("a recipe has a pass")
    }

    fn decode(
        &self,
        decoder: &mut Option<Box<dyn Decoder>>,
        index: usize,
        latents: &Latents,
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        if decoder.is_none() {
            *decoder = Some(self.family.decoder()?);
        }
        let decoder = decoder.as_deref().expect("it has just been built");
        let scene = self.scenes.last().expect("a recipe has a pass");
        let decode = ClipDecode {
            inputs: DecodeInputs {
                latents,
                conditioning: &scene.conditioning,
                picture: Some(&scene.picture),
                clip: &self.last_pass().clip,
                settings: self.recipe.decode,
                seed: self.request.seed(index),
            },
            framing: &self.framing,
            clip: &self.clip,
            watermark: self.watermark.as_ref(),
            target: self.request.target(index),
            frames_target: self.request.frames_target(index),
        };
        decode.write(decoder, observer)
    }
}

/// The picture as a model gets it for a clip.
fn prepared(original: &Picture, framing: &Framing, clip: &Clip, degradation: Degradation) -> Result<Picture> {
    degrade(framing.prepare_at(original, (clip.width, clip.height)), degradation)
}

/// What is done to the picture. What only the recipe wants is left out where this program cannot do it, and said so.
fn degradation(request: &Request, recipe: &Recipe, observer: &mut dyn Observer) -> Degradation {
    if let Some(asked) = request.degradation {
        return asked;
    }
    let own = if recipe.degrades_picture { for_motion(request.prompt.intensity) } else { Degradation::Off };
    match own.check() {
        Ok(()) => own,
        Err(error) => {
            observer.say(Level::Warning, &format!("{error}; the picture stays as it is, which may freeze the clip"));
            Degradation::Off
        }
    }
}

/// The prompt as the family reads it: with all that is asked for in words, where it reads nothing else.
fn spoken(prompt: &MotionPrompt, family: &dyn Family) -> MotionPrompt {
    if !family.reads_only_text() {
        return prompt.clone();
    }
    let words = words::in_words(&prompt.words, &prompt.camera, prompt.intensity);
    MotionPrompt { words, camera: Vec::new(), intensity: 1.0, negative: prompt.negative.clone() }
}

/// Clean latents brought back to the noise level `sigma`.
fn renoised(clean: &Latents, noise: &Latents, sigma: f64) -> Result<Latents> {
    let mut renoised = Latents::default();
    for (name, part) in &clean.parts {
        renoised.parts.insert(name, renoise(part, &noise.parts[name], sigma)?);
    }
    Ok(renoised)
}
