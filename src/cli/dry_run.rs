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
    if let Some(noise) = &request.noise {
        let generated = request::generated(&clip, &framing, family.grid());
        latent_file::read_noise(noise, &family.latent_shapes(&generated))?;
    }
    let mut request = request.clone();
    let defaults = family.defaults();
    request.steps.get_or_insert(defaults.steps);
    request.guidance_scale.get_or_insert(defaults.guidance_scale);
    Ok(Checked { request, clip })
}
