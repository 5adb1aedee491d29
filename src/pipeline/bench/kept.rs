//! Results that are kept for `stir plan`: a file for each machine, model, size and way of running, in the user's folder for data.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::record::{Record, Run};
use crate::error::{Error, Result};
use crate::media;
use crate::pipeline::data_folder::data_folder;

/// Most characters of a model's name in a file's.
const LONGEST_NAME: usize = 60;

/// Where results are kept: `stir/bench` in the folder that `XDG_DATA_HOME` names, else in `~/.local/share`; `None` without either.
pub fn folder() -> Option<PathBuf> {
    data_folder("bench")
}

/// Keeps a result in place of an earlier one of the same machine, model, size and way of running, and says where.
///
/// # Errors
/// No folder for data, or one that cannot be written to.
pub fn keep(record: &Record) -> Result<PathBuf> {
    let folder = folder().ok_or_else(|| {
        let hint = "set XDG_DATA_HOME, or give --no-save";
        Error::run("the folder for results", "XDG_DATA_HOME or HOME, an absolute path", "neither", hint)
    })?;
    let hint = "check the folder, set XDG_DATA_HOME to another one, or give --no-save";
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("creating", &folder, error, hint))?;
    let path = folder.join(file_name(record));
    media::write_atomically(&path, record.to_json().as_bytes(), true)?;
    Ok(path)
}

/// All results that are kept, with their files, sorted by name. Files that cannot be read are passed over with a warning.
pub fn all() -> Vec<(String, Record)> {
    folder().map_or_else(Vec::new, |folder| in_folder(&folder))
}

fn in_folder(folder: &Path) -> Vec<(String, Record)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    let read = |file: PathBuf| match Record::read(&file) {
        Ok(record) => Some((file.display().to_string(), record)),
        Err(error) => {
            tracing::warn!("{error}; it is passed over");
            None
        }
    };
    files.into_iter().filter_map(read).collect()
}

/// Says what was measured; the number at the end tells apart what the words do not.
fn file_name(record: &Record) -> String {
    let Run { model, family, device, dtype, threads, generated, .. } = &record.run;
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let readable: Vec<char> = model.chars().map(plain).collect();
    let readable: String = readable[readable.len().saturating_sub(LONGEST_NAME)..].iter().collect();
    let machine = &record.machine;
    let told_apart = format!("{model}\n{family}\n{:?}\n{}\n{:?}", machine.processor, machine.cores, machine.gpu);
    let digest = Sha256::digest(told_apart.as_bytes());
    let number: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let size = format!("{}x{}x{}", generated.width, generated.height, generated.frames);
    format!("{readable}-{}-{dtype}-{threads}-{size}-{number}.json", device.replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::device::machine::Machine;
    use crate::pipeline::bench::record::Shape;

    fn record(model: &str, width: usize) -> Record {
        let shape = Shape { width, height: 480, frames: 9, fps: 25.0 };
        let run = Run {
            model: model.to_owned(),
            family: "ltx".to_owned(),
            device: "cuda:0".to_owned(),
            dtype: "bf16".to_owned(),
            threads: 2,
            offload: "none".to_owned(),
            clip: shape,
            generated: shape,
            steps: 2,
            repeats: 1,
            tokens: None,
            text_tokens: None,
        };
        Record::new(&[], "2026-11-21T15:00:00Z".to_owned(), Machine::of(&Device::Cpu), run)
    }

    #[test]
    fn a_file_is_for_one_model_size_and_way_of_running() {
        let name = file_name(&record("synthetic:ltx-2b", 704));
        assert!(name.starts_with("synthetic-ltx-2b-cuda-0-bf16-2-704x480x9-") && name.ends_with(".json"), "{name}");
        assert_ne!(name, file_name(&record("synthetic-ltx-2b", 704)));
        assert_ne!(name, file_name(&record("synthetic:ltx-2b", 640)));
        let other =
            Record { machine: Machine { cores: 99, ..record("a", 32).machine }, ..record("synthetic:ltx-2b", 704) };
        assert_ne!(name, file_name(&other));
        assert!(file_name(&record(&"/long/".repeat(100), 704)).len() < 120);
    }

    #[test]
    fn damaged_files_are_passed_over() {
        let folder = std::env::temp_dir().join(format!("stir-results-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let good = record("sway", 64);
        std::fs::write(folder.join("b.json"), good.to_json()).unwrap();
        std::fs::write(folder.join("a.json"), "{}").unwrap();
        std::fs::write(folder.join("c.txt"), good.to_json()).unwrap();
        let found = in_folder(&folder);
        assert_eq!(found, [(folder.join("b.json").display().to_string(), good)]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(in_folder(&folder), []);
    }
}
