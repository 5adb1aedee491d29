//! Settings by the long names of their options, as `--config FILE` has them in TOML and records of runs in JSON, and what they add to a
//! command line.
//!
//! A setting becomes the argument that a user would have typed, such as `--steps=8`, so that one code path checks both.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::options::Options;
use crate::error::{Error, Problem, Result};

/// Largest file that is read: far more than every option together.
const MOST_BYTES: u64 = 1 << 20;

/// An option on the command line also puts these of the file out of force, because both cannot be true together.
const DISPLACED: [(&str, &[&str]); 8] = [
    ("resolution", &["width", "height", "fit"]),
    ("width", &["resolution"]),
    ("height", &["resolution"]),
    ("duration", &["num-frames"]),
    ("num-frames", &["duration"]),
    ("output", &["format"]),
    ("quiet", &["verbose"]),
    ("verbose", &["quiet"]),
];

/// One option of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The long name of the option, without dashes in front.
    pub option: String,
    /// The line of its key, from 1; none outside of TOML.
    pub line: Option<usize>,
    /// What a command line would have in its place.
    pub arguments: Vec<OsString>,
}

/// The settings of a file or of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What messages call it, such as the file's name as it was given.
    pub file: String,
    /// Its settings, in its order.
    pub settings: Vec<Setting>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is too large or not UTF-8, and everything that [`parse`](Self::parse) refuses.
    pub fn read(path: &Path) -> Result<Self> {
        let thing = format!("--config {}", path.display());
        let refused = |found: String, hint: &str| Error::input(&thing, "a readable TOML file", found, hint);
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => refused("no such file".to_owned(), "check the path"),
            std::io::ErrorKind::IsADirectory => refused("a folder".to_owned(), "name a file in it"),
            _ => refused(error.to_string(), "check the path and the file's permissions"),
        };
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(refused("more than 1 MiB".to_owned(), "check that it is the right file"));
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| refused(format!("one that is not UTF-8 ({error})"), "save it as UTF-8"))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The settings in `text`; `file` names it in errors.
    ///
    /// # Errors
    /// Anything but TOML, a key that is no option or stands there twice, a value of a type that the option cannot have.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let line_of = |position: usize| {
            1 + text.as_bytes()[..position.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
        };
        let table = DeTable::parse(text).map_err(|error| {
            let line = line_of(error.span().map_or(0, |span| span.start));
            let found = error.message().replace('\n', ", ");
            Error::input(format!("{file}, line {line}"), "TOML", found, "lines look like: prompt = \"hair flowing\"")
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| Entry {
            key: key.get_ref(),
            line: Some(line_of(key.span().start)),
            value: Given::from(value.get_ref()),
        });
        Self::of(entries, file)
    }

    /// The settings of a JSON object, such as a record of a run; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of_object(object: &Map<String, Value>, name: &str) -> Result<Self> {
        Self::of(object.iter().map(|(key, value)| Entry { key, line: None, value: Given::from(value) }), name)
    }

    /// What stands on a command line.
    pub(super) fn typed(given: &ArgMatches) -> Self {
        let command = Options::augment_args(Command::new("generate"));
        let typed = |option: &&Arg| given.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine);
        let setting = |option: &Arg| {
            let long = option.get_long().expect("every option has a long name");
            let arguments = match option.get_action() {
                ArgAction::SetTrue => vec![OsString::from(format!("--{long}"))],
                _ => given
                    .get_raw(option.get_id().as_str())
                    .unwrap_or_default()
                    .map(|value| argument(long, value))
                    .collect(),
            };
            Setting { option: long.to_owned(), line: None, arguments }
        };
        let settings = command.get_arguments().filter(typed).map(setting).collect();
        Self { file: "the command line".to_owned(), settings }
    }

    /// These and those of `other` that they leave standing.
    pub(super) fn over(mut self, other: Option<&Self>) -> Self {
        let given = |option: &str| self.settings.iter().any(|setting| setting.option == option);
        if let Some(other) = other.cloned() {
            let left = other.without(given).settings;
            self.settings.extend(left);
        }
        self
    }

    fn of<'a>(entries: impl Iterator<Item = Entry<'a>>, name: &str) -> Result<Self> {
        let command = Options::augment_args(Command::new("generate"));
        let mut settings: Vec<Setting> = Vec::new();
        for Entry { key, line, value } in entries {
            let thing = format!("{}: {key}", place(name, line));
            let option = option_named(&command, key, &thing)?;
            let long = option.get_long().expect("every option has a long name");
            if let Some(earlier) = settings.iter().find(|earlier| earlier.option == long) {
                let found = earlier.line.map_or_else(|| "it twice".to_owned(), |line| format!("it in line {line} too"));
                return Err(Error::input(thing, format!("--{long} once"), found, "remove one of the two"));
            }
            let arguments = arguments(option, &value, &thing)?;
            settings.push(Setting { option: long.to_owned(), line, arguments });
        }
        Ok(Self { file: name.to_owned(), settings })
    }

    /// Leaves out what the command line says itself, or what would contradict it. `given`: whether it has the option of this long name.
    pub fn without(mut self, given: impl Fn(&str) -> bool) -> Self {
        let displaced = |option: &str| DISPLACED.iter().any(|(by, displaced)| given(by) && displaced.contains(&option));
        self.settings.retain(|setting| !given(&setting.option) && !displaced(&setting.option));
        self
    }

    /// The arguments that a command line would have in place of the file.
    pub fn arguments(&self) -> impl Iterator<Item = OsString> + '_ {
        self.settings.iter().flat_map(|setting| setting.arguments.iter().cloned())
    }

    /// Names the file and the line in an error about an option that came from here.
    pub fn locate(&self, error: Error) -> Error {
        let Error::Input(problem) = error else { return error };
        let named = |setting: &&Setting| {
            let rest = problem.thing.strip_prefix("--").and_then(|thing| thing.strip_prefix(setting.option.as_str()));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        match self.settings.iter().find(named) {
            Some(setting) => {
                let thing = format!("{}: {}", place(&self.file, setting.line), &problem.thing[2..]);
                Error::Input(Problem { thing, ..problem })
            }
            None => Error::Input(problem),
        }
    }
}

/// What a command line has where the option of this long name has this value.
pub(super) fn argument(long: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut argument = OsString::from(format!("--{long}="));
    argument.push(value);
    argument
}

/// Where a setting stands.
fn place(name: &str, line: Option<usize>) -> String {
    line.map_or_else(|| name.to_owned(), |line| format!("{name}, line {line}"))
}

/// The option of this name, with dashes or underscores; what a file may not say is not among them.
fn option_named<'a>(command: &'a Command, key: &str, thing: &str) -> Result<&'a Arg> {
    let name = key.replace('_', "-");
    if name == "config" {
        let found = "a further configuration file";
        return Err(Error::input(
            thing,
            "options of stir generate other than config",
            found,
            "copy its lines into this file",
        ));
    }
    let names = |option: &'a Arg| {
        option
            .get_long()
            .into_iter()
            .chain(option.get_all_aliases().unwrap_or_default())
            .map(move |name| (name, option))
    };
    let options: Vec<(&str, &Arg)> = command.get_arguments().flat_map(names).collect();
    if let Some((_, option)) = options.iter().find(|(known, _)| *known == name) {
        return Ok(option);
    }
    let nearest = options
        .iter()
        .map(|(known, _)| (strsim::jaro_winkler(known, &name), *known))
        .filter(|(likeness, known)| *likeness > 0.75 && *known != "config")
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None => "`stir generate --help` lists them; write them without the dashes in front".to_owned(),
    };
    Err(Error::input(thing, "an option of stir generate", "none of that name", hint))
}

/// A setting as it stands in its file.
struct Entry<'a> {
    key: &'a str,
    line: Option<usize>,
    value: Given,
}

/// A value, with numbers as they would be typed.
enum Given {
    Switch(bool),
    Number(String),
    Text(String),
    /// `None` is what no option can be.
    List(Vec<Option<String>>),
    /// What no option can be, by its name.
    Other(&'static str),
}

impl From<&DeValue<'_>> for Given {
    fn from(value: &DeValue) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("a number"), |number| Self::Number(number.to_string())),
            DeValue::Float(number) => Self::Number(number.to_string()),
            DeValue::Boolean(on) => Self::Switch(*on),
            DeValue::Datetime(_) => Self::Other("a date or a time"),
            DeValue::Array(values) => {
                Self::List(values.iter().map(|value| Self::from(value.get_ref()).scalar()).collect())
            }
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

impl From<&Value> for Given {
    fn from(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::Bool(on) => Self::Switch(*on),
            Value::Array(values) => Self::List(values.iter().map(|value| Self::from(value).scalar()).collect()),
            Value::Object(_) => Self::Other("an object"),
            Value::Null => Self::Other("null"),
        }
    }
}

impl Given {
    fn scalar(self) -> Option<String> {
        match self {
            Self::Number(text) | Self::Text(text) => Some(text),
            Self::Switch(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Switch(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Other(name) => name,
        }
    }
}

/// The arguments that give `option` this value.
fn arguments(option: &Arg, value: &Given, thing: &str) -> Result<Vec<OsString>> {
    let long = option.get_long().expect("every option has a long name");
    let flag = matches!(option.get_action(), ArgAction::SetTrue);
    let optional_value = option.get_num_args().is_some_and(|range| range.min_values() == 0);
    let repeatable = matches!(option.get_action(), ArgAction::Append);
    let arguments = match value {
        Given::Switch(true) if flag || optional_value => Some(vec![format!("--{long}").into()]),
        Given::Switch(false) if flag || optional_value => Some(Vec::new()),
        Given::List(values) if repeatable => {
            values.iter().map(|text| text.as_ref().map(|text| argument(long, text))).collect()
        }
        Given::Number(text) | Given::Text(text) if !flag => Some(vec![argument(long, text)]),
        _ => None,
    };
    arguments.ok_or_else(|| {
        let (wanted, example) = match (flag, repeatable) {
            (true, _) => ("true or false", "true"),
            (_, true) => ("a text, or a list of texts", "[\"431,287,70,52\", \"560,290,66,50\"]"),
            _ if optional_value => ("true, false, or a text", "true"),
            _ => ("a text or a number", "\"...\""),
        };
        Error::input(thing, wanted, value.type_name(), format!("such as: {long} = {example}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, "settings.toml")
    }

    fn arguments(config: &Config) -> Vec<String> {
        config.arguments().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn settings_become_arguments() {
        let config = parse(
            "# comment\nprompt = \"hair flowing [push in]\"\nnum_frames = 5\nguidance-scale = -1.5\nquiet = true\njson = false\n\
             preview = true\neyes = [\"1,2,3,4\", \"5,6,7,8\"]\nseed = 0x2A\n",
        )
        .unwrap();
        let expected = [
            "--prompt=hair flowing [push in]",
            "--num-frames=5",
            "--guidance-scale=-1.5",
            "--quiet",
            "--preview",
            "--eyes=1,2,3,4",
            "--eyes=5,6,7,8",
            "--seed=42",
        ];
        assert_eq!(arguments(&config), expected);
        assert_eq!(
            config.settings[1],
            Setting { option: "num-frames".into(), line: Some(3), arguments: vec!["--num-frames=5".into()] }
        );
        assert_eq!(arguments(&parse("cfg_scale = 2").unwrap()), ["--guidance-scale=2"]);
        assert_eq!(arguments(&parse("").unwrap()), [""; 0]);
    }

    #[test]
    fn objects_become_the_same_arguments() {
        let object = serde_json::json!({"eyes": ["1,2,3,4"], "num_frames": 5, "preview": true, "prompt": "hair"});
        let config = Config::of_object(object.as_object().unwrap(), "job 3").unwrap();
        let toml = parse("eyes = [\"1,2,3,4\"]\nnum_frames = 5\npreview = true\nprompt = \"hair\"").unwrap();
        assert_eq!(arguments(&config), arguments(&toml));
        for (object, message) in [
            (serde_json::json!({"steppes": 4}), "job 3: steppes: wanted an option of stir generate"),
            (serde_json::json!({"steps": null}), "job 3: steps: wanted a text or a number, found null"),
            (
                serde_json::json!({"num_frames": 5, "num-frames": 5}),
                "job 3: num_frames: wanted --num-frames once, found it twice",
            ),
        ] {
            let error = Config::of_object(object.as_object().unwrap(), "job 3").unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
        let error = config.locate(Error::input("--num-frames 5", "a", "b", "c"));
        assert_eq!(error.to_string(), "job 3: num-frames 5: wanted a, found b");
    }

    #[test]
    fn refusals_name_file_line_and_key() {
        for (text, message, hint) in [
            (
                "steps = 3\nsteppes = 4",
                "settings.toml, line 2: steppes: wanted an option of stir generate",
                "did you mean steps?",
            ),
            ("\n\nqqqq = 4", "settings.toml, line 3: qqqq", "--help"),
            ("steps = true", "line 1: steps: wanted a text or a number, found true or false", "steps ="),
            ("steps = [1]", "found a list", "steps ="),
            ("quiet = 1", "line 1: quiet: wanted true or false, found a number", "quiet = true"),
            ("fps = 2020-01-01", "found a date or a time", "fps ="),
            ("[steps]\nx = 1", "found a table", "steps ="),
            ("fps = 1\nnum-frames = 5\nnum_frames = 6", "line 3: num_frames: wanted --num-frames once", "remove"),
            ("config = \"other.toml\"", "line 1: config", "copy"),
            ("fps = 1\nprompt = hair flowing\n", "settings.toml, line 2: wanted TOML", "prompt ="),
            ("help = true", "line 1: help: wanted an option", "--help"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text:?}: {error}");
            assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
        }
    }

    #[test]
    fn the_command_line_comes_first() {
        let config = parse("width = 64\nheight = 64\nfit = \"stretch\"\nfps = 5\nduration = 2\nquiet = true").unwrap();
        let given = |options: &'static [&str]| config.clone().without(move |option| options.contains(&option));
        assert_eq!(arguments(&given(&["resolution", "fps"])), ["--duration=2", "--quiet"]);
        assert_eq!(arguments(&given(&["num-frames", "verbose", "width"])), ["--height=64", "--fit=stretch", "--fps=5"]);
    }

    #[test]
    fn errors_about_its_options_name_the_line() {
        let config = parse("fps = 5\nnoise = \"n\"\nsave-latents = \"l\"").unwrap();
        let thing = |thing: &str| config.locate(Error::input(thing, "a", "b", "c")).to_string();
        assert_eq!(thing("--noise n"), "settings.toml, line 2: noise n: wanted a, found b");
        assert_eq!(thing("--fps"), "settings.toml, line 1: fps: wanted a, found b");
        assert_eq!(thing("--fpsx"), "--fpsx: wanted a, found b");
        assert_eq!(thing("image x"), "image x: wanted a, found b");
    }
}
