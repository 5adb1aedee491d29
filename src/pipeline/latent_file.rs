//! Noise and latents as safetensors files, so that runs can be compared across engines and finished later.
//!
//! The part `latents` is the tensor `noise` or `latents`; any further part is `noise.<part>` or `latents.<part>`. Always float32.
//! Latents carry a record of their run, from which they are decoded later.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::latent_record::LatentRecord;
use crate::error::{Error, Result};
use crate::latents::{Latents, Shapes};
use crate::weights::store::MappedFile;

/// What a file of noise may hold besides the values: the names of its tensors, and what another program says of them.
const LONGEST_HEADER: u64 = 1 << 20;
/// The metadata entry of latents with their record.
const RECORD: &str = "stir";

/// What the tensor of a part is called in a file: the prefix alone, or with the part behind it.
pub(super) fn tensor_name(prefix: &str, part: &str) -> String {
    if part == "latents" { prefix.to_owned() } else { format!("{prefix}.{part}") }
}

/// Reads initial noise of exactly these shapes.
///
/// # Errors
/// A file that cannot be read or is far larger than such noise, and what [`noise_from_bytes`] refuses.
pub fn read_noise(path: &Path, shapes: &Shapes) -> Result<Latents> {
    let thing = format!("--noise {}", path.display());
    let refused = |found: String, hint: &str| Error::input(&thing, "a readable safetensors file", found, hint);
    let unreadable = |error: std::io::Error| refused(error.to_string(), "check the path, or leave --noise out");
    let file = File::open(path).map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?;
    if kind.is_dir() {
        return Err(refused("a folder".to_owned(), "name a file in it"));
    }
    let values: usize = shapes.values().map(|shape| shape.iter().product::<usize>()).sum();
    let most = (values * size_of::<f32>()) as u64 + LONGEST_HEADER;
    let too_large = |bytes: String| {
        let wanted = format!("at most {most} bytes, as noise for this clip needs");
        Error::input(&thing, wanted, bytes, "check that it is the right file")
    };
    if kind.len() > most {
        return Err(too_large(kind.len().to_string()));
    }
    // Not all that can be read says how long it is.
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(too_large("more".to_owned()));
    }
    if bytes.is_empty() {
        return Err(refused("an empty file".to_owned(), "copy it, or write it again"));
    }
    noise_from_bytes(&bytes, shapes, &thing)
}

/// Initial noise of exactly these shapes from the bytes of a safetensors file; `thing` is what messages call it.
///
/// # Errors
/// No such file, a missing or further tensor, another shape, another type than float32, a value that is not finite.
pub fn noise_from_bytes(bytes: &[u8], shapes: &Shapes, thing: &str) -> Result<Latents> {
    let hints = Hints {
        incomplete: "copy or write the file again, with tensors such as `noise`",
        shape: "noise has the shape of the model's latents",
        infinite: "draw the noise again",
    };
    let file = parsed(bytes, thing, &hints)?;
    let noise = parts(&file, "noise", shapes, (thing, &hints))?;
    check_alone(&file, &["noise"], shapes, thing)?;
    Ok(noise)
}

/// What to do about a file.
pub(super) struct Hints {
    pub incomplete: &'static str,
    pub shape: &'static str,
    pub infinite: &'static str,
}

/// What to do about a file of latents.
const LATENTS: Hints = Hints {
    incomplete: "name a file that --save-latents wrote",
    shape: "decode them by the model that made them: name it by --model",
    infinite: "they show nothing: make the clip again",
};

/// The file in these bytes; its sizes have been checked against them.
pub(super) fn parsed<'data>(bytes: &'data [u8], thing: &str, hints: &Hints) -> Result<SafeTensors<'data>> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        let found = format!("{} bytes that are none ({error})", bytes.len());
        Error::input(thing, "a complete safetensors file", found, hints.incomplete)
    })
}

/// All parts with names of this prefix, each of exactly its shape, float32 and finite. Values are copied only once all of that is known.
pub(super) fn parts(
    file: &SafeTensors,
    prefix: &str,
    shapes: &Shapes,
    (thing, hints): (&str, &Hints),
) -> Result<Latents> {
    let names = shapes.keys().map(|part| format!("`{}`", tensor_name(prefix, part))).collect::<Vec<_>>().join(", ");
    let mut latents = Latents::default();
    for (&part, shape) in shapes {
        let name = tensor_name(prefix, part);
        let view = file.tensor(&name).map_err(|_| {
            Error::input(thing, format!("tensors {names}"), format!("no tensor `{name}`"), "add it to the file")
        })?;
        let refused = |wanted: String, found: String, hint: &str| {
            Error::input(format!("{thing}, tensor `{name}`"), wanted, found, hint)
        };
        if view.shape() != shape {
            return Err(refused(format!("shape {shape:?}"), format!("{:?}", view.shape()), hints.shape));
        }
        if view.dtype() != Dtype::F32 {
            return Err(refused("float32".to_owned(), format!("{:?}", view.dtype()), "convert it"));
        }
        // By the bytes, because a tensor in a file may lie at any address.
        let (values, _) = view.data().as_chunks();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            let found = format!("{} at {:?}", values[position], index_of(position, shape));
            return Err(refused("finite values".to_owned(), found, hints.infinite));
        }
        latents.parts.insert(part, Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?);
    }
    Ok(latents)
}

/// Refuses a file that holds more than the parts of these prefixes.
pub(super) fn check_alone(file: &SafeTensors, prefixes: &[&str], shapes: &Shapes, thing: &str) -> Result<()> {
    let names = |prefix| shapes.keys().map(move |part| tensor_name(prefix, part));
    let known: Vec<String> = prefixes.iter().copied().flat_map(names).collect();
    let Some(name) = file.names().into_iter().filter(|name| !known.iter().any(|known| known == name)).min() else {
        return Ok(());
    };
    let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Err(Error::input(thing, format!("tensors {known} alone"), format!("also `{name}`"), "remove it"))
}

/// The index in every dimension of the value at `position` of a tensor that lies row by row.
fn index_of(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (index, &length) in index.iter_mut().zip(shape).rev() {
        *index = position % length;
        position /= length;
    }
    index
}

/// Final latents as the bytes of a safetensors file; the metadata entry `stir` is the record, as JSON. Equal latents are equal bytes.
///
/// # Errors
/// A failed tensor operation.
pub fn to_bytes(latents: &Latents, record: &LatentRecord) -> Result<Vec<u8>> {
    let tensors: Vec<(String, Tensor)> = latents
        .parts
        .iter()
        .map(|(part, tensor)| Ok((tensor_name("latents", part), tensor.to_dtype(DType::F32)?)))
        .collect::<Result<_>>()?;
    // One entry, because a map of several is written in an order that changes from run to run.
    let metadata = HashMap::from([(RECORD.to_owned(), record.to_json())]);
    safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, tensor)), Some(metadata))
        .map_err(|error| Error::run("the final latents", "tensors to write", error.to_string(), "report it"))
}

/// A file of final latents, of this program or of another one; its tensors are not read yet.
#[derive(Debug)]
pub struct LatentFile {
    thing: String,
    file: MappedFile,
    record: Option<LatentRecord>,
}

impl LatentFile {
    /// Opens the file at `path` and reads its record.
    ///
    /// # Errors
    /// A file that cannot be read, that is no complete safetensors file, or whose record is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let thing = format!("latents {}", path.display());
        let refused = |found: String, hint: &str| Error::input(&thing, "a readable safetensors file", found, hint);
        let kind = path.metadata().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => refused("no such file".to_owned(), "check the path"),
            _ => refused(error.to_string(), "check the path"),
        })?;
        if kind.is_dir() {
            return Err(refused("a folder".to_owned(), "name a file in it"));
        }
        let file = MappedFile::open(path)?;
        parsed(file.bytes(), &thing, &LATENTS)?;
        let unreadable = |error: safetensors::SafeTensorError| refused(error.to_string(), LATENTS.incomplete);
        let (_, header) = SafeTensors::read_metadata(file.bytes()).map_err(unreadable)?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(RECORD));
        let record = text.map(|text| LatentRecord::parse(text, &thing)).transpose()?;
        Ok(Self { record, file, thing })
    }

    /// What messages call it.
    pub fn thing(&self) -> &str {
        &self.thing
    }

    /// What the run that wrote it says of it; `None` for a file of another program.
    pub fn record(&self) -> Option<&LatentRecord> {
        self.record.as_ref()
    }

    /// The shape of the tensor `latents`.
    ///
    /// # Errors
    /// No such tensor.
    pub fn shape(&self) -> Result<Vec<usize>> {
        let file = parsed(self.file.bytes(), &self.thing, &LATENTS)?;
        let view = file
            .tensor("latents")
            .map_err(|_| Error::input(&self.thing, "a tensor `latents`", "none of that name", LATENTS.incomplete))?;
        Ok(view.shape().to_vec())
    }

    /// Latents of exactly these shapes.
    ///
    /// # Errors
    /// A missing or further tensor, another shape, another type than float32, a value that is not finite.
    pub fn read(&self, shapes: &Shapes) -> Result<Latents> {
        let file = parsed(self.file.bytes(), &self.thing, &LATENTS)?;
        let latents = parts(&file, "latents", shapes, (&self.thing, &LATENTS))?;
        check_alone(&file, &["latents"], shapes, &self.thing)?;
        Ok(latents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::framing::Fit;
    use crate::models::{DecodeSettings, ModelRequest};
    use crate::picture::Color;
    use crate::units::{Clip, Fps, PixelFrames};

    fn example() -> Latents {
        let mut latents = Latents::default();
        latents.parts.insert("latents", Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap());
        latents.parts.insert("control", Tensor::new(&[3f32], &Device::Cpu).unwrap());
        latents
    }

    fn record() -> LatentRecord {
        let clip = Clip { width: 64, height: 64, frames: PixelFrames(1), fps: Fps(25.0) };
        LatentRecord {
            family: "sway".to_owned(),
            model: ModelRequest::named("sway"),
            seed: 42,
            written: clip,
            pass: clip,
            fit: Fit::Cover,
            background: Color::WHITE,
            shown: (64, 64),
            generated: (64, 64),
            settings: DecodeSettings::default(),
            picture: None,
            provenance: None,
        }
    }

    #[test]
    fn latents_are_named_by_part() {
        let folder = std::env::temp_dir().join(format!("stir-latent-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("latents.safetensors");
        std::fs::write(&path, to_bytes(&example(), &record()).unwrap()).unwrap();
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        assert_eq!(tensors["latents"].to_vec2::<f32>().unwrap(), [[1.0, 2.0]]);
        assert_eq!(tensors["latents.control"].to_vec1::<f32>().unwrap(), [3.0]);

        let shapes = [("latents", vec![1, 2]), ("control", vec![1])].into();
        let file = LatentFile::open(&path).unwrap();
        assert_eq!(file.record(), Some(&record()));
        assert_eq!(file.shape().unwrap(), [1, 2]);
        assert_eq!(file.read(&shapes).unwrap().parts["control"].to_vec1::<f32>().unwrap(), [3.0]);
        let error = read_noise(&path, &shapes).unwrap_err();
        assert!(error.to_string().contains("no tensor `noise"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// The bytes of a file with these tensors.
    fn noise_file(tensors: &[(&str, Tensor)]) -> Vec<u8> {
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        safetensors::serialize(tensors, None).unwrap()
    }

    /// What is said of noise in these bytes for latents of shape `[2, 2]`.
    #[track_caller]
    fn refusal(bytes: &[u8]) -> String {
        let error = noise_from_bytes(bytes, &[("latents", vec![2, 2])].into(), "--noise file").unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().starts_with("--noise file"), "{error}");
        error.to_string()
    }

    fn four(values: [f32; 4]) -> Tensor {
        Tensor::new(&values, &Device::Cpu).unwrap().reshape((2, 2)).unwrap()
    }

    #[test]
    fn noise_reads_as_it_was_written_at_any_address() {
        let mut bytes = vec![0; 3];
        bytes.extend(noise_file(&[("noise", four([1.0, -2.0, 3.0, f32::MIN_POSITIVE]))]));
        let noise = noise_from_bytes(&bytes[3..], &[("latents", vec![2, 2])].into(), "--noise file").unwrap();
        assert_eq!(noise.parts["latents"].to_vec2::<f32>().unwrap(), [[1.0, -2.0], [3.0, f32::MIN_POSITIVE]]);
    }

    #[test]
    fn noise_of_another_name_shape_or_type_or_with_more_tensors_is_refused() {
        let noise = four([1.0; 4]);
        assert!(
            refusal(&noise_file(&[("latents", noise.clone())]))
                .ends_with("wanted tensors `noise`, found no tensor `noise`")
        );
        let flat = noise.flatten_all().unwrap();
        assert!(refusal(&noise_file(&[("noise", flat)])).contains("tensor `noise`: wanted shape [2, 2], found [4]"));
        let halves = noise.to_dtype(DType::F16).unwrap();
        assert!(refusal(&noise_file(&[("noise", halves)])).contains("tensor `noise`: wanted float32, found F16"));
        let two = noise_file(&[("noise", noise.clone()), ("other", noise)]);
        assert!(refusal(&two).contains("tensors `noise` alone, found also `other`"));
    }

    #[test]
    fn noise_that_is_not_finite_is_refused_with_its_place() {
        let refused = |values| refusal(&noise_file(&[("noise", four(values))]));
        assert!(
            refused([0.0, f32::NAN, 0.0, 0.0]).contains("tensor `noise`: wanted finite values, found NaN at [0, 1]")
        );
        assert!(refused([0.0, 0.0, f32::INFINITY, f32::NAN]).contains("found inf at [1, 0]"));
        assert!(refused([0.0, 0.0, 0.0, f32::NEG_INFINITY]).contains("found -inf at [1, 1]"));
    }

    #[test]
    fn bytes_that_are_no_complete_safetensors_file_are_refused() {
        let whole = noise_file(&[("noise", four([1.0; 4]))]);
        for length in 0..whole.len() {
            assert!(refusal(&whole[..length]).contains(&format!("found {length} bytes that are none")));
        }
        let mut huge = whole.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refusal(&huge).contains("header"));
        assert!(refusal(b"a text file, and a long one").contains("complete safetensors file"));
        assert!(refusal(&[whole, vec![0]].concat()).contains("complete safetensors file"));
    }

    #[test]
    fn files_that_cannot_hold_such_noise_are_refused_unread() {
        let folder = std::env::temp_dir().join(format!("stir-noise-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let shapes = [("latents", vec![2, 2])].into();
        let refusal = |path: &Path| {
            let error = read_noise(path, &shapes).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        };
        let path = folder.join("noise.safetensors");
        assert!(refusal(&path).contains("No such file"));
        assert!(refusal(&folder).ends_with("found a folder"));
        std::fs::write(&path, []).unwrap();
        assert!(refusal(&path).ends_with("found an empty file"));
        // A hole of a terabyte takes no place on the disk; whoever reads it runs out of memory.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(refusal(&path).ends_with("at most 1048592 bytes, as noise for this clip needs, found 1099511627776"));
        if cfg!(unix) {
            assert!(refusal(Path::new("/dev/zero")).ends_with("found more"));
        }
        std::fs::write(&path, noise_file(&[("noise", four([1.0; 4]))])).unwrap();
        assert_eq!(read_noise(&path, &shapes).unwrap().parts.len(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
