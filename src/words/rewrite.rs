//! Rewriting by rules. Each rule takes clauses to clauses, so that advice can show what one rule alone would do.

use super::clause::{Class, Clause, Token, read, render, text, trim};
use super::contradiction;
use super::lexicon::{Lexicon, Role};

/// Most motions of a prompt.
pub const MOST_MOTIONS: usize = 3;
/// Most words of a prompt.
pub const MOST_WORDS: usize = 30;
/// What is asked for where nothing is left of a prompt.
const GENTLE: &str = "subtle natural movement";
/// Rewriting is repeated until it changes nothing. Each round only drops or sorts what the one before wrote, so that few are needed.
const MOST_ROUNDS: usize = 64;

/// The prompt in the recommended structure: see [`super::rewrite`].
pub fn rewrite(words: &str) -> String {
    let mut before = tidy(words);
    for _ in 0..MOST_ROUNDS {
        let after = once(&before);
        if after == before {
            break;
        }
        before = after;
    }
    before
}

fn once(words: &str) -> String {
    let Some(clauses) = read(words) else { return words.to_owned() };
    let clauses = calm(clauses);
    let clauses = make_visible(clauses);
    let clauses = without_content(clauses);
    let clauses = without_contradictions(without_repeats(clauses));
    let clauses = shorten(first_motions(in_order(clauses)));
    if clauses.is_empty() { GENTLE.to_owned() } else { render(&clauses) }
}

/// The words with one space between them, without control characters.
fn tidy(words: &str) -> String {
    let plain: String =
        words.chars().filter(|character| character.is_whitespace() || !character.is_control()).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a clause asks for motion, of whatever it may be. Light and mood alone do not; what is in the air moves without a word.
pub fn asks(clause: &Clause) -> bool {
    match clause.class {
        Class::Content | Class::Manner => false,
        Class::Atmosphere => clause.tokens.iter().any(|token| token.moves() || token.is_thing("air")),
        Class::Motion | Class::Constraint | Class::Wind | Class::Camera => true,
    }
}

// ---- violent action ----

/// Whether `clause` asks for what the word at `at` says, and it is violent. Fireworks may explode, waves may slap the shore, a battle flag may
/// wave and shattered glass may lie about.
pub fn is_violent(clause: &Clause, at: usize) -> bool {
    let (before, token, next) = (&clause.tokens[..at], &clause.tokens[at], clause.tokens.get(at + 1));
    let thing = |token: &Token| token.entry.thing.map(|index| &Lexicon::built_in().things[index]);
    let of_nature = |token: &Token| thing(token).is_some_and(|thing| thing.ambient || thing.name == "water");
    let harmless = before.iter().any(|token| token.is(Role::Negation) || of_nature(token));
    let names = |next: &Token| {
        !next.is_any(&[
            Role::Function,
            Role::Determiner,
            Role::Join,
            Role::Direction,
            Role::Manner,
            Role::Slow,
            Role::Fast,
        ])
    };
    let led = before.last().is_some_and(|before| before.entry.thing.is_some());
    let inflected = token.text.ends_with('s') || token.text.ends_with("ing");
    let describes = next.is_some_and(names) && !led && !inflected;
    token.entry.violent.is_some() && !harmless && !describes
}

/// Puts something calm in the place of each clause of violence; of the same kind of violence once.
pub fn calm(clauses: Vec<Clause>) -> Vec<Clause> {
    let mut calmed = Vec::new();
    rebuild(clauses, |clause| {
        let found = (0..clause.tokens.len()).find(|at| is_violent(clause, *at))?;
        let kind = clause.tokens[found].entry.violent?;
        if calmed.contains(&kind) {
            return Some(Vec::new());
        }
        calmed.push(kind);
        let whom = noun_phrase(&clause.tokens, found);
        let wording = &Lexicon::built_in().violent[kind].calm;
        Some(clauses_of(wording.replace("{}", &whom).trim()))
    })
}

/// What does the violence: the noun before the word, with its article and adjectives; else where it is ("an explosion in the city"). What it is
/// done to is spared.
fn noun_phrase(tokens: &[Token], at: usize) -> String {
    let names = |token: &Token| token.entry.thing.is_some() || token.is(Role::Place);
    let describes =
        |token: &Token| token.is_any(&[Role::Determiner, Role::Looks, Role::Praise, Role::SoftStyle]) && !token.moves();
    let is_pronoun = |token: &Token| matches!(token.text.as_str(), "she" | "he" | "they" | "him" | "them");
    let noun = (0..at).rev().find(|before| names(&tokens[*before]));
    let place = || tokens[at + 1..].first().filter(|next| next.is(Role::Function));
    let noun = noun.or_else(|| place().and_then(|_| (at + 1..tokens.len()).find(|after| names(&tokens[*after]))));
    let Some(noun) = noun.filter(|noun| !is_pronoun(&tokens[*noun])) else { return String::new() };
    let adjectives = tokens[..noun].iter().rev().take_while(|token| describes(token)).count();
    text(&tokens[noun - adjectives..=noun])
}

// ---- ideas ----

/// Whether the word at `at` is an idea and nothing in its clause makes something of it: no motion, and no thing that it describes.
pub fn is_idea(clause: &Clause, at: usize) -> bool {
    let describes = clause.tokens.get(at + 1).is_some_and(|next| next.entry.thing.is_some());
    clause.class == Class::Content && clause.tokens[at].entry.idea.is_some() && !describes
}

/// Takes ideas out, and adds something visible for the first: what stands for several ideas at once is hardly one picture.
pub fn make_visible(clauses: Vec<Clause>) -> Vec<Clause> {
    let mut found = Vec::new();
    let mut kept = rebuild(clauses, |clause| {
        let ideas: Vec<usize> = (0..clause.tokens.len()).filter(|at| is_idea(clause, *at)).collect();
        if ideas.is_empty() {
            return None;
        }
        for idea in ideas.iter().filter_map(|at| clause.tokens[*at].entry.idea) {
            if !found.contains(&idea) {
                found.push(idea);
            }
        }
        let mut tokens = without(clause, |at| ideas.contains(&at));
        trim(&mut tokens);
        let says_more = tokens.iter().any(|token| token.entry.thing.is_some());
        Some(if says_more { vec![Clause::new(tokens)] } else { Vec::new() })
    });
    let moving: Vec<usize> = kept.iter().filter_map(Clause::subject).collect();
    let visible = found.first().map(|idea| clauses_of(&Lexicon::built_in().ideas[*idea].visible)).unwrap_or_default();
    kept.extend(visible.into_iter().filter(|clause| clause.subject().is_none_or(|thing| !moving.contains(&thing))));
    kept
}

// ---- content and style ----

/// Whether the word at `at` is one of style, quality or praise that says nothing of motion.
pub fn is_style(clause: &Clause, at: usize) -> bool {
    let token = &clause.tokens[at];
    let of_style = token.is(Role::Style) || (token.is(Role::Medium) && clause.class == Class::Content);
    !token.moves() && token.entry.thing.is_none() && of_style
}

/// Whether the word at `at` praises or classes the thing that it stands before.
fn is_decoration(clause: &Clause, at: usize) -> bool {
    let token = &clause.tokens[at];
    let adjective =
        |next: &Token| next.entry.thing.is_some() || next.is_any(&[Role::Looks, Role::Praise, Role::SoftStyle]);
    let before_thing = clause.tokens.get(at + 1).is_some_and(adjective);
    let only = token.entry.roles.len() == 1 && token.entry.thing.is_none() && clause.class != Class::Camera;
    only && (token.is(Role::Praise) || (token.is(Role::SoftStyle) && before_thing))
}

/// Drops what the picture shows. Where no motion is left, the things that are named suggest some.
pub fn without_content(clauses: Vec<Clause>) -> Vec<Clause> {
    let suggested = suggestions(&clauses);
    let asked = clauses.iter().any(asks);
    let kept = rebuild(with_subjects(clauses), |clause| {
        let mut tokens = without(clause, |at| is_style(clause, at) || is_decoration(clause, at));
        if tokens.len() == clause.tokens.len() {
            return (clause.class == Class::Content).then(Vec::new);
        }
        trim(&mut tokens);
        let clause = (!tokens.is_empty()).then(|| Clause::new(tokens));
        Some(clause.into_iter().filter(|clause| clause.class != Class::Content).collect())
    });
    if asked { kept } else { [suggested, kept].concat() }
}

/// "a cat on a chair, dancing": gives the motion its subject, which stands in a clause that is about to go.
fn with_subjects(mut clauses: Vec<Clause>) -> Vec<Clause> {
    for at in 1..clauses.len() {
        let [.., before, clause] = &mut clauses[..=at] else { break };
        let takes = before.class == Class::Content && clause.class == Class::Motion && clause.subject().is_none();
        let named = before.tokens.iter().find(|token| token.entry.thing.is_some());
        if let Some(subject) = named.filter(|_| takes && clause.tokens[0].text.ends_with("ing")) {
            let tokens = [std::slice::from_ref(subject), &clause.tokens].concat();
            *clause = Clause::new(tokens);
        }
    }
    clauses
}

/// Motions of the things that are named, those first that a clip is most about.
fn suggestions(clauses: &[Clause]) -> Vec<Clause> {
    let lexicon = Lexicon::built_in();
    let mut found: Vec<(usize, &str)> = Vec::new();
    for token in clauses.iter().flat_map(|clause| &clause.tokens) {
        if let Some(thing) = token.entry.thing
            && found.iter().all(|(known, _)| *known != thing)
        {
            found.push((thing, &token.text));
        }
    }
    found.sort();
    let wording = |(thing, word): &(usize, &str)| clauses_of(&lexicon.things[*thing].suggestion.replace("{}", word));
    found.iter().take(MOST_MOTIONS).flat_map(wording).collect()
}

// ---- repeated words ----

/// Drops words that a clause has said, and clauses that have been said. The same adverb may stand at several motions.
pub fn without_repeats(clauses: Vec<Clause>) -> Vec<Clause> {
    let mut said: Vec<Vec<String>> = Vec::new();
    rebuild(clauses, |clause| {
        let repeats = repeats_in(clause);
        let mut tokens = without(clause, |at| repeats.contains(&at));
        trim(&mut tokens);
        let mut telling: Vec<String> =
            tokens.iter().filter(|token| !token.is(Role::Determiner)).map(|token| token.text.clone()).collect();
        telling.sort();
        if said.contains(&telling) {
            return Some(Vec::new());
        }
        said.push(telling);
        (!repeats.is_empty()).then(|| vec![Clause::new(tokens)])
    })
}

/// Where a clause repeats a movement, a thing without an article of its own, or the word just before.
pub fn repeats_in(clause: &Clause) -> Vec<usize> {
    let tokens = &clause.tokens;
    let repeats = |at: usize| {
        let token = &tokens[at];
        let same = |other: &Token| other.text == token.text;
        let doubled = at > 0 && same(&tokens[at - 1]) && !token.is(Role::Manner);
        let led = at > 0
            && !tokens[at - 1].is_any(&[Role::Looks, Role::Slow, Role::Fast])
            && tokens[at - 1].entry.thing.is_none()
            && !tokens[at - 1].moves();
        let telling = token.moves() || (token.entry.thing.is_some() && !led);
        doubled || (telling && tokens[..at].iter().any(same))
    };
    (0..tokens.len()).filter(|at| repeats(*at)).collect()
}

// ---- contradictions ----

/// Leaves one out of each two clauses or words that contradict each other.
fn without_contradictions(mut clauses: Vec<Clause>) -> Vec<Clause> {
    let mut tries = clauses.iter().map(Clause::word_count).sum::<usize>();
    while let Some(found) = contradiction::find(&clauses).filter(|_| tries > 0) {
        clauses = found.without;
        clauses.retain(|clause| !clause.tokens.is_empty());
        tries -= 1;
    }
    clauses
}

// ---- number, order and length ----

/// Clauses that belong together, because the later ones say more of the first.
struct Unit {
    class: Class,
    clauses: Vec<Clause>,
}

fn units(clauses: Vec<Clause>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut leading: Vec<Clause> = Vec::new();
    for clause in clauses {
        let depends = clause.class == Class::Manner
            || (matches!(clause.class, Class::Motion | Class::Constraint) && !clause.stands_alone());
        match units.last_mut() {
            Some(unit) if depends => unit.clauses.push(clause),
            None if clause.class == Class::Manner => leading.push(clause),
            _ => {
                let class = clause.class;
                let clauses = leading.drain(..).chain([clause]).collect();
                units.push(Unit { class, clauses });
            }
        }
    }
    if !leading.is_empty() {
        units.push(Unit { class: Class::Manner, clauses: leading });
    }
    units
}

/// Motion first, then wind, light and mood, then the camera.
pub fn in_order(clauses: Vec<Clause>) -> Vec<Clause> {
    let mut units = units(clauses);
    units.sort_by_key(|unit| if unit.class == Class::Constraint { Class::Motion } else { unit.class });
    units.into_iter().flat_map(|unit| unit.clauses).collect()
}

/// The motions that count: of figures and things. Air, light and camera go along with them; breathing is one motion, however it is put.
pub fn motions(clauses: &[Clause]) -> usize {
    counted(&units(clauses.to_vec())).last().map_or(0, |(count, _)| *count)
}

/// For each unit the count of motions up to it, and whether it is one itself.
fn counted(units: &[Unit]) -> Vec<(usize, bool)> {
    let mut count = 0;
    let mut breathes = false;
    let mut all = Vec::new();
    for unit in units {
        let is_breath = unit.clauses.iter().any(|clause| clause.has(Role::Breath) || clause.is_about("chest"));
        let counts = unit.class == Class::Motion && !(is_breath && breathes);
        breathes |= is_breath;
        count += usize::from(counts);
        all.push((count, unit.class == Class::Motion));
    }
    all
}

/// The first three motions, and everything that is not one.
pub fn first_motions(clauses: Vec<Clause>) -> Vec<Clause> {
    let units = units(clauses);
    let counted = counted(&units);
    let kept = units.into_iter().zip(counted).filter(|(_, (count, is_motion))| !is_motion || *count <= MOST_MOTIONS);
    kept.flat_map(|(unit, _)| unit.clauses).collect()
}

/// At most thirty words: without adjectives of looks, then without articles, then without the last clauses.
pub fn shorten(mut clauses: Vec<Clause>) -> Vec<Clause> {
    let length = |clauses: &[Clause]| clauses.iter().map(Clause::word_count).sum::<usize>();
    for roles in [[Role::Praise, Role::Looks], [Role::Determiner, Role::SoftStyle]] {
        if length(&clauses) <= MOST_WORDS {
            return clauses;
        }
        clauses = rebuild(clauses, |clause| {
            let drops = |token: &Token| {
                token.is_any(&roles) && token.entry.thing.is_none() && !token.moves() && !token.is(Role::Manner)
            };
            let tokens: Vec<Token> = clause.tokens.iter().filter(|token| !drops(token)).cloned().collect();
            let shorter = (!tokens.is_empty()).then(|| Clause::new(tokens));
            shorter.filter(|shorter| shorter.class == clause.class).map(|shorter| vec![shorter])
        });
    }
    while length(&clauses) > MOST_WORDS && clauses.len() > 1 {
        // The camera stands last and says much in few words: what stands before it goes first.
        let last = clauses.len() - 1;
        let gone = if clauses[last].class == Class::Camera && last > 0 && clauses[last].word_count() <= MOST_WORDS / 3 {
            last - 1
        } else {
            last
        };
        clauses.remove(gone);
    }
    if let Some(clause) = clauses.first_mut().filter(|clause| clause.word_count() > MOST_WORDS) {
        let mut count = 0;
        let fits = |token: &&Token| {
            count += token.word_count();
            count <= MOST_WORDS
        };
        let mut tokens: Vec<Token> = clause.tokens.iter().take_while(fits).cloned().collect();
        trim(&mut tokens);
        *clause = Clause::new(tokens);
    }
    clauses.retain(|clause| !clause.tokens.is_empty());
    clauses
}

// ---- tools ----

/// Puts what `change` gives in the place of a clause, or keeps it where that is nothing.
fn rebuild(clauses: Vec<Clause>, mut change: impl FnMut(&Clause) -> Option<Vec<Clause>>) -> Vec<Clause> {
    clauses.into_iter().flat_map(|clause| change(&clause).unwrap_or_else(|| vec![clause])).collect()
}

/// The words of a clause but those that `drops` names by where they stand.
fn without(clause: &Clause, drops: impl Fn(usize) -> bool) -> Vec<Token> {
    let kept = clause.tokens.iter().enumerate().filter(|(at, _)| !drops(*at));
    kept.map(|(_, token)| token.clone()).collect()
}

/// The clauses of words that are our own.
fn clauses_of(words: &str) -> Vec<Clause> {
    read(words).unwrap_or_default()
}
