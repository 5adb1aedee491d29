//! Clauses to a [`Reading`]: finds the words of movement, their subjects, and what is said about them.

use super::group::{Group, Named, Reading, UNCLEAR_CAMERA, push_once};
use super::lexicon::{Lexicon, Link, Manner, Meaning};
use super::tokens::{Clause, Token, split};
use crate::camera::CameraCommand;

/// Reads a prompt without brackets.
pub fn read(lexicon: &Lexicon, prompt: &str) -> Reading {
    let split = split(lexicon, prompt);
    let clauses = join_subjects(split.clauses);
    let mut reader = Reader {
        lexicon,
        groups: Vec::new(),
        state: Context::default(),
        reading: Reading::default(),
        leftovers: Vec::new(),
    };
    reader.reading.corrections = split.corrections;
    for (index, clause) in clauses.iter().enumerate() {
        reader.clause(clause, clauses.get(index + 1));
    }
    reader.finish()
}

/// "hair and dress flutter": gives the verb of a later clause to the subjects joined to it, by making one clause of them.
fn join_subjects(clauses: Vec<Clause>) -> Vec<Clause> {
    let mut joined: Vec<Clause> = Vec::new();
    // Backwards, so that a list of any length collapses into the clause that has the verb.
    for mut clause in clauses.into_iter().rev() {
        if let Some(next) = joined.last_mut() {
            let by_and = next.link == Link::And;
            let in_list =
                next.link == Link::Comma && next.tokens.iter().any(|token| token.entry.link == Some(Link::And));
            if (by_and || in_list) && ends_in_subject(&clause, by_and) && subject_leads(next) {
                let joint = Token {
                    text: "and".into(),
                    entry: super::lexicon::Entry { link: Some(Link::And), ..Default::default() },
                    known: true,
                };
                clause.tokens.push(joint);
                clause.tokens.append(&mut next.tokens);
                *next = clause;
                continue;
            }
        }
        joined.push(clause);
    }
    joined.reverse();
    joined
}

/// Whether a token is a word of movement or of stillness.
pub(super) fn is_verb(token: &Token) -> bool {
    token.entry.verb.is_some() || token.entry.camera.is_some() || token.entry.stillness || token.entry.stays
}

fn ends_in_subject(clause: &Clause, content_allowed: bool) -> bool {
    let allowed = |token: &Token| {
        let entry = &token.entry;
        entry.subject.is_some()
            || entry.determiner
            || entry.negation
            || entry.link.is_some()
            || (content_allowed && (entry.ignored || entry.keeps))
    };
    clause.tokens.last().is_some_and(|token| token.entry.subject.is_some())
        && clause.tokens.iter().all(|token| allowed(token) && !is_verb(token))
}

fn subject_leads(clause: &Clause) -> bool {
    let subject = clause.tokens.iter().position(|token| token.entry.subject.is_some());
    let verb = clause.tokens.iter().position(is_verb);
    matches!((subject, verb), (Some(subject), Some(verb)) if subject < verb)
}

/// What earlier clauses leave for later ones.
#[derive(Default)]
pub(super) struct Context {
    /// What the sentence is about.
    pub(super) topic: Vec<usize>,
    /// Groups of the last clause of this sentence that had any: a range of [`Reader::groups`].
    pub(super) last: std::ops::Range<usize>,
    /// The verb of the last clause that had nothing to move: "animate only the hair".
    pub(super) unresolved: Option<usize>,
    /// Adverbs that wait for the first group to come.
    pub(super) waiting: Vec<Manner>,
    /// Subjects named alone in their clause, for a prompt of bare words.
    pub(super) bare: Vec<Group>,
}

/// Words without a use.
#[derive(PartialEq)]
struct Leftover {
    text: String,
    /// The thing that they name, if that is all.
    subject: Option<usize>,
}

/// A prompt half read.
pub(super) struct Reader<'a> {
    pub(super) lexicon: &'a Lexicon,
    pub(super) groups: Vec<Group>,
    pub(super) state: Context,
    pub(super) reading: Reading,
    leftovers: Vec<Leftover>,
}

impl Reader<'_> {
    fn clause(&mut self, clause: &Clause, next: Option<&Clause>) {
        if clause.link == Link::Sentence {
            self.state.topic.clear();
            self.state.last = self.groups.len()..self.groups.len();
        }
        let remarks = self.reading.remarks.len();
        let tokens = &clause.tokens;
        let worn = self.worn(tokens);
        let subjects: Vec<Named> = tokens
            .iter()
            .enumerate()
            .filter(|(at, _)| !worn[*at])
            .filter_map(|(at, token)| token.entry.subject.map(|subject| Named { at, subject }))
            .collect();
        let mut used = vec![false; tokens.len()];
        let unresolved = self.state.unresolved.take();
        let only_follows = next.is_some_and(|next| next.link == Link::Except);
        let mut groups = self.verbs(clause, &subjects, &worn, &mut used);
        if only_follows {
            self.reading.remarks.truncate(remarks);
        }
        self.always(&subjects, &mut groups);
        let continues = groups.is_empty();
        if continues {
            groups = self.continued(clause, &subjects, unresolved);
        }
        self.negations(clause, &subjects, &mut groups, &mut used);
        self.stillness(tokens, &subjects, &mut used);
        for named in &subjects {
            used[named.at] |= groups.iter().any(|group| self.is_about(group, named));
        }
        let found = self.manners(clause, next, &mut groups, &mut used);
        if continues && clause.link == Link::And && !groups.is_empty() {
            // "blows her scarf and hair wildly": of both.
            for group in self.groups.get_mut(self.state.last.clone()).unwrap_or_default() {
                group.manners.extend(&found);
            }
        }
        self.directions(tokens, &mut groups, &used);
        self.camera_alone(tokens, &subjects, &groups);
        self.leftover_words(tokens, &used);

        if let Some(group) = groups.last() {
            if !group.subjects.is_empty() {
                self.state.topic = group.subjects.iter().map(|named| named.subject).collect();
            }
            self.state.last = self.groups.len()..self.groups.len() + groups.len();
            self.groups.append(&mut groups);
        } else if let Some(named) = subjects.last() {
            self.state.topic = vec![named.subject];
        }
    }

    /// A camera that is named and does nothing.
    fn camera_alone(&mut self, tokens: &[Token], subjects: &[Named], groups: &[Group]) {
        let named = subjects.iter().any(|named| tokens[named.at].text.starts_with("camera"));
        let still = self.reading.camera.iter().any(|known| known.command == CameraCommand::StaticShot);
        if named && groups.is_empty() && !still {
            self.reading.remark(UNCLEAR_CAMERA.into());
        }
    }

    /// Lists what was not used: content, in runs of neighbouring words, and unknown words.
    fn leftover_words(&mut self, tokens: &[Token], used: &[bool]) {
        let mut run: Vec<&Token> = Vec::new();
        for (token, used) in tokens.iter().zip(used) {
            let entry = &token.entry;
            let part = entry.subject.is_some_and(|subject| self.is_listed(subject));
            if !used && (entry.ignored || part || entry.verb.is_some() || entry.manner.is_some()) {
                run.push(token);
                continue;
            }
            self.end_run(&mut run);
            if !token.known {
                push_once(&mut self.reading.unknown, token.text.clone());
            }
        }
        self.end_run(&mut run);
    }

    /// Whether a subject that does nothing is worth a word: not so the figure as a whole, the camera and the picture.
    fn is_listed(&self, subject: usize) -> bool {
        let subject = &self.lexicon.subjects[subject];
        !subject.weak && !subject.everything && !matches!(subject.moves, Meaning::Rest | Meaning::Camera)
    }

    fn end_run(&mut self, run: &mut Vec<&Token>) {
        let subject = match run.as_slice() {
            [] => return,
            [only] => only.entry.subject,
            _ => None,
        };
        let text = run.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        push_once(&mut self.leftovers, Leftover { text, subject });
        run.clear();
    }

    fn finish(mut self) -> Reading {
        let bare = |leftover: &Leftover| leftover.subject.is_some_and(|subject| self.lexicon.subjects[subject].bare);
        if self.leftovers.iter().all(bare) {
            self.groups.append(&mut self.state.bare);
        }
        for group in &self.groups {
            group.finish(self.lexicon, &mut self.reading);
        }
        // What is named in one clause and moves in another is not ignored.
        let moving: Vec<_> = self.reading.mentions.iter().map(|mention| mention.motion).collect();
        let moves = |subject: usize| self.lexicon.subjects[subject].still.iter().any(|motion| moving.contains(motion));
        self.leftovers.retain(|leftover| !leftover.subject.is_some_and(moves));
        self.reading.ignored = self.leftovers.into_iter().map(|leftover| leftover.text).collect();
        self.reading
    }
}
