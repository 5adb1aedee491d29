//! `stir models pull`: fetches a model's files.

use std::sync::Arc;

use crate::cli::report::Console;
use crate::error::Result;
use crate::models::catalog::Entry;

/// Fetches what is missing of a model, and prints the paths of all of its files.
///
/// # Errors
/// What stopped it; what has arrived is kept.
#[cfg(feature = "hub")]
pub(super) fn pull(entry: &Entry, console: &Arc<Console>) -> Result<()> {
    use crate::cli::signals::while_heeding_signals;

    if entry.is_embedded() {
        console.line(&format!("{} ships with stir: there is nothing to fetch", entry.name));
        return Ok(());
    }
    let hint = "what has arrived is kept; the same command goes on where this one stopped";
    while_heeding_signals(console.clone(), hint, || fetch::fetch(entry, console))
}

/// Refuses: this build has no network code.
///
/// # Errors
/// Always.
#[cfg(not(feature = "hub"))]
pub(super) fn pull(entry: &Entry, _console: &Arc<Console>) -> Result<()> {
    let files: Vec<String> = entry.files.iter().map(|file| format!("{}/{}", file.repository, file.path)).collect();
    Err(crate::error::Error::input(
        "stir models pull",
        "a build of stir that can download",
        "one without the feature `hub`",
        format!("build it with --features hub, or fetch these with another program of the hub: {}", files.join(", ")),
    ))
}

#[cfg(feature = "hub")]
mod fetch {
    use crate::cli::report::{Console, Transfer, stdout};
    use crate::error::Result;
    use crate::models::catalog::Entry;
    use crate::pipeline::observer::Level;
    use crate::units::Bytes;
    use crate::weights::hub::{Found, Hub, Settings};
    use crate::weights::remote::Cache;

    pub(super) fn fetch(entry: &Entry, console: &Console) -> Result<()> {
        let hub = Hub::new(Settings::from_env()?, Cache::from_env()?);
        console.line(&licences(entry));
        let mut found = Vec::new();
        for file in &entry.files {
            let looked_up = hub.look_up(file)?;
            if looked_up.bytes() != file.bytes {
                let (now, then) = (looked_up.bytes(), file.bytes);
                let path = &file.path;
                let line = format!("{path} has {now} bytes on the hub, {then} when this stir was made: it was changed");
                console.say(Level::Warning, &line);
            }
            found.push(looked_up);
        }
        // The small ones first: what is wrong shows soon.
        found.sort_by_key(Found::bytes);
        hub.check_space(&found)?;
        let missing: u64 = found.iter().map(|found| hub.missing(found)).sum();
        let all: u64 = found.iter().map(Found::bytes).sum();
        let place = hub.cache().folder().display();
        console.line(&match missing {
            0 => format!("all {} files are in {place}", found.len()),
            _ => format!("{} of {} are missing and go to {place}", Bytes(missing), Bytes(all)),
        });
        for found in &found {
            let mut transfer = Transfer::begin(console, &found.file().path, found.bytes());
            let was_missing = hub.missing(found) > 0;
            let path = hub.fetch(found, &mut |bytes| transfer.at(bytes))?;
            transfer.end();
            if was_missing {
                console.line(&format!("{}: {}, checksum verified", found.file().path, Bytes(found.bytes())));
            }
            stdout::write_path(&path);
        }
        console.line(&format!("to use it: stir generate --model {} -i IMAGE -p PROMPT", entry.name));
        stdout::check()
    }

    /// A line about the terms of each kind of file.
    fn licences(entry: &Entry) -> String {
        let terms = |licence: &crate::models::catalog::Licence| match &licence.page {
            Some(page) => format!("{} (read it at {page})", licence.name),
            None => licence.name.clone(),
        };
        let mut line = format!("licence of {}: {}", entry.name, terms(&entry.licence));
        for other in &entry.other_licences {
            line.push_str(&format!("; of the text encoder: {}", terms(other)));
        }
        line
    }
}
