//! The program `stir`: the command line, and how it ended as an exit code.

use std::process::ExitCode;

use stir::backend::cpu::memory::Reusing;
use stir::backend::cpu::threads;
use stir::cli;

#[global_allocator]
static ALLOCATOR: Reusing = Reusing;

fn main() -> ExitCode {
    threads::keep_to_rayon();
    ExitCode::from(cli::run(std::env::args_os().collect()))
}
