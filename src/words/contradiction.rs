//! Motions that exclude each other.

use super::clause::{Class, Clause, Token};
use super::lexicon::{Lexicon, Role};

/// Two things that cannot both be.
#[derive(Debug)]
pub struct Contradiction {
    /// The words of the one and of the other.
    pub said: [String; 2],
    /// The prompt without one of the two.
    pub without: Vec<Clause>,
}

/// The first contradiction of a prompt. What comes one after the other, or is excepted, is none.
pub fn find(clauses: &[Clause]) -> Option<Contradiction> {
    let any = |role: Role| clauses.iter().any(|clause| clause.has(role));
    let camera = camera_both_ways(clauses);
    if camera.is_some() || any(Role::Except) || any(Role::Sequence) {
        return camera;
    }
    still_and_moving(clauses)
        .or_else(|| closed_and_blinking(clauses))
        .or_else(|| calm_and_windy(clauses))
        .or_else(|| frozen_and_dancing(clauses))
        .or_else(|| slow_and_fast(clauses))
}

fn without_clause(clauses: &[Clause], at: usize) -> Vec<Clause> {
    clauses.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, clause)| clause.clone()).collect()
}

fn without_token(clauses: &[Clause], at: usize, token: usize) -> Vec<Clause> {
    let mut clauses = clauses.to_vec();
    let mut tokens = clauses[at].tokens.clone();
    tokens.remove(token);
    clauses[at] = Clause::new(tokens);
    clauses
}

fn between(clauses: &[Clause], first: usize, second: usize, gone: usize) -> Contradiction {
    Contradiction { said: [clauses[first].text(), clauses[second].text()], without: without_clause(clauses, gone) }
}

fn denied(clause: &Clause) -> bool {
    clause.has(Role::Negation)
}

fn still_at(clause: &Clause) -> Option<usize> {
    (0..clause.tokens.len()).find(|at| clause.is_still(*at))
}

/// The tables of things in a clause that may be still by themselves.
fn things(clause: &Clause) -> Vec<usize> {
    let lexicon = Lexicon::built_in();
    clause.tokens.iter().filter_map(|token| token.entry.thing).filter(|thing| lexicon.things[*thing].still).collect()
}

/// Whether something in the clause moves.
fn moves(clause: &Clause) -> bool {
    !denied(clause) && still_at(clause).is_none() && clause.tokens.iter().any(Token::moves)
}

/// "hair stays still, hair flowing", "still hair flowing", "static camera, slow zoom in".
fn still_and_moving(clauses: &[Clause]) -> Option<Contradiction> {
    for (at, clause) in clauses.iter().enumerate() {
        let Some(still) = still_at(clause).filter(|_| !denied(clause)) else { continue };
        let tokens = &clause.tokens;
        let described =
            tokens.get(still + 1).and_then(|next| next.entry.thing).is_some() && tokens[still].is(Role::StillAdjective);
        if described && clause.class != Class::Camera && tokens[still + 2..].iter().any(Token::moves) {
            let moving = super::clause::text(&tokens[still + 1..]);
            let said = [super::clause::text(&tokens[still..still + 2]), moving];
            return Some(Contradiction { said, without: without_token(clauses, at, still) });
        }
        let still_things = things(clause);
        let other = clauses.iter().position(|other| match clause.class {
            Class::Camera => other.class == Class::Camera && camera_moves(other) && still_at(other).is_none(),
            _ => {
                moves(other)
                    && other.class != Class::Camera
                    && other.subject().is_some_and(|thing| still_things.contains(&thing))
            }
        });
        if let Some(other) = other {
            return Some(between(clauses, at.min(other), at.max(other), at));
        }
    }
    None
}

fn camera_moves(clause: &Clause) -> bool {
    !denied(clause)
        && clause
            .tokens
            .iter()
            .any(|token| token.is(Role::Verb) || camera_way(token).is_some() || token.text.starts_with("zoom"))
}

/// "eyes closed, blinking".
fn closed_and_blinking(clauses: &[Clause]) -> Option<Contradiction> {
    let closed = clauses.iter().position(|clause| clause.has(Role::ClosedEyes) && !denied(clause))?;
    let blinks = clauses.iter().position(|clause| clause.has(Role::Blink) && !denied(clause))?;
    if closed == blinks {
        let tokens = &clauses[closed].tokens;
        let token = tokens.iter().position(|token| token.is(Role::ClosedEyes))?;
        let blink = tokens.iter().find(|token| token.is(Role::Blink))?;
        let said = [tokens[token].text.clone(), blink.text.clone()];
        return Some(Contradiction { said, without: without_token(clauses, closed, token) });
    }
    Some(between(clauses, closed.min(blinks), closed.max(blinks), closed))
}

/// "no wind, hair blowing".
fn calm_and_windy(clauses: &[Clause]) -> Option<Contradiction> {
    let names_wind = |clause: &Clause| clause.tokens.iter().any(|token| token.is_thing("wind"));
    let calm = clauses.iter().position(|clause| {
        let no = clause.tokens.iter().position(|token| matches!(token.text.as_str(), "no" | "without"));
        no.is_some_and(|no| clause.tokens[no + 1..].iter().take(3).any(|token| token.is_thing("wind")))
            && !clause.tokens.iter().any(Token::moves)
    })?;
    let windy =
        clauses.iter().position(|clause| !denied(clause) && (clause.has(Role::WindDriven) || names_wind(clause)))?;
    Some(between(clauses, calm.min(windy), calm.max(windy), calm))
}

/// "the girl stands frozen, dancing".
fn frozen_and_dancing(clauses: &[Clause]) -> Option<Contradiction> {
    let is_person = |token: &Token| token.is_thing("person");
    let of_all = |clause: &Clause| clause.tokens.iter().all(|token| token.entry.thing.is_none());
    let frozen = clauses.iter().position(|clause| {
        let still = still_at(clause).is_some() && !denied(clause);
        let nothing_moves = denied(clause) && clause.has(Role::MotionNoun);
        (still || nothing_moves)
            && clause.class == Class::Constraint
            && (of_all(clause) || clause.tokens.iter().any(is_person))
    })?;
    let dancing = clauses.iter().position(|clause| {
        let of_figure = clause.subject().is_none() || clause.is_about("person");
        clause.class == Class::Motion && moves(clause) && clause.has(Role::LargeVerb) && of_figure
    })?;
    Some(between(clauses, frozen.min(dancing), frozen.max(dancing), frozen))
}

/// "zoom in, zoom out": the camera makes one move in a clip, so that this holds for what comes one after the other too.
fn camera_both_ways(clauses: &[Clause]) -> Option<Contradiction> {
    let mut seen: Vec<(usize, usize, [&str; 2])> = Vec::new();
    for (at, clause) in clauses.iter().enumerate() {
        let follows = |token: &Token| token.text.starts_with("follow") || token.text.starts_with("track");
        if clause.class != Class::Camera || denied(clause) || clause.tokens.iter().any(follows) {
            continue;
        }
        for (index, token) in clause.tokens.iter().enumerate() {
            let Some(way) = camera_way(token).filter(|_| !leads_to_noun(&clause.tokens, index)) else { continue };
            if token_is_both(token) {
                let said = way.map(str::to_owned);
                return Some(Contradiction { said, without: with_first_way(clauses, at, index, way[0]) });
            }
            let opposite = seen.iter().find(|(_, _, [known, _])| *known == way[1]);
            match opposite {
                Some((first, _, _)) if *first != at => return Some(between(clauses, *first, at, at)),
                // "pans left to right": one way.
                Some(_) if token.text.starts_with("to ") => {}
                Some((_, first, _)) => {
                    let said = [*first, index].map(|index| clause.tokens[index].text.clone());
                    return Some(Contradiction { said, without: without_tail(clauses, at, index) });
                }
                None => seen.push((at, index, way)),
            }
        }
    }
    None
}

/// "zooms out in the rain", "her left hand": a word of direction that says where something is.
fn leads_to_noun(tokens: &[Token], at: usize) -> bool {
    let roles = [Role::Determiner, Role::Looks, Role::Place, Role::When, Role::MotionNoun];
    let noun = |next: &Token| next.entry.thing.is_some() || next.is_any(&roles) || next.entry.roles.is_empty();
    let determined = at > 0 && tokens[at - 1].is(Role::Determiner);
    !tokens[at].is_any(&[Role::Camera, Role::LooseCamera]) && (determined || tokens.get(at + 1).is_some_and(noun))
}

fn without_tail(clauses: &[Clause], at: usize, token: usize) -> Vec<Clause> {
    let mut clauses = clauses.to_vec();
    let mut tokens = clauses[at].tokens[..token].to_vec();
    super::clause::trim(&mut tokens);
    clauses[at] = Clause::new(tokens);
    clauses
}

fn with_first_way(clauses: &[Clause], at: usize, token: usize, way: &str) -> Vec<Clause> {
    let mut clauses = clauses.to_vec();
    clauses[at].tokens[token].text = way.to_owned();
    clauses
}

fn token_is_both(token: &Token) -> bool {
    matches!(token.text.as_str(), "in and out" | "left and right" | "right and left" | "up and down")
}

/// The way that a word of a camera move goes, and the opposite one.
fn camera_way(token: &Token) -> Option<[&'static str; 2]> {
    if !token.is_any(&[Role::Direction, Role::Camera, Role::LooseCamera]) {
        return None;
    }
    // "from left to right": one way.
    if token.text.starts_with("from") {
        return None;
    }
    let ways = [["in", "out"], ["left", "right"], ["up", "down"], ["closer", "away"], ["forward", "backward"]];
    let mut words = token.text.split(' ');
    words.find_map(|word| {
        ways.iter().find_map(|[one, other]| match word {
            _ if word == *one => Some([*one, *other]),
            _ if word == *other => Some([*other, *one]),
            _ => None,
        })
    })
}

/// "slowly flowing hair, fast": about the same thing.
fn slow_and_fast(clauses: &[Clause]) -> Option<Contradiction> {
    for (at, clause) in
        clauses.iter().enumerate().filter(|(_, clause)| !denied(clause) && clause.class != Class::Camera)
    {
        let paced = |role: Role| {
            let describes = |at: usize| clause.tokens.get(at + 1).is_some_and(|next| next.entry.thing.is_some());
            (0..clause.tokens.len()).find(|at| clause.tokens[*at].is(role) && !describes(*at))
        };
        let (slow, fast) = (paced(Role::Slow), paced(Role::Fast));
        let (Some(slow), Some(fast)) = (slow, fast) else { continue };
        let verbs = clause.tokens.iter().filter(|token| token.moves()).count();
        if verbs <= 1 {
            let (first, second) = (slow.min(fast), slow.max(fast));
            let said = [first, second].map(|token| clause.tokens[token].text.clone());
            return Some(Contradiction { said, without: without_token(clauses, at, second) });
        }
    }
    let paced = |role: Role| {
        let of = move |(at, clause): (usize, &Clause)| {
            let fits = clause.class == Class::Motion && clause.has(role) && !denied(clause);
            Some((at, clause.subject().filter(|_| fits)?))
        };
        clauses.iter().enumerate().filter_map(of).collect::<Vec<_>>()
    };
    for (slow, thing) in paced(Role::Slow) {
        let verb = |at: usize| clauses[at].tokens.iter().find(|token| token.moves()).map(|token| token.text.clone());
        for (fast, other) in paced(Role::Fast) {
            if thing == other && slow != fast && verb(slow) == verb(fast) {
                return Some(between(clauses, slow.min(fast), slow.max(fast), slow.max(fast)));
            }
        }
    }
    None
}
