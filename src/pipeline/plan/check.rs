//! All checks of a run, and what the model decides; nothing else.

use super::{Plan, plan_of};
use crate::error::Result;
use crate::models::{self, Family, SamplingOptions};
use crate::pipeline::observer::Observer;
use crate::pipeline::prepare::Resolved;
use crate::pipeline::request::Request;
use crate::pipeline::{self};
use crate::units::Clip;

/// What a run would do.
#[derive(Debug)]
pub struct Planned {
    /// The request, with what the model decides.
    pub request: Request,
    /// The clip that it makes.
    pub clip: Clip,
    /// What that takes.
    pub plan: Plan,
}

/// Checks a request as a run would, without building a network or writing, and says what the run would take; what is said before a run is said
/// here too.
///
/// # Errors
/// What a run would refuse.
pub fn plan(request: &Request, observer: &mut dyn Observer) -> Result<Planned> {
    let picture = pipeline::check(request, observer)?.picture;
    let device = request.device.open()?;
    let family = models::open(&request.model, &device)?;
    let resolved = Resolved::of(request, &picture, family.as_ref(), observer)?;
    let plan = plan_of(request, family.as_ref(), (&device, &resolved))?;
    let request = with_decisions(request, family.as_ref(), &resolved);
    Ok(Planned { request, clip: resolved.clip, plan })
}

/// The request with what the model decides, where asking for it would decide the same: guidance may change from level to level or from pass to
/// pass, and a pass may leave out steps of its schedule.
pub(in crate::pipeline) fn with_decisions(request: &Request, family: &dyn Family, resolved: &Resolved) -> Request {
    let Resolved { generated, recipe, .. } = resolved;
    let first = &recipe.passes[0];
    let mut request = request.clone();
    let sampling = &mut request.sampling;
    let decides_the_same =
        |asked: &SamplingOptions| family.recipe(asked, generated).is_ok_and(|decided| decided == *recipe);
    if sampling.sigmas.is_none() && sampling.steps.is_none() {
        let counted = SamplingOptions { steps: Some(first.steps()), ..sampling.clone() };
        sampling.steps = counted.steps.filter(|_| decides_the_same(&counted));
    }
    if sampling.guidance_scale.is_none() {
        let guidance_scale = first.guidance.only().map(|range| range.guidance.scale);
        let scaled = SamplingOptions { guidance_scale, ..sampling.clone() };
        sampling.guidance_scale = guidance_scale.filter(|_| decides_the_same(&scaled));
    }
    request
}
