//! Clauses to a [`Reading`]: finds the words of movement, their subjects, and what is said about them.

use super::group::{Group, Kind, Named, Reading, Still, add_camera, camera_command, on_screen, push_once};
use super::lexicon::{Alone, Direction, Lexicon, Link, Manner, Meaning};
use super::tokens::{Clause, Token, split};
use crate::camera::CameraCommand;
use crate::models::sway::camera_path::CameraMove;

/// Reads a prompt without brackets.
pub fn read(lexicon: &Lexicon, prompt: &str) -> Reading {
    let split = split(lexicon, prompt);
    let clauses = join_subjects(split.clauses);
    let mut reader = Reader { lexicon, groups: Vec::new(), state: Context::default(), reading: Reading::default() };
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

fn is_verb(token: &Token) -> bool {
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
    clause.tokens.last().is_some_and(|token| token.entry.subject.is_some()) && clause.tokens.iter().all(allowed)
}

fn subject_leads(clause: &Clause) -> bool {
    let subject = clause.tokens.iter().position(|token| token.entry.subject.is_some());
    let verb = clause.tokens.iter().position(is_verb);
    matches!((subject, verb), (Some(subject), Some(verb)) if subject < verb)
}

/// What earlier clauses leave for later ones.
#[derive(Default)]
struct Context {
    /// What the sentence is about.
    topic: Vec<usize>,
    /// Groups of the last clause of this sentence that had any: a range of [`Reader::groups`].
    last: std::ops::Range<usize>,
    /// Adverbs that wait for the first group to come.
    waiting: Vec<Manner>,
    /// Subjects named alone in their clause, for a prompt of bare words.
    bare: Vec<Group>,
}

struct Reader<'a> {
    lexicon: &'a Lexicon,
    groups: Vec<Group>,
    state: Context,
    reading: Reading,
}

impl Reader<'_> {
    fn clause(&mut self, clause: &Clause, next: Option<&Clause>) {
        if clause.link == Link::Sentence {
            self.state.topic.clear();
            self.state.last = self.groups.len()..self.groups.len();
        }
        let tokens = &clause.tokens;
        let worn = self.worn(tokens);
        let subjects: Vec<Named> = tokens
            .iter()
            .enumerate()
            .filter(|(at, _)| !worn[*at])
            .filter_map(|(at, token)| token.entry.subject.map(|subject| Named { at, subject }))
            .collect();
        let mut used = vec![false; tokens.len()];
        let mut groups = self.verbs(clause, &subjects, &worn, &mut used);
        self.always(&subjects, &mut groups);
        if groups.is_empty() {
            groups = self.continued(clause, &subjects);
        }
        self.negations(clause, &subjects, &mut groups, &mut used);
        self.stillness(tokens, &subjects, &mut used);
        for named in &subjects {
            used[named.at] |= groups.iter().any(|group| self.is_about(group, named));
        }
        self.manners(clause, next, &mut groups, &mut used);
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

    /// "in a flowing red dress": what is worn describes the picture.
    fn worn(&self, tokens: &[Token]) -> Vec<bool> {
        let mut worn = vec![false; tokens.len()];
        for (start, _) in tokens.iter().enumerate().filter(|(_, token)| token.entry.wear) {
            let described = |token: &&Token| {
                let entry = &token.entry;
                let participle = entry.verb.is_some() && token.text.ends_with("ing");
                entry.determiner || entry.ignored || entry.manner.is_some() || participle || !token.known
            };
            let length = tokens[start + 1..].iter().take_while(described).count();
            let end = start + 1 + length;
            let is_cloth = |token: &Token| {
                token.entry.subject.is_some_and(|subject| self.lexicon.subjects[subject].key == "cloth")
            };
            if length <= 5 && tokens.get(end).is_some_and(is_cloth) {
                worn[start + 1..=end].fill(true);
            }
        }
        worn
    }

    fn verbs(&mut self, clause: &Clause, subjects: &[Named], worn: &[bool], used: &mut [bool]) -> Vec<Group> {
        let tokens = &clause.tokens;
        let mut groups = Vec::new();
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| !worn[*at]) {
            if let Some(group) = self.camera_group(tokens, at, subjects, used) {
                used[at] = true;
                groups.push(group);
                continue;
            }
            let Some(verb) = token.entry.verb else { continue };
            match self.verb_group(clause, (at, verb), subjects) {
                Some(group) => {
                    used[at] = true;
                    groups.push(group);
                }
                None => self.unresolved(tokens, at, used),
            }
        }
        groups
    }

    fn camera_group(&self, tokens: &[Token], at: usize, subjects: &[Named], used: &mut [bool]) -> Option<Group> {
        let camera_verb = tokens[at].entry.camera?;
        let verb = &self.lexicon.camera_verbs[camera_verb];
        let command = camera_command(&verb.commands, tokens, at);
        let is_camera = |named: &&Named| self.lexicon.subjects[named.subject].moves == Meaning::Camera;
        let own = subjects.iter().filter(is_camera).map(|named| named.at.abs_diff(at)).min();
        let moves = |named: &&Named| {
            let meaning = tokens[at].entry.verb.and_then(|verb| self.meaning(verb, named.subject));
            !is_camera(named) && meaning.is_some_and(|meaning| meaning != Meaning::Ignore)
        };
        let other = subjects.iter().filter(moves).map(|named| named.at.abs_diff(at)).min();
        let person_before = || subjects.iter().any(|named| named.at < at && self.lexicon.subjects[named.subject].weak);
        let applies = match (own, other) {
            (Some(own), Some(other)) => own <= other,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => match verb.alone {
                Alone::Always => true,
                Alone::NoPerson => !person_before(),
                Alone::Direction => command.is_some(),
                Alone::Vertical => command.is_some() && !person_before(),
                Alone::Never => false,
            },
        };
        if !applies {
            return None;
        }
        if let Some((direction, _)) = command {
            used[direction] = true;
        }
        for named in subjects.iter().filter(is_camera) {
            used[named.at] = true;
        }
        let command = command.map(|(_, command)| command).or(verb.otherwise);
        Some(Group::new(at, Kind::Camera { verb: camera_verb, command }, Vec::new()))
    }

    fn meaning(&self, verb: usize, subject: usize) -> Option<Meaning> {
        let verb = &self.lexicon.verbs[verb];
        verb.means.get(&subject).copied().or_else(|| verb.general.then_some(self.lexicon.subjects[subject].moves))
    }

    fn verb_group(&self, clause: &Clause, verb: (usize, usize), subjects: &[Named]) -> Option<Group> {
        let (at, verb) = verb;
        let meaning = |named: &Named| self.meaning(verb, named.subject);
        let moved: Vec<Named> = subjects.iter().filter(|named| meaning(named).is_some()).copied().collect();
        let shown: Vec<Named> = moved.iter().filter(|named| meaning(named) != Some(Meaning::Ignore)).copied().collect();
        let parts: Vec<Named> =
            shown.iter().filter(|named| !self.lexicon.subjects[named.subject].weak).copied().collect();
        let candidates = [&parts, &shown, &moved].into_iter().find(|list| !list.is_empty());
        if let Some(candidates) = candidates {
            let nearest = candidates.iter().min_by_key(|named| (named.at.abs_diff(at), named.at > at))?;
            let chosen = together(&clause.tokens, candidates, nearest);
            let meanings = chosen.iter().filter_map(meaning).collect();
            return Some(Group::new(at, Kind::Verb { verb: Some(verb), meanings }, chosen));
        }
        let alone = self.lexicon.verbs[verb].alone;
        if matches!(clause.link, Link::And | Link::Comma | Link::Clause | Link::Or) && subjects.is_empty() {
            let inherited: Vec<usize> = self
                .state
                .topic
                .iter()
                .copied()
                .filter(|&subject| {
                    let shown = self.meaning(verb, subject).is_some_and(|meaning| meaning != Meaning::Ignore);
                    shown && (alone.is_none() || self.lexicon.subjects[subject].bare)
                })
                .collect();
            if !inherited.is_empty() && (alone.is_none() || self.lexicon.verbs[verb].general) {
                let meanings = inherited.iter().filter_map(|&subject| self.meaning(verb, subject)).collect();
                return Some(Group::new(at, Kind::Verb { verb: Some(verb), meanings }, Vec::new()));
            }
        }
        alone.map(|meaning| Group::new(at, Kind::Verb { verb: Some(verb), meanings: vec![meaning] }, Vec::new()))
    }

    /// A movement without anything that could move.
    fn unresolved(&mut self, tokens: &[Token], at: usize, used: &mut [bool]) {
        let token = &tokens[at];
        let general = token.entry.verb.is_some_and(|verb| self.lexicon.verbs[verb].general);
        let vague = token.entry.camera.is_some_and(|verb| self.lexicon.camera_verbs[verb].general);
        if general && tokens[..at].iter().any(|token| token.entry.negation) {
            self.reading.everything_still = true;
            used[at] = true;
        } else if general && !vague {
            used[at] = true;
            let text = &token.text;
            self.reading
                .remark(format!("\"{text}\": not clear what should move; name it, for instance \"hair {text}\""));
        }
    }

    /// Whether a group says something about this subject: as its own, or as the eyes of a blink and the lamp of a flicker.
    fn is_about(&self, group: &Group, named: &Named) -> bool {
        let still = &self.lexicon.subjects[named.subject].still;
        let Kind::Verb { meanings, .. } = &group.kind else { return false };
        let touches = |meaning: &Meaning| matches!(meaning, Meaning::Motion(motion) if still.contains(motion));
        group.subjects.contains(named) || meanings.iter().any(touches)
    }

    /// Things whose name alone asks for movement.
    fn always(&self, subjects: &[Named], groups: &mut Vec<Group>) {
        for named in subjects {
            let subject = &self.lexicon.subjects[named.subject];
            if subject.always && !groups.iter().any(|group| group.subjects.contains(named)) {
                let kind = Kind::Verb { verb: None, meanings: vec![subject.moves] };
                groups.push(Group::new(named.at, kind, vec![*named]));
            }
        }
    }

    /// A clause without movement may continue the one before ("flowing hair and dress", "pans up and left", "except the hair"), or be
    /// one of a list of bare words.
    fn continued(&mut self, clause: &Clause, subjects: &[Named]) -> Vec<Group> {
        let tokens = &clause.tokens;
        let before = self.groups.get(self.state.last.clone()).and_then(<[Group]>::last).cloned();
        if let (
            Some(Group { kind: Kind::Camera { verb, .. }, negated, .. }),
            Link::And | Link::Comma | Link::Clause | Link::Or,
        ) = (&before, clause.link)
        {
            let only_direction = tokens.iter().all(|token| {
                token.entry.direction.is_some()
                    || token.entry.stop
                    || token.entry.determiner
                    || token.entry.manner.is_some()
            });
            let commands = &self.lexicon.camera_verbs[*verb].commands;
            let command = tokens.iter().find_map(|token| commands.get(&on_screen(token.entry.direction?)));
            if let (true, Some(command)) = (only_direction, command) {
                let mut group = Group::new(0, Kind::Camera { verb: *verb, command: Some(*command) }, Vec::new());
                group.negated = *negated;
                return vec![group];
            }
        }
        if subjects.is_empty()
            || tokens
                .iter()
                .any(|token| token.entry.stillness || token.entry.stays || token.entry.wear || token.entry.negation)
        {
            return Vec::new();
        }
        let plain = |token: &Token| {
            token.entry.subject.is_some()
                || token.entry.determiner
                || token.entry.link.is_some()
                || token.text.ends_with("ly")
        };
        let parts: Vec<Named> =
            subjects.iter().filter(|named| !self.lexicon.subjects[named.subject].weak).copied().collect();
        match (clause.link, before) {
            (Link::Except, before) => {
                let verb = before.and_then(|group| match group.kind {
                    Kind::Verb { verb, .. } => verb,
                    Kind::Camera { .. } => None,
                });
                self.applied(verb, subjects, false)
            }
            (
                Link::And | Link::Or,
                Some(Group { kind: Kind::Verb { verb, .. }, subjects: first, head, negated, .. }),
            ) if first.iter().any(|named| named.at > head) && !parts.is_empty() => self.applied(verb, &parts, negated),
            (Link::With, _) => Vec::new(),
            _ => {
                if tokens.iter().all(plain) {
                    let bare: Vec<Named> =
                        parts.into_iter().filter(|named| self.lexicon.subjects[named.subject].bare).collect();
                    let groups = self.applied(None, &bare, false);
                    self.state.bare.extend(groups);
                }
                Vec::new()
            }
        }
    }

    /// A verb, or movement as such, said of these subjects.
    fn applied(&self, verb: Option<usize>, subjects: &[Named], negated: bool) -> Vec<Group> {
        let meaning = |subject: usize| {
            verb.and_then(|verb| self.meaning(verb, subject)).unwrap_or(self.lexicon.subjects[subject].moves)
        };
        let make = |named: &Named| {
            let kind = Kind::Verb { verb, meanings: vec![meaning(named.subject)] };
            Group { negated, ..Group::new(named.at, kind, vec![*named]) }
        };
        subjects.iter().filter(|named| meaning(named.subject) != Meaning::Camera).map(make).collect()
    }

    fn negations(&mut self, clause: &Clause, subjects: &[Named], groups: &mut [Group], used: &mut [bool]) {
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

    fn stillness(&mut self, tokens: &[Token], subjects: &[Named], used: &mut [bool]) {
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

    fn manners(&mut self, clause: &Clause, next: Option<&Clause>, groups: &mut [Group], used: &mut [bool]) {
        let tokens = &clause.tokens;
        let mut replaced = false;
        let mut found: Vec<(usize, Manner)> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let Some(manner) = token.entry.manner else { continue };
            if describes(tokens, at, used) {
                continue;
            }
            used[at] = true;
            if std::mem::replace(&mut replaced, manner.replaces_next) {
                continue;
            }
            let boosted = at > 0 && tokens[at - 1].entry.booster;
            found.push((at, if boosted { boost(manner) } else { manner }));
        }
        if groups.is_empty() {
            return self.manners_of_neighbours(clause, next, found.into_iter().map(|(_, manner)| manner).collect());
        }
        let first = groups.iter_mut().min_by_key(|group| group.head);
        first.into_iter().for_each(|group| group.manners.append(&mut self.state.waiting));
        for (at, manner) in found {
            let adverb = tokens[at].text.ends_with("ly");
            let nearest = groups.iter_mut().min_by_key(|group| (group.head.abs_diff(at), (group.head > at) == adverb));
            nearest.into_iter().for_each(|group| group.manners.push(manner));
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

    fn directions(&mut self, tokens: &[Token], groups: &mut [Group], used: &[bool]) {
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

    /// A camera that is named and does nothing.
    fn camera_alone(&mut self, tokens: &[Token], subjects: &[Named], groups: &[Group]) {
        let named = subjects.iter().any(|named| tokens[named.at].text.starts_with("camera"));
        let moves = groups.iter().any(|group| matches!(group.kind, Kind::Camera { .. } | Kind::Verb { .. }));
        let still = self.reading.camera.iter().any(|known| known.command == CameraCommand::StaticShot);
        if named && !moves && !still {
            self.reading.remark(
                "camera: not clear what it should do; name a move, for instance \"camera pans left\" or [push in]"
                    .into(),
            );
        }
    }

    /// Lists what was not used: content, in runs of neighbouring words, and unknown words.
    fn leftover_words(&mut self, tokens: &[Token], used: &[bool]) {
        let mut run: Vec<&str> = Vec::new();
        for (token, used) in tokens.iter().zip(used) {
            let entry = &token.entry;
            let part = entry.subject.is_some_and(|subject| {
                !self.lexicon.subjects[subject].weak && self.lexicon.subjects[subject].moves != Meaning::Rest
            });
            let listed = !used && (entry.ignored || part || entry.verb.is_some() || entry.manner.is_some());
            if listed {
                run.push(&token.text);
                continue;
            }
            self.end_run(&mut run);
            if !token.known {
                push_once(&mut self.reading.unknown, token.text.clone());
            }
        }
        self.end_run(&mut run);
    }

    fn end_run(&mut self, run: &mut Vec<&str>) {
        if !run.is_empty() {
            push_once(&mut self.reading.ignored, run.join(" "));
            run.clear();
        }
    }

    fn finish(mut self) -> Reading {
        let bare = std::mem::take(&mut self.state.bare);
        if self.reading.ignored.iter().all(|word| self.is_bare(word)) && !bare.is_empty() {
            let lexicon = self.lexicon;
            let is_bare = |word: &String| {
                !lexicon.starting_with(word).any(|phrase| phrase.words.len() == 1 && phrase.entry.subject.is_some())
            };
            self.reading.ignored.retain(is_bare);
            self.groups.extend(bare);
        }
        for group in &self.groups {
            group.finish(self.lexicon, &mut self.reading);
        }
        self.reading
    }

    fn is_bare(&self, word: &str) -> bool {
        self.lexicon.starting_with(word).any(|phrase| {
            phrase.words.len() == 1 && phrase.entry.subject.is_some_and(|subject| self.lexicon.subjects[subject].bare)
        })
    }
}

/// The subjects of `candidates` that "and" joins to `nearest`.
fn together(tokens: &[Token], candidates: &[Named], nearest: &Named) -> Vec<Named> {
    let joined = |a: usize, b: usize| {
        let between = &tokens[a.min(b) + 1..a.max(b)];
        between.iter().any(|token| token.entry.link == Some(Link::And))
            && !between.iter().any(|token| is_verb(token) || token.entry.direction.is_some())
    };
    candidates.iter().filter(|named| *named == nearest || joined(named.at, nearest.at)).copied().collect()
}

/// "strong man", "big eyes", "wild forest": an adjective of something that is not a movement.
fn describes(tokens: &[Token], at: usize, used: &[bool]) -> bool {
    if tokens[at].text.ends_with("ly") || tokens[at].text.contains(' ') {
        return false;
    }
    let following = tokens.iter().zip(used).skip(at + 1).find(|(token, _)| token.entry.manner.is_none());
    following.is_some_and(|(token, used)| !used && (token.entry.ignored || token.entry.subject.is_some()))
}

fn boost(manner: Manner) -> Manner {
    Manner {
        amount: manner.amount.powf(1.4),
        tempo: (manner.tempo * 1.4).clamp(-1.0, 1.0),
        rate: (manner.rate * 1.25).clamp(-1.0, 1.0),
        ..manner
    }
}
