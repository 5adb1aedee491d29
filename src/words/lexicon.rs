//! The word lists that are built in: what kind of word each is, for advice and for rewriting.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

/// What a word does in a sentence. A word may have several roles: see `lists.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Verb,
    InflectedVerb,
    MotionNoun,
    OwnVerb,
    LargeVerb,
    Breath,
    Blink,
    WindDriven,
    Camera,
    ToCamera,
    LooseCamera,
    Slow,
    Fast,
    Manner,
    Direction,
    Still,
    StillAdjective,
    Keeps,
    ClosedEyes,
    Negation,
    Except,
    Sequence,
    Join,
    NoJoin,
    Style,
    Medium,
    SoftStyle,
    Praise,
    Looks,
    Posture,
    Place,
    When,
    Atmosphere,
    Determiner,
    Function,
}

/// A kind of thing that can move.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thing {
    pub name: String,
    /// A motion of it; `{}` stands for the word that the user took.
    pub suggestion: String,
    /// Whether its motion belongs to the air and the light.
    #[serde(default)]
    pub ambient: bool,
    /// Whether it can be told to be still while the rest moves.
    #[serde(default)]
    pub still: bool,
    words: Vec<String>,
}

/// Violent words and what to ask for instead; `{}` stands for what does it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violence {
    pub calm: String,
    words: Vec<String>,
}

/// Words for ideas and something visible that expresses them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idea {
    pub visible: String,
    words: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    roles: BTreeMap<Role, Vec<String>>,
    things: Vec<Thing>,
    violent: Vec<Violence>,
    r#abstract: Vec<Idea>,
}

/// Everything that a word or a phrase may be. The numbers are indices into the lexicon's tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    pub roles: BTreeSet<Role>,
    pub thing: Option<usize>,
    pub violent: Option<usize>,
    pub idea: Option<usize>,
}

impl Entry {
    fn merge(&mut self, other: &Self) {
        self.roles.extend(&other.roles);
        self.thing = self.thing.or(other.thing);
        self.violent = self.violent.or(other.violent);
        self.idea = self.idea.or(other.idea);
    }
}

/// The word lists, ready for looking up.
#[derive(Debug)]
pub struct Lexicon {
    /// In the order in which a clip is about them.
    pub things: Vec<Thing>,
    pub violent: Vec<Violence>,
    pub ideas: Vec<Idea>,
    /// Phrases, of one word or more, by their first word.
    phrases: HashMap<String, Vec<(Vec<String>, Entry)>>,
}

static BUILT_IN: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::parse(include_str!("lists.toml")).expect("the lists are part of the program, and a test reads them")
});

impl Lexicon {
    /// The lists that are built in, read once.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let file: File = toml::from_str(text)?;
        let mut entries: BTreeMap<Vec<String>, Entry> = BTreeMap::new();
        let mut add = |words: &[String], what: Entry| {
            for phrase in words {
                let words: Vec<String> = phrase.split([' ', '-']).map(str::to_owned).collect();
                entries.entry(words).or_default().merge(&what);
            }
        };
        for (role, words) in &file.roles {
            add(words, Entry { roles: [*role].into(), ..Entry::default() });
        }
        for (index, thing) in file.things.iter().enumerate() {
            add(&thing.words, Entry { thing: Some(index), ..Entry::default() });
        }
        for (index, violence) in file.violent.iter().enumerate() {
            add(&violence.words, Entry { violent: Some(index), ..Entry::default() });
        }
        for (index, idea) in file.r#abstract.iter().enumerate() {
            add(&idea.words, Entry { idea: Some(index), ..Entry::default() });
        }
        let mut phrases: HashMap<String, Vec<(Vec<String>, Entry)>> = HashMap::new();
        for (words, entry) in entries {
            phrases.entry(words[0].clone()).or_default().push((words, entry));
        }
        Ok(Self { things: file.things, violent: file.violent, ideas: file.r#abstract, phrases })
    }

    /// The longest phrase that `words` (in lower case) begin with: how many of them it spans, and what it is. Articles and possessives may
    /// stand inside it.
    pub fn longest_phrase(&self, words: &[&str]) -> Option<(usize, Entry)> {
        let forms = |at: usize| words.get(at).map(|word| forms(word)).unwrap_or_default();
        let first = forms(0);
        let mut best: Option<(usize, usize, &Entry)> = None;
        for (form, _) in &first {
            for (phrase, entry) in self.phrases.get(form).into_iter().flatten().filter(|(phrase, _)| phrase.len() > 1) {
                if let Some(span) = span(phrase, words)
                    && best.is_none_or(|(longest, _, _)| phrase.len() > longest)
                {
                    best = Some((phrase.len(), span, entry));
                }
            }
        }
        match best {
            Some((_, span, entry)) => Some((span, entry.clone())),
            None => self.word(&first).map(|entry| (1, entry)),
        }
    }

    /// All words and phrases.
    #[cfg(test)]
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.phrases.values().flatten().map(|(phrase, _)| phrase.join(" "))
    }

    /// What a single word is, in all the forms that it may be.
    fn word(&self, forms: &[(String, Ending)]) -> Option<Entry> {
        let mut all: Option<Entry> = None;
        for (form, ending) in forms {
            let known = self.phrases.get(form).into_iter().flatten().find(|(phrase, _)| phrase.len() == 1);
            let Some((_, entry)) = known else { continue };
            // A word that is listed as it stands is not also a form of "close" or "light" where that is no movement.
            let mut entry = entry.clone();
            match ending {
                Ending::Plain => {}
                Ending::Present if entry.roles.contains(&Role::InflectedVerb) => _ = entry.roles.insert(Role::Verb),
                Ending::Present => {}
                Ending::Past => {
                    let moves = entry.roles.contains(&Role::Verb) || entry.roles.contains(&Role::InflectedVerb);
                    entry.roles.retain(|role| !role.is_movement());
                    entry.roles.extend(moves.then_some(Role::Looks));
                }
            }
            all.get_or_insert_default().merge(&entry);
        }
        all
    }
}

impl Role {
    /// Whether the word itself moves something.
    fn is_movement(self) -> bool {
        use Role::*;
        matches!(self, Verb | InflectedVerb | MotionNoun | OwnVerb | LargeVerb | Breath | Blink)
    }
}

/// How many of `words` the phrase spans, if they begin with it.
fn span(phrase: &[String], words: &[&str]) -> Option<usize> {
    const PASSED_OVER: [&str; 9] = ["a", "an", "the", "her", "his", "their", "its", "my", "your"];
    let mut at = 0;
    for (index, wanted) in phrase.iter().enumerate() {
        let is_wanted = |word: &str| word == wanted || forms(word).iter().any(|(form, _)| form == wanted);
        if index > 0 && words.get(at).is_some_and(|word| PASSED_OVER.contains(word) && word != wanted) {
            at += 1;
        }
        if !words.get(at).is_some_and(|word| is_wanted(word)) {
            return None;
        }
        at += 1;
    }
    Some(at)
}

/// How a word ends, compared with its plain form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Plain,
    /// -s or -ing.
    Present,
    /// -ed: a state.
    Past,
}

/// The word, and the plain forms that it may come from.
fn forms(word: &str) -> Vec<(String, Ending)> {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix('\'')).unwrap_or(word);
    let mut forms = vec![(word.to_owned(), Ending::Plain)];
    for (suffix, ending) in [("ing", Ending::Present), ("ed", Ending::Past)] {
        let Some(stem) = word.strip_suffix(suffix).filter(|stem| stem.chars().count() >= 2) else { continue };
        forms.push((stem.to_owned(), ending));
        forms.push((format!("{stem}e"), ending));
        let mut backwards = stem.char_indices().rev();
        if let (Some((at, last)), Some((_, before))) = (backwards.next(), backwards.next())
            && last == before
        {
            forms.push((stem[..at].to_owned(), ending));
        }
    }
    for (suffix, replacement, ending) in [
        ("ies", "y", Ending::Present),
        ("ied", "y", Ending::Past),
        ("es", "", Ending::Present),
        ("s", "", Ending::Present),
        ("ly", "", Ending::Plain),
    ] {
        if let Some(stem) = word.strip_suffix(suffix).filter(|stem| stem.chars().count() >= 2 && !stem.ends_with('s')) {
            forms.push((format!("{stem}{replacement}"), ending));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(text: &str) -> Vec<Role> {
        let words: Vec<&str> = text.split(' ').collect();
        let (span, entry) = Lexicon::built_in().longest_phrase(&words).unwrap();
        assert_eq!(span, words.len(), "{text}");
        entry.roles.into_iter().collect()
    }

    #[test]
    fn the_lists_are_in_lower_case_without_empty_words() {
        let lexicon = Lexicon::parse(include_str!("lists.toml")).unwrap();
        for (words, _) in lexicon.phrases.values().flatten() {
            let text = words.join(" ");
            assert!(words.iter().all(|word| !word.is_empty()) && text == text.to_lowercase(), "\"{text}\"");
        }
    }

    #[test]
    fn endings_are_understood() {
        for word in ["flow", "flows", "flowing", "waving", "bobbing", "carries", "glances"] {
            assert!(roles(word).contains(&Role::Verb), "{word}");
        }
        for word in ["closed", "opened", "tilted", "warm", "spring", "open"] {
            assert!(!roles(word).contains(&Role::Verb), "{word} is a state");
        }
        assert!(roles("closing").contains(&Role::Verb));
        assert!(roles("softly").contains(&Role::Manner));
    }

    #[test]
    fn the_longest_phrase_wins_and_articles_may_stand_in_it() {
        assert!(roles("looking at the viewer").contains(&Role::SoftStyle));
        assert!(roles("pans to the left").contains(&Role::Camera));
        let (span, _) = Lexicon::built_in().longest_phrase(&["best", "quality", "hair"]).unwrap();
        assert_eq!(span, 2);
    }
}
