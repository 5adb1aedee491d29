//! Transformer and autoencoder, in each of the layouts that are known.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::metadata::{Metadata, thing};
use super::part::{Names, Part};
use super::{KeyMap, Scheduler, Store, TransformerConfig, WeightFiles, fits, places, shapes};
use crate::error::{Error, Result};
use crate::models::ltx::vae::config::{Config as VaeConfig, Generation};
use crate::models::ltx::vae::keys::{self as vae_keys, SingleFileKeys};
use crate::models::ltx::{keys, scheduler};
use crate::weights::small_file;

/// The file that makes a folder one of diffusers.
pub const MODEL_INDEX: &str = "model_index.json";
const PIPELINES: [&str; 3] = ["LTXPipeline", "LTXImageToVideoPipeline", "LTXConditionPipeline"];
const CONFIG: &str = "config.json";
/// The schedule of releases from 0.9.5 on, as their files write it.
pub const LINEAR_QUADRATIC: &str = r#"{"sampler": "LinearQuadratic"}"#;
/// The schedule of the releases before.
const SHIFTED: &str = r#"{"shifting": "SD3", "target_shift_terminal": 0.1}"#;
/// A tensor of every transformer, by our name, which no other network has.
const OF_TRANSFORMERS: &str = "caption_projection.linear_1.weight";

/// What denoises, and what turns pixels into latents and back.
pub struct Model {
    pub transformer: Part<TransformerConfig>,
    pub vae: Part<VaeConfig>,
    pub scheduler: Scheduler,
    pub allowed_levels: Option<Vec<f64>>,
}

impl Model {
    /// Finds both and checks that they load. `vae`: the autoencoder, where it is not to be found with the model.
    pub fn open(path: &Path, vae: Option<&Path>) -> Result<Self> {
        let model = if path.join(MODEL_INDEX).exists() { Self::folder(path, vae) } else { Self::file(path, vae) }?;
        model.transformer.check()?;
        model.vae.check()?;
        fits(
            &format!("autoencoder {}", model.vae.name()),
            "channels of the latents, as the transformer",
            [model.vae.config.latent_channels, model.transformer.config.channels],
            "give the autoencoder of the same release with --vae",
        )?;
        Ok(model)
    }

    /// A folder of diffusers. The class of its pipeline decides what the folder's files leave open.
    fn folder(path: &Path, vae: Option<&Path>) -> Result<Self> {
        let pipeline = pipeline(&path.join(MODEL_INDEX))?;
        let file = part_of_folder(path, "scheduler", "")?.join("scheduler_config.json");
        let scheduler = scheduler::from_diffusers(&file.display().to_string(), &text(&file)?, &pipeline)?;
        let vae = match vae {
            Some(vae) => Part::vae(&places::given(vae, "vae", "--vae")?)?,
            None => Part::vae(&part_of_folder(path, "vae", "; or give the autoencoder with --vae")?)?,
        };
        let folder = part_of_folder(path, "transformer", "")?;
        let config = folder.join(CONFIG);
        let causal_time = pipeline == "LTXConditionPipeline";
        let config = TransformerConfig::from_diffusers(&config.display().to_string(), &text(&config)?, causal_time)?;
        let files = Arc::new(WeightFiles::open(&folder)?);
        let transformer = Part { files, names: Names::DIFFUSERS, unused: keys::none, config };
        Ok(Self { transformer, vae, scheduler, allowed_levels: None })
    }

    /// A single file, or a GGUF file, or a folder with one of them.
    fn file(path: &Path, vae: Option<&Path>) -> Result<Self> {
        let files = Arc::new(WeightFiles::open(path)?);
        let metadata = Metadata::read(&files)?;
        let names = transformer_names(&files)?;
        let beside = places::surroundings(path).join("vae");
        let vae = match vae {
            Some(vae) => Part::vae(&places::given(vae, "vae", "--vae")?)?,
            None if files.holds(vae_keys::PREFIX)? => Part::vae_of(files.clone(), &metadata, vae_keys::PREFIX)?,
            None if beside.is_dir() => Part::vae(&beside)?,
            None => {
                let hint = "give it with --vae: the folder of diffusers, its folder `vae`, or a single file of the same release";
                let wanted = format!("tensors `{}...` in it, or the folder {}", vae_keys::PREFIX, beside.display());
                return Err(Error::input(format!("autoencoder of {}", path.display()), wanted, "neither", hint));
            }
        };
        let new = vae.config.generation() == Generation::Folded;
        let described = places::surroundings(path).join(CONFIG);
        let config = match &metadata.transformer {
            Some(json) => TransformerConfig::from_single_file(&thing("transformer", &files), json)?,
            None if names.parts.is_empty() && described.exists() => {
                TransformerConfig::from_diffusers(&described.display().to_string(), &text(&described)?, new)?
            }
            None => shapes::transformer(&Store::outline(&files, names)?, files.name(), new)?,
        };
        let scheduler = match &metadata.scheduler {
            Some(json) => scheduler::from_single_file(&thing("scheduler", &files), json)?,
            None => scheduler::from_single_file("scheduler", if new { LINEAR_QUADRATIC } else { SHIFTED })?,
        };
        let transformer = Part { files, names: Names::Table(names), unused: keys::beside_transformer, config };
        Ok(Self { transformer, vae, scheduler, allowed_levels: metadata.allowed_levels })
    }
}

impl Part<VaeConfig> {
    /// The autoencoder at `path`: diffusers' folder `vae`, its file, a single file, or a file with the tensors of one.
    pub fn vae(path: &Path) -> Result<Self> {
        let files = Arc::new(WeightFiles::open(path)?);
        for prefix in [vae_keys::PREFIX, ""] {
            if files.holds(&format!("{prefix}per_channel_statistics."))? {
                let metadata = Metadata::read(&files)?;
                return Self::vae_of(files, &metadata, prefix);
            }
        }
        let file = places::surroundings(path).join(CONFIG);
        let config = VaeConfig::parse(&text(&file)?, &file.display().to_string())?;
        Ok(Self { files, names: Names::DIFFUSERS, unused: keys::none, config })
    }

    /// The autoencoder in a single file, where its names begin with `prefix`.
    fn vae_of(files: Arc<WeightFiles>, metadata: &Metadata, prefix: &'static str) -> Result<Self> {
        let config = match &metadata.vae {
            Some(json) => VaeConfig::from_single_file(json, &thing("vae", &files))?,
            None => {
                let tensors = files.tensors()?;
                let shape = |name: &str| tensors.get(&format!("{prefix}{name}")).map(|stored| stored.shape().to_vec());
                VaeConfig::of_shapes(shape, files.name())?
            }
        };
        let names = Names::Numbered(SingleFileKeys::new(&config, prefix));
        Ok(Self { files, names, unused: keys::beside_vae, config })
    }
}

/// The names that a file has for the tensors of a transformer, if it has one.
pub fn find_transformer(files: &WeightFiles) -> Result<Option<KeyMap>> {
    for names in [keys::TRANSFORMER, keys::TRANSFORMER_IN_GGUF, KeyMap::IDENTITY] {
        let store = Store::outline(files, names)?;
        if [OF_TRANSFORMERS, "proj_in.weight"].iter().all(|name| store.shape(name).is_some()) {
            return Ok(Some(names));
        }
    }
    Ok(None)
}

/// The names that a file has for the tensors of the transformer.
fn transformer_names(files: &WeightFiles) -> Result<KeyMap> {
    if let Some(names) = find_transformer(files)? {
        return Ok(names);
    }
    Err(Error::input(
        format!("model {}", files.name()),
        format!("a transformer of LTX-Video, with tensors `{}...` or without this prefix", keys::PREFIX),
        format!("{} tensors, none of them `patchify_proj.weight`", files.tensors()?.len()),
        "give the folder of diffusers, a single file of LTX-Video, or its transformer in GGUF; `stir models inspect` says what a file is",
    ))
}

/// The folder `name` of a folder of diffusers.
fn part_of_folder(path: &Path, name: &str, otherwise: &str) -> Result<PathBuf> {
    let folder = path.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let hint = format!("fetch the whole folder again{otherwise}");
    Err(Error::input(format!("model {}", path.display()), format!("the folder `{name}`"), "no such folder", hint))
}

/// The class of the pipeline that a folder of diffusers was made for.
pub fn pipeline(path: &Path) -> Result<String> {
    let name = path.display().to_string();
    let refused = |wanted: &str, found: String| {
        Error::input(&name, wanted, found, "give the folder of an LTX-Video model, with all its files")
    };
    let index: Value =
        serde_json::from_str(&text(path)?).map_err(|problem| refused("JSON of diffusers", problem.to_string()))?;
    match index.get("_class_name").and_then(Value::as_str) {
        Some(class) if PIPELINES.contains(&class) => Ok(class.to_owned()),
        class => {
            let found = class.map_or("none".to_owned(), |class| format!("{class}, of a model that stir does not run"));
            Err(refused(&format!("`_class_name` {}", PIPELINES.join(", ")), found))
        }
    }
}

/// The text of a file.
fn text(path: &Path) -> Result<String> {
    small_file::read_text(path).map_err(|found| {
        let hint = "fetch the file again, or the whole folder";
        Error::input(path.display().to_string(), "a text file that can be read", found, hint)
    })
}
