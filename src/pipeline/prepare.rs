//! All that comes before noise: checks, words, pictures.

use super::latent_record::{self, PictureRecord};
use super::observer::{Level, Observer, Stage};
use super::plan::with_decisions;
use super::provenance::gather::Known;
use super::request::{self, Request};
use super::run::{Run, Scene};
use super::{check_warnings, latent_file};
use crate::error::Result;
use crate::latents::Latents;
use crate::media::degrade::{Degradation, degrade, for_motion};
use crate::media::framing::Framing;
use crate::media::image::OpenedPicture;
use crate::media::watermark::PreparedWatermark;
use crate::models::{Conditioning, Family, MotionPrompt, Pass, PictureHints, Recipe};
use crate::picture::Picture;
use crate::units::Clip;
use crate::words;

/// What a request comes to with a picture and a model, before anything is encoded.
pub(super) struct Resolved {
    /// The clip as it is written.
    pub clip: Clip,
    pub framing: Framing,
    /// The clip that the model makes.
    pub generated: Clip,
    pub recipe: Recipe,
    pub hints: PictureHints,
    pub noise: Option<Latents>,
    pub watermark: Option<PreparedWatermark>,
}

impl Resolved {
    /// Resolves the request, or refuses what the model or the picture cannot do. `original`: the picture as it was read.
    pub fn of(request: &Request, original: &Picture, family: &dyn Family, observer: &dyn Observer) -> Result<Self> {
        family.check_prompt(&request.prompt)?;
        let clip = request.clip(original)?;
        let framing = request.framing(original, &clip, family.grid());
        let generated = request::generated(&clip, &framing, family.grid());
        let recipe = family.recipe(&request.sampling, &generated)?;
        let hints = request.hints(original, &framing)?;
        family.check_hints(&hints)?;
        let shapes = family.latent_shapes(&recipe.passes[0].clip);
        let noise = request.noise.as_deref().map(|path| latent_file::read_noise(path, &shapes)).transpose()?;
        let watermark = request.watermark(&clip)?;
        check_warnings(request, observer)?;
        Ok(Self { clip, framing, generated, recipe, hints, noise, watermark })
    }
}

impl<'a> Run<'a> {
    /// All that comes before noise, and is the same for every clip. `original`: the picture as it was read.
    pub(super) fn prepare(
        request: &'a Request,
        opened: OpenedPicture,
        family: Box<dyn Family>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let OpenedPicture { picture: original, sha256, .. } = opened;
        let resolved = Resolved::of(request, &original, family.as_ref(), observer)?;
        let decided = with_decisions(request, family.as_ref(), &resolved);
        let Resolved { clip, framing, generated, recipe, hints, noise, watermark } = resolved;
        let level = if generated == clip { Level::Detail } else { Level::Note };
        observer.say(level, &request::describe(&clip, &generated));
        observer.say(Level::Detail, &recipe.describe());
        let degradation = degradation(request, &recipe, observer);
        let known = Known {
            request: decided,
            family: family.as_ref(),
            recipe: &recipe,
            clip: &clip,
            shown: framing.shown(),
            degradation,
            picture: &sha256,
        };
        let mut record = request.metadata.then(|| known.record(observer)).transpose()?;

        observer.begin(Stage::Text, 1);
        let unconditional = recipe.passes.iter().any(Pass::needs_unconditional);
        let prompt = spoken(&request.prompt, family.as_ref());
        if family.reads_only_text() {
            observer.say(Level::Note, &format!("the text encoder reads: \"{}\"", prompt.words));
        }
        let tokens = family.text_tokens(&prompt, unconditional)?;
        let text = family.text_encoder()?.encode(&prompt, unconditional)?;
        text.notes.iter().for_each(|note| observer.say(Level::Note, note));
        observer.begin(Stage::Encode, 1);
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
        if let Some(record) = &mut record {
            let prepared = scenes.iter().map(|scene| latent_record::fingerprint(&scene.picture)).collect();
            record.computed(prepared, tokens);
        }
        family.notes(&scenes[0].conditioning)?.iter().for_each(|note| observer.say(Level::Note, note));
        let picture = (family.decodes_onto_picture() && request.save_latents.is_some()).then(|| PictureRecord {
            fingerprint: latent_record::fingerprint(&original),
            eyes: request.eyes.clone(),
            degradation,
        });
        Ok(Self { request, family, framing, recipe, text: tokens, scenes, clip, watermark, noise, picture, record })
    }
}

/// The picture as a model gets it for a clip.
pub(super) fn prepared(
    original: &Picture,
    framing: &Framing,
    clip: &Clip,
    degradation: Degradation,
) -> Result<Picture> {
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
pub(super) fn spoken(prompt: &MotionPrompt, family: &dyn Family) -> MotionPrompt {
    if !family.reads_only_text() {
        return prompt.clone();
    }
    let words = words::in_words(&prompt.words, &prompt.camera, prompt.intensity);
    MotionPrompt { words, camera: Vec::new(), intensity: 1.0, negative: prompt.negative.clone() }
}
