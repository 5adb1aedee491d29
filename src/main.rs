//! The program `stir`: parse, run, and turn an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use stir::backend::cpu::threads;
use stir::cli::{Cli, report};

fn main() -> ExitCode {
    threads::keep_to_rayon();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
