//! `stir models inspect`: what a file or folder is, and what it needs to run.

use std::path::Path;

use crate::cli::report::stdout;
use crate::error::Result;
use crate::models::inspect::{self, Inspection, Kind, Part};

/// Prints what is known of the file or folder.
///
/// # Errors
/// Nothing at `path`, a damaged file, and what no family runs.
pub(super) fn inspect(path: &Path) -> Result<()> {
    let inspection = inspect::inspect(path)?;
    stdout::write_line(&format!("{}: {}, family {}", path.display(), kind(inspection.kind), inspection.family));
    rows(&inspection).iter().for_each(|row| stdout::write_line(row));
    stdout::check()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::ModelFolder => "a model's folder",
        Kind::DiffusersFolder => "a folder of diffusers",
        Kind::SingleFile => "a single file",
        Kind::Gguf => "a GGUF file",
        Kind::TextEncoder => "a text encoder",
        Kind::Vae => "an autoencoder",
        Kind::LatentUpsampler => "a latent upsampler",
    }
}

/// A line for each thing that is known, with its name in a column of its own.
fn rows(inspection: &Inspection) -> Vec<String> {
    let mut rows: Vec<[String; 2]> = Vec::new();
    rows.extend(inspection.facts.iter().map(|fact| [fact.name.to_owned(), fact.value.clone()]));
    rows.extend(inspection.parts.iter().map(|part| [part.name.clone(), there(part)]));
    rows.extend(inspection.missing.iter().map(|missing| {
        [missing.name.to_owned(), format!("missing; give it by {}: {}", missing.option, missing.takes)]
    }));
    rows.extend(inspection.problem.iter().map(|problem| ["problem".to_owned(), problem.clone()]));
    let width = rows.iter().map(|[name, _]| name.chars().count()).max().unwrap_or(0);
    rows.into_iter().map(|[name, value]| format!("  {name:<width$}  {value}")).collect()
}

fn there(part: &Part) -> String {
    let mut text = part.place.display().to_string();
    for (index, count) in part.types.iter().enumerate() {
        let separator = if index == 0 { ": " } else { "; " };
        let tensors = if count.tensors == 1 { "tensor" } else { "tensors" };
        text +=
            &format!("{separator}{}, {} values in {} {tensors}", count.dtype, rounded(count.parameters), count.tensors);
    }
    text
}

fn rounded(count: usize) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.0} thousand", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} million", count as f64 / 1e6),
        _ => format!("{:.2} billion", count as f64 / 1e9),
    }
}
