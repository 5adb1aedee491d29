//! What is said about a movement: adverbs, directions, negation and stillness, bound to the nearest [`Group`].

use super::grammar::{Reader, is_verb};
use super::group::{Group, Named, Still, add_camera};
use super::lexicon::{Direction, Link, Manner, Meaning};
use super::movement::together;
use super::tokens::{Clause, Token};
use crate::camera::CameraCommand;
use crate::models::sway::camera_path::CameraMove;

impl Reader<'_> {
    pub(super) fn negations(&mut self, clause: &Clause, subjects: &[Named], groups: &mut [Group], used: &mut [bool]) {
        let carried = clause.link == Link::Or
            && self.groups.get(self.state.last.clone()).is_some_and(|last| last.iter().any(|group| group.negated));
        let first = clause.tokens.iter().position(|token| token.entry.negation);
        let Some(from) = carried.then_some(0).or(first) else { return };
        let mut found = false;
        for group in groups.iter_mut().filter(|group| group.head >= from) {
            group.negated = true;
            found = true;
        }
        if found || clause.tokens.iter().any(|token| token.entry.stillness || token.entry.stays) {
            return;
        }
        for named in subjects.iter().filter(|named| named.at > from) {
            let subject = &self.lexicon.subjects[named.subject];
            self.reading
                .stills
                .extend(subject.still.iter().map(|motion| Still { motion: *motion, weak: subject.weak }));
            used[named.at] |= !subject.still.is_empty();
        }
    }

    pub(super) fn stillness(&mut self, tokens: &[Token], subjects: &[Named], used: &mut [bool]) {
        let is_still = |at: usize| {
            let entry = &tokens[at].entry;
            let last = tokens[at + 1..].iter().all(|token| token.entry.stop || token.entry.determiner);
            let kept = at > 0 && (tokens[at - 1].entry.keeps || tokens[at - 1].entry.manner.is_some());
            let goes_on = tokens.get(at + 1).is_some_and(|token| token.entry.verb.is_some());
            let keeps =
                tokens[..at].iter().any(|token| token.text.starts_with("keep") || token.text.starts_with("stay"));
            entry.stillness || (entry.stays && !goes_on && (last || kept || keeps))
        };
        for at in 0..tokens.len() {
            // A word that the camera took, as "static" in "static shot", is done with.
            if used[at] || !is_still(at) {
                continue;
            }
            used[at] = true;
            let Some(nearest) = subjects.iter().min_by_key(|named| (named.at.abs_diff(at), named.at > at)) else {
                self.reading.everything_still = true;
                continue;
            };
            for named in together(tokens, subjects, nearest) {
                used[named.at] = true;
                let subject = &self.lexicon.subjects[named.subject];
                if subject.moves == Meaning::Camera {
                    add_camera(&mut self.reading, CameraMove::full(CameraCommand::StaticShot));
                }
                self.reading.everything_still |= subject.everything;
                self.reading
                    .stills
                    .extend(subject.still.iter().map(|motion| Still { motion: *motion, weak: subject.weak }));
            }
        }
    }

    /// Binds the adverbs of a clause to its movements, or to those of its neighbours. Returns those that it has bound.
    pub(super) fn manners(
        &mut self,
        clause: &Clause,
        next: Option<&Clause>,
        groups: &mut [Group],
        used: &mut [bool],
    ) -> Vec<Manner> {
        let found = self.manners_in(&clause.tokens, used);
        let all: Vec<Manner> = found.iter().map(|(_, manner)| *manner).collect();
        if groups.is_empty() {
            self.manners_of_neighbours(clause, next, all);
            return Vec::new();
        }
        let first = groups.iter_mut().min_by_key(|group| group.head);
        first.into_iter().for_each(|group| group.manners.append(&mut self.state.waiting));
        for (at, manner) in found {
            // Between two movements an adverb belongs to the one before it, an adjective to the one after.
            let adverb = clause.tokens[at].text.ends_with("ly");
            let distance = |group: &Group| (group.head.abs_diff(at), (group.head > at) == adverb);
            let Some(nearest) = groups.iter().map(distance).min() else { continue };
            for group in groups.iter_mut().filter(|group| distance(group) == nearest) {
                group.manners.push(manner);
            }
        }
        all
    }

    /// The adverbs of a clause and where they stand.
    fn manners_in(&self, tokens: &[Token], used: &mut [bool]) -> Vec<(usize, Manner)> {
        let mut replaced = false;
        let mut found = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let Some(manner) = token.entry.manner.filter(|_| !self.describes(tokens, at, used)) else { continue };
            used[at] = true;
            if std::mem::replace(&mut replaced, manner.replaces_next) {
                continue;
            }
            let boosted = at > 0 && tokens[at - 1].entry.booster;
            found.push((at, if boosted { boost(manner) } else { manner }));
        }
        found
    }

    /// "strong man", "big eyes", "wild forest": an adjective of something that is not a movement.
    fn describes(&self, tokens: &[Token], at: usize, used: &[bool]) -> bool {
        if tokens[at].text.ends_with("ly") || tokens[at].text.contains(' ') {
            return false;
        }
        let Some(next) = (at + 1..tokens.len()).find(|next| tokens[*next].entry.manner.is_none()) else { return false };
        match tokens[next].entry.subject {
            Some(subject) => !used[next] || self.lexicon.subjects[subject].weak,
            None => !used[next] && tokens[next].entry.ignored,
        }
    }

    /// "hair flows, slowly and gently", "slowly and gently flowing hair": adverbs of a clause that has no movement.
    fn manners_of_neighbours(&mut self, clause: &Clause, next: Option<&Clause>, found: Vec<Manner>) {
        let content = |token: &Token| token.entry.ignored || token.entry.subject.is_some() || !token.known;
        let only_manner = clause.tokens.iter().all(|token| token.entry.manner.is_some() || !content(token));
        if found.is_empty() || !only_manner {
            return;
        }
        let next_takes = next.is_some_and(|next| next.link == Link::And && next.tokens.iter().any(is_verb));
        let last = self.state.last.clone();
        if last.is_empty() || (next_takes && clause.link != Link::And) {
            self.state.waiting.extend(found);
        } else if let Some(group) = self.groups.get_mut(last).and_then(<[Group]>::last_mut) {
            group.manners.extend(found);
        }
    }

    pub(super) fn directions(&mut self, tokens: &[Token], groups: &mut [Group], used: &[bool]) {
        for (at, token) in tokens.iter().enumerate() {
            let Some(direction) = token.entry.direction.filter(|_| !used[at]) else { continue };
            if matches!(direction, Direction::In | Direction::Out) {
                continue;
            }
            // "her left hand": a side of something else.
            let of_another = matches!(token.text.as_str(), "left" | "right")
                && tokens.get(at + 1).is_some_and(|next| next.entry.subject.is_some() && !used[at + 1]);
            if of_another {
                continue;
            }
            let no_groups = groups.is_empty();
            let nearest =
                groups.iter_mut().filter(|group| group.has_side()).min_by_key(|group| group.head.abs_diff(at));
            match nearest {
                Some(group) => group.bind_direction(direction),
                None if no_groups => {
                    let last = self.groups.get_mut(self.state.last.clone()).unwrap_or_default();
                    let group = last.iter_mut().rev().find(|group| group.has_side());
                    group.into_iter().for_each(|group| group.bind_direction(direction));
                }
                None => {}
            }
        }
    }
}

fn boost(manner: Manner) -> Manner {
    Manner {
        amount: manner.amount.powf(1.4),
        tempo: (manner.tempo * 1.4).clamp(-1.0, 1.0),
        rate: (manner.rate * 1.25).clamp(-1.0, 1.0),
        ..manner
    }
}
