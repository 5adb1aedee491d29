//! The whole run: picture -> conditioning -> denoise -> decode -> clip.

pub mod bench;
mod data_folder;
pub mod decode;
pub mod denoise;
mod finish;
pub mod jobs;
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
pub mod state;
#[cfg(test)]
mod tests;
mod writing;

use crate::backend::cpu::memory;
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
use state::{SaveState, SavedRun, Saver};

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
    run(request, picture, (family, Saver::of(request)?), observer)
}

/// Goes on with a run of this request, which ends with the same bytes as one that was never interrupted.
///
/// # Errors
/// As [`generate`], and a state that does not belong to the request or to what it reads.
pub fn resume(request: &Request, saved: SavedRun, observer: &mut dyn Observer) -> Result<()> {
    observer.begin(Stage::Prepare, 1);
    let picture = check_from(request, Some(&saved), observer)?;
    let family = models::open(&request.model, &request.device.open()?)?;
    run(request, picture, (family, Saver::going_on(request, saved)?), observer)
}

/// Checks all that can be checked before anything is loaded, says what there is to say before a run, and gives the picture.
///
/// # Errors
/// Bad input, or a place that cannot be written to.
pub fn check(request: &Request, observer: &mut dyn Observer) -> Result<OpenedPicture> {
    request.save_state.as_ref().map_or(Ok(()), SaveState::check)?;
    check_from(request, None, observer)
}

/// The same of a run that goes on.
fn check_from(request: &Request, saved: Option<&SavedRun>, observer: &mut dyn Observer) -> Result<OpenedPicture> {
    request.remarks.iter().for_each(|(level, line)| observer.say(*level, line));
    models::check(&request.model)?;
    request.check_targets_from(saved.map(|saved| saved.record().clip))?;
    provenance::gather::check(request)?;
    let image = saved.and_then(|saved| saved.image.as_ref()).unwrap_or(&request.image);
    let opened = media::image::open(image, &request.read)?;
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

/// The run itself, from where it goes on; whatever ends it is said together with how it goes on later.
fn run(
    request: &Request,
    picture: OpenedPicture,
    (family, mut saver): (Box<dyn Family>, Saver),
    observer: &mut dyn Observer,
) -> Result<()> {
    let saver = &mut saver;
    let made = Run::prepare(request, picture, (family.as_ref(), saver), observer)
        .and_then(|run| make(&run, &mut Networks::of(std::slice::from_ref(&run)), (true, saver), observer));
    made.map_err(|error| saver.explained(error))
}

/// Makes all clips of a run that is prepared; [`residency`] says what is in memory when. `last`: whether nobody needs the denoiser after it.
fn make(
    run: &Run,
    networks: &mut Networks,
    (last, saver): (bool, &mut Saver),
    observer: &mut dyn Observer,
) -> Result<()> {
    let count = run.request.count;
    for index in saver.first_clip()..count {
        let seed = run.request.seed(index);
        observer.clip(index, count, seed);
        let latents = run.denoise(networks, (index, saver), observer)?;
        if last && index + 1 == count {
            networks.free_denoiser();
        }
        let written = run.finish(networks, index, &latents, observer)?;
        saver.finished(index, observer);
        // What it leaves behind would lie between what the next one needs, and what a night of clips holds would be chance.
        memory::trim();
        observer.finished(&Outcome { written, clip: run.clip, seed });
    }
    Ok(())
}
