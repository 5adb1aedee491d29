//! One network of a model on disk: its weights, their names and its configuration.

use std::path::Path;
use std::sync::Arc;

use super::{
    KeyMap, Placement, Residency, Result, Statistics, Store, TextConfig, Transformer, TransformerConfig, WeightFiles,
    t5, vae,
};
use crate::models::ltx::keys;
use crate::models::ltx::synthetic::SEED;
use crate::models::ltx::vae::keys::SingleFileKeys;
use crate::weights::keymap::Naming;
use crate::weights::synthetic::Synthetic;

/// How a checkpoint names the tensors of one network.
#[derive(Debug, Clone)]
pub enum Names {
    /// By tables.
    Table(KeyMap),
    /// As the autoencoder in a single file, whose numbers depend on its configuration.
    Numbered(SingleFileKeys),
}

impl Names {
    /// Of diffusers, which are ours.
    pub const DIFFUSERS: Self = Self::Table(KeyMap::IDENTITY);
}

impl Naming for Names {
    fn to_checkpoint(&self, name: &str) -> String {
        match self {
            Self::Table(table) => table.to_checkpoint(name),
            Self::Numbered(keys) => keys.to_checkpoint(name),
        }
    }
}

/// One network on disk.
#[derive(Debug)]
pub struct Part<Config> {
    /// The files, which may hold another network too.
    pub files: Arc<WeightFiles>,
    pub names: Names,
    /// Which tensors of the files belong to no network that is used, by their names in the files.
    pub unused: fn(&str) -> bool,
    pub config: Config,
}

impl<Config> Part<Config> {
    /// The network `part` of the model `model`, with weights that are made up.
    pub fn synthetic(model: &str, part: &str, config: Config) -> Self {
        // T5 goes by several names, and is known by its embedding.
        let known = [("shared.weight", [0usize; 2].as_slice())];
        let made_up = Synthetic::new(format!("{model} {part}"), SEED, &known);
        let files = Arc::new(WeightFiles::synthetic(made_up));
        Self { files, names: Names::DIFFUSERS, unused: keys::none, config }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        self.files.name()
    }

    /// Its weights.
    pub fn store(&self, placement: &Placement) -> Result<Store<'_>> {
        Store::open(&self.files, self.names.clone(), placement)
    }

    /// Its weights in outline, where tensors of other networks are accounted for.
    pub fn outline(&self) -> Result<Store<'_>> {
        let store = Store::outline(&self.files, self.names.clone())?;
        store.ignore_all(self.unused);
        Ok(store)
    }

    /// The same where they would go to `placement`.
    pub fn outline_in(&self, placement: &Placement) -> Result<Store<'_>> {
        Store::outline_in(&self.files, self.names.clone(), placement)
    }
}

impl Part<TransformerConfig> {
    /// Loads it in outline.
    pub fn check(&self) -> Result<()> {
        let store = self.outline()?;
        Transformer::load(&store.root(), &self.config)?;
        store.finish()
    }
}

impl Part<vae::config::Config> {
    /// What its latents are normalised with.
    pub fn statistics(&self, store: &Store) -> Result<Statistics> {
        Statistics::load(&store.root(), self.config.latent_channels)
    }

    /// Loads it in outline.
    pub fn check(&self) -> Result<()> {
        let store = self.outline()?;
        vae::encoder::Encoder::load(&store.root().at("encoder"), &self.config)?;
        vae::decoder::Decoder::load(&store.root().at("decoder"), &self.config)?;
        self.statistics(&store)?;
        store.finish()
    }
}

impl Part<TextConfig> {
    /// Loads it in outline.
    pub fn check(&self) -> Result<()> {
        let store = self.outline()?;
        t5::Encoder::load(&store, self.config, Residency::Whole)?;
        store.finish()
    }

    /// The text encoder at `path`, a folder or a file.
    pub fn text_encoder(path: &Path) -> Result<Self> {
        let files = Arc::new(WeightFiles::open(path)?);
        let config = TextConfig::open(path, &Store::outline(&files, KeyMap::IDENTITY)?)?;
        Ok(Self { files, names: Names::DIFFUSERS, unused: keys::none, config })
    }
}
