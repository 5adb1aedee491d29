//! A prompt taken apart into clauses, and what each clause is about.

use super::lexicon::{Entry, Lexicon, Role};

/// A word, or a phrase of the lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// As it is written out: in lower case where the word is known.
    pub text: String,
    /// What the lists know of it.
    pub entry: Entry,
    /// How many of its words the lists know.
    known: usize,
}

impl Token {
    pub fn is(&self, role: Role) -> bool {
        self.entry.roles.contains(&role)
    }

    pub fn is_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.is(*role))
    }

    /// Whether it makes something move.
    pub fn moves(&self) -> bool {
        self.is_any(&[Role::Verb, Role::MotionNoun, Role::LooseCamera]) || self.entry.violent.is_some()
    }

    /// Whether it is a thing of the table of that name.
    pub fn is_thing(&self, name: &str) -> bool {
        self.entry.thing.is_some_and(|index| Lexicon::built_in().things[index].name == name)
    }

    pub fn word_count(&self) -> usize {
        self.text.split(' ').count()
    }
}

/// What a clause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something moves.
    Motion,
    /// Something does not.
    Constraint,
    /// The wind, which other things move in.
    Wind,
    /// Light, weather and mood.
    Atmosphere,
    /// The camera.
    Camera,
    /// How something that is named elsewhere moves.
    Manner,
    /// What the picture shows.
    Content,
}

/// Words that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    pub tokens: Vec<Token>,
    pub class: Class,
}

impl Clause {
    pub fn new(tokens: Vec<Token>) -> Self {
        let class = classify(&tokens);
        Self { tokens, class }
    }

    pub fn text(&self) -> String {
        text(&self.tokens)
    }

    pub fn has(&self, role: Role) -> bool {
        self.tokens.iter().any(|token| token.is(role))
    }

    pub fn word_count(&self) -> usize {
        self.tokens.iter().map(Token::word_count).sum()
    }

    /// Whether it names what moves, or a movement that only a figure makes.
    pub fn stands_alone(&self) -> bool {
        let unknown = |token: &Token| token.entry == Entry::default();
        let names = |token: &Token| token.entry.thing.is_some() || token.is(Role::Place) || unknown(token);
        self.tokens.iter().any(|token| names(token) || token.is_any(&[Role::OwnVerb, Role::MotionNoun]))
    }

    /// The thing that moves, as an index into [`Lexicon::things`].
    pub fn subject(&self) -> Option<usize> {
        subject(&self.tokens)
    }

    /// Whether what moves is a thing of the table of that name.
    pub fn is_about(&self, name: &str) -> bool {
        self.subject().is_some_and(|index| Lexicon::built_in().things[index].name == name)
    }

    /// Whether the word at `at` says that something is still; in "still smiling" it does not.
    pub fn is_still(&self, at: usize) -> bool {
        is_still(&self.tokens, at)
    }
}

/// The words of tokens, with a space between them.
pub fn text(tokens: &[Token]) -> String {
    tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Clauses written out.
pub fn render(clauses: &[Clause]) -> String {
    clauses.iter().map(Clause::text).collect::<Vec<_>>().join(", ")
}

/// Takes a prompt apart; nothing where it is not in English, so far as that can be seen.
pub fn read(words: &str) -> Option<Vec<Clause>> {
    let lexicon = Lexicon::built_in();
    let mut clauses = Vec::new();
    let (mut known, mut all) = (0, 0);
    for run in runs(words) {
        let tokens = tokens(lexicon, &run);
        for token in &tokens {
            known += token.known;
            all += token.word_count();
        }
        clauses.extend(split(tokens).into_iter().map(Clause::new));
    }
    (all > 0 && known as f64 >= LEAST_KNOWN * all as f64).then_some(clauses)
}

/// The share of known words from which a prompt is taken for English.
const LEAST_KNOWN: f64 = 0.6;

/// The words between two marks of punctuation.
fn runs(words: &str) -> Vec<Vec<String>> {
    let mut runs = vec![Vec::new()];
    let mut word = String::new();
    let mut characters = words.chars().peekable();
    while let Some(character) = characters.next() {
        let in_number = character == '.'
            && word.ends_with(|last: char| last.is_ascii_digit())
            && characters.peek().is_some_and(char::is_ascii_digit);
        match character {
            '\u{2018}' | '\u{2019}' => word.push('\''),
            '\'' | '-' | '\u{300}'..='\u{36f}' => word.push(character),
            _ if character.is_alphanumeric() || in_number => word.push(character),
            _ => {
                end_word(&mut word, &mut runs);
                if character == '&' || character == '+' {
                    word.push_str("and");
                    end_word(&mut word, &mut runs);
                }
                let joins = character.is_whitespace()
                    || matches!(character, ':' | '"' | '\u{201c}' | '\u{201d}' | '*' | '_' | '&' | '+' | '#' | '~');
                if character == '\n' || !joins {
                    runs.push(Vec::new());
                }
            }
        }
    }
    end_word(&mut word, &mut runs);
    runs.retain(|run| !run.is_empty());
    runs
}

fn end_word(word: &mut String, runs: &mut [Vec<String>]) {
    let trimmed = word.trim_matches(['\'', '-']);
    if let Some(run) = runs.last_mut().filter(|_| trimmed.contains(char::is_alphanumeric)) {
        run.push(trimmed.to_owned());
    }
    word.clear();
}

fn tokens(lexicon: &Lexicon, run: &[String]) -> Vec<Token> {
    // A hyphenated word is looked up as the words that it joins: `parts` are their texts, `owners` the words they come from.
    let lower: Vec<String> = run.iter().map(|word| word.to_lowercase()).collect();
    let mut parts: Vec<&str> = Vec::new();
    let mut owners = Vec::new();
    for (owner, word) in lower.iter().enumerate() {
        for part in word.split('-').filter(|part| !part.is_empty()) {
            parts.push(part);
            owners.push(owner);
        }
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while at < parts.len() {
        let owner = owners[at];
        let ends_at = |end: usize| owners.get(end) != owners.get(end - 1);
        let starts = at == 0 || owners[at - 1] != owner;
        let found = lexicon.longest_phrase(&parts[at..]).filter(|(span, _)| starts && ends_at(at + span));
        match found {
            Some((span, entry)) => {
                let last = owners[at + span - 1];
                let text = lower[owner..=last].join(" ");
                let known = last - owner + 1;
                tokens.push(Token { text, entry, known });
                at += span;
            }
            None => {
                let token = unknown(&run[owner], &lower[owner], tokens.last());
                tokens.push(token);
                while owners.get(at) == Some(&owner) {
                    at += 1;
                }
            }
        }
    }
    promote_verbs(&mut tokens);
    tokens
}

/// "eyes slowly open", "lids close gently": an adverb shows that the plain word is a movement.
fn promote_verbs(tokens: &mut [Token]) {
    let adverb = |token: &Token| token.text.ends_with("ly");
    for at in 1..tokens.len() {
        let before = &tokens[at - 1];
        let after = tokens.get(at + 1).is_some_and(adverb) && before.entry.thing.is_some();
        if tokens[at].is(Role::InflectedVerb) && !tokens[at].moves() && (adverb(before) || after) {
            tokens[at].entry.roles.insert(Role::Verb);
        }
    }
}

/// A word that is in no list. Its ending, and what stands before it, say whether it may be a movement: one that is missed costs more than one
/// too many.
fn unknown(written: &str, lower: &str, before: Option<&Token>) -> Token {
    let mut entry = Entry::default();
    let follows_thing = before.is_some_and(|token| token.entry.thing.is_some());
    let guess = match () {
        () if lower.contains('-') && lower.ends_with("ed") => Some(Role::Looks),
        () if lower.len() >= 5 && lower.ends_with("ing") => Some(Role::Verb),
        () if lower.len() >= 5 && lower.ends_with("ly") => Some(Role::Manner),
        () if follows_thing && lower.len() >= 4 && lower.ends_with('s') && !lower.ends_with("ss") => Some(Role::Verb),
        () => None,
    };
    entry.roles.extend(guess);
    Token { text: written.to_owned(), entry, known: usize::from(lower.bytes().all(|byte| byte.is_ascii_digit())) }
}

/// Splits a run where a joining word begins a clause of its own.
fn split(tokens: Vec<Token>) -> Vec<Vec<Token>> {
    let mut clauses: Vec<Vec<Token>> = Vec::new();
    let mut clause: Vec<Token> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let right = &tokens[at + 1..];
        if token.is(Role::Join) && begins_clause(&token.text, &clause, right) {
            clauses.push(std::mem::take(&mut clause));
            // What comes later is said to.
            clause.extend(token.text.ends_with("then").then(|| Token { text: "then".into(), ..token.clone() }));
        } else {
            clause.push(token.clone());
        }
    }
    clauses.push(clause);
    for clause in &mut clauses {
        trim(clause);
    }
    clauses.retain(|clause| !clause.is_empty());
    clauses
}

fn begins_clause(word: &str, left: &[Token], right: &[Token]) -> bool {
    let acts =
        |tokens: &[Token]| tokens.iter().any(|token| token.moves() || token.is_any(&[Role::Camera, Role::LooseCamera]));
    match word {
        "and" => acts(left) && acts(right) && !left.iter().any(|token| token.is_any(&[Role::Negation, Role::Except])),
        "then" | "and then" | "and also" | "but" | "plus" => true,
        _ => acts(right) || (0..right.len()).any(|at| is_still(right, at)),
    }
}

/// Takes joining words off both ends, and off the end what leads to a word that is no longer there.
pub fn trim(tokens: &mut Vec<Token>) {
    const LEADING: [&str; 10] = ["with", "of", "or", "at", "on", "by", "for", "from", "into", "full of"];
    // These end no clause; "follows her" and "moves on" do.
    const NEVER_LAST: [&str; 7] = ["a", "an", "the", "with", "of", "or", "full of"];
    while tokens.last().is_some_and(|token| token.is(Role::Join)) {
        tokens.pop();
    }
    let leads =
        |token: &&Token| token.is_any(&[Role::Join, Role::Determiner]) || LEADING.contains(&token.text.as_str());
    let tail = tokens.iter().rev().take_while(leads).count();
    if tail >= 2 || tokens.last().is_some_and(|token| NEVER_LAST.contains(&token.text.as_str())) {
        tokens.truncate(tokens.len() - tail);
    }
    let follows =
        |token: &&Token| (token.is(Role::Join) && token.text != "then") || ["or", "of"].contains(&token.text.as_str());
    let head = tokens.iter().take_while(follows).count();
    tokens.drain(..head);
}

fn is_still(tokens: &[Token], at: usize) -> bool {
    let token = &tokens[at];
    if !token.is(Role::Still) {
        return false;
    }
    let next = tokens.get(at + 1);
    let goes_on =
        next.is_some_and(|next| next.moves() || next.is_any(&[Role::Manner, Role::Slow, Role::Fast, Role::Posture]));
    let kept = tokens[..at].iter().any(|before| before.is_any(&[Role::Keeps, Role::Manner, Role::Except]));
    let before_thing = next.is_some_and(|next| next.entry.thing.is_some());
    match token.text.as_str() {
        "still" => !goes_on && (kept || next.is_none() || before_thing),
        "steady" | "stable" | "fixed" | "locked" | "rigid" => !goes_on && kept,
        _ => kept || !before_thing || token.is(Role::StillAdjective),
    }
}

/// The first thing before the verb, the last one where the clause begins with where or how ("in the wind her hair flows"); else the one that
/// the verb has as its object or describes ("flowing hair").
fn subject(tokens: &[Token]) -> Option<usize> {
    let verb = tokens.iter().position(Token::moves)?;
    let mut before = tokens[..verb].iter().filter_map(|token| token.entry.thing);
    let inverted = tokens[0].is_any(&[Role::Function, Role::Direction]);
    let subject = if inverted { before.next_back() } else { before.next() };
    let direct = || tokens[verb..].iter().take_while(|token| token.moves() || !token.is(Role::Function));
    subject.or_else(|| direct().skip(1).find_map(|token| token.entry.thing)).or(tokens[verb].entry.thing)
}

fn classify(tokens: &[Token]) -> Class {
    let has = |role: Role| tokens.iter().any(|token| token.is(role));
    let lexicon = Lexicon::built_in();
    let thing = |token: &Token| token.entry.thing.map(|index| &lexicon.things[index]);
    let names_figure =
        tokens.iter().filter_map(thing).any(|thing| ["person", "head", "hair", "limbs"].contains(&thing.name.as_str()));
    if has(Role::Camera) || (has(Role::LooseCamera) && !names_figure) {
        return Class::Camera;
    }
    let verb = tokens.iter().position(Token::moves);
    let still = (0..tokens.len()).any(|at| is_still(tokens, at));
    let names_thing = tokens.iter().any(|token| token.entry.thing.is_some());
    if has(Role::ClosedEyes) && verb.is_none() {
        return Class::Constraint;
    }
    if has(Role::Negation) || still {
        let of_motion = still || verb.is_some() || names_thing || has(Role::Except);
        let of_manner = tokens
            .iter()
            .all(|token| token.is_any(&[Role::Negation, Role::Manner, Role::Slow, Role::Fast, Role::Function]));
        return if of_motion {
            Class::Constraint
        } else if of_manner {
            Class::Manner
        } else {
            Class::Content
        };
    }
    if verb.is_some() {
        let subject = subject(tokens).map(|index| &lexicon.things[index]);
        return match subject {
            Some(thing) if thing.name == "wind" => Class::Wind,
            Some(thing) if thing.ambient => Class::Atmosphere,
            _ => Class::Motion,
        };
    }
    let first = tokens.iter().find_map(thing);
    let solid = tokens.iter().filter_map(thing).any(|thing| !thing.ambient) || has(Role::Place);
    match first {
        Some(thing) if thing.name == "air" => return Class::Atmosphere,
        _ if tokens.iter().any(|token| token.is_thing("wind")) => return Class::Wind,
        _ => {}
    }
    let looks = tokens.iter().filter(|token| token.is_any(&[Role::Looks, Role::Praise])).count();
    if !solid && looks <= 2 && !has(Role::Style) && !has(Role::Medium) && (first.is_some() || has(Role::Atmosphere)) {
        return Class::Atmosphere;
    }
    let manner = [Role::Manner, Role::Slow, Role::Fast, Role::Direction];
    let only_manner = tokens
        .iter()
        .all(|token| token.is_any(&manner) || token.is_any(&[Role::Function, Role::Determiner, Role::Join]));
    if only_manner && tokens.iter().any(|token| token.is_any(&manner)) {
        return Class::Manner;
    }
    Class::Content
}
