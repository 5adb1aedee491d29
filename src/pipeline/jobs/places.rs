//! That no job is in another's way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Job;
use crate::error::{Error, Result};
use crate::media;

/// Checks that every output of these jobs has a place of its own, and that none replaces what a job reads or one of the `kept` files.
///
/// # Errors
/// The first that is in another's way.
pub fn check_apart(jobs: &[Job], kept: &[&Path]) -> Result<()> {
    let mut read: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for Job { name, request } in jobs {
        let inputs = request.inputs().into_iter().filter_map(|path| path.canonicalize().ok());
        inputs.for_each(|path| _ = read.entry(path).or_insert(name));
    }
    read.extend(kept.iter().map(|path| (place(path), "this run itself")));
    let mut taken: BTreeMap<PathBuf, &str> = BTreeMap::new();
    let mut outputs = Vec::new();
    for Job { name, request } in jobs {
        for output in request.outputs() {
            let (place, shown) = (place(&output), output.display());
            if let Some(reader) = read.get(&place) {
                let hint = "give the output another name";
                return Err(Error::input(
                    format!("{name}: output {shown}"),
                    "a file that no job reads",
                    format!("one of {reader}"),
                    hint,
                ));
            }
            if let Some(other) = taken.insert(place, name) {
                let hint = "give one of them another output; where that is the picture's name, rename one";
                return Err(Error::input(
                    format!("{name}: output {shown}"),
                    "a name of its own",
                    format!("that of {other}"),
                    hint,
                ));
            }
            outputs.push(output);
        }
    }
    media::check_apart(&outputs)
}

/// Where a file is or will be, by one name.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.join(path.file_name().unwrap_or_default())
}
