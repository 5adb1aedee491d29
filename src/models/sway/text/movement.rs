//! The words of movement in a clause, and what moves: one [`Group`] each.

use super::grammar::{Reader, is_verb};
use super::group::{Group, Kind, Named, camera_command, on_screen};
use super::lexicon::{Alone, Link, Meaning};
use super::tokens::{Clause, Token};

impl Reader<'_> {
    /// "in a flowing red dress": what is worn describes the picture.
    pub(super) fn worn(&self, tokens: &[Token]) -> Vec<bool> {
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

    pub(super) fn verbs(
        &mut self,
        clause: &Clause,
        subjects: &[Named],
        worn: &[bool],
        used: &mut [bool],
    ) -> Vec<Group> {
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
        let of_something = |named: &Named| self.lexicon.subjects[named.subject].moves != Meaning::Camera;
        if tokens[at].entry.stillness && subjects.iter().any(of_something) {
            return None;
        }
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
        let moved: Vec<Named> =
            subjects.iter().filter(|named| named.at != at && meaning(named).is_some()).copied().collect();
        let shown: Vec<Named> = moved.iter().filter(|named| meaning(named) != Some(Meaning::Ignore)).copied().collect();
        let parts = self.parts(&shown);
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
        let Some(verb) = token.entry.verb.filter(|verb| self.lexicon.verbs[*verb].general) else { return };
        used[at] = true;
        if tokens[..at].iter().any(|token| token.entry.negation) {
            self.reading.everything_still = true;
            return;
        }
        self.state.unresolved = Some(verb);
        if !self.lexicon.verbs[verb].vague {
            let text = &token.text;
            self.reading
                .remark(format!("\"{text}\": not clear what should move; name it, for instance \"hair {text}\""));
        }
    }

    /// Whether a group says something about this subject: as its own, or as the eyes of a blink and the lamp of a flicker.
    pub(super) fn is_about(&self, group: &Group, named: &Named) -> bool {
        let still = &self.lexicon.subjects[named.subject].still;
        let Kind::Verb { meanings, .. } = &group.kind else { return false };
        let touches = |meaning: &Meaning| matches!(meaning, Meaning::Motion(motion) if still.contains(motion));
        group.subjects.contains(named) || meanings.iter().any(touches)
    }

    /// Things whose name alone asks for movement.
    pub(super) fn always(&self, subjects: &[Named], groups: &mut Vec<Group>) {
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
    pub(super) fn continued(&mut self, clause: &Clause, subjects: &[Named], unresolved: Option<usize>) -> Vec<Group> {
        let holds_still = |token: &Token| token.entry.stillness || token.entry.stays || token.entry.negation;
        if clause.tokens.iter().any(holds_still) {
            return Vec::new();
        }
        match clause.link {
            Link::And | Link::Or | Link::Comma | Link::Clause if subjects.is_empty() => {
                self.further_direction(&clause.tokens).into_iter().collect()
            }
            Link::And | Link::Or if self.continues_objects() => self.further_objects(subjects),
            Link::Except => self.exceptions(subjects, unresolved),
            Link::With => Vec::new(),
            _ => {
                self.bare(&clause.tokens, subjects);
                Vec::new()
            }
        }
    }

    fn last_groups(&self) -> &[Group] {
        self.groups.get(self.state.last.clone()).unwrap_or_default()
    }

    /// "the camera pans left and up".
    fn further_direction(&self, tokens: &[Token]) -> Option<Group> {
        let Some(Group { kind: Kind::Camera { verb, .. }, negated, .. }) = self.last_groups().last() else {
            return None;
        };
        let small = |token: &Token| {
            let entry = &token.entry;
            entry.direction.is_some() || entry.stop || entry.determiner || entry.manner.is_some()
        };
        let commands = &self.lexicon.camera_verbs[*verb].commands;
        let command = tokens.iter().find_map(|token| commands.get(&on_screen(token.entry.direction?)))?;
        let kind = Kind::Camera { verb: *verb, command: Some(*command) };
        tokens.iter().all(small).then(|| Group { negated: *negated, ..Group::new(0, kind, Vec::new()) })
    }

    /// Whether what is moved in the last clause stands at its end, so that "and" may add to it.
    fn continues_objects(&self) -> bool {
        self.last_groups().iter().any(|group| group.subjects.iter().any(|named| named.at > group.head))
    }

    /// "flowing hair and dress", "a breeze moves her hair and her dress".
    fn further_objects(&self, subjects: &[Named]) -> Vec<Group> {
        let mut groups = Vec::new();
        for named in self.parts(subjects) {
            for group in self.last_groups() {
                let Kind::Verb { verb: Some(verb), .. } = group.kind else { continue };
                let Some(meaning) = self.meaning(verb, named.subject) else { continue };
                let kind = Kind::Verb { verb: Some(verb), meanings: vec![meaning] };
                groups.push(Group { head: named.at, kind, subjects: vec![named], ..group.clone() });
            }
        }
        groups
    }

    /// "nothing moves except her hair", "only the hair".
    fn exceptions(&self, subjects: &[Named], unresolved: Option<usize>) -> Vec<Group> {
        let verb = self.last_groups().iter().find_map(|group| match group.kind {
            Kind::Verb { verb, .. } => verb,
            Kind::Camera { .. } => None,
        });
        let verb = unresolved.or(verb);
        let meaning = |named: &Named| {
            let said = verb.and_then(|verb| self.meaning(verb, named.subject));
            said.unwrap_or(self.lexicon.subjects[named.subject].moves)
        };
        let moving = subjects.iter().filter(|named| meaning(named) != Meaning::Camera);
        moving
            .map(|named| {
                let kind = Kind::Verb { verb, meanings: vec![meaning(named)] };
                Group::new(named.at, kind, vec![*named])
            })
            .collect()
    }

    /// "hair, dress, blinking": remembered until it is clear that the whole prompt is of that kind.
    fn bare(&mut self, tokens: &[Token], subjects: &[Named]) {
        let plain = |token: &Token| {
            let entry = &token.entry;
            entry.subject.is_some() || entry.determiner || entry.link.is_some() || token.text.ends_with("ly")
        };
        if !tokens.iter().all(plain) {
            return;
        }
        for named in self.parts(subjects) {
            let subject = &self.lexicon.subjects[named.subject];
            if subject.bare {
                let kind = Kind::Verb { verb: None, meanings: vec![subject.moves] };
                self.state.bare.push(Group::new(named.at, kind, vec![named]));
            }
        }
    }

    fn parts(&self, subjects: &[Named]) -> Vec<Named> {
        subjects.iter().filter(|named| !self.lexicon.subjects[named.subject].weak).copied().collect()
    }
}

/// The subjects of `candidates` that "and" joins to `nearest`.
pub(super) fn together(tokens: &[Token], candidates: &[Named], nearest: &Named) -> Vec<Named> {
    let joined = |a: usize, b: usize| {
        let between = &tokens[a.min(b) + 1..a.max(b)];
        between.iter().any(|token| token.entry.link == Some(Link::And))
            && !between.iter().any(|token| is_verb(token) || token.entry.direction.is_some())
    };
    candidates.iter().filter(|named| *named == nearest || joined(named.at, nearest.at)).copied().collect()
}
