//! The tables of the lexicon file, and how they become a [`Lexicon`]: meanings found, words checked, phrases indexed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::lexicon::{Alone, CameraVerb, Direction, Entry, Lexicon, Link, Manner, Meaning, Phrase, Subject, Verb};
use super::motion::Motion;
use super::stem;
use crate::camera::CameraCommand;
use crate::error::{Error, Result};

/// Reads the text of a lexicon file.
///
/// # Errors
/// A defect of the file: a meaning that does not exist, or a word with two meanings of one kind.
pub fn parse(text: &str) -> Result<Lexicon> {
    let file: File =
        toml::from_str(text).map_err(|error| defect("its tables", &error.to_string().replace('\n', " ")))?;
    let mut builder = Builder::new(&file)?;
    builder.add_all(&file)?;
    builder.finish()
}

fn defect(wanted: &str, found: &str) -> Error {
    Error::run("models/sway/lexicon.toml", wanted, found, "correct the file and build again")
}

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
    #[serde(default)]
    pub vague: bool,
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
    fn new(file: &File) -> Result<Self> {
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

    fn add_all(&mut self, file: &File) -> Result<()> {
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
            self.verbs.push(Verb { means, general: table.general, vague: table.vague, alone, manner });
            self.add(&table.words, key, |entry| entry.verb = Some(index))?;
        }
        for (position, (key, table)) in file.unavailable.iter().enumerate() {
            let index = self.verbs.len();
            let alone = Some(Meaning::Unavailable(position));
            self.verbs.push(Verb {
                means: BTreeMap::new(),
                general: false,
                vague: false,
                alone,
                manner: Manner::default(),
            });
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

    fn add_camera(&mut self, file: &File) -> Result<()> {
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

    fn add_small_words(&mut self, file: &File) -> Result<()> {
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
            // A misspelt word of content is as well ignored as an unknown one.
            if let ([only], false) = (words.as_slice(), entry.ignored || entry.stop) {
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
