//! `--dry-run`: all checks of a run, and nothing else.

use crate::error::Result;
use crate::models;
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
    request.hints(&picture, &framing)?;
    let generated = request::generated(&clip, &framing, family.grid());
    let recipe = family.recipe(&request.sampling, &generated)?;
    let first = &recipe.passes[0];
    if let Some(noise) = &request.noise {
        latent_file::read_noise(noise, &family.latent_shapes(&first.clip))?;
    }
    pipeline::check_warnings(request, observer)?;
    let mut request = request.clone();
    let sampling = &mut request.sampling;
    if sampling.sigmas.is_none() {
        sampling.steps.get_or_insert(first.steps());
    }
    // Where guidance changes from level to level there is no one scale to print.
    if let Some(range) = first.guidance.only() {
        sampling.guidance_scale.get_or_insert(range.guidance.scale);
    }
    Ok(Checked { request, clip })
}
