//! A prompt to clauses of tokens: words, the longest phrases of the lexicon, and how clauses are joined.

use super::lexicon::{Entry, Lexicon, Link};
use super::stem;

/// A word or a phrase, with everything that it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// As the user wrote it, in lower case.
    pub text: String,
    /// What the lexicon knows of it; nothing for an unknown word.
    pub entry: Entry,
    /// Whether it is in the lexicon.
    pub known: bool,
}

/// Words that belong together, and how they are joined to what stands before.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// The join.
    pub link: Link,
    /// The words.
    pub tokens: Vec<Token>,
}

/// A misspelling that was read as something known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// As written.
    pub written: String,
    /// As read.
    pub read: String,
}

/// A prompt in clauses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clauses {
    /// In order; none is empty.
    pub clauses: Vec<Clause>,
    /// What was corrected.
    pub corrections: Vec<Correction>,
}

enum Piece {
    Word(String),
    Break(Link),
}

/// Takes a prompt apart.
pub fn split(lexicon: &Lexicon, prompt: &str) -> Clauses {
    let mut result = Clauses::default();
    let mut clause = Clause { link: Link::Sentence, tokens: Vec::new() };
    let mut run = Vec::new();
    for piece in pieces(lexicon, prompt).into_iter().chain([Piece::Break(Link::Sentence)]) {
        match piece {
            Piece::Word(word) => run.push(correct(lexicon, word, &mut result.corrections)),
            Piece::Break(link) => {
                for token in phrases(lexicon, &run) {
                    match token.entry.link {
                        Some(link) => begin(&mut result.clauses, &mut clause, link),
                        None => clause.tokens.push(token),
                    }
                }
                run.clear();
                begin(&mut result.clauses, &mut clause, link);
            }
        }
    }
    result
}

/// Ends `clause` and begins the next one. Of several joins in a row ("; and then", ", with") the last one holds.
fn begin(clauses: &mut Vec<Clause>, clause: &mut Clause, link: Link) {
    if clause.tokens.is_empty() {
        clause.link = link;
        return;
    }
    clauses.push(std::mem::replace(clause, Clause { link, tokens: Vec::new() }));
}

fn pieces(lexicon: &Lexicon, prompt: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut word = String::new();
    let flush = |word: &mut String, pieces: &mut Vec<Piece>| {
        let trimmed = word.trim_matches(['\'', '-']);
        if lexicon.knows(trimmed) || !trimmed.contains('-') {
            pieces.extend((!trimmed.is_empty()).then(|| Piece::Word(trimmed.to_string())));
        } else {
            pieces.extend(trimmed.split('-').filter(|part| !part.is_empty()).map(|part| Piece::Word(part.to_string())));
        }
        word.clear();
    };
    for character in prompt.chars().flat_map(char::to_lowercase) {
        match character {
            '\'' | '\u{2019}' | '\u{2018}' => word.push('\''),
            '-' => word.push('-'),
            _ if character.is_alphanumeric() => word.push(character),
            // Marks that combine with the letter before them belong to the word.
            '\u{300}'..='\u{36f}' => word.push(character),
            _ => {
                flush(&mut word, &mut pieces);
                match character {
                    ',' | '/' | '|' | '、' | '，' => pieces.push(Piece::Break(Link::Comma)),
                    '.' | ';' | '!' | '?' | ':' | '\n' | '—' | '–' | '(' | ')' | '"' | '。' | '…' => {
                        pieces.push(Piece::Break(Link::Sentence));
                    }
                    '&' | '+' => pieces.push(Piece::Word(character.to_string())),
                    _ => {}
                }
            }
        }
    }
    flush(&mut word, &mut pieces);
    pieces
}

fn correct(lexicon: &Lexicon, word: String, corrections: &mut Vec<Correction>) -> String {
    if lexicon.knows(&word) {
        return word;
    }
    let Some(known) = lexicon.correct(&word) else { return word };
    let correction = Correction { written: word, read: known.to_string() };
    if !corrections.contains(&correction) {
        corrections.push(correction);
    }
    known.to_string()
}

/// The longest phrases, from left to right.
fn phrases(lexicon: &Lexicon, words: &[String]) -> Vec<Token> {
    let forms: Vec<Vec<String>> =
        words.iter().map(|word| std::iter::once(word.clone()).chain(stem::plain_forms(word)).collect()).collect();
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < words.len() {
        let found = longest_phrase(lexicon, &forms[start..]);
        let (length, entry) = found.map_or((1, None), |(length, entry)| (length, Some(entry)));
        tokens.push(Token {
            text: words[start..start + length].join(" "),
            known: entry.is_some(),
            entry: entry.unwrap_or_default(),
        });
        start += length;
    }
    tokens
}

/// How many words the best phrase spans, and what it is. More words of the phrase are better, then more words exactly as written.
fn longest_phrase(lexicon: &Lexicon, forms: &[Vec<String>]) -> Option<(usize, Entry)> {
    let mut best: Option<((usize, usize), usize, Entry)> = None;
    for first in &forms[0] {
        for phrase in lexicon.starting_with(first) {
            let Some((length, exact)) = match_length(&phrase.words, forms) else { continue };
            let rank = (phrase.words.len(), exact);
            if best.as_ref().is_none_or(|(known, _, _)| rank > *known) {
                best = Some((rank, length, phrase.entry.clone()));
            }
        }
    }
    best.map(|(_, length, entry)| (length, entry))
}

/// How many words of the text the phrase spans, and how many of its words stand there exactly. Articles and possessives are passed over.
fn match_length(phrase: &[String], forms: &[Vec<String>]) -> Option<(usize, usize)> {
    const PASSED_OVER: [&str; 9] = ["a", "an", "the", "her", "his", "their", "its", "my", "your"];
    let (mut at, mut exact) = (0, 0);
    for (index, word) in phrase.iter().enumerate() {
        let matches = |at: usize| forms.get(at).is_some_and(|forms| forms.contains(word));
        let passable =
            |at: usize| index > 0 && forms.get(at).is_some_and(|forms| PASSED_OVER.contains(&forms[0].as_str()));
        while !matches(at) && passable(at) {
            at += 1;
        }
        if !matches(at) {
            return None;
        }
        exact += usize::from(forms[at][0] == *word);
        at += 1;
    }
    Some((at, exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clauses(prompt: &str) -> Vec<(Link, Vec<String>)> {
        let lexicon = Lexicon::built_in().unwrap();
        let clauses = split(&lexicon, prompt).clauses;
        clauses
            .into_iter()
            .map(|clause| (clause.link, clause.tokens.into_iter().map(|token| token.text).collect()))
            .collect()
    }

    #[test]
    fn clauses_are_split_at_punctuation_and_joining_words() {
        let texts = clauses("Hair flowing, head nodding AND chest rises and falls; while the camera pans to the left.");
        let wanted: [(Link, &[&str]); 4] = [
            (Link::Sentence, &["hair", "flowing"]),
            (Link::Comma, &["head", "nodding"]),
            (Link::And, &["chest", "rises and falls"]),
            (Link::Clause, &["the", "camera", "pans", "to the left"]),
        ];
        assert_eq!(texts.len(), wanted.len());
        for ((link, tokens), (wanted_link, wanted_tokens)) in texts.iter().zip(wanted) {
            assert_eq!(*link, wanted_link);
            assert_eq!(tokens, wanted_tokens);
        }
    }

    #[test]
    fn the_longest_phrase_wins_and_articles_may_stand_in_it() {
        let texts = clauses("she brushes her hair, closes her left eye, turns to her left");
        assert_eq!(texts[0].1, ["she", "brushes her hair"]);
        assert_eq!(texts[1].1, ["closes her left eye"]);
        assert_eq!(texts[2].1, ["turns", "to her left"]);
    }

    #[test]
    fn odd_characters_do_no_harm() {
        assert_eq!(clauses("  \u{0} ,,;; ''' --- \u{1f600} "), []);
        assert_eq!(clauses("the girl’s hair")[0].1, ["the", "girl's", "hair"]);
        assert_eq!(clauses("slow-motion hair")[0].1, ["slow-motion", "hair"]);
        assert_eq!(clauses("blue-eyed")[0].1, ["blue", "eyed"]);
    }

    #[test]
    fn misspellings_are_corrected_and_listed_once() {
        let lexicon = Lexicon::built_in().unwrap();
        let result = split(&lexicon, "hair flwoing, flwoing gently");
        assert_eq!(result.corrections, [Correction { written: "flwoing".into(), read: "flowing".into() }]);
    }
}
