//! What a state says of its run: the entry `stir state` in the metadata of its file, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::inputs::Inputs;
use crate::error::{Error, Result, quoted};
use crate::pipeline::provenance::record::Maker;
use crate::pipeline::request::Request;
use crate::pipeline::settings::Settings;

/// Raised when an entry changes its meaning or goes away.
const VERSION: u64 = 1;
/// A state goes on where it was written: another version may round otherwise.
const ENGINE: &str = concat!("stir ", env!("CARGO_PKG_VERSION"));
/// More builds and devices than anybody goes on with one clip by.
const MOST_MAKERS: usize = 8;
/// More text than every option of a run together.
const LONGEST: usize = 1 << 20;

/// How far a run is, and which run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateRecord {
    version: u64,
    engine: String,
    /// The folder in which the run was started: relative names are those of files in it.
    pub folder: String,
    /// The run's settings by the names of their options. Numbers are texts, because not every reader of JSON gives them back to the last bit.
    pub request: Map<String, Value>,
    /// What tells what the run reads from others.
    pub(super) inputs: Inputs,
    /// What took the steps of the clip that is under way; the last one is at it.
    pub(super) makers: Vec<Maker>,
    /// Clips in all.
    pub count: usize,
    /// The clip that is under way, from 0; as many as there are when all are complete.
    pub clip: usize,
    /// The pass of its recipe that is under way, from 0.
    pub pass: usize,
    /// Steps of this pass that are taken. Latents are with the state where that is not 0.
    pub step: usize,
}

/// Settings with numbers as texts.
pub fn as_texts(settings: &Settings) -> Map<String, Value> {
    let text = |value: &Value| if value.is_number() { Value::String(value.to_string()) } else { value.clone() };
    settings.entries().map(|(option, value)| (option.to_owned(), text(value))).collect()
}

impl StateRecord {
    /// At the beginning of a run.
    ///
    /// # Errors
    /// Names of files that cannot be written down.
    pub(super) fn new(request: &Request, inputs: Inputs, maker: Maker) -> Result<Self> {
        let folder = std::env::current_dir().map_err(|error| {
            Error::run("the current folder", "its name", error.to_string(), "start stir in another")
        })?;
        let mut paths = request.paths();
        paths.push(&folder);
        if let Some(path) = paths.into_iter().find(|path| path.to_str().is_none()) {
            let hint = "rename it, or leave --save-state out";
            let found = path.display().to_string();
            return Err(Error::input("--save-state", "names of files in UTF-8", found, hint));
        }
        Ok(Self {
            version: VERSION,
            engine: ENGINE.to_owned(),
            folder: folder.display().to_string(),
            request: as_texts(&Settings::from(request)),
            inputs,
            makers: vec![maker],
            count: request.count,
            clip: 0,
            pass: 0,
            step: 0,
        })
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and lists of them are JSON")
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `thing` is what messages call the state. Whether the place fits the run, and the request makes one,
    /// is known only with the run at hand.
    ///
    /// # Errors
    /// Another text, and the state of another version.
    pub fn parse(text: &str, thing: &str) -> Result<Self> {
        let damaged = |found: String| {
            let hint = "it is damaged or was changed: begin the run anew";
            Error::input(thing, "what a run wrote", found, hint)
        };
        if text.len() > LONGEST {
            return Err(damaged(format!("a record of more than {LONGEST} bytes")));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let version = value.get("version").and_then(Value::as_u64);
        let engine = value.get("engine").and_then(Value::as_str);
        let (Some(version), Some(engine)) = (version, engine) else {
            return Err(damaged("a record without its version".to_owned()));
        };
        if version != VERSION || engine != ENGINE {
            let found = format!("one of {} (version {version} of such files)", quoted(engine));
            let hint = "go on with the version that began the run, or begin it anew";
            return Err(Error::input(thing, format!("a state of {ENGINE}"), found, hint));
        }
        let record: Self = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let Self { count, clip, pass, step, .. } = record;
        if record.makers.is_empty() || record.makers.len() > MOST_MAKERS {
            return Err(damaged(format!("steps by {} builds and devices", record.makers.len())));
        }
        let at_beginning = pass == 0 && step == 0;
        if clip > count || clip == count && !at_beginning || pass > 0 && step == 0 {
            return Err(damaged(format!("step {step} of pass {pass} of clip {clip} of {count}")));
        }
        Ok(record)
    }

    /// The same run at another place.
    pub(super) fn at(self, clip: usize, pass: usize, step: usize) -> Self {
        Self { clip, pass, step, ..self }.of_its_makers()
    }

    /// The same run, gone on with by this one.
    pub(super) fn gone_on_with(mut self, maker: Maker) -> Self {
        self.makers.retain(|before| !before.is_same(&maker));
        self.makers.push(maker);
        self.makers.drain(..self.makers.len().saturating_sub(MOST_MAKERS));
        self.of_its_makers()
    }

    /// Nothing was taken over of a clip that has no steps.
    fn of_its_makers(mut self) -> Self {
        if self.pass == 0 && self.step == 0 {
            self.makers.drain(..self.makers.len() - 1);
        }
        self
    }

    /// What else took steps of the clip that is under way.
    pub(super) fn begun_by(&self) -> &[Maker] {
        &self.makers[..self.makers.len() - 1]
    }

    /// Whether all clips are complete.
    pub fn is_finished(&self) -> bool {
        self.clip == self.count
    }

    /// Whether nothing would be lost with it.
    pub fn is_fresh(&self) -> bool {
        self.clip == 0 && self.pass == 0 && self.step == 0
    }

    /// How far the run is, in words.
    pub fn describe(&self) -> String {
        let Self { count, clip, pass, step, .. } = self;
        let of_pass = if *pass == 0 { String::new() } else { format!(" of pass {}", pass + 1) };
        match (self.is_finished(), count) {
            (true, 1) => "a run whose clip is complete".to_owned(),
            (true, _) => format!("a run whose {count} clips are complete"),
            (false, 1) => format!("a run after step {step}{of_pass}"),
            (false, _) => format!("a run after step {step}{of_pass} of clip {} of {count}", clip + 1),
        }
    }
}
