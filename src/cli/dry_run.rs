//! `--dry-run`: all checks of a run, and nothing else.

use crate::error::Result;
use crate::models::{self, SamplingOptions};
use crate::pipeline::observer::Observer;
use crate::pipeline::request::{self, Request};
use crate::pipeline::{self, latent_file};
use crate::units::Clip;

/// What a run would do.
pub(super) struct Checked {
    /// The request, with what the model decides.
    pub request: Request,
    /// The clip that it makes.
    pub clip: Clip,
}

/// Checks a request as a run would, without building a network or writing; what is said before a run is said here too.
///
/// # Errors
/// What a run would refuse.
pub(super) fn check(request: &Request, observer: &mut dyn Observer) -> Result<Checked> {
    let picture = pipeline::check(request, observer)?;
    let family = models::open(&request.model, &request.device.open()?)?;
    family.check_prompt(&request.prompt)?;
    let clip = request.clip(&picture)?;
    let framing = request.framing(&picture, &clip, family.grid());
    family.check_hints(&request.hints(&picture, &framing)?)?;
    let generated = request::generated(&clip, &framing, family.grid());
    let recipe = family.recipe(&request.sampling, &generated)?;
    let first = &recipe.passes[0];
    if let Some(noise) = &request.noise {
        latent_file::read_noise(noise, &family.latent_shapes(&first.clip))?;
    }
    pipeline::check_warnings(request, observer)?;
    let mut request = request.clone();
    let sampling = &mut request.sampling;
    // What the model decides is printed where asking for it would decide the same: guidance may change from level to level or from pass to
    // pass, and a pass may leave out steps of its schedule.
    let decides_the_same =
        |asked: &SamplingOptions| family.recipe(asked, &generated).is_ok_and(|decided| decided == recipe);
    if sampling.sigmas.is_none() && sampling.steps.is_none() {
        let counted = SamplingOptions { steps: Some(first.steps()), ..sampling.clone() };
        sampling.steps = counted.steps.filter(|_| decides_the_same(&counted));
    }
    if sampling.guidance_scale.is_none() {
        let guidance_scale = first.guidance.only().map(|range| range.guidance.scale);
        let scaled = SamplingOptions { guidance_scale, ..sampling.clone() };
        sampling.guidance_scale = guidance_scale.filter(|_| decides_the_same(&scaled));
    }
    Ok(Checked { request, clip })
}
