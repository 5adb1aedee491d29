//! `stir models`: which models there are, and how they get here.

mod inspect;
mod list;
mod pull;
mod verify;

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::report::Console;
use super::values;
use crate::error::{Error, Result, quoted};
use crate::models::catalog::{self, Entry};

const EXAMPLE: &str = "\
Examples:
  stir models
  stir models pull ltx-2b-distilled";

/// List the models that --model knows by name; fetch, check and inspect files of models
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub(super) struct Models {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    Pull(Pull),
    Verify(Verify),
    Inspect(Inspect),
}

/// Fetch a model's files from the Hugging Face hub, or what is missing of them
///
/// They go where the hub's own programs keep them, and files that those have fetched are used: HF_HUB_CACHE, or hub in HF_HOME, or
/// ~/.cache/huggingface/hub. A transfer that was interrupted goes on where it stopped. HF_TOKEN says who you are, where a model's owners want to know it,
/// and HF_ENDPOINT names another hub. No other command uses the network.
#[derive(Debug, Args)]
struct Pull {
    /// A name that `stir models` lists
    #[arg(value_name = "NAME")]
    name: OsString,
}

/// Check the content of the files that are on disk against the checksums that were recorded when they were fetched
#[derive(Debug, Args)]
struct Verify {
    /// A name that `stir models` lists; all of them if left out
    #[arg(value_name = "NAME")]
    name: Option<OsString>,
}

/// Say what a file or folder is, and what it needs to run: a checkpoint, a text encoder, an autoencoder, a latent upsampler
#[derive(Debug, Args)]
struct Inspect {
    /// A safetensors or GGUF file, or a folder of them
    #[arg(value_name = "PATH")]
    path: OsString,
}

impl Models {
    pub(super) fn run(&self, console: &Arc<Console>) -> Result<()> {
        match &self.action {
            None => list::list(self.json),
            Some(Action::Pull(pull)) => pull::pull(&entry(&pull.name)?, console),
            Some(Action::Verify(verify)) => {
                let entries = match &verify.name {
                    Some(name) => vec![entry(name)?],
                    None => catalog::entries(),
                };
                verify::verify(&entries, console)
            }
            Some(Action::Inspect(inspect)) => inspect::inspect(&values::path("PATH", &inspect.path)?),
        }
    }
}

/// The model of this name.
fn entry(name: &OsStr) -> Result<Entry> {
    let name = values::text("NAME", name)?;
    if let Some(entry) = catalog::find(name) {
        return Ok(entry);
    }
    let hint = match catalog::nearest(name) {
        Some(nearest) => format!("did you mean {nearest}? `stir models` says more about each"),
        None => "`stir models` says more about each".to_owned(),
    };
    let names: Vec<String> = catalog::entries().into_iter().map(|entry| entry.name).collect();
    Err(Error::input("NAME", format!("one of: {}", names.join(", ")), quoted(name), hint))
}
