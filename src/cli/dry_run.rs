//! `--dry-run`: all checks of a run, and nothing else.

use crate::error::Result;
use crate::media;
use crate::media::framing::FramingRequest;
use crate::models;
use crate::pipeline::observer::{Level, Observer};
use crate::pipeline::request::Request;
use crate::units::Clip;

/// Checks a request as a run would, without loading weights or writing; what is said before a run is said here too.
///
/// # Errors
/// What a run would refuse.
pub(super) fn check(request: &Request, observer: &mut dyn Observer) -> Result<Clip> {
    request.remarks.iter().for_each(|(level, line)| observer.say(*level, line));
    request.check_targets()?;
    let opened = media::image::open(&request.image, &request.read)?;
    opened.notes.iter().for_each(|note| observer.say(Level::Note, note));
    let clip = request.clip(&opened.picture)?;
    let framing = FramingRequest {
        written: (clip.width, clip.height),
        fit: request.fit,
        background: request.read.background,
        side_multiple: 1,
    }
    .of(&opened.picture);
    request.hints(&opened.picture, &framing)?;
    models::open(&request.model, &request.device.open()?)?;
    Ok(clip)
}
