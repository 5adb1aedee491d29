//! What a clause asks for: one group for each word of movement, to which adverbs, directions and negations are bound.

use std::collections::BTreeMap;

use super::lexicon::{Direction, Lexicon, Manner, Meaning};
use super::motion::Motion;
use super::tokens::{Correction, Token};
use crate::camera::CameraCommand;
use crate::models::sway::camera_path::CameraMove;

/// Said where a camera is named without a move that is known.
pub const UNCLEAR_CAMERA: &str =
    "camera: not clear what it should do; name a move, for instance \"camera pans left\" or [push in]";

/// A movement that the prompt asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// Which.
    pub motion: Motion,
    /// Product of the adverbs' amounts and the word's own; 1 is normal.
    pub amount: f64,
    /// How much the words say about the amount: 0 nothing, 1 the verb, 2 an adverb.
    pub rank: u8,
    /// -1 slow to 1 fast, where said.
    pub tempo: Option<f64>,
    /// How often, -1 to 1.
    pub rate: f64,
    /// Wind in gusts, 0 to 1.
    pub gust: f64,
    /// A side of the screen, both, up or down.
    pub direction: Option<Direction>,
}

/// A movement that the prompt rules out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Still {
    /// Which.
    pub motion: Motion,
    /// Said of the figure as a whole, so that it gives way to a part that is asked for.
    pub weak: bool,
}

/// A prompt, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Asked for, in order.
    pub mentions: Vec<Mention>,
    /// Ruled out.
    pub stills: Vec<Still>,
    /// Nothing is to move but what is asked for.
    pub everything_still: bool,
    /// Camera moves, each command once.
    pub camera: Vec<CameraMove>,
    /// Camera commands that are ruled out.
    pub camera_refused: Vec<CameraCommand>,
    /// Known but not possible: indices into [`Lexicon::unavailable`].
    pub unavailable: Vec<usize>,
    /// Words of content.
    pub ignored: Vec<String>,
    /// Words that are not in the lexicon.
    pub unknown: Vec<String>,
    /// Misspellings.
    pub corrections: Vec<Correction>,
    /// Further lines for the user.
    pub remarks: Vec<String>,
}

impl Reading {
    /// Adds `line` to the remarks unless it is there.
    pub fn remark(&mut self, line: String) {
        push_once(&mut self.remarks, line);
    }
}

/// Adds `item` unless it is there.
pub fn push_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// What a group is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A movement of these subjects; by an index into [`Lexicon::verbs`].
    Verb {
        /// The verb, unless the subject alone says it.
        verb: Option<usize>,
        /// What it means, for each subject.
        meanings: Vec<Meaning>,
    },
    /// A camera move; by an index into [`Lexicon::camera_verbs`].
    Camera {
        /// The camera verb.
        verb: usize,
        /// What it commands, if anything.
        command: Option<CameraCommand>,
    },
}

/// A word of movement with all that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Position in its clause.
    pub head: usize,
    /// What it is about.
    pub kind: Kind,
    /// Subjects in order, as (position, index into [`Lexicon::subjects`]).
    pub subjects: Vec<Named>,
    /// Adverbs.
    pub manners: Vec<Manner>,
    /// Direction.
    pub direction: Option<Direction>,
    /// Whether it is ruled out.
    pub negated: bool,
}

/// A subject at its place in a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Position of its token.
    pub at: usize,
    /// Index into [`Lexicon::subjects`].
    pub subject: usize,
}

impl Group {
    /// A group without adverbs, direction or negation.
    pub fn new(head: usize, kind: Kind, subjects: Vec<Named>) -> Self {
        Self { head, kind, subjects, manners: Vec::new(), direction: None, negated: false }
    }

    /// Whether left and right say something about it.
    pub fn has_side(&self) -> bool {
        match &self.kind {
            Kind::Verb { meanings, .. } => meanings.iter().any(|meaning| match meaning {
                Meaning::Motion(motion) => motion.has_side(),
                Meaning::Look => true,
                _ => false,
            }),
            Kind::Camera { .. } => false,
        }
    }

    /// Binds a direction; one to the other side makes it both.
    pub fn bind_direction(&mut self, direction: Direction) {
        let direction = on_screen(direction);
        self.direction = match (self.direction, direction) {
            (Some(Direction::Left), Direction::Right) | (Some(Direction::Right), Direction::Left) => {
                Some(Direction::Both)
            }
            (Some(before), _) => Some(before),
            (None, new) => Some(new),
        };
    }

    /// Enters what the group says into `reading`.
    pub fn finish(&self, lexicon: &Lexicon, reading: &mut Reading) {
        match &self.kind {
            Kind::Camera { verb, command } => self.finish_camera(lexicon, (*verb, *command), reading),
            Kind::Verb { verb, meanings } => {
                for (index, meaning) in meanings.iter().enumerate() {
                    let subject = self.subjects.get(index).map(|named| named.subject);
                    if self.negated {
                        self.rule_out(lexicon, (*verb, *meaning, subject), reading);
                    } else {
                        self.ask(lexicon, (*verb, *meaning), reading);
                    }
                }
            }
        }
    }

    fn finish_camera(&self, lexicon: &Lexicon, camera: (usize, Option<CameraCommand>), reading: &mut Reading) {
        let (verb, command) = camera;
        let general = lexicon.camera_verbs[verb].general;
        match (command, self.negated) {
            (_, true) if general => add_camera(reading, CameraMove::full(CameraCommand::StaticShot)),
            (Some(command), true) => push_once(&mut reading.camera_refused, command),
            (Some(command), false) => add_camera(reading, CameraMove { command, strength: self.camera_strength() }),
            (None, true) => {}
            (None, false) => reading.remark(UNCLEAR_CAMERA.into()),
        }
    }

    fn camera_strength(&self) -> f64 {
        let amount = self.manners.iter().map(|manner| manner.amount).product::<f64>();
        let tempo = self.manners.iter().map(|manner| manner.tempo).sum::<f64>();
        match () {
            () if amount < 0.45 => 0.4,
            () if amount < 0.95 || (tempo < -0.1 && amount <= 1.05) => 0.6,
            () if amount > 1.05 || tempo > 0.1 => 1.3,
            () => 1.0,
        }
    }

    fn rule_out(&self, lexicon: &Lexicon, what: (Option<usize>, Meaning, Option<usize>), reading: &mut Reading) {
        let (verb, meaning, subject) = what;
        let subject = subject.map(|index| &lexicon.subjects[index]);
        let general = verb.is_none_or(|index| lexicon.verbs[index].general);
        if matches!(meaning, Meaning::Motion(Motion::Idle) | Meaning::Rest) {
            reading.everything_still = true;
        } else if let Some(subject) = subject.filter(|_| general) {
            reading.stills.extend(subject.still.iter().map(|motion| Still { motion: *motion, weak: subject.weak }));
        } else if let Meaning::Motion(motion) = meaning {
            for motion in variants(motion) {
                reading.stills.push(Still { motion, weak: false });
            }
        }
    }

    fn ask(&self, lexicon: &Lexicon, what: (Option<usize>, Meaning), reading: &mut Reading) {
        let (verb, meaning) = what;
        let motion = match (meaning, self.direction) {
            (Meaning::Camera, _) => return reading.remark(UNCLEAR_CAMERA.into()),
            (Meaning::Unavailable(index), _) => return push_once(&mut reading.unavailable, index),
            (Meaning::Look, Some(Direction::Up | Direction::Down))
            | (Meaning::Motion(Motion::HeadTilt | Motion::HeadTurn), Some(Direction::Up | Direction::Down)) => {
                return push_once(&mut reading.unavailable, lexicon.look_vertical);
            }
            (Meaning::Look, Some(Direction::Left | Direction::Right)) => Motion::HeadTurn,
            (Meaning::Look | Meaning::Motion(Motion::HeadTilt | Motion::HeadTurn), Some(Direction::Both)) => {
                Motion::HeadSway
            }
            (Meaning::Motion(motion), _) => motion,
            _ => return,
        };
        let built_in = verb.map_or(Manner::default(), |index| lexicon.verbs[index].manner);
        let all = || self.manners.iter().chain([&built_in]);
        let said = self.manners.iter().any(|manner| manner.amount != 1.0);
        let tempo = all().map(|manner| manner.tempo).sum::<f64>().clamp(-1.0, 1.0);
        if motion.is_of_eyes() && self.manners.iter().any(|manner| manner.count) {
            reading.remark("a number of blinks cannot be promised: the rate is set to come near it".into());
        }
        reading.mentions.push(Mention {
            motion,
            amount: all().map(|manner| manner.amount).product(),
            rank: if said { 2 } else { u8::from(built_in.amount != 1.0) },
            tempo: all().any(|manner| manner.tempo != 0.0).then_some(tempo),
            rate: all().map(|manner| manner.rate).sum::<f64>().clamp(-1.0, 1.0),
            gust: all().map(|manner| manner.gust).fold(0.0, f64::max),
            direction: self.direction,
        });
    }
}

/// Adds a camera move; a command that is there already keeps its first strength.
pub fn add_camera(reading: &mut Reading, camera_move: CameraMove) {
    if reading.camera.iter().all(|known| known.command != camera_move.command) {
        reading.camera.push(camera_move);
    }
}

/// All motions that go with one that is ruled out.
fn variants(motion: Motion) -> Vec<Motion> {
    match motion {
        Motion::Blink | Motion::CloseEyes => vec![Motion::Blink, Motion::CloseEyes],
        Motion::Wink => vec![Motion::Wink, Motion::WinkLeft, Motion::WinkRight],
        other => vec![other],
    }
}

/// A direction as seen on the screen: a figure that faces us has its left on the right.
pub fn on_screen(direction: Direction) -> Direction {
    match direction {
        Direction::OwnLeft => Direction::Right,
        Direction::OwnRight => Direction::Left,
        other => other,
    }
}

/// The command of a camera verb with the directions at hand: the first that it knows after it, else the last before it.
pub fn camera_command(
    commands: &BTreeMap<Direction, CameraCommand>,
    tokens: &[Token],
    head: usize,
) -> Option<(usize, CameraCommand)> {
    let known = |at: usize| {
        let direction = on_screen(tokens[at].entry.direction?);
        commands.get(&direction).map(|command| (at, *command))
    };
    let next_verb =
        tokens[head + 1..].iter().position(|token| token.entry.camera.is_some() || token.entry.verb.is_some());
    let end = next_verb.map_or(tokens.len(), |offset| head + 1 + offset);
    (head + 1..end).find_map(known).or_else(|| (0..head).rev().find_map(known))
}
