//! What every stage of a run reads, and the way from noise to final latents.

use super::denoise::Denoising;
use super::latent_record::PictureRecord;
use super::observer::{Observer, Stage};
use super::preview::Preview;
use super::provenance::Record;
use super::request::Request;
use super::residency::Networks;
use crate::diffusion::noise::{self, Purpose};
use crate::diffusion::renoise::renoise;
use crate::diffusion::tone_map::tone_map;
use crate::error::Result;
use crate::latents::{Latents, Shapes};
use crate::media::framing::Framing;
use crate::media::watermark::PreparedWatermark;
use crate::models::{Conditioning, DecodeSettings, Decoder, Family, Pass, Recipe, TextTokens};
use crate::picture::Picture;
use crate::units::Clip;

/// What every stage reads.
pub(super) struct Run<'a> {
    pub(super) request: &'a Request,
    pub(super) family: Box<dyn Family>,
    pub(super) framing: Framing,
    pub(super) recipe: Recipe,
    /// The tokens of all texts, where they are counted.
    pub(super) text: Option<TextTokens>,
    /// What each pass of the recipe sees.
    pub(super) scenes: Vec<Scene>,
    /// The clip as it is written.
    pub(super) clip: Clip,
    pub(super) watermark: Option<PreparedWatermark>,
    pub(super) noise: Option<Latents>,
    /// What saved latents say of the picture.
    pub(super) picture: Option<PictureRecord>,
    /// What clips say of how they were made, as far as it is the same for all.
    pub(super) record: Option<Record>,
}

/// What a pass sees.
pub(super) struct Scene {
    /// The picture as the model gets it.
    pub(super) picture: Picture,
    pub(super) conditioning: Conditioning,
}

impl Run<'_> {
    /// Previews of what `scene` shows, where they are asked for.
    pub(super) fn preview<'b>(
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
    pub(super) fn denoise(
        &self,
        networks: &mut Networks,
        index: usize,
        observer: &mut dyn Observer,
    ) -> Result<Latents> {
        let (denoiser, decoder) = networks.for_denoising(observer)?;
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
    pub(super) fn noise_of_pass(&self, index: usize, first: bool, shapes: &Shapes) -> Result<Latents> {
        let seed = self.request.seed(index);
        match &self.noise {
            Some(noise) if first => Ok(noise.clone()),
            _ if first => noise::initial(seed, shapes),
            _ => noise::of_step(seed, Purpose::SecondPass, 0, shapes),
        }
    }
}

/// Clean latents brought back to the noise level `sigma`.
fn renoised(clean: &Latents, noise: &Latents, sigma: f64) -> Result<Latents> {
    let mut renoised = Latents::default();
    for (name, part) in &clean.parts {
        renoised.parts.insert(name, renoise(part, &noise.parts[name], sigma)?);
    }
    Ok(renoised)
}
