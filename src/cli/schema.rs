//! `stir schema`: what other programs need to read what stir prints.

use clap::Args;

use super::report::{self, stdout};
use super::values;
use crate::error::{Error, Result};

/// Print a schema of what stir prints
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Which one: events, the JSON Schema of each line of `stir generate --json`, `stir plan --json` and `stir decode --json`
    #[arg(value_name = "NAME", value_parser = values::Names(&["events"]), hide_possible_values = true)]
    name: std::ffi::OsString,
}

impl Schema {
    pub(super) fn run(&self) -> Result<()> {
        if self.name != "events" {
            let found = format!("\"{}\"", self.name.display());
            return Err(Error::input("NAME", "events", found, "such as: stir schema events"));
        }
        stdout::write(report::SCHEMA.as_bytes());
        stdout::check()
    }
}
