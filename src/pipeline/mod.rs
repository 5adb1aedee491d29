//! The whole run: picture -> conditioning -> denoise -> decode -> clip.

pub mod bench;
mod data_folder;
pub mod decode;
pub mod denoise;
mod finish;
pub mod kept_latents;
pub mod latent_file;
pub mod latent_record;
pub mod observer;
pub mod plan;
mod prepare;
mod preview;
pub mod provenance;
pub mod request;
pub mod residency;
mod run;
pub mod settings;
#[cfg(test)]
mod tests;
mod writing;

use crate::error::{Error, Result};
use crate::media::degrade::Degradation;
use crate::media::image::OpenedPicture;
use crate::media::{self, WrittenClip};
use crate::models::{self, Family};
use crate::units::Clip;
use observer::{Level, Observer, Stage};
use request::Request;
use residency::Networks;
use run::Run;

/// A clip that a run made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The clip on disk.
    pub written: WrittenClip,
    /// Its shape.
    pub clip: Clip,
    /// Its seed.
    pub seed: u64,
}

/// Makes all clips of a request; the observer hears of each as it is complete.
///
/// # Errors
/// Bad input before anything is loaded; afterwards whatever failed. No unfinished file is left under a final name.
pub fn generate(request: &Request, observer: &mut dyn Observer) -> Result<()> {
    observer.begin(Stage::Prepare, 1);
    let picture = check(request, observer)?;
    let family = models::open(&request.model, &request.device.open()?)?;
    run(request, picture, family, observer)
}

/// Checks all that can be checked before anything is loaded, says what there is to say before a run, and gives the picture.
///
/// # Errors
/// Bad input, or a place that cannot be written to.
pub fn check(request: &Request, observer: &mut dyn Observer) -> Result<OpenedPicture> {
    request.remarks.iter().for_each(|(level, line)| observer.say(*level, line));
    models::check(&request.model)?;
    request.check_targets()?;
    provenance::gather::check(request)?;
    let opened = media::image::open(&request.image, &request.read)?;
    opened.notes.iter().for_each(|note| observer.say(Level::Note, note));
    request.degradation.map_or(Ok(()), Degradation::check)?;
    let clip = request.clip(&opened.picture)?;
    request.check_clip(&clip)?;
    request.watermark(&clip)?;
    Ok(opened)
}

/// Refuses what was warned of, where the request is strict; for when the model is open.
///
/// # Errors
/// The first warning.
pub fn check_warnings(request: &Request, observer: &dyn Observer) -> Result<()> {
    match observer.first_warning().filter(|_| request.strict) {
        Some(warning) => {
            Err(Error::input("--strict", "a run without warnings", warning, "leave --strict out to go on"))
        }
        None => Ok(()),
    }
}

/// The run itself; [`residency`] says what is in memory when.
fn run(request: &Request, picture: OpenedPicture, family: Box<dyn Family>, observer: &mut dyn Observer) -> Result<()> {
    let run = Run::prepare(request, picture, family, observer)?;
    let mut networks = Networks::of(&run);
    for index in 0..request.count {
        let seed = request.seed(index);
        observer.clip(index, request.count, seed);
        let latents = run.denoise(&mut networks, index, observer)?;
        if index + 1 == request.count {
            networks.free_denoiser();
        }
        let written = run.finish(&mut networks, index, &latents, observer)?;
        observer.finished(&Outcome { written, clip: run.clip, seed });
    }
    Ok(())
}
