//! The lexicon file: what each word may be, read once and indexed by first word.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::motion::Motion;
use super::{lexicon_file, stem};
use crate::camera::CameraCommand;
use crate::error::Result;

const FILE: &str = include_str!("../../../../models/sway/lexicon.toml");

/// What a movement means for a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A movement that the model makes.
    Motion(Motion),
    /// A known movement that it cannot make: an index into [`Lexicon::unavailable`].
    Unavailable(usize),
    /// A glance: a slight turn of the head if it has a side.
    Look,
    /// The camera moves.
    Camera,
    /// Everything but what is named.
    Rest,
    /// Nothing that could be shown.
    Ignore,
}

/// A thing that can move.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The table's name.
    pub key: String,
    /// What it means that it moves.
    pub moves: Meaning,
    /// What stops when it is still.
    pub still: Vec<Motion>,
    /// The picture as a whole is still when it is.
    pub everything: bool,
    /// Naming it is asking for its movement.
    pub always: bool,
    /// Naming it alone in a clause is asking for its movement.
    pub bare: bool,
    /// The whole figure: a named part goes first.
    pub weak: bool,
}

/// A movement.
#[derive(Debug, Clone)]
pub struct Verb {
    /// By the subject's index.
    pub means: BTreeMap<usize, Meaning>,
    /// Other subjects move as their own table says.
    pub general: bool,
    /// A word such as "motion", which is not worth asking after.
    pub vague: bool,
    /// Without a subject, or with one that it says nothing about.
    pub alone: Option<Meaning>,
    /// Strength built into the word.
    pub manner: Manner,
}

/// How something is done; adverbs, and strength built into a verb.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manner {
    /// Multiplies the amount; 1 is normal.
    pub amount: f64,
    /// -1 slow to 1 fast.
    pub tempo: f64,
    /// How often, -1 to 1.
    pub rate: f64,
    /// Wind in gusts, 0 to 1.
    pub gust: f64,
    /// A number of times, which cannot be promised.
    pub count: bool,
    /// The adverb after it is not heard: "not too strongly".
    pub replaces_next: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { amount: 1.0, tempo: 0.0, rate: 0.0, gust: 0.0, count: false, replaces_next: false }
    }
}

/// A side, as the lexicon names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards the left of the screen.
    Left,
    /// Towards the right of the screen.
    Right,
    /// To the figure's own left: the right of the screen for a figure that faces us.
    OwnLeft,
    /// To the figure's own right.
    OwnRight,
    /// To one side and back.
    Both,
    /// Upwards.
    Up,
    /// Downwards.
    Down,
    /// Towards the scene.
    In,
    /// Away from the scene.
    Out,
}

/// When a word is a camera move although no camera is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alone {
    /// Always.
    Always,
    /// Unless a person is said to do it.
    NoPerson,
    /// If one of its directions is named.
    Direction,
    /// If up or down is named.
    Vertical,
    /// Never.
    Never,
}

/// A camera move in words.
#[derive(Debug, Clone)]
pub struct CameraVerb {
    /// When it needs no camera.
    pub alone: Alone,
    /// Commands by direction.
    pub commands: BTreeMap<Direction, CameraCommand>,
    /// The command without a direction.
    pub otherwise: Option<CameraCommand>,
    /// Any movement: denied, it means a static shot.
    pub general: bool,
}

/// How a clause is joined to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It begins a sentence.
    Sentence,
    /// By a comma.
    Comma,
    /// By "while", "as", "then" and the like.
    Clause,
    /// By "with".
    With,
    /// By "and".
    And,
    /// By "or".
    Or,
    /// By "except" or "only".
    Except,
}

/// Everything that a word or phrase may be; a context decides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// A thing: an index into [`Lexicon::subjects`].
    pub subject: Option<usize>,
    /// A movement: an index into [`Lexicon::verbs`].
    pub verb: Option<usize>,
    /// A camera move: an index into [`Lexicon::camera_verbs`].
    pub camera: Option<usize>,
    /// How.
    pub manner: Option<Manner>,
    /// Where to.
    pub direction: Option<Direction>,
    /// What it joins.
    pub link: Option<Link>,
    /// "very".
    pub booster: bool,
    /// "no".
    pub negation: bool,
    /// "motionless".
    pub stillness: bool,
    /// "still", which may also mean "yet".
    pub stays: bool,
    /// "keep", before "still".
    pub keeps: bool,
    /// "the".
    pub determiner: bool,
    /// "wearing".
    pub wear: bool,
    /// A small word without a task.
    pub stop: bool,
    /// A word of content, style or mood.
    pub ignored: bool,
}

/// A word or phrase of the file.
#[derive(Debug)]
pub struct Phrase {
    /// Its words.
    pub words: Vec<String>,
    /// What it may be.
    pub entry: Entry,
}

/// The lexicon, indexed.
#[derive(Debug)]
pub struct Lexicon {
    /// Things that move.
    pub subjects: Vec<Subject>,
    /// Movements.
    pub verbs: Vec<Verb>,
    /// Names of the movements that this model cannot make.
    pub unavailable: Vec<String>,
    /// Camera moves.
    pub camera_verbs: Vec<CameraVerb>,
    /// Index of "raising or lowering the head".
    pub look_vertical: usize,
    /// All words and phrases.
    pub(super) phrases: Vec<Phrase>,
    /// Phrases by their first word: indices into `phrases`.
    pub(super) by_first_word: HashMap<String, Vec<usize>>,
    /// Every word that stands in a phrase.
    pub(super) vocabulary: BTreeSet<String>,
    /// Words and forms that a misspelling may be read as.
    pub(super) correctable: BTreeSet<String>,
}

impl Lexicon {
    /// Reads the lexicon that is built in.
    ///
    /// # Errors
    /// A defect of the file: a meaning that does not exist, or a word with two meanings of one kind.
    pub fn built_in() -> Result<Self> {
        lexicon_file::parse(FILE)
    }

    /// The phrases that begin with this plain word.
    pub fn starting_with(&self, word: &str) -> impl Iterator<Item = &Phrase> {
        self.by_first_word.get(word).into_iter().flatten().map(|&index| &self.phrases[index])
    }

    /// Whether this word, or a plain form of it, stands anywhere in the lexicon.
    pub fn knows(&self, word: &str) -> bool {
        self.vocabulary.contains(word) || stem::plain_forms(word).iter().any(|form| self.vocabulary.contains(form))
    }

    /// The known word that an unknown one is a misspelling of.
    pub fn correct(&self, word: &str) -> Option<&str> {
        if word.chars().count() < stem::SHORTEST_CORRECTED {
            return None;
        }
        self.correctable.iter().find(|known| stem::is_misspelling(word, known)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_lexicon_is_sound_and_large() {
        let lexicon = Lexicon::built_in().unwrap();
        assert!(lexicon.phrases.len() >= 900, "{}", lexicon.phrases.len());
        assert!(lexicon.unavailable.len() >= 20);
    }

    #[test]
    fn every_word_is_lower_case_and_plainly_spelt() {
        for phrase in Lexicon::built_in().unwrap().phrases {
            for word in &phrase.words {
                assert!(*word == word.to_lowercase() && !word.contains([',', '.', '’']), "{word}");
            }
        }
    }

    #[test]
    fn defects_of_the_file_are_named() {
        let broken = FILE.replacen("moves = \"hair\"", "moves = \"hare\"", 1);
        assert!(lexicon_file::parse(&broken).unwrap_err().to_string().contains("hare"));
        let twice = FILE.replacen("words = [\"blow\"", "words = [\"blow\", \"blink\"", 1);
        assert!(lexicon_file::parse(&twice).unwrap_err().to_string().contains("blink"));
    }

    #[test]
    fn long_words_are_corrected_and_short_or_known_ones_are_not() {
        let lexicon = Lexicon::built_in().unwrap();
        assert_eq!(lexicon.correct("flwoing"), Some("flowing"));
        assert_eq!(lexicon.correct("slwoly"), Some("slowly"));
        assert_eq!(lexicon.correct("har"), None);
        assert_eq!(lexicon.correct("xylophone"), None);
        assert!(lexicon.knows("bowing"), "a real word next to \"blowing\" has to be known");
    }
}
