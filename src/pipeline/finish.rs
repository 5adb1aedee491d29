//! Final latents to a clip on disk.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::decode::ClipDecode;
use super::latent_record::LatentRecord;
use super::observer::{Level, Observer};
use super::provenance::{Record, sums};
use super::residency::Networks;
use super::run::Run;
use super::{kept_latents, latent_file};
use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::media::{self, WrittenClip};
use crate::models::{DecodeInputs, ModelRequest, Pass};

/// Latents that are on disk.
struct Kept {
    path: PathBuf,
    /// Whether they go when the clip is complete.
    until_done: bool,
}

impl Run<'_> {
    /// Final latents to a clip on disk, after a last preview where one is asked for. Dear latents are on disk before the decode: whatever
    /// ends it, they are not lost.
    pub(super) fn finish(
        &self,
        networks: &mut Networks,
        index: usize,
        latents: &Latents,
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        let record = self.clip_record(index, latents)?;
        let kept = self.keep(index, (latents, record.as_ref()), observer)?;
        if let Some(kept) = kept.as_ref().filter(|_| !self.family.decodes_onto_picture()) {
            observer.latents_kept(Some(&kept_latents::command(self.request, index, &kept.path)));
        }
        let made = self.decode(networks, index, (latents, record), observer);
        observer.latents_kept(None);
        match (made, kept) {
            (Ok(written), Some(Kept { path, until_done: true })) => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    let hint = "the clip is complete; remove the file by hand";
                    Err(Error::io("removing", &path, error, hint))
                }
                _ => Ok(written),
            },
            (Err(error), Some(kept)) if kept.path.exists() => Err(self.explained(error, index, &kept.path)),
            (made, _) => made,
        }
    }

    /// Writes the latents where that was asked for, and else beside the clip, if making them again takes long.
    fn keep(&self, index: usize, of: (&Latents, Option<&Record>), observer: &mut dyn Observer) -> Result<Option<Kept>> {
        let (latents, record) = of;
        let (request, cheap) = (self.request, self.family.decodes_onto_picture());
        let asked = request.save_latents.as_ref().map(|path| request.path(path, index));
        if asked.is_none() && cheap {
            return Ok(None);
        }
        let bytes = latent_file::to_bytes(latents, &self.latent_record(index, record.cloned()))?;
        let beside_clip = || match &request.save_state {
            Some(state) => kept_latents::replace(&bytes, state.latents()),
            None => kept_latents::keep(&bytes, &request.target(index).path),
        };
        let Some(path) = asked else {
            return Ok(match beside_clip() {
                Ok(path) => Some(Kept { path, until_done: true }),
                Err(error) => {
                    observer.say(Level::Warning, &format!("{error}; the latents are lost if the decode fails"));
                    None
                }
            });
        };
        // A run that goes on may have saved them before.
        let replace = request.output.replace
            || request.save_state.is_some() && std::fs::read(&path).is_ok_and(|saved| saved == bytes);
        match media::write_atomically(&path, &bytes, replace) {
            Ok(()) => Ok(Some(Kept { path, until_done: false })),
            Err(error) if cheap => Err(error),
            Err(error) => Err(match beside_clip() {
                Ok(path) => self.explained(error, index, &path),
                Err(_) => error,
            }),
        }
    }

    /// The error, with the command that goes on from latents that are kept for their worth.
    fn explained(&self, error: Error, index: usize, latents: &Path) -> Error {
        // A run that saves its state goes on as a whole.
        if self.family.decodes_onto_picture() || self.request.save_state.is_some() {
            return error;
        }
        kept_latents::explain(error, &kept_latents::command(self.request, index, latents))
    }

    /// What a later decode of clip `index` has to know.
    fn latent_record(&self, index: usize, provenance: Option<Record>) -> LatentRecord {
        LatentRecord {
            family: self.family.name().to_owned(),
            // What is the device's own here may not be elsewhere.
            model: ModelRequest { dtype: Some(self.family.dtype()), ..self.request.model.clone() },
            seed: self.request.seed(index),
            written: self.clip,
            pass: self.last_pass().clip,
            fit: self.framing.fit(),
            background: self.framing.background(),
            shown: self.framing.shown(),
            generated: self.framing.generated(),
            settings: self.recipe.decode,
            picture: self.picture.clone(),
            provenance,
        }
    }

    /// What clip `index` says of how it was made, where it is to.
    fn clip_record(&self, index: usize, latents: &Latents) -> Result<Option<Record>> {
        let Some(record) = &self.record else { return Ok(None) };
        let shapes = self.family.latent_shapes(&self.recipe.passes[0].clip);
        let noise = sums::of_latents(&self.noise_of_pass(index, true, &shapes)?)?;
        let record = record.of_clip(self.request.seed(index), noise, sums::of_latents(latents)?);
        let begun = self.begun.as_ref().filter(|begun| begun.clip == index);
        Ok(Some(Record { begun_by: begun.map_or_else(Vec::new, |begun| begun.by.clone()), ..record }))
    }

    pub(super) fn last_pass(&self) -> &Pass {
        self.recipe.passes.last().expect("a recipe has a pass")
    }

    fn decode(
        &self,
        networks: &mut Networks,
        index: usize,
        of: (&Latents, Option<Record>),
        observer: &mut dyn Observer,
    ) -> Result<WrittenClip> {
        let (latents, record) = of;
        let scene = self.scenes.last().expect("a recipe has a pass");
        if let Some(preview) = self.preview(index, self.last_pass(), scene, Some(networks.decoder(observer)?)) {
            preview.write(latents, &scene.conditioning, observer)?;
        }
        let decode = ClipDecode {
            family: self.family,
            inputs: DecodeInputs {
                latents,
                conditioning: &scene.conditioning,
                picture: Some(&scene.picture),
                clip: &self.last_pass().clip,
                settings: self.recipe.decode,
                seed: self.request.seed(index),
                piece: None,
            },
            framing: &self.framing,
            clip: &self.clip,
            watermark: self.watermark.as_ref(),
            target: self.request.target(index),
            frames_target: self.request.frames_target(index),
            record,
        };
        networks.decode(&decode, observer)
    }
}
