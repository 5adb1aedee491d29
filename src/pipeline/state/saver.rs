//! The part of a run that saves how far it is, and knows where it goes on.

use super::folder::StateFolder;
use super::inputs::Inputs;
use super::record::StateRecord;
use super::saved::{Point, Saved, SavedRun, to_bytes};
use super::{SaveState, explain};
use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::models::{Family, Pass, Recipe};
use crate::picture::Picture;
use crate::pipeline::observer::{Level, Observer};
use crate::pipeline::prepare::Resolved;
use crate::pipeline::provenance::gather;
use crate::pipeline::provenance::record::Maker;
use crate::pipeline::request::Request;
use crate::pipeline::run::Begun;

/// Saves the states of a run, if that is asked for.
#[derive(Debug, Default)]
pub struct Saver {
    saving: Option<Saving>,
    /// The state that the run goes on from; gone once it has begun.
    saved: Option<Saved>,
    /// The first clip that is made.
    first_clip: usize,
    /// Where that goes on.
    point: Option<Point>,
    /// What else took steps of it.
    begun_by: Vec<Maker>,
}

#[derive(Debug)]
struct Saving {
    folder: StateFolder,
    every: usize,
    command: String,
    /// The state on disk; none before the first.
    record: Option<StateRecord>,
    /// Whether the last state could not be saved.
    failing: bool,
}

/// What the steps of a run are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The clip, from 0.
    pub clip: usize,
    /// The pass, from 0.
    pub pass: usize,
    /// Steps of it that are taken.
    pub step: usize,
    /// Steps of the clip that are taken.
    pub done: usize,
    /// Whether it is the pass's last.
    pub is_last: bool,
}

impl Saver {
    /// Of a new run: it makes the folder its own.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub fn of(request: &Request) -> Result<Self> {
        let Some(state) = &request.save_state else { return Ok(Self::default()) };
        let saving = Saving::new(StateFolder::create(&state.folder)?, state);
        Ok(Self { saving: Some(saving), ..Self::default() })
    }

    /// Of a run that goes on.
    ///
    /// # Errors
    /// A state that does not belong to the request.
    pub fn going_on(request: &Request, run: SavedRun) -> Result<Self> {
        let SavedRun { saved, folder, .. } = run;
        let record = saved.record();
        let Some(state) = request.save_state.as_ref().filter(|_| record.count == request.count) else {
            return Err(damaged(&saved, "the state of all clips of its request", format!("{}", record.count)));
        };
        let saving = Saving { record: Some(record.clone()), ..Saving::new(folder, state) };
        Ok(Self { saving: Some(saving), first_clip: record.clip, saved: Some(saved), ..Self::default() })
    }

    /// The run is about to begin: from here on it can go on later. `original`: the picture as it was read.
    ///
    /// # Errors
    /// A first state that cannot be written; or inputs that are others than those that a run began with which is to go on.
    pub fn begin(
        &mut self,
        request: &Request,
        original: &Picture,
        (family, resolved): (&dyn Family, &Resolved),
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some(saving) = &mut self.saving else { return Ok(()) };
        let inputs = Inputs::of(request, original, family, resolved)?;
        let maker = gather::maker(family);
        match self.saved.take() {
            None => saving.save(StateRecord::new(request, inputs, maker)?, None, None)?,
            Some(saved) => {
                inputs.check(&saved.record().inputs)?;
                let record = saved.record().clone().gone_on_with(maker.clone());
                for before in record.begun_by() {
                    let line = format!(
                        "the run began by {before} and goes on by {maker}: the clip will not have the same bytes"
                    );
                    observer.say(Level::Warning, &line);
                }
                self.begun_by = record.begun_by().to_vec();
                saving.record = Some(record);
                self.point = point(&saved, family, &resolved.recipe)?;
                observer.say(Level::Note, &format!("going on with {}", saved.record().describe()));
            }
        }
        observer.resumable(Some(&saving.command));
        Ok(())
    }

    /// The first clip that is made: those before it are complete.
    pub fn first_clip(&self) -> usize {
        self.first_clip
    }

    /// The first clip that is made, where others have begun it.
    pub fn begun(&self) -> Option<Begun> {
        let Self { first_clip, begun_by, .. } = self;
        (!begun_by.is_empty()).then(|| Begun { clip: *first_clip, by: begun_by.clone() })
    }

    /// Where clip `index` goes on, if it has been begun; asked for once.
    pub fn take_point(&mut self, index: usize) -> Option<Point> {
        self.point.take_if(|_| index == self.first_clip)
    }

    /// A step is taken. `start`: as in [`Point`]. A state that cannot be saved is no reason to end a run, but said.
    pub fn stepped(&mut self, place: Place, latents: &Latents, start: Option<&Latents>, observer: &mut dyn Observer) {
        let Place { clip, pass, step, done, is_last } = place;
        if let Some(saving) = self.saving.as_mut().filter(|saving| is_last || done % saving.every == 0) {
            saving.save_or_say(|record| record.at(clip, pass, step), (Some(latents), start), observer);
        }
    }

    /// Clip `index` is complete.
    pub fn finished(&mut self, index: usize, observer: &mut dyn Observer) {
        let Some(saving) = &mut self.saving else { return };
        saving.save_or_say(|record| record.at(index + 1, 0, 0), (None, None), observer);
        if saving.record.as_ref().is_some_and(StateRecord::is_finished) {
            observer.resumable(None);
        }
    }

    /// The error, with the command that goes on where there is one.
    pub fn explained(&self, error: Error) -> Error {
        match self.saving.as_ref().filter(|saving| saving.record.is_some()) {
            Some(saving) => explain(error, &saving.command),
            None => error,
        }
    }
}

impl Saving {
    fn new(folder: StateFolder, state: &SaveState) -> Self {
        Self { folder, every: state.every, command: state.resume_command(), record: None, failing: false }
    }

    fn save(&mut self, record: StateRecord, latents: Option<&Latents>, start: Option<&Latents>) -> Result<()> {
        self.folder.write(&to_bytes(&record, latents, start)?)?;
        self.record = Some(record);
        Ok(())
    }

    /// Saves the state that follows the one before; says once when that begins to fail.
    fn save_or_say(
        &mut self,
        next: impl FnOnce(StateRecord) -> StateRecord,
        (latents, start): (Option<&Latents>, Option<&Latents>),
        observer: &mut dyn Observer,
    ) {
        let before = self.record.clone().expect("a run begins with a state");
        let kept = before.describe();
        let saved = self.save(next(before), latents, start);
        if let Err(error) = &saved
            && !self.failing
        {
            let line = format!("{error}; the run goes on, and its state stays that of {kept}: {}", error.hint());
            observer.say(Level::Warning, &line);
        }
        self.failing = saved.is_err();
    }
}

/// The latents of a state, if it has some: of the shapes that this recipe has where the state says that it is.
fn point(saved: &Saved, family: &dyn Family, recipe: &Recipe) -> Result<Option<Point>> {
    let record = saved.record();
    let Some(pass) = recipe.passes.get(record.pass).filter(|pass| record.step <= Pass::steps(pass)) else {
        return Err(damaged(saved, "a step that its request has", record.describe()));
    };
    let with_start = keeps_start(recipe, record.pass);
    let of = (&family.latent_shapes(&pass.clip), with_start);
    (record.step > 0).then(|| saved.point(of)).transpose()
}

/// Whether the latents at the beginning of a pass are kept: they are drawn again in the first one, and not looked at where all is held firmly.
pub fn keeps_start(recipe: &Recipe, pass: usize) -> bool {
    pass > 0 && recipe.strength != 1.0
}

fn damaged(saved: &Saved, wanted: &str, found: String) -> Error {
    Error::input(saved.thing(), wanted, found, "it is damaged or was changed: begin the run anew")
}
