//! Noise and latents as safetensors files, so that runs can be compared across engines and finished later.
//!
//! The part `latents` is the tensor `noise` or `latents`; any further part is `noise.<part>` or `latents.<part>`. Always float32.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::latents::Latents;
use crate::shape;

fn tensor_name(prefix: &str, part: &str) -> String {
    if part == "latents" { prefix.to_owned() } else { format!("{prefix}.{part}") }
}

/// Reads initial noise of exactly these shapes.
///
/// # Errors
/// An unreadable file, a missing or further tensor, another shape, another type than float32.
pub fn read_noise(path: &Path, shapes: &BTreeMap<&'static str, Vec<usize>>) -> Result<Latents> {
    let thing = format!("--noise {}", path.display());
    let wanted = shapes.keys().map(|part| format!("`{}`", tensor_name("noise", part))).collect::<Vec<_>>().join(", ");
    let bytes = std::fs::read(path).map_err(|error| {
        Error::input(&thing, "a readable safetensors file", error.to_string(), "check the path, or leave --noise out")
    })?;
    let mut tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|error| {
        Error::input(&thing, "a safetensors file", error.to_string(), "write one with tensors such as `noise`")
    })?;
    let mut latents = Latents::default();
    for (part, dimensions) in shapes {
        let name = tensor_name("noise", part);
        let tensor = tensors.remove(&name).ok_or_else(|| {
            Error::input(&thing, format!("tensors {wanted}"), format!("no tensor `{name}`"), "add it to the file")
        })?;
        shape::expect(&name, &tensor, dimensions, "noise has the shape of the model's latents")?;
        if tensor.dtype() != DType::F32 {
            let found = format!("{:?}", tensor.dtype());
            return Err(Error::input(format!("{thing}, tensor `{name}`"), "float32", found, "convert it"));
        }
        latents.parts.insert(part, tensor);
    }
    if let Some(name) = tensors.keys().min() {
        return Err(Error::input(&thing, format!("tensors {wanted} alone"), format!("also `{name}`"), "remove it"));
    }
    Ok(latents)
}

/// Writes final latents; the metadata entry `stir` says, as JSON, which model and seed made them. Equal latents are equal bytes.
///
/// # Errors
/// A failed file operation; nothing is left under the name then.
pub fn save(path: &Path, latents: &Latents, model: &str, seed: u64) -> Result<()> {
    let tensors: Vec<(String, Tensor)> = latents
        .parts
        .iter()
        .map(|(part, tensor)| Ok((tensor_name("latents", part), tensor.to_dtype(DType::F32)?)))
        .collect::<Result<_>>()?;
    // One entry, because a map of several is written in an order that changes from run to run.
    let metadata = HashMap::from([("stir".to_owned(), format!("{{\"model\":\"{model}\",\"seed\":{seed}}}"))]);
    let bytes = safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, tensor)), Some(metadata))
        .map_err(|error| Error::run(path.display().to_string(), "latents to write", error.to_string(), "report it"))?;
    crate::media::write_atomically(path, &bytes)
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
        save(&path, &example(), "sway", 42).unwrap();
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        assert_eq!(tensors["latents"].to_vec2::<f32>().unwrap(), [[1.0, 2.0]]);
        assert_eq!(tensors["latents.control"].to_vec1::<f32>().unwrap(), [3.0]);

        let shapes = [("latents", vec![1, 2]), ("control", vec![1])].into();
        let error = read_noise(&path, &shapes).unwrap_err();
        assert!(error.to_string().contains("no tensor `noise"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn noise_of_another_shape_type_or_with_more_tensors_is_refused() {
        let folder = std::env::temp_dir().join(format!("stir-noise-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("noise.safetensors");
        let noise = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        let more = [("noise".to_owned(), noise.clone()), ("other".to_owned(), noise.clone())].into();
        candle_core::safetensors::save(&more, &path).unwrap();
        let message =
            |dimensions: Vec<usize>| read_noise(&path, &[("latents", dimensions)].into()).unwrap_err().to_string();
        assert!(message(vec![3]).contains("shape [3], found [2]"));
        assert!(message(vec![2]).contains("`other`"));
        let halves = [("noise".to_owned(), noise.to_dtype(DType::F16).unwrap())].into();
        candle_core::safetensors::save(&halves, &path).unwrap();
        assert!(message(vec![2]).contains("float32, found F16"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
