//! The lexicon file: what each word may be, read once and indexed by first word.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::motion::Motion;
use super::stem;
use crate::camera::CameraCommand;
use crate::error::{Error, Result};

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
    phrases: Vec<Phrase>,
    by_first_word: HashMap<String, Vec<usize>>,
    vocabulary: BTreeSet<String>,
    correctable: BTreeSet<String>,
}

impl Lexicon {
    /// Reads the lexicon that is built in.
    ///
    /// # Errors
    /// A defect of the file: a meaning that does not exist, or a word with two meanings of one kind.
    pub fn built_in() -> Result<Self> {
        Self::parse(FILE)
    }

    fn parse(text: &str) -> Result<Self> {
        let file: file::File =
            toml::from_str(text).map_err(|error| defect("its tables", &error.to_string().replace('\n', " ")))?;
        let mut builder = Builder::new(&file)?;
        builder.add_all(&file)?;
        builder.finish()
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

    /// How many words and phrases there are.
    pub fn len(&self) -> usize {
        self.phrases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }
}

fn defect(wanted: &str, found: &str) -> Error {
    Error::run("models/sway/lexicon.toml", wanted, found, "correct the file and build again")
}

/// The tables as they stand in the file.
mod file {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct File {
        pub subjects: BTreeMap<String, SubjectTable>,
        pub verbs: BTreeMap<String, VerbTable>,
        pub unavailable: BTreeMap<String, UnavailableTable>,
        pub camera: BTreeMap<String, CameraTable>,
        pub adverbs: BTreeMap<String, AdverbTable>,
        pub boosters: Words,
        pub directions: BTreeMap<Direction, Vec<String>>,
        pub negations: Negations,
        pub stillness: Stillness,
        pub exceptions: Words,
        pub separators: Separators,
        pub stop: Stop,
        pub ignored: BTreeMap<String, Vec<String>>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Words {
        pub words: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Negations {
        pub words: Vec<String>,
        pub things: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct SubjectTable {
        pub moves: String,
        pub still: Vec<String>,
        #[serde(default)]
        pub always: bool,
        #[serde(default)]
        pub bare: bool,
        #[serde(default)]
        pub weak: bool,
        pub words: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct VerbTable {
        #[serde(default)]
        pub means: BTreeMap<String, String>,
        #[serde(default)]
        pub general: bool,
        pub alone: Option<String>,
        pub amount: Option<f64>,
        pub tempo: Option<f64>,
        pub gust: Option<f64>,
        pub words: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct UnavailableTable {
        pub name: String,
        #[serde(default)]
        pub words: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct CameraTable {
        pub alone: Alone,
        #[serde(default)]
        pub general: bool,
        pub left: Option<String>,
        pub right: Option<String>,
        pub up: Option<String>,
        pub down: Option<String>,
        pub r#in: Option<String>,
        pub out: Option<String>,
        pub otherwise: Option<String>,
        pub words: Vec<String>,
    }

    #[derive(Deserialize)]
    pub struct AdverbTable {
        pub words: Vec<String>,
        #[serde(flatten)]
        pub manner: BTreeMap<String, toml::Value>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Stillness {
        pub words: Vec<String>,
        pub stays: Vec<String>,
        pub before: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Separators {
        pub clause: Vec<String>,
        pub with: Vec<String>,
        pub and: Vec<String>,
        pub or: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Stop {
        pub determiners: Vec<String>,
        pub wear: Vec<String>,
        pub words: Vec<String>,
    }
}

struct Builder {
    subject_keys: Vec<String>,
    unavailable_keys: Vec<String>,
    subjects: Vec<Subject>,
    verbs: Vec<Verb>,
    unavailable: Vec<String>,
    camera_verbs: Vec<CameraVerb>,
    entries: BTreeMap<String, Entry>,
}

impl Builder {
    fn new(file: &file::File) -> Result<Self> {
        let mut builder = Self {
            subject_keys: file.subjects.keys().cloned().collect(),
            unavailable_keys: file.unavailable.keys().cloned().collect(),
            subjects: Vec::new(),
            verbs: Vec::new(),
            unavailable: file.unavailable.values().map(|table| table.name.clone()).collect(),
            camera_verbs: Vec::new(),
            entries: BTreeMap::new(),
        };
        for (key, table) in &file.subjects {
            let everything = table.still.iter().any(|name| name == "everything");
            let still = table.still.iter().filter(|name| *name != "everything" && *name != "camera");
            let still = still.map(|name| stillable(name)).collect::<Result<Vec<_>>>()?.concat();
            let moves = builder.meaning(&table.moves)?;
            builder.subjects.push(Subject {
                key: key.clone(),
                moves,
                still,
                everything,
                always: table.always,
                bare: table.bare,
                weak: table.weak,
            });
        }
        Ok(builder)
    }

    fn meaning(&self, name: &str) -> Result<Meaning> {
        Ok(match name {
            "ignore" => Meaning::Ignore,
            "look" => Meaning::Look,
            "camera" => Meaning::Camera,
            "rest" => Meaning::Rest,
            _ => match (Motion::parse(name), self.unavailable_keys.iter().position(|key| key == name)) {
                (Some(motion), None) => Meaning::Motion(motion),
                (None, Some(index)) => Meaning::Unavailable(index),
                _ => return Err(defect("a motion, or a table [unavailable.<name>]", name)),
            },
        })
    }

    fn add(&mut self, words: &[String], role: &str, set: impl Fn(&mut Entry)) -> Result<()> {
        for word in words {
            let entry = self.entries.entry(word.clone()).or_default();
            let before = entry.clone();
            set(entry);
            let changed = entry.clone();
            let clash = [
                before.subject.is_some() && before.subject != changed.subject,
                before.verb.is_some() && before.verb != changed.verb,
                before.camera.is_some() && before.camera != changed.camera,
                before.manner.is_some() && before.manner != changed.manner,
                before.direction.is_some() && before.direction != changed.direction,
                before.link.is_some() && before.link != changed.link,
            ];
            if clash.contains(&true) {
                return Err(defect("one meaning of each kind for a word", &format!("\"{word}\" again in {role}")));
            }
        }
        Ok(())
    }

    fn add_all(&mut self, file: &file::File) -> Result<()> {
        for (index, (key, table)) in file.subjects.iter().enumerate() {
            self.add(&table.words, key, |entry| entry.subject = Some(index))?;
        }
        for (key, table) in &file.verbs {
            let mut means = BTreeMap::new();
            for (subject, meaning) in &table.means {
                let position = self.subject_keys.iter().position(|known| known == subject);
                let position =
                    position.ok_or_else(|| defect("a table [subjects.<name>]", &format!("{subject} in {key}")))?;
                means.insert(position, self.meaning(meaning)?);
            }
            let alone = table.alone.as_deref().map(|name| self.meaning(name)).transpose()?;
            let plain = Manner::default();
            let manner = Manner {
                amount: table.amount.unwrap_or(plain.amount),
                tempo: table.tempo.unwrap_or(plain.tempo),
                gust: table.gust.unwrap_or(plain.gust),
                ..plain
            };
            let index = self.verbs.len();
            self.verbs.push(Verb { means, general: table.general, alone, manner });
            self.add(&table.words, key, |entry| entry.verb = Some(index))?;
        }
        for (position, (key, table)) in file.unavailable.iter().enumerate() {
            let index = self.verbs.len();
            let alone = Some(Meaning::Unavailable(position));
            self.verbs.push(Verb { means: BTreeMap::new(), general: false, alone, manner: Manner::default() });
            self.add(&table.words, key, |entry| entry.verb = Some(index))?;
        }
        self.add_camera(file)?;
        for (key, table) in &file.adverbs {
            let manner: Manner = toml::Value::Table(table.manner.clone().into_iter().collect())
                .try_into()
                .map_err(|error: toml::de::Error| defect("numbers in [adverbs]", &format!("{key}: {error}")))?;
            self.add(&table.words, key, |entry| entry.manner = Some(manner))?;
        }
        for (direction, words) in &file.directions {
            self.add(words, "directions", |entry| entry.direction = Some(*direction))?;
        }
        self.add_small_words(file)
    }

    fn add_camera(&mut self, file: &file::File) -> Result<()> {
        for (key, table) in &file.camera {
            let named = [
                (Direction::Left, &table.left),
                (Direction::Right, &table.right),
                (Direction::Up, &table.up),
                (Direction::Down, &table.down),
                (Direction::In, &table.r#in),
                (Direction::Out, &table.out),
            ];
            let mut commands = BTreeMap::new();
            for (direction, command) in named {
                if let Some(name) = command {
                    commands.insert(direction, CameraCommand::parse(name)?);
                }
            }
            let otherwise = table.otherwise.as_deref().map(CameraCommand::parse).transpose()?;
            let index = self.camera_verbs.len();
            self.camera_verbs.push(CameraVerb { alone: table.alone, commands, otherwise, general: table.general });
            self.add(&table.words, key, |entry| entry.camera = Some(index))?;
        }
        Ok(())
    }

    fn add_small_words(&mut self, file: &file::File) -> Result<()> {
        let separators = &file.separators;
        self.add(&separators.clause, "separators", |entry| entry.link = Some(Link::Clause))?;
        self.add(&separators.with, "separators", |entry| entry.link = Some(Link::With))?;
        self.add(&separators.and, "separators", |entry| entry.link = Some(Link::And))?;
        self.add(&separators.or, "separators", |entry| entry.link = Some(Link::Or))?;
        self.add(&file.exceptions.words, "exceptions", |entry| entry.link = Some(Link::Except))?;
        self.add(&file.boosters.words, "boosters", |entry| entry.booster = true)?;
        self.add(&file.negations.words, "negations", |entry| entry.negation = true)?;
        self.add(&file.negations.things, "negations", |entry| entry.negation = true)?;
        self.add(&file.stillness.words, "stillness", |entry| entry.stillness = true)?;
        self.add(&file.stillness.stays, "stillness", |entry| entry.stays = true)?;
        self.add(&file.stillness.before, "stillness", |entry| entry.keeps = true)?;
        self.add(&file.stop.determiners, "stop", |entry| entry.determiner = true)?;
        self.add(&file.stop.wear, "stop", |entry| entry.wear = true)?;
        self.add(&file.stop.words, "stop", |entry| entry.stop = true)?;
        for words in file.ignored.values() {
            self.add(words, "ignored", |entry| entry.ignored = true)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Lexicon> {
        let look_vertical = self.unavailable_keys.iter().position(|key| key == "look_vertical");
        let look_vertical = look_vertical.ok_or_else(|| defect("a table [unavailable.look_vertical]", "none"))?;
        let mut lexicon = Lexicon {
            subjects: self.subjects,
            verbs: self.verbs,
            unavailable: self.unavailable,
            camera_verbs: self.camera_verbs,
            look_vertical,
            phrases: Vec::new(),
            by_first_word: HashMap::new(),
            vocabulary: BTreeSet::new(),
            correctable: BTreeSet::new(),
        };
        for (text, entry) in self.entries {
            let words: Vec<String> = text.split_whitespace().map(str::to_string).collect();
            let Some(first) = words.first() else { return Err(defect("words", "an empty one")) };
            lexicon.by_first_word.entry(first.clone()).or_default().push(lexicon.phrases.len());
            lexicon.vocabulary.extend(words.iter().cloned());
            if let [only] = words.as_slice() {
                let moves = entry.verb.is_some() || entry.camera.is_some();
                let forms = if moves { stem::inflected_forms(only) } else { vec![only.clone()] };
                let long = forms.into_iter().filter(|form| form.chars().count() >= stem::SHORTEST_CORRECTED);
                lexicon.correctable.extend(long);
            }
            lexicon.phrases.push(Phrase { words, entry });
        }
        Ok(lexicon)
    }
}

fn stillable(name: &str) -> Result<Vec<Motion>> {
    match name {
        "blink" => Ok(vec![Motion::Blink, Motion::CloseEyes]),
        "wink" => Ok(vec![Motion::Wink, Motion::WinkLeft, Motion::WinkRight]),
        "light" => {
            Ok(vec![Motion::Brighten, Motion::Dim, Motion::LightShift, Motion::Warm, Motion::Cool, Motion::Flicker])
        }
        _ => Motion::parse(name).map(|motion| vec![motion]).ok_or_else(|| defect("a motion to be still", name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_lexicon_is_sound_and_large() {
        let lexicon = Lexicon::built_in().unwrap();
        assert!(lexicon.len() >= 900, "{}", lexicon.len());
        assert!(!lexicon.is_empty());
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
        assert!(Lexicon::parse(&broken).unwrap_err().to_string().contains("hare"));
        let twice = FILE.replacen("words = [\"blow\"", "words = [\"blow\", \"blink\"", 1);
        assert!(Lexicon::parse(&twice).unwrap_err().to_string().contains("blink"));
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
