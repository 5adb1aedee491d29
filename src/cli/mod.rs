//! The command line: one file a subcommand; [`report`] is the only printer.

mod bench;
mod completions;
pub mod config;
mod decode;
mod devices;
mod emergencies;
mod generate;
mod info;
pub mod jobs;
mod models;
pub mod options;
mod output;
mod plan;
pub mod report;
mod resolve;
mod resume;
mod schema;
mod shared_options;
mod signals;
mod values;
mod verify;

use std::ffi::OsString;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{Error, Result};
use config::Config;
use options::Options;
use report::{Console, Verbosity, stdout};

const EXAMPLE: &str = "\
Example:
  stir generate -i portrait.png -p \"hair gently flowing, eyes blinking slowly\"

`stir generate --help` lists every option.";

/// Makes a still image move: latent video diffusion on your own machine
#[derive(Debug, Parser)]
#[command(name = "stir", version, arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Generate(Box<Options>),
    /// Say what a run will do and take, and make nothing: sizes, operations, memory, disk, and time
    ///
    /// It takes the options of `stir generate`, checks all that a run checks before it loads weights, and ends with the same exit codes. Times are
    /// estimates from results that `stir bench` has kept on this machine.
    #[command(
        override_usage = "stir plan -i IMAGE -p WORDS [-o OUT] [OPTIONS]",
        after_help = "Example:\n  stir plan -i portrait.png -p \"hair gently flowing\" --model ltx-2b-distilled --resolution 480p"
    )]
    Plan(Box<Options>),
    Resume(Box<resume::ResumeOptions>),
    Decode(Box<decode::DecodeOptions>),
    Info(info::Info),
    Verify(Box<verify::Verify>),
    Models(models::Models),
    Devices(devices::Devices),
    Bench(Box<bench::Bench>),
    Completions(completions::Completions),
    Schema(schema::Schema),
}

/// Runs `stir` with these arguments, the program's name first, and says how it ends: 0 done, 1 failed, 2 bad arguments or input. A signal
/// ends the program from within: see [`signals`].
pub fn run(arguments: Vec<OsString>) -> u8 {
    // Unfinished files are gone once the panic has unwound; what it was about stands on stderr.
    std::panic::catch_unwind(|| run_command(arguments)).unwrap_or_else(|_| {
        report::defect();
        1
    })
}

fn run_command(arguments: Vec<OsString>) -> u8 {
    // Of `stir bench` it names a file.
    let bench = arguments.get(1).is_some_and(|command| command == "bench");
    let json = !bench && arguments.iter().any(|argument| argument == "--json");
    let matches = match parser().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let Some(stray) = stray(&error, &arguments) else { return answer(&error, json) };
            Console::new(Verbosity::Normal, json).error(&stray);
            return stray.exit_code();
        }
    };
    let cli = Cli::from_arg_matches(&matches).expect("clap has checked the arguments");
    let plain = || Arc::new(Console::new(Verbosity::Normal, json));
    let (console, result) = match cli.command {
        Command::Completions(completions) => (plain(), completions.run()),
        Command::Schema(schema) => (plain(), schema.run()),
        Command::Devices(devices) => (plain(), devices.run()),
        Command::Info(info) => (plain(), info.run()),
        Command::Verify(verify) => {
            let console = Arc::new(verify.console());
            let result = verify.run(console.clone());
            (console, result)
        }
        Command::Models(models) => {
            let console = plain();
            let result = emergencies::watch(&console).and_then(|()| models.run(&console));
            (console, result)
        }
        Command::Bench(bench) => {
            let console = plain();
            let result = bench.run(&console, &arguments);
            (console, result)
        }
        Command::Resume(options) => {
            let console = Arc::new(options.console());
            let result = options.run(console.clone());
            (console, result)
        }
        Command::Decode(options) => {
            let console = Arc::new(options.console());
            let result = options.run(console.clone());
            (console, result)
        }
        Command::Generate(options) | Command::Plan(options) => {
            let (command, given) = matches.subcommand().expect("there is a command");
            match configured(*options, given, &arguments) {
                Err(error) => (plain(), Err(error)),
                Ok((options, config)) => {
                    let console = Arc::new(options.console());
                    let result = match command {
                        "plan" => options.plan(console.clone()),
                        _ if options.has_jobs() => {
                            let settings = Config::typed(given).over(config.as_ref());
                            options.run_jobs(settings, console.clone())
                        }
                        _ => options.run(console.clone()),
                    };
                    (
                        console,
                        result.map_err(|error| match config {
                            Some(config) => config.locate(error),
                            None => error,
                        }),
                    )
                }
            }
        }
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            console.error(&error);
            error.exit_code()
        }
    }
}

/// What `stir plan` does is what `--dry-run` asks `stir generate` for, of a single run; and a run goes on where it was.
fn parser() -> clap::Command {
    let resumed = "Where to run, as with `stir generate`; the clip has the same bytes only where it ran before [default: the run's]";
    let verified = "Where to run: auto, cpu, cuda, cuda:N or metal [default: the record's]";
    let hidden = |plan: clap::Command, option: &'static str| plan.mut_arg(option, |option| option.hide(true));
    let device = |command: clap::Command, help: &'static str| command.mut_arg("device", |option| option.help(help));
    Cli::command()
        .mut_subcommand("plan", |plan| ["dry_run", "jobs", "journal"].into_iter().fold(plan, hidden))
        .mut_subcommand("resume", |resume| device(resume, resumed))
        .mut_subcommand("verify", |verify| device(verify, verified))
}

/// The options together with those of `--config`, if it is among them.
fn configured(options: Options, given: &ArgMatches, arguments: &[OsString]) -> Result<(Options, Option<Config>)> {
    let Some(file) = &options.config else { return Ok((options, None)) };
    let on_command_line =
        |option: &str| given.value_source(&option.replace('-', "_")) == Some(ValueSource::CommandLine);
    let config = Config::read(&values::path("--config", file)?)?.without(on_command_line);
    // What the user typed comes later and so goes before.
    let options = configured_options(&config, arguments[2..].iter().cloned())?;
    Ok((options, Some(config)))
}

/// The options of these settings; `typed` ones come after them, as on a command line.
fn configured_options(config: &Config, typed: impl Iterator<Item = OsString>) -> Result<Options> {
    let command = ["stir", "generate"].map(OsString::from);
    let unusable = |error: clap::Error| {
        let found = error.to_string();
        Error::input(config.file.clone(), "settings that can be used together", found, "change one of them")
    };
    match Cli::try_parse_from(command.into_iter().chain(config.arguments()).chain(typed)).map_err(unusable)?.command {
        Command::Generate(options) => Ok(*options),
        _ => unreachable!("options do not change the command"),
    }
}

/// The refusal of a word of `stir generate` or `stir plan` that belongs to no option: mostly a picture without -i, or the second word of a prompt without
/// quotes.
fn stray(error: &clap::Error, arguments: &[OsString]) -> Option<Error> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let takes_picture = arguments.get(1).is_some_and(|command| command == "generate" || command == "plan");
    if !takes_picture || error.kind() != ErrorKind::UnknownArgument || word.starts_with('-') {
        return None;
    }
    let found = format!("{} without one", values::shown(word));
    let hint = "name the picture by -i, and put words in quotes: -i portrait.png -p \"hair flowing\"";
    Some(Error::input("the command line", "an option in front of every value", found, hint))
}

/// What clap has to say: help and version on stdout, anything else is a wrong use.
fn answer(error: &clap::Error, json: bool) -> u8 {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        stdout::write(text.as_bytes());
        return 0;
    }
    Console::new(Verbosity::Normal, json).wrong_use(&text);
    2
}

/// Options that exclude each other.
fn contradiction(option: &str, wanted: &str, found: &str) -> Error {
    Error::input(option, wanted, found, "leave one of the two out")
}
