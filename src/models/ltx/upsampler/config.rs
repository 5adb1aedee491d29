//! The upsampler's sizes: as diffusers and as Lightricks' single files write them, or from the shapes of its tensors.

use std::path::Path;

use super::layers::GROUPS;
use crate::error::{Error, Result};
use crate::models::ltx::config_fields::{Fields, MOST, MOST_LAYERS};
use crate::weights::files::WeightFiles;
use crate::weights::small_file;
use crate::weights::store::Store;

/// What diffusers and Lightricks call the network.
const CLASSES: [&str; 2] = ["LTXLatentUpsamplerModel", "LatentUpsampler"];
/// Fields that describe the file or its making.
const KNOWN: [&str; 2] = ["_diffusers_version", "_name_or_path"];
/// Time, height and width.
const DIMENSIONS: usize = 3;
const HINT: &str = "use the spatial upscaler that belongs to LTX-Video: ltxv-spatial-upscaler-0.9.8.safetensors";

/// What tells one upsampler from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpsamplerConfig {
    /// Channels of the latents, in and out.
    pub channels: usize,
    /// Channels inside, a multiple of 32.
    pub width: usize,
    /// Residual blocks before the upsampling, and as many after it.
    pub blocks: usize,
}

impl UpsamplerConfig {
    /// Of the checkpoint at `path`, opened as `files` and `store`: a folder's `config.json`, the `config` in a single file's metadata, or
    /// what the shapes of its tensors say.
    ///
    /// # Errors
    /// As [`UpsamplerConfig::parse`], a folder without a configuration that can be read, and tensors that are no upsampler's.
    pub fn of(path: &Path, files: &WeightFiles, store: &Store) -> Result<Self> {
        if path.is_dir() {
            let file = path.join("config.json");
            let thing = file.display().to_string();
            let json = small_file::read_text(&file)
                .map_err(|found| Error::input(&thing, "the configuration of a latent upsampler", found, HINT))?;
            return Self::parse(&thing, &json);
        }
        match files.metadata()?.get("config") {
            Some(json) => Self::parse(&format!("`config` in the metadata of {}", files.name()), json),
            None => Self::of_shapes(files.name(), store),
        }
    }

    /// Reads the text of a configuration; `thing` is what messages call it.
    ///
    /// # Errors
    /// A field that is missing, misshapen, or has a value that is not implemented.
    pub fn parse(thing: &str, json: &str) -> Result<Self> {
        let mut fields = Fields::parse(thing, json)?;
        if let Some(class) = fields.take_optional::<String>("_class_name")?
            && !CLASSES.contains(&class.as_str())
        {
            return Err(fields.refusal("_class_name", &CLASSES.join(" or "), &class, HINT));
        }
        // Left out it means 2 to Lightricks and 3 to diffusers.
        let dimensions: usize = fields.take("dims")?;
        if dimensions != DIMENSIONS {
            return Err(fields.refusal("dims", &DIMENSIONS.to_string(), &dimensions.to_string(), HINT));
        }
        fields.only("spatial_upsample", true)?;
        fields.only("temporal_upsample", false)?;
        let config = Self {
            channels: fields.size("in_channels", MOST)?,
            width: fields.take("mid_channels")?,
            blocks: fields.size("num_blocks_per_stage", MOST_LAYERS)?,
        };
        if !(1..=MOST).contains(&config.width) || !config.width.is_multiple_of(GROUPS) {
            let wanted = format!("a multiple of {GROUPS}, at most {MOST}");
            return Err(fields.refusal("mid_channels", &wanted, &config.width.to_string(), HINT));
        }
        fields.finish(&KNOWN);
        Ok(config)
    }

    /// From the shapes of the tensors of `store`; `name` is what messages call it.
    fn of_shapes(name: &str, store: &Store) -> Result<Self> {
        let refused =
            |found: String| Error::input(format!("weights `{name}`"), "an LTX-Video latent upsampler", found, HINT);
        let tensor = "initial_conv.weight";
        match store.shape(tensor).as_deref() {
            None => Err(refused(format!("no tensor `{tensor}`"))),
            Some(&[width, channels, 3, 3, 3]) if width > 0 && width.is_multiple_of(GROUPS) && channels > 0 => {
                let is_there = |block: &usize| store.shape(&format!("res_blocks.{block}.conv1.weight")).is_some();
                Ok(Self { channels, width, blocks: (0..).take_while(is_there).count() })
            }
            Some(shape) => Err(refused(format!("`{tensor}` of shape {shape:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASED: &str = r#"{"_class_name": "LatentUpsampler", "in_channels": 128, "mid_channels": 512, "num_blocks_per_stage": 4,
        "dims": 3, "spatial_upsample": true, "temporal_upsample": false}"#;

    #[test]
    fn the_released_configuration_is_read() {
        let released = UpsamplerConfig { channels: 128, width: 512, blocks: 4 };
        assert_eq!(UpsamplerConfig::parse("config", RELEASED).unwrap(), released);
        let diffusers = RELEASED.replace("LatentUpsampler", "LTXLatentUpsamplerModel");
        assert_eq!(UpsamplerConfig::parse("config", &diffusers).unwrap(), released);
    }

    #[test]
    fn every_value_that_is_not_implemented_is_refused_by_name() {
        for (from, to, message) in [
            ("LatentUpsampler", "AutoencoderKLLTXVideo", "`_class_name` of config: wanted LTXLatentUpsamplerModel or"),
            (r#""dims": 3"#, r#""dims": 2"#, "`dims` of config: wanted 3, found 2"),
            (r#""dims": 3,"#, "", "`dims` of config: wanted a value, found none"),
            ("true", "false", "`spatial_upsample` of config: wanted true, found false"),
            (r#"upsample": false"#, r#"upsample": true"#, "`temporal_upsample` of config: wanted false, found true"),
            (": 128", ": 0", "`in_channels` of config: wanted 1 to 1048576, found 0"),
            (": 512", ": 500", "`mid_channels` of config: wanted a multiple of 32, at most 1048576, found 500"),
            (": 512", ": 0", "`mid_channels` of config: wanted a multiple of 32, at most 1048576, found 0"),
            (": 4", ": -4", "`num_blocks_per_stage` of config"),
            (": 4", ": 4000000000", "`num_blocks_per_stage` of config: wanted 1 to 1024, found 4000000000"),
        ] {
            let json = RELEASED.replace(from, to);
            assert_ne!(json, RELEASED);
            let error = UpsamplerConfig::parse("config", &json).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
