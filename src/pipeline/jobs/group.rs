//! A few jobs of one model: their words, then their pictures, then each of them from noise to a clip.

use super::identity::Identity;
use super::journal::Claim;
use super::{Pending, Session, contained};
use crate::backend::cpu::memory;
use crate::error::{Error, Result};
use crate::media;
use crate::models::{Family, ImageEncoder};
use crate::pipeline;
use crate::pipeline::observer::Stage;
use crate::pipeline::prepare::{EncodedWords, Preparation, Words};
use crate::pipeline::residency::Networks;
use crate::pipeline::run::Run;
use crate::pipeline::state::Saver;

/// Most jobs of a group: what is encoded of them is in memory until they are made.
const MOST_JOBS: usize = 16;
/// No further picture is read once those of a group take so many bytes, until they are encoded.
const MOST_PICTURE_BYTES: usize = 256 << 20;

/// What jobs of one model share.
pub(super) struct Shared<'a> {
    pub family: &'a dyn Family,
    /// Words that have been read lately: many jobs have the same.
    words: Vec<(Words, EncodedWords)>,
}

/// Jobs that are encoded.
pub(super) struct Group<'a> {
    members: Vec<Pending<'a>>,
    /// Of each.
    runs: Vec<Run<'a>>,
    /// Jobs that another process is making.
    busy: Vec<Pending<'a>>,
}

impl<'a> Shared<'a> {
    pub fn new(family: &'a dyn Family) -> Self {
        Self { family, words: Vec::new() }
    }

    /// Takes the next jobs, and encodes them; those that fail are not among them.
    pub fn group(
        &mut self,
        pending: &mut impl Iterator<Item = Pending<'a>>,
        session: &mut Session,
    ) -> Result<Group<'a>> {
        let mut busy = Vec::new();
        let mut prepared: Vec<(Pending<'a>, Preparation<'a>)> = Vec::new();
        let mut bytes = 0;
        while prepared.len() < MOST_JOBS && bytes < MOST_PICTURE_BYTES {
            let Some(next) = pending.next() else { break };
            session.observer.job(Some(next.job));
            match session.journal.look(&next.identity, &next.job.request.outputs())? {
                Some(Claim::Busy) => busy.push(next),
                Some(other) => session.ended_elsewhere(next.job, &other),
                None => match contained(|| self.prepare(&next, session)) {
                    Ok(preparation) => {
                        bytes += preparation.picture_bytes();
                        prepared.push((next, preparation));
                    }
                    Err(error) => session.failed(&next.job.name, (Some(next.identity), None), &error)?,
                },
            }
        }
        let (members, runs) = self.encode(prepared, session)?;
        Ok(Group { members, runs, busy })
    }

    fn prepare(&self, pending: &Pending<'a>, session: &mut Session) -> Result<Preparation<'a>> {
        let request = &pending.job.request;
        let opened = media::image::open(&request.image, &request.read)?;
        if Identity::of(request)? != pending.identity {
            let wanted = "files that stay as they were when the jobs were checked";
            return Err(Error::run("the picture", wanted, "others under their names", "run the same command again"));
        }
        Preparation::of(request, opened, self.family, session.observer)
    }

    /// All words first, then all pictures: one network after the other.
    fn encode(
        &mut self,
        prepared: Vec<(Pending<'a>, Preparation<'a>)>,
        session: &mut Session,
    ) -> Result<(Vec<Pending<'a>>, Vec<Run<'a>>)> {
        let (mut members, mut runs) = (Vec::new(), Vec::new());
        let mut read = Vec::new();
        session.begin(Stage::Text, prepared.len());
        for (index, (pending, preparation)) in prepared.into_iter().enumerate() {
            session.observer.job(Some(pending.job));
            match contained(|| self.read(preparation.words(), session)) {
                Ok(words) => read.push((pending, preparation, words)),
                Err(error) => session.failed(&pending.job.name, (Some(pending.identity), None), &error)?,
            }
            session.advance(index + 1);
        }
        let mut encoder: Option<Box<dyn ImageEncoder>> = None;
        session.begin(Stage::Encode, read.len());
        for (index, (pending, preparation, words)) in read.into_iter().enumerate() {
            session.observer.job(Some(pending.job));
            let run = contained(|| {
                let built = encoder.take().map_or_else(|| self.family.image_encoder(), Ok)?;
                let run = preparation.encode(words, built.as_ref(), session.observer);
                encoder = Some(built);
                run
            });
            match run {
                Ok(run) => {
                    members.push(pending);
                    runs.push(run);
                }
                Err(error) => session.failed(&pending.job.name, (Some(pending.identity), None), &error)?,
            }
            session.advance(index + 1);
        }
        Ok((members, runs))
    }

    /// The words, read as a run of their own would: a batch may round in another way.
    fn read(&mut self, words: Words, session: &mut Session) -> Result<EncodedWords> {
        if let Some((_, encoded)) = self.words.iter().find(|(known, _)| *known == words) {
            return Ok(encoded.clone());
        }
        let encoded = words.encode(self.family, self.family.text_encoder()?.as_ref(), session.observer)?;
        self.words.truncate(MOST_JOBS - 1);
        self.words.insert(0, (words, encoded.clone()));
        Ok(encoded)
    }
}

impl<'a> Group<'a> {
    /// Makes the clips, and returns what another process is making.
    pub fn make(self, session: &mut Session) -> Result<Vec<Pending<'a>>> {
        let Self { members, runs, mut busy } = self;
        let mut networks = Networks::of(&runs);
        for (index, (pending, run)) in members.into_iter().zip(&runs).enumerate() {
            let job = pending.job;
            session.observer.job(Some(job));
            let mine = match session.journal.claim(&job.name, &pending.identity, &job.request.outputs())? {
                Claim::Free(mine) => mine,
                Claim::Busy => {
                    busy.push(pending);
                    continue;
                }
                other => {
                    session.ended_elsewhere(job, &other);
                    continue;
                }
            };
            session.observer.started(job);
            let last = index + 1 == runs.len();
            match contained(|| pipeline::make(run, &mut networks, (last, &mut Saver::default()), session.observer)) {
                Ok(()) => session.done(job, pending.identity, mine)?,
                Err(error) => {
                    // What was too much for the memory, say, is not to burden the next one.
                    networks = Networks::of(&runs);
                    memory::trim();
                    session.failed(&job.name, (Some(pending.identity), Some(mine)), &error)?;
                }
            }
        }
        session.observer.job(None);
        Ok(busy)
    }
}
