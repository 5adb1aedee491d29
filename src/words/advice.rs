//! The rules of advice, one for each thing that keeps a prompt from working well.

use super::clause::{Class, Clause, read, render};
use super::contradiction;
use super::lexicon::Role;
use super::rewrite::{self, MOST_MOTIONS, MOST_WORDS, asks, rewrite};
use super::{Advice, Kind};
use crate::error::quoted;

/// A list of what the user wrote ends after about this many characters.
const LONGEST_LIST: usize = 60;

/// All advice on a prompt.
pub fn advise(words: &str) -> Vec<Advice> {
    let Some(clauses) = read(words) else { return Vec::new() };
    let rules = [content, repeated, violent, many, long, contradicting, ideas];
    rules.iter().filter_map(|rule| rule(words, &clauses)).collect()
}

/// A better wording, shortened, unless there is nothing left of it or nothing better about it.
fn advice(kind: Kind, about: String, better: Vec<Clause>, words: &str) -> Option<Advice> {
    let better = render(&rewrite::shorten(better));
    let better = if better.is_empty() { rewrite(words) } else { better };
    (better != words).then_some(Advice { kind, about, better })
}

fn content(words: &str, clauses: &[Clause]) -> Option<Advice> {
    let asked = clauses.iter().any(asks);
    let mut found: Vec<String> = Vec::new();
    for clause in clauses {
        let looks =
            clause.tokens.iter().filter(|token| token.is_any(&[Role::Looks, Role::Praise, Role::SoftStyle])).count();
        let names = clause.tokens.iter().any(|token| {
            token.entry.thing.is_some() || token.is_any(&[Role::Looks, Role::Posture, Role::Place, Role::SoftStyle])
        });
        let idea = clause.tokens.iter().any(|token| token.entry.idea.is_some());
        let described = clause.class == Class::Content && (looks >= 2 || (!asked && names && !idea));
        let styles = (0..clause.tokens.len()).filter(|at| rewrite::is_style(clause, *at));
        if described {
            found.push(clause.text());
        } else {
            found.extend(styles.map(|at| clause.tokens[at].text.clone()));
        }
    }
    if found.is_empty() {
        return None;
    }
    let about = format!("the picture already shows {}: say only what moves", list(&found));
    advice(Kind::Content, about, rewrite::without_content(clauses.to_vec()), words)
}

fn repeated(words: &str, clauses: &[Clause]) -> Option<Advice> {
    let in_clauses = clauses
        .iter()
        .flat_map(|clause| rewrite::repeats_in(clause).into_iter().map(|at| clause.tokens[at].text.clone()));
    let mut found: Vec<String> = in_clauses.collect();
    for (at, clause) in clauses.iter().enumerate() {
        let again = clause.class != Class::Manner && clauses[..at].iter().any(|before| before.tokens == clause.tokens);
        found.extend(again.then(|| clause.text()));
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return None;
    }
    let about = format!("{} said more than once: once is enough", list(&found));
    advice(Kind::Repeated, about, rewrite::without_repeats(clauses.to_vec()), words)
}

fn violent(words: &str, clauses: &[Clause]) -> Option<Advice> {
    let violent = |clause: &Clause| {
        let at = (0..clause.tokens.len()).find(|at| rewrite::is_violent(clause, *at))?;
        Some(clause.tokens[at].text.clone())
    };
    let found: Vec<String> = clauses.iter().filter_map(violent).collect();
    if found.is_empty() {
        return None;
    }
    let about = format!("violent action tears a picture apart ({}): ask for something calmer", list(&found));
    advice(Kind::Violent, about, rewrite::calm(clauses.to_vec()), words)
}

fn many(words: &str, clauses: &[Clause]) -> Option<Advice> {
    let count = rewrite::motions(clauses);
    if count <= MOST_MOTIONS {
        return None;
    }
    let about = format!("{count} motions at once blur each other: ask for {MOST_MOTIONS} at most");
    advice(Kind::ManyMotions, about, rewrite::first_motions(clauses.to_vec()), words)
}

fn long(words: &str, clauses: &[Clause]) -> Option<Advice> {
    let count: usize = clauses.iter().map(Clause::word_count).sum();
    if count <= MOST_WORDS {
        return None;
    }
    let about = format!("{count} words are many: 10 to {MOST_WORDS} work best");
    Some(Advice { kind: Kind::Long, about, better: rewrite(words) })
}

fn contradicting(words: &str, clauses: &[Clause]) -> Option<Advice> {
    let found = contradiction::find(clauses)?;
    let [first, second] = found.said.map(|said| quoted(&said));
    let about = format!("{first} and {second} contradict each other: leave one out");
    advice(Kind::Contradiction, about, found.without, words)
}

fn ideas(words: &str, clauses: &[Clause]) -> Option<Advice> {
    let ideas = clauses.iter().flat_map(|clause| {
        let ideas = (0..clause.tokens.len()).filter(|at| rewrite::is_idea(clause, *at));
        ideas.map(|at| clause.tokens[at].text.clone())
    });
    let mut found: Vec<String> = ideas.collect();
    found.dedup();
    if found.is_empty() {
        return None;
    }
    let about = format!("{} cannot be seen: say what moves because of it", list(&found));
    advice(Kind::Abstract, about, rewrite::make_visible(clauses.to_vec()), words)
}

/// The first few, in quotation marks.
fn list(found: &[String]) -> String {
    let mut text = String::new();
    for (index, item) in found.iter().enumerate() {
        if index > 0 && text.chars().count() + item.chars().count() > LONGEST_LIST {
            return format!("{text} and more");
        }
        text.push_str(if index > 0 { ", " } else { "" });
        text.push_str(&quoted(item));
    }
    text
}
