//! The command line: one file a subcommand; [`report`] is the only printer.

mod generate;
pub mod report;

use clap::{Parser, Subcommand};

use crate::error::Result;

/// Makes a still image move: latent video diffusion on your own machine
#[derive(Debug, Parser)]
#[command(name = "stir", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Generate(Box<generate::Generate>),
}

impl Cli {
    /// Runs the chosen subcommand.
    ///
    /// # Errors
    /// Whatever stopped it; [`crate::error::Error::exit_code`] says how the program ends.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Generate(arguments) => arguments.run(),
        }
    }
}
