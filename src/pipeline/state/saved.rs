//! States as files: how they are written, and what is believed of them.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;
use safetensors::{SafeTensors, View};
use sha2::{Digest, Sha256};

use super::folder::StateFolder;
use super::record::StateRecord;
use super::{STATE, thing};
use crate::error::{Error, Result};
use crate::latents::{Latents, Shapes};
use crate::media::image::ImageSource;
use crate::pipeline::latent_file::{self, Hints, tensor_name};
use crate::weights::digest::hexadecimal;
use crate::weights::store::MappedFile;

/// The metadata entry of the record.
const RECORD: &str = "stir state";
/// The metadata entry of [`sum_of`]: latents with a wrong bit are as finite as others, and make another clip.
const SUM: &str = "sha256";
/// What the names of the tensors begin with: those of the step, and those of the beginning of its pass.
const PARTS: [&str; 2] = ["latents", "start"];

const HINTS: Hints = Hints {
    incomplete: "it is damaged or was changed: begin the run anew",
    shape: "it is damaged or was changed: begin the run anew",
    infinite: "begin the run anew",
};

/// Latents from which a run goes on.
#[derive(Debug, Clone)]
pub struct Point {
    /// The pass, from 0.
    pub pass: usize,
    /// Steps of it that are taken, 1 or more.
    pub step: usize,
    /// All parts after these steps.
    pub latents: Latents,
    /// All parts at the beginning of the pass, where what is held weakly is made of them and they cannot be drawn again.
    pub start: Option<Latents>,
}

/// A state as the bytes of its file. `start`: as in [`Point`].
///
/// # Errors
/// A failed tensor operation.
pub fn to_bytes(record: &StateRecord, latents: Option<&Latents>, start: Option<&Latents>) -> Result<Vec<u8>> {
    let mut tensors: Vec<(String, &Tensor)> = Vec::new();
    for (prefix, latents) in PARTS.into_iter().zip([latents, start]) {
        let parts = latents.into_iter().flat_map(|latents| &latents.parts);
        tensors.extend(parts.map(|(part, tensor)| (tensor_name(prefix, part), tensor)));
    }
    let record = record.to_json();
    let sum = sum_of(&record, &mut tensors);
    let metadata = HashMap::from([(RECORD.to_owned(), record), (SUM.to_owned(), sum)]);
    safetensors::serialize(tensors, Some(metadata))
        .map_err(|error| Error::run("the state", "tensors to write", error.to_string(), "report it"))
}

/// SHA-256 of the record and of all tensors in the order of their names.
fn sum_of<V: View>(record: &str, tensors: &mut [(String, V)]) -> String {
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut sha = Sha256::new();
    sha.update(record);
    for (name, tensor) in tensors {
        sha.update(format!(" {name} {:?} ", tensor.shape()));
        sha.update(tensor.data());
    }
    hexadecimal(&sha.finalize())
}

/// Checks that a state is what was written, to the last bit.
fn check_sum(bytes: &[u8], thing: &str) -> Result<()> {
    let damaged = |found: &str| Error::input(thing, "what a run wrote", found, HINTS.incomplete);
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| damaged(&format!("no safetensors file ({error})")))?;
    let entry = |name: &str| header.metadata().as_ref().and_then(|metadata| metadata.get(name).cloned());
    let (Some(record), Some(sum)) = (entry(RECORD), entry(SUM)) else {
        return Err(damaged("a file without its SHA-256"));
    };
    let mut tensors = latent_file::parsed(bytes, thing, &HINTS)?.tensors();
    if sum_of(&record, &mut tensors) != sum {
        return Err(damaged("bytes that are not those of its SHA-256"));
    }
    Ok(())
}

/// Reads the record of a state in these bytes; `thing` is what messages call it.
///
/// # Errors
/// Bytes that are no complete safetensors file, no record, and what [`StateRecord::parse`] refuses.
pub fn record_of(bytes: &[u8], thing: &str) -> Result<StateRecord> {
    latent_file::parsed(bytes, thing, &HINTS)?;
    let damaged = |found: String| Error::input(thing, "the state of a run of stir", found, HINTS.incomplete);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(RECORD));
    StateRecord::parse(text.ok_or_else(|| damaged("a file without its record".to_owned()))?, thing)
}

/// Reads the latents of a state in these bytes, all of exactly these shapes. `with_start`: whether they are to be there.
///
/// # Errors
/// A missing or further tensor, another shape or type, a value that is not finite.
pub fn point_of(
    bytes: &[u8],
    record: &StateRecord,
    (shapes, with_start): (&Shapes, bool),
    thing: &str,
) -> Result<Point> {
    let file = latent_file::parsed(bytes, thing, &HINTS)?;
    let prefixes = if with_start { &PARTS[..] } else { &PARTS[..1] };
    latent_file::check_alone(&file, prefixes, shapes, thing)?;
    let parts = |prefix| latent_file::parts(&file, prefix, shapes, (thing, &HINTS));
    Ok(Point {
        pass: record.pass,
        step: record.step,
        latents: parts(PARTS[0])?,
        start: with_start.then(|| parts(PARTS[1])).transpose()?,
    })
}

/// A state on disk; its latents are not read yet.
#[derive(Debug)]
pub struct Saved {
    thing: String,
    file: MappedFile,
    record: StateRecord,
}

impl Saved {
    /// Reads the record of the state in `folder`.
    ///
    /// # Errors
    /// No such folder, no state in it, what [`record_of`] refuses, and a file that is not as it was written.
    pub fn read(folder: &Path) -> Result<Self> {
        let thing = thing(folder);
        let path = folder.join(STATE);
        if !path.exists() {
            let found = if folder.is_dir() { "none in it" } else { "no such folder" };
            let hint = "name the folder that --save-state named; a run that ended before its first state begins anew by the same command";
            return Err(Error::input(thing, "the state of a run", found, hint));
        }
        let file = MappedFile::open(&path)?;
        // A state of another version says so first.
        let record = record_of(file.bytes(), &thing)?;
        check_sum(file.bytes(), &thing)?;
        Ok(Self { record, file, thing })
    }

    /// What it says of its run.
    pub fn record(&self) -> &StateRecord {
        &self.record
    }

    /// What messages call it.
    pub(super) fn thing(&self) -> &str {
        &self.thing
    }

    /// Its latents; `of` as in [`point_of`].
    pub(super) fn point(&self, of: (&Shapes, bool)) -> Result<Point> {
        point_of(self.file.bytes(), &self.record, of, &self.thing)
    }
}

/// A state in the possession of who goes on with its run.
#[derive(Debug)]
pub struct SavedRun {
    pub(super) saved: Saved,
    pub(super) folder: StateFolder,
    /// Where the picture is now, if not where it was; all else still goes by its old name.
    pub image: Option<ImageSource>,
}

impl SavedRun {
    /// Opens the state in `folder`, which no other run can use from here on.
    ///
    /// # Errors
    /// As [`Saved::read`], and another run that uses the folder.
    pub fn open(folder: &Path) -> Result<Self> {
        // Nothing is written into a folder that is none.
        Saved::read(folder)?;
        let lock = StateFolder::open(folder)?;
        Ok(Self { saved: Saved::read(folder)?, folder: lock, image: None })
    }

    /// What it says of its run.
    pub fn record(&self) -> &StateRecord {
        &self.saved.record
    }
}
