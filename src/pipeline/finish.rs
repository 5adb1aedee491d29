//! Final latents to a clip on disk.

use std::path::Path;

use super::decode::ClipDecode;
use super::latent_record::LatentRecord;
use super::observer::{Level, Observer};
use super::run::Run;
use super::{kept_latents, latent_file};
use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::media::{self, WrittenClip};
use crate::models::{DecodeInputs, Decoder, Pass};

impl Run<'_> {
    /// Final latents to a clip on disk, after a last preview where one is asked for. Dear latents are on disk before the decode: whatever ends it, they are not lost.
    pub(super) fn finish(
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
        let explained = |error: Error, path: &Path| match cheap {
            true => error,
            false => kept_latents::explain(error, &kept_latents::command(request, index, path)),
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
        if let Some(preview) = self.preview(index, self.last_pass(), scene, Some(decoder)) {
            preview.write(latents, &scene.conditioning, observer)?;
        }
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
