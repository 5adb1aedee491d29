//! The program `stir`: the command line, and how it ended as an exit code.

use std::process::ExitCode;

use stir::backend::cpu::threads;
use stir::cli;

fn main() -> ExitCode {
    threads::keep_to_rayon();
    ExitCode::from(cli::run(std::env::args_os().collect()))
}
