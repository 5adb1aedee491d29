//! All that comes before noise: checks, words, pictures.

use super::latent_record::{self, PictureRecord};
use super::observer::{Level, Observer, Stage};
use super::plan::with_decisions;
use super::provenance::Record;
use super::provenance::gather::Known;
use super::request::{self, Request};
use super::run::{Run, Scene};
use super::state::Saver;
use super::{check_warnings, latent_file};
use crate::error::Result;
use crate::latents::Latents;
use crate::media::degrade::{Degradation, degrade, for_motion};
use crate::media::framing::Framing;
use crate::media::image::OpenedPicture;
use crate::media::watermark::PreparedWatermark;
use crate::models::{
    Conditioning, Family, ImageEncoder, MotionPrompt, Pass, PictureHints, Recipe, TextCondition, TextEncoder,
    TextTokens,
};
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

/// The words of a run, as its text encoder is given them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Words {
    prompt: MotionPrompt,
    /// Whether predictions without the prompt will be asked for.
    unconditional: bool,
}

/// What came of them.
#[derive(Debug, Clone)]
pub(super) struct EncodedWords {
    /// Where they are counted.
    tokens: Option<TextTokens>,
    condition: TextCondition,
}

impl Words {
    /// Reads the words, and says what there is to say about that.
    pub fn encode(
        &self,
        family: &dyn Family,
        encoder: &dyn TextEncoder,
        observer: &mut dyn Observer,
    ) -> Result<EncodedWords> {
        if family.reads_only_text() {
            observer.say(Level::Note, &format!("the text encoder reads: \"{}\"", self.prompt.words));
        }
        let tokens = family.text_tokens(&self.prompt, self.unconditional)?;
        let condition = encoder.encode(&self.prompt, self.unconditional)?;
        condition.notes.iter().for_each(|note| observer.say(Level::Note, note));
        Ok(EncodedWords { tokens, condition })
    }
}

/// A run that is resolved and not encoded yet.
pub(super) struct Preparation<'a> {
    request: &'a Request,
    family: &'a dyn Family,
    /// The picture as it was read.
    original: Picture,
    resolved: Resolved,
    /// What is done to the picture before the model sees it.
    degradation: Degradation,
    /// What clips say of how they were made, where they are to.
    record: Option<Record>,
}

impl<'a> Preparation<'a> {
    /// Resolves the request, and says what is made of it. `original`: the picture as it was read.
    pub fn of(
        request: &'a Request,
        opened: OpenedPicture,
        family: &'a dyn Family,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let OpenedPicture { picture: original, sha256, .. } = opened;
        let resolved = Resolved::of(request, &original, family, observer)?;
        let Resolved { clip, framing, generated, recipe, .. } = &resolved;
        let level = if generated == clip { Level::Detail } else { Level::Note };
        observer.say(level, &request::describe(clip, generated));
        observer.say(Level::Detail, &recipe.describe());
        let degradation = degradation(request, recipe, observer);
        let known = Known {
            request: with_decisions(request, family, &resolved),
            family,
            recipe,
            clip,
            shown: framing.shown(),
            degradation,
            picture: &sha256,
        };
        let record = request.metadata.then(|| known.record(observer)).transpose()?;
        Ok(Self { request, family, original, resolved, degradation, record })
    }

    /// What the text encoder is to read.
    pub fn words(&self) -> Words {
        let unconditional = self.resolved.recipe.passes.iter().any(Pass::needs_unconditional);
        Words { prompt: spoken(&self.request.prompt, self.family), unconditional }
    }

    /// The size of the picture in bytes.
    pub fn picture_bytes(&self) -> usize {
        self.original.pixels().len()
    }

    /// Encodes the picture: all is there then that comes before noise, and is the same for every clip.
    pub fn encode(
        self,
        words: EncodedWords,
        encoder: &dyn ImageEncoder,
        observer: &mut dyn Observer,
    ) -> Result<Run<'a>> {
        let Self { request, family, original, resolved, degradation, mut record } = self;
        let Resolved { clip, framing, recipe, hints, noise, watermark, .. } = resolved;
        if degradation != Degradation::Off {
            let line = format!("the picture is made like a frame of a video first: --degrade {}", degradation.name());
            observer.say(Level::Note, &line);
        }
        let mut scenes = Vec::new();
        for pass in &recipe.passes {
            let picture = prepared(&original, &framing, &pass.clip, degradation)?;
            let image = encoder.encode(&picture, &hints)?;
            scenes.push(Scene { picture, conditioning: Conditioning { image, text: words.condition.clone() } });
        }
        if let Some(record) = &mut record {
            let prepared = scenes.iter().map(|scene| latent_record::fingerprint(&scene.picture)).collect();
            record.computed(prepared, words.tokens);
        }
        family.notes(&scenes[0].conditioning)?.iter().for_each(|note| observer.say(Level::Note, note));
        let picture = (family.decodes_onto_picture() && request.save_latents.is_some()).then(|| PictureRecord {
            fingerprint: latent_record::fingerprint(&original),
            eyes: request.eyes.clone(),
            degradation,
        });
        Ok(Run {
            request,
            family,
            framing,
            recipe,
            text: words.tokens,
            scenes,
            clip,
            watermark,
            noise,
            picture,
            record,
            begun: None,
        })
    }
}

impl<'a> Run<'a> {
    /// All that comes before noise. `original`: the picture as it was read.
    pub(super) fn prepare(
        request: &'a Request,
        opened: OpenedPicture,
        (family, saver): (&'a dyn Family, &mut Saver),
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let preparation = Preparation::of(request, opened, family, observer)?;
        saver.begin(request, &preparation.original, (family, &preparation.resolved), observer)?;
        observer.begin(Stage::Text, 1);
        let words = preparation.words().encode(family, family.text_encoder()?.as_ref(), observer)?;
        observer.begin(Stage::Encode, 1);
        let run = preparation.encode(words, family.image_encoder()?.as_ref(), observer)?;
        Ok(Run { begun: saver.begun(), ..run })
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
