//! `stir completions` and `stir schema`: texts for other programs.

use clap::{Args, CommandFactory, ValueEnum};

use super::report::{self, stdout};
use super::{Cli, values};
use crate::error::{Error, Result};

/// Print what a shell needs to complete stir's options
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stir completions bash > ~/.local/share/bash-completion/completions/stir")]
pub(super) struct Completions {
    /// Shell to complete in: bash, zsh, fish, powershell or elvish
    #[arg(value_name = "SHELL", value_parser = values::Names(&["bash", "zsh", "fish", "powershell", "elvish"]), hide_possible_values = true)]
    shell: std::ffi::OsString,
}

impl Completions {
    pub(super) fn run(&self) -> Result<()> {
        let name = values::text("SHELL", &self.shell)?;
        let shell = clap_complete::Shell::from_str(name, false).map_err(|_| {
            let found = format!("\"{name}\"");
            Error::input("SHELL", "bash, zsh, fish, powershell or elvish", found, "such as: stir completions bash")
        })?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "stir", &mut script);
        stdout::write(&script);
        stdout::check()
    }
}

/// Print a schema of what stir prints
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Which one: events, the JSON Schema of each line of `stir generate --json`
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
