//! `--dry-run`: all checks of a run, and nothing else.

use crate::error::Result;
use crate::models;
use crate::pipeline;
use crate::pipeline::observer::Observer;
use crate::pipeline::request::Request;
use crate::units::Clip;

/// Checks a request as a run would, without building a network or writing; what is said before a run is said here too.
///
/// # Errors
/// What a run would refuse.
pub(super) fn check(request: &Request, observer: &mut dyn Observer) -> Result<Clip> {
    let picture = pipeline::check(request, observer)?;
    let family = models::open(&request.model, &request.device.open()?)?;
    let clip = request.clip(&picture)?;
    request.hints(&picture, &request.framing(&picture, &clip, family.grid()))?;
    Ok(clip)
}
