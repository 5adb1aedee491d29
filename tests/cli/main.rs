//! The command line as a user meets it: help, refusals, exit codes, what is printed, and whole runs at a small size.

mod bench;
mod config;
mod decode;
mod devices;
mod events;
#[cfg(unix)]
mod faults;
#[path = "../support/fixture.rs"]
mod fixture;
#[cfg(feature = "hub")]
#[path = "../support/hub_server.rs"]
mod hub_server;
mod jobs;
mod ltx;
mod ltx_named;
mod ltx_options;
mod ltx_two_pass;
mod models;
mod plan;
mod provenance;
mod refusals;
mod resume;
mod runs;
mod schema;
#[cfg(unix)]
mod signals;
#[path = "../support/single_file.rs"]
mod single_file;
#[path = "../support/mod.rs"]
mod support;
mod talk;
mod texts;
mod verify;

use std::ffi::OsString;

use support::Scratch;

/// Arguments of a run that takes as little time as one can, writing `output` into the folder.
fn small_run(scratch: &Scratch, output: &str, options: &[&str]) -> Vec<OsString> {
    let picture = scratch.picture("picture.png", 96, 64);
    let mut arguments: Vec<OsString> = vec!["generate".into(), "-i".into(), picture.into()];
    arguments.extend(["-o".into(), scratch.path(output).into()]);
    if !options.contains(&"-p") {
        arguments.extend(["-p", "hair flowing"].map(OsString::from));
    }
    for (option, value) in [("--steps", "2"), ("--num-frames", "5")] {
        let replaced =
            options.iter().any(|given| *given == option || option == "--num-frames" && *given == "--duration");
        if !replaced {
            arguments.extend([option, value].map(OsString::from));
        }
    }
    if !options.iter().any(|given| ["-W", "-H", "--resolution"].contains(given)) {
        arguments.extend(["-W", "64"].map(OsString::from));
    }
    arguments.push("--allow-any-image".into());
    arguments.extend(options.iter().map(OsString::from));
    arguments
}
