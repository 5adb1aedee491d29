//! `stir completions`: what a shell needs to complete stir's options.

use clap::{Args, CommandFactory, ValueEnum};

use super::report::stdout;
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
