//! Noise and latents as safetensors files, so that runs can be compared across engines and finished later.
//!
//! The part `latents` is the tensor `noise` or `latents`; any further part is `noise.<part>` or `latents.<part>`. Always float32.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};
use crate::latents::{Latents, Shapes};

/// What a file of noise may hold besides the values: the names of its tensors, and what another program says of them.
const LONGEST_HEADER: u64 = 1 << 20;

fn tensor_name(prefix: &str, part: &str) -> String {
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
    let names = shapes.keys().map(|part| format!("`{}`", tensor_name("noise", part))).collect::<Vec<_>>().join(", ");
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let hint = "copy or write the file again, with tensors such as `noise`";
        Error::input(
            thing,
            "a complete safetensors file",
            format!("{} bytes that are none ({error})", bytes.len()),
            hint,
        )
    })?;
    let mut latents = Latents::default();
    for (&part, shape) in shapes {
        let name = tensor_name("noise", part);
        let view = file.tensor(&name).map_err(|_| {
            Error::input(thing, format!("tensors {names}"), format!("no tensor `{name}`"), "add it to the file")
        })?;
        let refused = |wanted: String, found: String, hint: &str| {
            Error::input(format!("{thing}, tensor `{name}`"), wanted, found, hint)
        };
        if view.shape() != shape {
            let hint = "noise has the shape of the model's latents";
            return Err(refused(format!("shape {shape:?}"), format!("{:?}", view.shape()), hint));
        }
        if view.dtype() != Dtype::F32 {
            return Err(refused("float32".to_owned(), format!("{:?}", view.dtype()), "convert it"));
        }
        // By the bytes, because a tensor in a file may lie at any address.
        let (values, _) = view.data().as_chunks();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            let found = format!("{} at {:?}", values[position], index_of(position, shape));
            return Err(refused("finite values".to_owned(), found, "draw the noise again"));
        }
        latents.parts.insert(part, Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?);
    }
    let known: Vec<String> = shapes.keys().map(|part| tensor_name("noise", part)).collect();
    if let Some(name) = file.names().into_iter().filter(|name| !known.iter().any(|known| known == name)).min() {
        return Err(Error::input(thing, format!("tensors {names} alone"), format!("also `{name}`"), "remove it"));
    }
    Ok(latents)
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

/// Final latents as the bytes of a safetensors file; the metadata entry `stir` says, as JSON, which model and seed made them. Equal latents are
/// equal bytes.
///
/// # Errors
/// A failed tensor operation.
pub fn to_bytes(latents: &Latents, model: &str, seed: u64) -> Result<Vec<u8>> {
    let tensors: Vec<(String, Tensor)> = latents
        .parts
        .iter()
        .map(|(part, tensor)| Ok((tensor_name("latents", part), tensor.to_dtype(DType::F32)?)))
        .collect::<Result<_>>()?;
    // One entry, because a map of several is written in an order that changes from run to run.
    let metadata = HashMap::from([("stir".to_owned(), format!("{{\"model\":\"{model}\",\"seed\":{seed}}}"))]);
    safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, tensor)), Some(metadata))
        .map_err(|error| Error::run("the final latents", "tensors to write", error.to_string(), "report it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Latents {
        let mut latents = Latents::default();
        latents.parts.insert("latents", Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap());
        latents.parts.insert("control", Tensor::new(&[3f32], &Device::Cpu).unwrap());
        latents
    }

    #[test]
    fn latents_are_named_by_part() {
        let folder = std::env::temp_dir().join(format!("stir-latent-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("latents.safetensors");
        std::fs::write(&path, to_bytes(&example(), "sway", 42).unwrap()).unwrap();
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        assert_eq!(tensors["latents"].to_vec2::<f32>().unwrap(), [[1.0, 2.0]]);
        assert_eq!(tensors["latents.control"].to_vec1::<f32>().unwrap(), [3.0]);

        let shapes = [("latents", vec![1, 2]), ("control", vec![1])].into();
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
