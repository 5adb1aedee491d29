//! `stir models` alone: a line a model.

use std::path::Path;

use serde::Serialize;

use crate::cli::report::{json_text, stdout};
use crate::error::Result;
use crate::models::catalog::{self, Entry, Licence, Memory, Role};
use crate::units::Bytes;
use crate::weights::remote::Cache;

/// A model, as programs read it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    family: &'a str,
    release: Option<&'a str>,
    licence: &'a Licence,
    other_licences: &'a [Licence],
    /// Of all files.
    bytes: u64,
    /// Of those on disk, and of beginnings of others.
    bytes_on_disk: u64,
    /// Whether all files are on disk.
    complete: bool,
    /// What the weights take in memory, in bytes.
    memory: Memory,
    files: Vec<ListedFile<'a>>,
}

#[derive(Serialize)]
struct ListedFile<'a> {
    role: Role,
    repository: &'a str,
    revision: &'a str,
    path: &'a str,
    bytes: u64,
    /// Where it is, once it is on disk.
    on_disk: Option<String>,
}

/// Prints all models that have a name.
pub(super) fn list(json: bool) -> Result<()> {
    let entries = catalog::entries();
    let cache = Cache::from_env()?;
    let models: Vec<Listed> = entries.iter().map(|entry| listed(entry, &cache)).collect();
    let text = if json { json_text(&models) + "\n" } else { table(&models, cache.folder()) };
    stdout::write(text.as_bytes());
    stdout::check()
}

fn listed<'a>(entry: &'a Entry, cache: &Cache) -> Listed<'a> {
    let mut bytes_on_disk = entry.embedded_bytes;
    let mut files = Vec::new();
    for file in &entry.files {
        let on_disk = cache.find(file);
        bytes_on_disk += match &on_disk {
            Some(path) => path.metadata().map_or(0, |file| file.len()),
            None => cache.arrived(file),
        };
        files.push(ListedFile {
            role: file.role,
            repository: &file.repository,
            revision: &file.revision,
            path: &file.path,
            bytes: file.bytes,
            on_disk: on_disk.map(|path| path.display().to_string()),
        });
    }
    Listed {
        name: &entry.name,
        family: &entry.family,
        release: entry.release.as_deref(),
        licence: &entry.licence,
        other_licences: &entry.other_licences,
        bytes: entry.bytes(),
        bytes_on_disk,
        complete: files.iter().all(|file| file.on_disk.is_some()),
        memory: entry.memory,
        files,
    }
}

fn table(models: &[Listed], cache: &Path) -> String {
    let mut rows = vec![["NAME", "SIZE", "ON DISK", "MEMORY", "LICENCE"].map(str::to_owned)];
    rows.extend(models.iter().map(|model| {
        let on_disk = match (model.files.is_empty(), model.complete) {
            (true, _) => "ships with stir".to_owned(),
            (false, true) => "all".to_owned(),
            (false, false) if model.bytes_on_disk == 0 => "nothing".to_owned(),
            (false, false) => Bytes(model.bytes_on_disk).to_string(),
        };
        let memory = match model.memory {
            Memory { half: Some(half), full } => format!("{}, float32 {}", Bytes(half), Bytes(full)),
            Memory { half: None, full } => format!("float32 {}", Bytes(full)),
        };
        [model.name.to_owned(), Bytes(model.bytes).to_string(), on_disk, memory, model.licence.name.clone()]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text + &format!(
        "\nMEMORY is for the weights alone, computed from the sizes of their files; where float32 is not named, at\n\
         bfloat16 or float16. Files are kept in {}.\n\
         To fetch a model: stir models pull NAME\n",
        cache.display()
    )
}
