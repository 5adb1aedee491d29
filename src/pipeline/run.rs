//! What every stage of a run reads, and the way from noise to final latents.

use super::denoise::{Denoising, Moment};
use super::latent_record::PictureRecord;
use super::observer::{Observer, Stage};
use super::preview::Preview;
use super::provenance::Record;
use super::provenance::record::Maker;
use super::request::Request;
use super::residency::Networks;
use super::state::{Place, Point, Saver, keeps_start};
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
    pub(super) family: &'a dyn Family,
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
    /// What else took steps of a clip that is gone on with.
    pub(super) begun: Option<Begun>,
}

/// A clip that others have begun.
pub(super) struct Begun {
    /// The clip, from 0.
    pub(super) clip: usize,
    /// What took its first steps.
    pub(super) by: Vec<Maker>,
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
        (index, saver): (usize, &mut Saver),
        observer: &mut dyn Observer,
    ) -> Result<Latents> {
        let passes = &self.recipe.passes;
        let mut point = saver.take_point(index);
        if let Some(Point { latents, .. }) = point.take_if(|point| self.is_final(point)) {
            return self.tone_mapped(latents);
        }
        let (denoiser, decoder) = networks.for_denoising(self.request.preview.is_some(), observer)?;
        let steps: usize = passes.iter().map(Pass::steps).sum();
        observer.begin(Stage::Denoise, steps);
        let first = point.as_ref().map_or(0, |point| point.pass);
        let mut before: usize = passes[..first].iter().map(Pass::steps).sum();
        if let Some(point) = &point {
            observer.advance(before + point.step);
        }
        let mut latents: Option<Latents> = None;
        for (number, (pass, scene)) in passes.iter().zip(&self.scenes).enumerate().skip(first) {
            let shapes = self.family.latent_shapes(&pass.clip);
            let PassStart { start, latents: at, taken } = match point.take() {
                Some(point) => self.resumed(index, point, &shapes)?,
                None => PassStart::new(self.start_of_pass(index, latents.take(), (pass, &shapes))?),
            };
            let constraints = self.family.constraints(&scene.conditioning, &pass.clip)?;
            let constraints = constraints
                .iter()
                .map(|constraint| constraint.weakened(self.recipe.strength, &start.parts[constraint.part]))
                .collect::<Result<Vec<_>>>()?;
            let preview = self.preview(index, pass, scene, decoder);
            let kept_start = keeps_start(&self.recipe, number).then_some(&start);
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
            let result = denoising.run_from(taken, at, |moment, step| {
                let done = before + step + 1;
                match moment {
                    Moment::Predicted(expected) => {
                        observer.advance(done);
                        if let Some(preview) = preview.as_ref().filter(|_| done == steps / 2) {
                            preview.write(&expected.latents()?, &scene.conditioning, observer)?;
                        }
                    }
                    Moment::Stepped(latents) => {
                        let is_last = step + 1 == pass.steps();
                        let place = Place { clip: index, pass: number, step: step + 1, done, is_last };
                        saver.stepped(place, latents, kept_start, observer);
                    }
                }
                Ok(())
            })?;
            before += pass.steps();
            latents = Some(result);
        }
        // Of other weights the latents would be others.
        self.family.check_unchanged()?;
        self.tone_mapped(latents.expect("a recipe has a pass"))
    }

    /// Whether nothing is left to be denoised.
    fn is_final(&self, point: &Point) -> bool {
        self.recipe.passes.get(point.pass + 1).is_none() && point.step == self.last_pass().steps()
    }

    fn tone_mapped(&self, mut latents: Latents) -> Result<Latents> {
        if self.recipe.tone_map_compression > 0.0 {
            for part in latents.parts.values_mut() {
                *part = tone_map(part, self.recipe.tone_map_compression)?;
            }
        }
        Ok(latents)
    }

    /// What a pass begins with: noise, or the latents of the pass before with noise on them.
    fn start_of_pass(&self, index: usize, before: Option<Latents>, of: (&Pass, &Shapes)) -> Result<Latents> {
        let (pass, shapes) = of;
        let noise = self.noise_of_pass(index, before.is_none(), shapes)?;
        match before {
            None => Ok(noise),
            Some(small) => renoised(&self.family.upsampler()?.upsample(&small)?, &noise, pass.sigmas[0]),
        }
    }

    /// The pass in which a run goes on.
    fn resumed(&self, index: usize, point: Point, shapes: &Shapes) -> Result<PassStart> {
        let Point { pass, step: taken, latents, start } = point;
        let start = match start {
            Some(start) => start,
            None if pass == 0 => self.noise_of_pass(index, true, shapes)?,
            // Nobody looks at it: see `keeps_start`.
            None => latents.clone(),
        };
        Ok(PassStart { start, latents, taken })
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

/// Where a pass begins or goes on.
struct PassStart {
    /// The latents at its beginning.
    start: Latents,
    /// The latents from which it goes on.
    latents: Latents,
    /// Steps that are taken.
    taken: usize,
}

impl PassStart {
    fn new(start: Latents) -> Self {
        Self { latents: start.clone(), start, taken: 0 }
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
